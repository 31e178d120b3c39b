//! What is measured, a group a file. Each function makes one run; what fails in it is told, and the rest goes on.

mod influx;
mod latency;
mod mqtt;
mod peers;
mod scale;
mod start;
mod verdicts;
mod way;

use std::time::Duration;

use anyhow::bail;
use lastbeat_host::Clock;
use lastbeat_scenarios::events::{Events, Interrupted};

use crate::cli::Group;
use crate::results::{Results, Unit, show};
use crate::stage::{Role, Stage};
use crate::subscriber::Subscriber;
use crate::tally::Tally;

/// How long a crowd may take to speak.
const SPOKEN_WITHIN: Duration = Duration::from_mins(3);

/// One run of a group.
pub struct Measuring<'a> {
    /// Where ends of processes and Ctrl-C are heard.
    pub events: &'a Events,
    /// Where the figures go.
    pub results: &'a mut Results,
    /// Whether spans are short and crowds small.
    pub quick: bool,
    /// Whether a million publishers are had where that takes minutes.
    pub million: bool,
    /// The group.
    pub group: Group,
    /// Which run, from 1 on.
    pub run: u32,
}

/// Makes one run of a group.
///
/// # Errors
/// Only on Ctrl-C.
pub fn measure(measuring: &mut Measuring) -> anyhow::Result<()> {
    match measuring.group {
        Group::Way => way::measure(measuring),
        Group::Influx => influx::measure(measuring),
        Group::Mqtt => mqtt::measure(measuring),
        Group::Latency => latency::measure(measuring),
        Group::Verdicts => verdicts::measure(measuring),
        Group::Scale => scale::measure(measuring),
        Group::Start => start::measure(measuring),
        Group::Peers => peers::measure(measuring),
    }
}

impl Measuring<'_> {
    /// Measures one thing on a stage of its own. A failure is noted.
    pub fn attempt(
        &mut self,
        what: &str,
        attempt: impl FnOnce(&mut Self, &Stage) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        eprintln!("  {what}");
        let events = self.events;
        match Stage::new(events).and_then(|stage| attempt(self, &stage)) {
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => {
                let failure = format!("{}: {what}: {error:#}", self.group.name());
                eprintln!("    {failure}");
                if !self.results.failures.contains(&failure) {
                    self.results.failures.push(failure);
                }
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Notes a figure, and tells it; `key` without the group's name.
    pub fn note(&mut self, key: &str, name: &str, unit: Unit, value: f64) {
        let key = format!("{}.{key}", self.group.name());
        eprintln!("    {name}: {}", show(unit, value));
        self.results.add(&key, name, unit, value);
    }

    /// How long load is put on.
    pub fn load(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 5 })
    }

    /// One of two, the second with `--quick`.
    pub fn full_or_quick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// Starts so many generators, each a publisher of its own.
fn generators(stage: &Stage, number: usize, to: &str, options: &[&str]) -> anyhow::Result<Vec<Role>> {
    let start = |number| {
        let id = format!("ready-{number}");
        let mut args = vec!["send", "--to", to, "--id", &id];
        args.extend_from_slice(options);
        stage.role(&format!("send-{number}"), &args)
    };
    (0..number).map(start).collect()
}

/// Waits until all generators have sent everything; what that was together, and the CPU it took a message, in microseconds, is not
/// told: it is over when they end.
fn all_sent(stage: &Stage, generators: &[Role], within: Duration) -> anyhow::Result<Tally> {
    let mut all = Tally { first: u64::MAX, ..Tally::default() };
    for generator in generators {
        let tally = stage.finished(generator, within)?;
        all = Tally {
            count: all.count + tally.count,
            first: all.first.min(tally.first),
            last: all.last.max(tally.last),
            done: true,
        };
    }
    Ok(all)
}

/// Has so many publishers speak once, as processes of another host, until all are known; the number of everybody's next message.
///
/// Of a publisher that is not known yet nobody knows that a message is missing, so what a link has lost is said again.
fn all_heard(
    stage: &Stage,
    subscriber: &Subscriber,
    (to, id): (&str, &str),
    publishers: u32,
    options: &[&str],
) -> anyhow::Result<u64> {
    let (known, count) = (subscriber.publishers()?, publishers.to_string());
    for number in 0..5_u64 {
        let digits = number.to_string();
        let args = ["send", "--to", to, "--id", id, "--publishers", &count, "--messages", &count, "--process", "1"];
        let slowly = ["--number", &digits, "--rate", "100000"];
        let sender = stage.role(id, &[&args[..], &slowly, options].concat())?;
        stage.finished(&sender, SPOKEN_WITHIN)?;
        let (mut before, mut since) = (0, Clock.now().monotonic);
        while Clock.now().monotonic.since(since) < Duration::from_secs(2) {
            let now = subscriber.publishers()? - known;
            if now >= u64::from(publishers) {
                return Ok(number + 1);
            }
            if now > before {
                (before, since) = (now, Clock.now().monotonic);
            }
            stage.pause(Duration::from_millis(50))?;
        }
    }
    bail!("not all of {publishers} publishers are heard")
}

/// Microseconds a message.
fn micros(seconds: f64, messages: u64) -> f64 {
    seconds * 1e6 / messages.max(1) as f64
}
