//! From a deadline to its verdict, with everybody else silent but not yet late, and under full load.

use std::time::Duration;

use anyhow::ensure;
use lastbeat_host::Clock;
use lastbeat_watchdog::State;

use super::{Measuring, all_heard, generators};
use crate::results::{Unit, percentile};
use crate::stage::Stage;
use crate::subscriber::{Flips, Subscriber};

/// Whether anybody else says anything meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Idle,
    Full,
}

/// How long a crowd may take to be heard.
const HEARD_WITHIN: Duration = Duration::from_mins(3);

/// One run.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    let mut sizes = vec![100, 10_000];
    if !measuring.quick {
        sizes.push(100_000);
    }
    if measuring.million {
        sizes.push(1_000_000);
    }
    for publishers in sizes {
        for load in [Load::Idle, Load::Full] {
            crowd(measuring, publishers, load)?;
        }
    }
    Ok(())
}

fn crowd(measuring: &mut Measuring, publishers: u32, load: Load) -> anyhow::Result<()> {
    let under = if load == Load::Full { "full load" } else { "no load" };
    let name = format!("{publishers} publishers, {under}");
    measuring.attempt(&name, |measuring, stage| {
        let late = lateness(stage, publishers, load)?;
        let key = format!("{publishers}_{}", if load == Load::Full { "full" } else { "idle" });
        for (at, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("worst", 1.0)] {
            measuring.note(&format!("{key}_{at}"), &format!("{name}, {at}"), Unit::Millis, percentile(&late, share));
        }
        Ok(())
    })
}

/// How long after its deadline each verdict was known, in milliseconds, the soonest first.
fn lateness(stage: &Stage, publishers: u32, load: Load) -> anyhow::Result<Vec<f64>> {
    let threshold = match publishers {
        0..=10_000 => Duration::from_secs(6),
        10_001..=100_000 => Duration::from_secs(15),
        _ => Duration::from_mins(1),
    };
    let hushed = (publishers / 10).clamp(50, 1_000);
    let flips = Flips::default();
    let broker = stage.broker()?;
    let span = humantime::format_duration(threshold).to_string();
    let subscriber = Subscriber::telling(stage, &broker.subscribers, &["--threshold", &span], flips.lines())?;
    let others = publishers - hushed;
    let to = &broker.publishers;
    let next = all_heard(stage, &subscriber, (to, "others"), others, &["--beats"])?;
    all_heard(stage, &subscriber, (to, "hushed"), hushed, &["--beats"])?;
    let began = Clock.now().monotonic;
    // Who is not to fall silent speaks once more, half-way.
    stage.pause(began.plus(threshold / 3).since(Clock.now().monotonic))?;
    let (count, next) = (others.to_string(), next.to_string());
    let args = ["send", "--to", to, "--id", "others", "--publishers", &count, "--messages", &count];
    let again = stage.role("others", &[&args[..], &["--number", &next, "--beats", "--process", "1"]].concat())?;
    stage.finished(&again, HEARD_WITHIN)?;
    drop(flips.taken());
    let load = match load {
        Load::Idle => Vec::new(),
        Load::Full => {
            let more = humantime::format_duration(threshold).to_string();
            generators(stage, 2, &broker.publishers, &["--for", &more])?
        }
    };
    let until = began.plus(threshold + Duration::from_secs(10));
    let is_verdict = |to: State| to == State::Unknown;
    stage.until(until, "all verdicts have fallen", || {
        Ok(flips.count(|told| is_verdict(told.flip.to) && told.flip.publisher.as_str().starts_with("hushed"))
            >= hushed as usize)
    })?;
    let spoken = Clock.now().monotonic.since(began);
    drop(load);
    let told = flips.taken();
    let wrong =
        told.iter().filter(|told| is_verdict(told.flip.to) && told.flip.publisher.as_str().starts_with("others"));
    ensure!(wrong.count() == 0, "who spoke {spoken:?} ago fell silent, of {publishers}");
    let verdicts = told.iter().filter(|told| is_verdict(told.flip.to));
    let mut late: Vec<_> = verdicts.map(|told| told.flip.noticed_at.since(told.flip.at).as_secs_f64() * 1e3).collect();
    late.sort_by(f64::total_cmp);
    Ok(late)
}

/// A pipeline whose flips are heard.
pub fn told_pipeline(
    stage: &Stage,
    threshold: &str,
) -> anyhow::Result<(lastbeat_scenarios::hub::Hub, Subscriber, Flips)> {
    let (flips, broker) = (Flips::default(), stage.broker()?);
    let subscriber = Subscriber::telling(stage, &broker.subscribers, &["--threshold", threshold], flips.lines())?;
    Ok((broker, subscriber, flips))
}
