//! Judging: what was told, compared with what was done: what is false, what is missing, and how late the latest verdict was.

use std::time::Duration;

use lastbeat_watchdog::{Cause, State};
use lastbeat_wire::UtcNanos;

use crate::events::Sighting;
use crate::faults::cast::LOADED;
use crate::faults::fault::{Fault, Who};
use crate::faults::truth::{Deed, Truth};

/// How long after the end of a fault it may still show: a process that goes on is silent until it is heard.
const AFTERMATH: Duration = Duration::from_secs(2);
/// How long a fault must have lasted beyond its threshold until somebody is blamed that it was not told.
const MARGIN: Duration = Duration::from_secs(1);

/// A verdict that must be told.
#[derive(Debug, Clone)]
pub struct Due {
    /// Of whom.
    pub publisher: String,
    /// Of which process, where that matters.
    pid: Option<i32>,
    /// What.
    state: State,
    /// For which reason: one of these.
    causes: &'static [Cause],
    /// Since when it could be known.
    since: UtcNanos,
}

/// Compares.
pub struct Judge<'a> {
    /// What was done.
    pub truth: &'a Truth,
    /// What was told.
    pub told: &'a [Sighting],
    /// Everybody's id.
    pub publishers: &'a [String],
    /// The silence that is allowed.
    pub threshold: Duration,
    /// Whether the broker waits for acknowledgements: while the log's disk is full it then sends nothing more.
    pub acknowledged: bool,
}

impl Due {
    fn is_told_by(&self, sighting: &Sighting) -> bool {
        let flip = &sighting.flip;
        flip.publisher.as_str() == self.publisher
            && flip.to == self.state
            && self.causes.contains(&flip.cause)
            && self.pid.is_none_or(|pid| is_of(sighting, pid))
    }
}

impl std::fmt::Display for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let causes: Vec<_> = self.causes.iter().map(|cause| cause.word()).collect();
        write!(f, "{} is not told {} ({})", self.publisher, self.state, causes.join(" or "))
    }
}

