//! [`Snapshot`]: what outlives a restart of the watchdog: who was late is still late.

use std::time::Duration;

use lastbeat_wire::{BootId, Monotonic, PublisherId, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::adaptive::Memory;
use crate::evidence::Evidence;
use crate::publisher::{Counts, Process, Publisher};
use crate::state::{Cause, State};
use crate::timing::{BootClock, Stamp};

/// The watchdog's memory at one instant, to be kept and given back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was made.
    pub at: UtcNanos,
    /// The same, as the monotonic clock of that boot showed it.
    #[serde(default)]
    pub(crate) at_monotonic: Option<Monotonic>,
    /// The boot on which it was made: a monotonic clock means nothing on another.
    pub(crate) boot: Option<BootId>,
    pub(crate) publishers: Vec<Kept>,
}

/// What is kept of one publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub id: PublisherId,
    pub host: Option<Box<str>>,
    pub state: State,
    pub cause: Cause,
    pub since: UtcNanos,
    pub evidence: Vec<Evidence>,
    pub last_heard: Option<UtcNanos>,
    /// The same, as the monotonic clock of that boot showed it.
    pub last_heard_monotonic: Option<Monotonic>,
    pub silence_before: Duration,
    pub links: Vec<String>,
    pub current: Option<Process>,
    pub previous: Option<Box<Process>>,
    #[serde(default)]
    pub earlier: Vec<Process>,
    pub will: Option<Box<Evidence>>,
    #[serde(default)]
    pub failure: Option<Box<Evidence>>,
    pub conflict: Option<Monotonic>,
    pub counts: Counts,
    /// What was learned of its gaps, where its threshold is adaptive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Box<Memory>>,
}

impl Snapshot {
    /// One of the same instant that remembers nobody.
    #[must_use]
    pub fn of_nobody(&self) -> Self {
        Self { publishers: Vec::new(), ..*self }
    }

    /// When it was made.
    pub fn stamp(&self) -> Stamp {
        let clock = self.boot.zip(self.at_monotonic).map(|(boot, monotonic)| BootClock::of(boot, monotonic));
        Stamp { utc: self.at, clock }
    }

    /// How many publishers it remembers.
    pub fn len(&self) -> usize {
        self.publishers.len()
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.publishers.is_empty()
    }
}

impl Kept {
    pub fn of(id: PublisherId, host: Option<&str>, publisher: Publisher, links: Vec<String>) -> Self {
        let rare = *publisher.rare;
        Self {
            id,
            host: host.map(Into::into),
            state: publisher.state,
            cause: publisher.cause,
            since: publisher.since,
            evidence: rare.evidence,
            last_heard: publisher.last_heard_utc,
            last_heard_monotonic: publisher.last_heard,
            silence_before: rare.silence_before,
            links,
            current: publisher.current,
            previous: rare.previous,
            earlier: rare.earlier,
            will: rare.will,
            failure: rare.failure,
            conflict: rare.conflict,
            counts: publisher.counts,
            learned: rare.adaptive.as_ref().map(|adaptive| Box::new(adaptive.memory().clone())),
        }
    }
}
