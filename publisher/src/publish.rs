//! [`publish`]: runs a publisher in real time: reads the clock, waits, hears signals, says goodbye.

use std::time::Duration;

use anyhow::anyhow;
use lastbeat_host::Clock;
use lastbeat_wire::{Kind, LAST_BREATH};

use crate::failure::Failure;
use crate::publisher::{Publisher, Turn};
use crate::stop::Stop;

/// While the transport is waited for, a signal is heard only in between: how long it may have to wait.
const HEARING: Duration = Duration::from_millis(100);
/// While nothing is due, it is looked so often whether somebody asks for messages …
const ASKED: Duration = Duration::from_millis(500);
/// … and so often after somebody did.
const ASKED_LATELY: Duration = Duration::from_millis(50);
/// How long a transport is left alone that says it is ready and then takes nothing.
const NOT_READY_AFTER_ALL: Duration = Duration::from_millis(5);

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The source has no more.
    BySource,
    /// A signal came.
    BySignal,
}

/// Runs until the source ends or a signal comes; then waits at most `drain` for what is still held, and for the goodbye.
pub fn publish(mut publisher: Publisher, stop: &Stop, drain: Duration) -> Result<(), Failure> {
    let outcome = run(&mut publisher, stop);
    let span = humantime::format_duration(drain);
    tracing::info!("saying goodbye, for at most {span}; a second signal ends at once");
    // After a failure, too: the process ends, and those who watch it should know that it meant to.
    let limit = Clock.now().monotonic.plus(drain);
    let said = goodbye(&mut publisher, stop, drain);
    let left = publisher.close(limit.since(Clock.now().monotonic));
    stop.wait(LAST_BREATH);
    let ended = outcome?;
    if !said? {
        tracing::warn!("the goodbye could not be sent within {span}");
    }
    match ended {
        _ if left.is_nothing() => Ok(()),
        Ended::BySource => Err(anyhow!("the end is reached, but within {span} {left}").into()),
        Ended::BySignal => {
            tracing::warn!("{left}");
            Ok(())
        }
    }
}

fn run(publisher: &mut Publisher, stop: &Stop) -> Result<Ended, Failure> {
    let mut sent_when_ready = None;
    loop {
        let now = Clock.now();
        let stopped = match publisher.turn(now)? {
            Turn::Done => return Ok(Ended::BySource),
            Turn::More => stop.wished(),
            Turn::Until(instant) => {
                let patience = if publisher.is_asked(now.monotonic) { ASKED_LATELY } else { ASKED };
                stop.wait(instant.since(now.monotonic).min(patience))
            }
            Turn::Blocked(kind, instant) => {
                let limit = instant.since(now.monotonic).min(HEARING);
                wait_ready(publisher, kind, limit, &mut sent_when_ready, stop)
            }
        };
        if stopped {
            return Ok(Ended::BySignal);
        }
    }
}

/// Whether a signal came meanwhile.
fn wait_ready(publisher: &mut Publisher, kind: Kind, limit: Duration, last: &mut Option<u64>, stop: &Stop) -> bool {
    let ready = publisher.wait_ready(kind, limit);
    let sent = publisher.sent();
    // Ready once more, and nothing was taken since the last time it was: don't spin.
    let again = ready && *last == Some(sent);
    *last = ready.then_some(sent);
    stop.wait(if again { NOT_READY_AFTER_ALL.min(limit) } else { Duration::ZERO })
}

/// Whether the goodbye is on its way.
fn goodbye(publisher: &mut Publisher, stop: &Stop, drain: Duration) -> Result<bool, Failure> {
    let limit = Clock.now().monotonic.plus(drain);
    let mut sent_when_ready = None;
    loop {
        let now = Clock.now();
        let sent = publisher.sent();
        if publisher.goodbye(now)? {
            return Ok(true);
        }
        if now.monotonic >= limit {
            return publisher.goodbye_ahead(now);
        }
        if publisher.sent() == sent {
            let left = limit.since(now.monotonic).min(HEARING);
            wait_ready(publisher, Kind::Bye, left, &mut sent_when_ready, stop);
        }
    }
}
