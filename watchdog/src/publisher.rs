//! [`Publisher`]: what the watchdog keeps of one publisher.

use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, ProcessIdentity, PublisherId, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::delay::Delay;
use crate::evidence::Evidence;
use crate::links::LinkSet;
use crate::sequences::Sequences;
use crate::state::{Cause, State};
use crate::status::Status;

/// What came from one publisher so far, over all its processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages of any kind that were taken in.
    pub messages: u64,
    /// Readings among them.
    pub readings: u64,
    /// Messages that could not be read.
    pub refused: u64,
    /// Numbers left out in the sequence and not come since.
    pub missed: u64,
    /// Messages that had come before; each is counted and dropped.
    pub duplicates: u64,
    /// Messages that came after ones sent later, or long after they were sent.
    pub late: u64,
    /// Messages a broker had kept.
    pub retained: u64,
    /// New processes that took over the id.
    pub restarts: u64,
    /// Times two processes were found under the id.
    pub conflicts: u64,
}

/// One process of a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Which; `None` for a foreign publisher that never told.
    pub identity: Option<ProcessIdentity>,
    pub sequences: Option<Sequences>,
    pub delay: Delay,
    pub last_heard: Option<UtcNanos>,
    /// When the first live message came.
    pub first_heard: Option<Monotonic>,
    /// Its end, if it was seen.
    pub ended: Option<Ended>,
}

/// The end of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub at: Monotonic,
    pub evidence: Evidence,
}

/// What is to happen at the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is asked: when the deadline passes, evidence is gathered.
    Watching,
    /// A question is out; the deadline is how long its answer is waited for.
    Asked {
        /// When it was asked.
        at: Monotonic,
        /// The deadline that was missed; `None` when it is asked for another reason.
        missed: Option<Monotonic>,
    },
}

/// What the watchdog keeps of one publisher.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub id: PublisherId,
    pub host: Option<Box<str>>,
    pub state: State,
    pub cause: Cause,
    pub since: UtcNanos,
    pub evidence: Vec<Evidence>,
    pub threshold: Duration,
    pub last_heard: Option<Monotonic>,
    pub last_heard_utc: Option<UtcNanos>,
    pub links: LinkSet,
    /// The process that is watched, and the one before it.
    pub current: Option<Process>,
    pub previous: Option<Process>,
    pub will: Option<Ended>,
    /// When two processes last spoke under the id.
    pub conflict: Option<Monotonic>,
    pub expected: bool,
    pub counts: Counts,
    pub phase: Phase,
    pub deadline: Option<Monotonic>,
    /// The entry in the queue of deadlines that counts.
    pub queued: Option<Monotonic>,
}

impl Process {
    pub fn new(identity: Option<ProcessIdentity>) -> Self {
        Self { identity, sequences: None, delay: Delay::default(), last_heard: None, first_heard: None, ended: None }
    }
}

impl Publisher {
    pub fn new(id: PublisherId, threshold: Duration, now: Now) -> Self {
        Self {
            id,
            host: None,
            state: State::Unseen,
            cause: Cause::NotHeardYet,
            since: now.utc,
            evidence: Vec::new(),
            threshold,
            last_heard: None,
            last_heard_utc: None,
            links: LinkSet::default(),
            current: None,
            previous: None,
            will: None,
            conflict: None,
            expected: false,
            counts: Counts::default(),
            phase: Phase::Watching,
            deadline: None,
            queued: None,
        }
    }

    /// The process that is watched, where it told itself.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.current.as_ref()?.identity
    }

    pub fn status(&self, now: Now) -> Status {
        Status {
            publisher: self.id.clone(),
            host: self.host.as_deref().map(str::to_owned),
            at: now.utc,
            state: self.state,
            cause: self.cause,
            since: self.since,
            silence: self.last_heard.map(|heard| now.monotonic.since(heard)),
            threshold: self.threshold,
            last_heard: self.last_heard_utc,
            pid: self.identity().map(|identity| identity.pid),
            counts: self.counts,
        }
    }
}