impl Judge<'_> {
    /// What must have been told by `now` and was not.
    pub fn untold(&self, now: UtcNanos) -> Vec<Due> {
        let mut due = self.due(now);
        due.retain(|due| !self.told.iter().any(|sighting| due.is_told_by(sighting)));
        due
    }

    /// What was told and is not true.
    pub fn false_verdicts(&self) -> Vec<String> {
        let wrong = self.told.iter().filter(|sighting| !self.is_true(sighting));
        wrong
            .map(|sighting| {
                let flip = &sighting.flip;
                let (id, from, to, cause) = (&flip.publisher, flip.from, flip.to, flip.cause.word());
                format!("{id} {from} → {to} ({cause}) at {}", sighting.arrived)
            })
            .collect()
    }

    /// How long after it could be known the latest verdict was told: deaths, stops and silences.
    pub fn latest(&self, now: UtcNanos) -> Option<Duration> {
        let delay = |due: &Due| {
            let told = self.told.iter().find(|sighting| due.is_told_by(sighting))?;
            match due.state {
                State::Dead => Some(told.arrived.since(due.since)),
                State::Suspended | State::Silent => Some(told.flip.noticed_at.since(told.flip.at)),
                _ => None,
            }
        };
        self.due(now).iter().filter_map(delay).max()
    }

    fn due(&self, now: UtcNanos) -> Vec<Due> {
        let mut due = Vec::new();
        for deed in self.truth.deeds() {
            match deed.who {
                Who::Publisher(number) => due.extend(self.due_of(deed, LOADED[number], now)),
                Who::Broker | Who::Subscriber => due.extend(self.blind(deed, now)),
                Who::Influx => {}
            }
        }
        due
    }

    /// What must be told of a publisher to which something was done.
    fn due_of(&self, deed: &Deed, id: &str, now: UtcNanos) -> Option<Due> {
        let heard = self.truth.longest_heard(deed, now);
        let (state, causes, since): (_, &[Cause], _) = match deed.fault {
            Fault::Kill => {
                // The kernel tells of the end of a process even where no message gets through.
                let awake = self.truth.longest_awake(deed, now).filter(|(from, to)| to.since(*from) >= MARGIN)?;
                (State::Dead, &[Cause::ProcessGone, Cause::ProcessZombie, Cause::PidReused], awake.0)
            }
            Fault::Term => (State::Finished, &[Cause::Goodbye], heard.filter(|heard| heard.0 == deed.begun)?.0),
            Fault::Freeze | Fault::Cut => {
                let long = |heard: &(UtcNanos, UtcNanos)| heard.1.since(heard.0) >= self.threshold + MARGIN;
                let since = heard.filter(long)?.0.plus(self.threshold);
                if deed.fault == Fault::Freeze {
                    (State::Suspended, &[Cause::ProcessStopped], since)
                } else {
                    (State::Silent, &[Cause::ProcessRuns], since)
                }
            }
            Fault::Fill | Fault::Clock(_) => return None,
        };
        Some(Due { publisher: id.to_owned(), pid: Some(deed.pid), state, causes, since })
    }

    /// Who must be told blind, for the watchdog can't hear.
    fn blind(&self, deed: &Deed, now: UtcNanos) -> Vec<Due> {
        let at_the_watchdog = deed.who == Who::Subscriber && deed.fault != Fault::Cut;
        let awake = self.truth.longest_awake(deed, now);
        let long = awake.is_some_and(|(from, to)| to.since(from) >= self.threshold + MARGIN);
        if !deed.deafens() || at_the_watchdog || !long {
            return Vec::new();
        }
        let touched = |id: &&String| {
            (0..LOADED.len()).any(|n| LOADED[n] == **id && self.truth.of(Who::Publisher(n)).next().is_some())
        };
        let causes = &[Cause::LinkDown, Cause::LinkBack, Cause::WatchdogAway];
        let due =
            |id: &String| Due { publisher: id.clone(), pid: None, state: State::Blind, causes, since: deed.begun };
        self.publishers.iter().filter(|id| !touched(id)).map(due).collect()
    }

    fn is_true(&self, sighting: &Sighting) -> bool {
        let (flip, at) = (&sighting.flip, sighting.arrived);
        let who = LOADED.iter().position(|id| *id == flip.publisher.as_str()).map(Who::Publisher);
        let mut deeds = self.truth.deeds().iter().filter(|deed| Some(deed.who) == who);
        match flip.to {
            // Nobody is heard who is gone.
            State::Alive => !deeds.any(|deed| {
                let gone = matches!(deed.fault, Fault::Kill | Fault::Term);
                gone && deed.begun.plus(AFTERMATH) < at && deed.ended.is_none_or(|ended| at < ended)
            }),
            State::Dead => deeds.any(|deed| match deed.fault {
                Fault::Kill => is_of(sighting, deed.pid) && deed.begun <= at,
                // Its goodbye found no way, and waits for its next start.
                Fault::Term => is_of(sighting, deed.pid) && deed.begun <= at && self.truth.deaf(deed.begun, AFTERMATH),
                _ => false,
            }),
            State::Suspended => deeds.any(|deed| deed.fault == Fault::Freeze && deed.is_felt(at, AFTERMATH)),
            State::Silent => deeds.any(|deed| match deed.fault {
                Fault::Cut => deed.is_felt(at, AFTERMATH) && deed.begun.plus(self.threshold / 2) < at,
                Fault::Freeze => deed.ended.is_some() && deed.is_felt(at, AFTERMATH),
                _ => false,
            }),
            State::Finished => deeds.any(|deed| deed.fault == Fault::Term && deed.begun <= at),
            State::Blind => {
                let slack = self.threshold + AFTERMATH;
                let full = |deed: &Deed| deed.fault == Fault::Fill && deed.who == Who::Subscriber;
                let stuck =
                    self.acknowledged && self.truth.deeds().iter().any(|deed| full(deed) && deed.is_felt(at, slack));
                stuck || self.truth.deaf(at, slack)
            }
            State::Unseen | State::Failed | State::Unknown | State::Paused => false,
        }
    }
}

fn is_of(sighting: &Sighting, pid: i32) -> bool {
    sighting.flip.process.as_ref().is_some_and(|process| i32::try_from(process.pid) == Ok(pid))
}
