//! [`measure`]: how soon verdicts are known, over and over: median and worst, after the moment they could first be known.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use lastbeat_host::Clock;
use lastbeat_transport::{Endpoint, Handed, PublishOptions};
use lastbeat_watchdog::State;
use lastbeat_wire::{Kind, PublisherId};

use crate::how::How;
use crate::stage::{GRACE, Setting, Stage};
use crate::timeline::{Latency, milliseconds, say};

/// What happens to the publishers that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measured {
    /// SIGKILL to a local publisher: after the signal
    Kill,
    /// SIGSTOP to a local publisher: after its threshold
    Stop,
    /// A publisher that can't be looked at, for it never told its process, falls silent: after its threshold
    Remote,
}

impl Measured {
    const ALL: [Self; 3] = [Self::Kill, Self::Stop, Self::Remote];

    fn verdict(self) -> State {
        match self {
            Self::Kill => State::Dead,
            Self::Stop => State::Suspended,
            Self::Remote => State::Unknown,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 of a local publisher",
            Self::Stop => "SIGSTOP of a local publisher",
            Self::Remote => "silence of a remote publisher",
        }
    }

    fn since(self) -> &'static str {
        match self {
            Self::Kill => "after SIGKILL",
            Self::Stop | Self::Remote => "after its threshold",
        }
    }

    fn id(self, run: u16) -> String {
        let kind = match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Remote => "remote",
        };
        format!("{kind}-{run}")
    }
}

/// Measures each of `what` (all, if there is none) `runs` times, and prints a table; nothing in it is wrong.
///
/// # Errors
/// When a process can't be started or ends by itself, a verdict fails to come, and on Ctrl-C.
pub fn measure(what: &[Measured], runs: u16, setting: Setting) -> anyhow::Result<bool> {
    let what = if what.is_empty() { &Measured::ALL } else { what };
    let threshold = humantime::format_duration(setting.threshold);
    let heading = format!("latency of verdicts: {runs} runs each, threshold {threshold}, {}", setting.transport.name());
    let mut stage = Stage::set_up(setting, &heading)?;
    let outcome = measure_all(&mut stage, what, runs).map(|()| true);
    stage.explain(&outcome);
    outcome
}

fn measure_all(stage: &mut Stage, what: &[Measured], runs: u16) -> anyhow::Result<()> {
    let heads = format!("{:<32}{:>26}{:>26}", "", "known to the watchdog", "told on stdout");
    say(&stage.timeline.paint().dim(&heads));
    let heads = format!("{:<32}{:>13}{:>13}{:>13}{:>13}", "", "median", "worst", "median", "worst");
    say(&stage.timeline.paint().dim(&heads));
    for measured in what {
        let latencies = match measured {
            Measured::Kill => kills(stage, runs)?,
            Measured::Stop | Measured::Remote => silences(stage, *measured, runs)?,
        };
        let known = median_and_worst(latencies.iter().map(|latency| latency.known).collect());
        let told = median_and_worst(latencies.iter().map(|latency| latency.told).collect());
        let ([known, worst_known], [told, worst_told]) = (known.map(milliseconds), told.map(milliseconds));
        let cells = format!("{known:>13}{worst_known:>13}{told:>13}{worst_told:>13}");
        say(&format!("{:<32}{cells}  {}", measured.label(), measured.since()));
    }
    Ok(())
}

/// One after the other: a publisher starts, is heard, is killed, is known to be dead.
fn kills(stage: &mut Stage, runs: u16) -> anyhow::Result<Vec<Latency>> {
    let mut latencies = Vec::new();
    for run in 1..=runs {
        let id = enter(stage, Measured::Kill, run)?;
        stage.put_down(&id, How::Kill)?;
        let killed_at = stage.touched(&id).context("invariant: it was just killed")?;
        verdict(stage, &id, Measured::Kill)?;
        latencies.extend(stage.newest_flip(&id).map(|sighting| Latency::of(sighting, killed_at)));
    }
    Ok(latencies)
}

/// All together: publishers start one after the other, and fall silent as soon as they are heard.
fn silences(stage: &mut Stage, measured: Measured, runs: u16) -> anyhow::Result<Vec<Latency>> {
    let mut ids = Vec::new();
    for run in 1..=runs {
        ids.push(if measured == Measured::Stop {
            let id = enter(stage, measured, run)?;
            stage.put_down(&id, How::Stop)?;
            id
        } else {
            speak_once(stage, measured.id(run))?
        });
    }
    for id in &ids {
        verdict(stage, id, measured)?;
    }
    let of = |id| stage.newest_flip(id).map(|sighting| Latency::of(sighting, sighting.flip.at));
    Ok(ids.iter().filter_map(|id| of(id)).collect())
}

/// Starts a publisher, and waits until it is known with its process.
fn enter(stage: &mut Stage, measured: Measured, run: u16) -> anyhow::Result<String> {
    let id = measured.id(run);
    stage.enter(&id, None)?;
    let until = Clock.now().monotonic.plus(stage.setting.threshold + GRACE);
    // It was heard before its first reading was: by then its end is waited for.
    if !stage.wait_for_readings(&[&id], 1, until)? {
        bail!("{id} is not heard");
    }
    Ok(id)
}

/// A publisher with no code of ours: one message under its topic, then nothing.
fn speak_once(stage: &mut Stage, id: String) -> anyhow::Result<String> {
    let endpoint: Endpoint = stage.hub.publishers.parse()?;
    let topic = Kind::Sensor.topic(&id.parse::<PublisherId>()?);
    let mut outbound =
        lastbeat_transport::publish(&endpoint, PublishOptions { client: id.clone(), ..Default::default() })?;
    let until = Clock.now().monotonic.plus(GRACE);
    while outbound.try_send(&topic, br#"{"celsius":21.5}"#)? == Handed::NotNow {
        if !outbound.wait_ready(&topic, until.since(Clock.now().monotonic)) {
            bail!("{endpoint} takes no message of {id}");
        }
    }
    let heard = stage.wait(until, |stage| stage.all_are(&[&id], State::Alive))?;
    outbound.close(GRACE);
    if !heard {
        bail!("{id} is not heard");
    }
    Ok(id)
}

fn verdict(stage: &mut Stage, id: &str, measured: Measured) -> anyhow::Result<()> {
    let limit = stage.setting.threshold + GRACE;
    let wanted = measured.verdict();
    if !stage.wait(Clock.now().monotonic.plus(limit), |stage| stage.all_are(&[id], wanted))? {
        let is = stage.newest_flip(id).map_or("never heard", |sighting| sighting.flip.to.word());
        bail!("{id} is {is}, not {}, within {}", wanted.word(), humantime::format_duration(limit));
    }
    Ok(())
}

/// Of an even number the upper one of the two in the middle.
fn median_and_worst(mut spans: Vec<Duration>) -> [Duration; 2] {
    spans.sort();
    [spans.get(spans.len() / 2), spans.last()].map(|span| span.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_and_the_worst_at_the_end() {
        let spans = |numbers: &[u64]| numbers.iter().map(|number| Duration::from_secs(*number)).collect();
        assert_eq!(median_and_worst(spans(&[5, 1, 9])), [5, 9].map(Duration::from_secs));
        assert_eq!(median_and_worst(spans(&[4, 1, 3, 2])), [3, 4].map(Duration::from_secs));
    }
}
