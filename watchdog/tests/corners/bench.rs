//! [`Bench`]: a watchdog to try something on, and what tries it.

use std::time::Duration;

use lastbeat_watchdog::{
    Evidence, Fact, Flip, Heard, HostView, LinkNumber, Output, Question, Reception, Source, State, WatchRules, Watchdog,
};
use lastbeat_wire::{BootId, Header, HostId, Kind, Monotonic, Now, ProcessIdentity, UtcNanos};

pub const FIRST: LinkNumber = LinkNumber(0);
pub const SECOND: LinkNumber = LinkNumber(1);

/// A watchdog on one host, with two links that are down, and all it told.
pub struct Bench {
    pub rules: WatchRules,
    pub watchdog: Watchdog,
    pub told: Vec<Output>,
}

pub fn process(pid: u32, host: u64) -> ProcessIdentity {
    ProcessIdentity { host: HostId(host), boot: BootId(host.into()), pid_namespace: 1, pid, start: pid.into() }
}

pub fn at(seconds: u64) -> Now {
    let span = Duration::from_secs(seconds);
    Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(0).plus(span) }
}

pub fn seen(fact: Fact) -> Evidence {
    Evidence { at: UtcNanos(0), source: Source::ProcessTable, fact }
}

pub fn runs() -> Fact {
    Fact::Runs { detail: "sleeping".to_owned() }
}

impl Bench {
    pub fn new() -> Self {
        let rules = WatchRules {
            links: vec!["first".to_owned(), "second".to_owned()],
            host: Some(HostView { process: process(1, 1), booted_at: UtcNanos(0) }),
            ..WatchRules::default()
        };
        Self { watchdog: Watchdog::new(rules.clone(), at(0)), rules, told: Vec::new() }
    }

    /// Has something happen, then what is due; the state of `light` after it.
    pub fn then<R>(&mut self, seconds: u64, event: impl FnOnce(&mut Watchdog, Now) -> R) -> State {
        event(&mut self.watchdog, at(seconds));
        self.watchdog.due(at(seconds));
        self.told.extend(self.watchdog.outputs());
        self.watchdog.status(at(seconds), "light").map_or(State::Unseen, |status| status.state)
    }

    pub fn hear(&mut self, seconds: u64, link: LinkNumber, header: &Header<'_>) -> State {
        self.then(seconds, |watchdog, now| say(watchdog, now, Kind::Beat, Some(link), header))
    }

    pub fn question(&self) -> Question {
        let asked = self.told.iter().rev().find_map(|output| match output {
            Output::Ask(question) => Some(question.clone()),
            _ => None,
        });
        asked.expect("something was asked")
    }

    pub fn flip(&self) -> &Flip {
        let flip = self.told.iter().rev().find_map(|output| match output {
            Output::Flip(flip) => Some(flip),
            _ => None,
        });
        flip.expect("something was told")
    }

    pub fn restart(&mut self, seconds: u64, away_since: Option<u64>) {
        let snapshot = self.watchdog.snapshot(at(seconds));
        assert_eq!((snapshot.len(), snapshot.is_empty()), (self.watchdog.len(), self.watchdog.is_empty()));
        self.watchdog = Watchdog::new(self.rules.clone(), at(seconds));
        self.watchdog.restore(at(seconds), snapshot);
        self.watchdog.begin(at(seconds), away_since.map(|seconds| at(seconds).utc));
    }
}

pub fn say(watchdog: &mut Watchdog, now: Now, kind: Kind, link: Option<LinkNumber>, header: &Header<'_>) -> Reception {
    watchdog.heard(
        now,
        &Heard { publisher: "light", kind, link, retained: false, resent: false, readable: true, header, log: None },
    )
}

pub fn of(process: ProcessIdentity) -> Header<'static> {
    Header { process: Some(process), ..Header::default() }
}
