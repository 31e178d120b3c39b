//! [`Publisher`]: what the watchdog keeps of one publisher.

use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, ProcessIdentity, PublisherId, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::adaptive::Adaptive;
use crate::delay::Delay;
use crate::evidence::Evidence;
use crate::links::HeardOn;
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

/// How many processes are known before the previous one.
const EARLIER: usize = 8;

/// One process of a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Which; `None` for a foreign publisher that never told.
    pub identity: Option<ProcessIdentity>,
    pub sequences: Option<Sequences>,
    pub delay: Delay,
    /// When the first live message came, and the last.
    pub first_heard: Option<Monotonic>,
    pub last_heard: Option<Monotonic>,
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
    /// The same on the monotonic clock: a flip is never told to be earlier than the one before it.
    pub flipped_at: Monotonic,
    pub evidence: Vec<Evidence>,
    /// The silence it is allowed, as of the last message: nothing between two messages changes it.
    pub threshold: Duration,
    /// What makes the threshold, where it is learned.
    pub adaptive: Option<Box<Adaptive>>,
    /// Whether the silence since it was last heard may be learned: nothing has come between.
    pub unbroken: bool,
    pub last_heard: Option<Monotonic>,
    pub last_heard_utc: Option<UtcNanos>,
    /// How much of its silence lies before the monotonic clock's start: it was heard on an earlier boot of this host.
    pub silence_before: Duration,
    pub links: HeardOn,
    /// How long its last messages were under way, by the wall clock that its process shares with this one; each counts half
    /// as much as the one after it. Zero of a process that is not of this host.
    pub under_way: Duration,
    /// The process that is watched, and the one before it.
    pub current: Option<Process>,
    pub previous: Option<Process>,
    /// Those before these two, the latest last: what they left behind may be sent by their successors, several times over.
    pub earlier: Vec<Process>,
    /// The will a broker published since it was last heard.
    pub will: Option<Evidence>,
    /// The failure it reported, unless it was heard to work since.
    pub failure: Option<Evidence>,
    /// When two processes last spoke under the id.
    pub conflict: Option<Monotonic>,
    pub expected: bool,
    pub counts: Counts,
    pub phase: Phase,
    pub deadline: Option<Monotonic>,
    /// The entry in the queue of deadlines that counts.
    pub queued: Option<Monotonic>,
    /// Whether it is among those that were touched.
    pub touched: bool,
}

impl Process {
    pub fn new(identity: Option<ProcessIdentity>) -> Self {
        Self { identity, sequences: None, delay: Delay::default(), first_heard: None, last_heard: None, ended: None }
    }

    /// One of which nothing was heard yet. If it surely `began` while we were listening, all it sent so far is missing.
    pub fn begun(identity: ProcessIdentity, began: bool) -> Self {
        Self { sequences: began.then(Sequences::from_the_beginning), ..Self::new(Some(identity)) }
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
            flipped_at: now.monotonic,
            evidence: Vec::new(),
            threshold,
            adaptive: None,
            unbroken: false,
            last_heard: None,
            last_heard_utc: None,
            silence_before: Duration::ZERO,
            links: HeardOn::default(),
            under_way: Duration::ZERO,
            current: None,
            previous: None,
            earlier: Vec::new(),
            will: None,
            failure: None,
            conflict: None,
            expected: false,
            counts: Counts::default(),
            phase: Phase::Watching,
            deadline: None,
            queued: None,
            touched: false,
        }
    }

    /// The process that is watched, where it told itself.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.current.as_ref()?.identity
    }

    /// Takes note of a sign of life; one that is older than the last says nothing new.
    pub fn hear(&mut self, now: Now, heard_at: Monotonic) {
        if self.last_heard.is_none_or(|known| known <= heard_at) {
            self.last_heard = Some(heard_at);
            self.last_heard_utc = Some(now.utc_at(heard_at));
            self.silence_before = Duration::ZERO;
        }
    }

    /// Takes note of how long a message of a process of this host was under way.
    pub fn note_under_way(&mut self, now: Now, sent_at: Option<UtcNanos>) {
        if let Some(sent_at) = sent_at {
            self.under_way = now.utc.since(sent_at).max(self.under_way / 2);
        }
    }

    /// Has another process be the previous one; the one that was is remembered.
    pub fn set_previous(&mut self, process: Option<Process>) {
        let mut before = std::mem::replace(&mut self.previous, process);
        if let Some(sequences) = before.as_mut().and_then(|before| before.sequences.as_mut()) {
            sequences.shrink();
        }
        self.earlier.extend(before.filter(|before| before.identity.is_some()));
        if self.earlier.len() > EARLIER {
            self.earlier.remove(0);
        }
    }

    /// Has an earlier process be the previous one again, if it is remembered; whether it is.
    pub fn recall_earlier(&mut self, identity: ProcessIdentity) -> bool {
        let found = self.earlier.iter().position(|process| process.identity == Some(identity));
        if let Some(place) = found {
            let process = self.earlier.remove(place);
            self.set_previous(Some(process));
        }
        found.is_some()
    }

    /// All processes that are known.
    pub fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        self.current.iter_mut().chain(&mut self.previous).chain(&mut self.earlier)
    }

    /// How long it has been silent at an instant; `None` if it was never heard.
    pub fn silence(&self, at: Monotonic) -> Option<Duration> {
        self.last_heard.map(|heard| at.since(heard).saturating_add(self.silence_before))
    }

    /// When its silence is as long as it may be; `None` if it was never heard.
    pub fn silent_at(&self) -> Option<Monotonic> {
        self.last_heard.map(|heard| heard.plus(self.threshold.saturating_sub(self.silence_before)))
    }

    /// Whether the end of its process was seen.
    pub fn has_ended(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.ended.is_some())
    }

    /// Whether it is not watched on purpose. While its process is looked at since maintenance is over, it is.
    pub fn is_paused(&self) -> bool {
        self.state == State::Paused && self.phase == Phase::Watching
    }

    pub fn status(&self, now: Now) -> Status {
        Status {
            publisher: self.id.clone(),
            host: self.host.as_deref().map(str::to_owned),
            at: now.utc,
            state: self.state,
            cause: self.cause,
            since: self.since,
            silence: self.silence(now.monotonic),
            threshold: self.threshold,
            last_heard: self.last_heard_utc,
            pid: self.identity().map(|identity| identity.pid),
            counts: self.counts,
        }
    }
}
