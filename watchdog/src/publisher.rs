//! [`Publisher`]: what the watchdog keeps of one publisher, as it is worked with. At rest it is a [`Row`](crate::row::Row).

use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, ProcessIdentity, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::adaptive::Adaptive;
use crate::delay::Delay;
use crate::evidence::Evidence;
use crate::links::HeardOn;
use crate::row::Overflow;
use crate::sequences::Sequences;
use crate::state::{Cause, State};

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

/// A process that is silent is looked at again no sooner than this, however short its threshold.
const RECHECK_AT_LEAST: Duration = Duration::from_millis(100);

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
    pub ended: Option<Box<Ended>>,
}

/// The end of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub at: Monotonic,
    pub evidence: Evidence,
}

/// What is to happen at the deadline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is asked: when the deadline passes, evidence is gathered.
    #[default]
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
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Publisher {
    /// Its place in the order in which publishers became known.
    pub number: u32,
    /// The name of its host and where its process runs: a place among the [`Origins`](crate::origins::Origins).
    pub origin: u32,
    pub state: State,
    pub cause: Cause,
    pub since: UtcNanos,
    /// The same on the monotonic clock: a flip is never told to be earlier than the one before it.
    pub flipped_at: Monotonic,
    /// The silence it is allowed, as of the last message: nothing between two messages changes it.
    pub threshold: Duration,
    /// Whether the silence since it was last heard may be learned: nothing has come between.
    pub unbroken: bool,
    pub last_heard: Option<Monotonic>,
    pub last_heard_utc: Option<UtcNanos>,
    pub links: HeardOn,
    /// How long its last messages were under way, by the wall clock that its process shares with this one; each counts half
    /// as much as the one after it. Zero of a process that is not of this host.
    pub under_way: Duration,
    /// The process that is watched.
    pub current: Option<Process>,
    pub expected: bool,
    pub counts: Counts,
    pub deadline: Option<Monotonic>,
    /// Whether it is among those that were touched.
    pub touched: bool,
    pub rare: Box<Rare>,
}

/// What few publishers have, or each for a short time: at rest it takes no place where there is none of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rare {
    pub evidence: Vec<Evidence>,
    /// What makes the threshold, where it is learned.
    pub adaptive: Option<Box<Adaptive>>,
    /// How much of its silence lies before the monotonic clock's start: it was heard on an earlier boot of this host.
    pub silence_before: Duration,
    /// The process before the one that is watched.
    pub previous: Option<Box<Process>>,
    /// Those before these two, the latest last: what they left behind may be sent by their successors, several times over.
    pub earlier: Vec<Process>,
    /// The will a broker published since it was last heard.
    pub will: Option<Box<Evidence>>,
    /// The failure it reported, unless it was heard to work since.
    pub failure: Option<Box<Evidence>>,
    /// When two processes last spoke under the id.
    pub conflict: Option<Monotonic>,
    pub phase: Phase,
    /// What the row has no room for; empty while the publisher is worked with.
    pub overflow: Overflow,
}

impl Rare {
    pub fn is_empty(&self) -> bool {
        let Self { evidence, adaptive, silence_before, previous, earlier, will, failure, conflict, phase, overflow } =
            self;
        evidence.is_empty()
            && adaptive.is_none()
            && silence_before.is_zero()
            && previous.is_none()
            && earlier.is_empty()
            && will.is_none()
            && failure.is_none()
            && conflict.is_none()
            && *phase == Phase::Watching
            && *overflow == Overflow::default()
    }
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

impl Default for Publisher {
    fn default() -> Self {
        Self {
            number: 0,
            origin: 0,
            state: State::Unseen,
            cause: Cause::NotHeardYet,
            since: UtcNanos(0),
            flipped_at: Monotonic(0),
            threshold: Duration::ZERO,
            unbroken: false,
            last_heard: None,
            last_heard_utc: None,
            links: HeardOn::default(),
            under_way: Duration::ZERO,
            current: None,
            expected: false,
            counts: Counts::default(),
            deadline: None,
            touched: false,
            rare: Box::default(),
        }
    }
}

impl Publisher {
    pub fn new(number: u32, threshold: Duration, now: Now) -> Self {
        Self { number, since: now.utc, flipped_at: now.monotonic, threshold, ..Self::default() }
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
            self.rare.silence_before = Duration::ZERO;
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
        let rare = &mut self.rare;
        let mut before = std::mem::replace(&mut rare.previous, process.map(Box::new));
        if let Some(sequences) = before.as_mut().and_then(|before| before.sequences.as_mut()) {
            sequences.shrink();
        }
        rare.earlier.extend(before.filter(|before| before.identity.is_some()).map(|before| *before));
        if rare.earlier.len() > EARLIER {
            rare.earlier.remove(0);
        }
    }

    /// Has an earlier process be the previous one again, if it is remembered; whether it is.
    pub fn recall_earlier(&mut self, identity: ProcessIdentity) -> bool {
        let found = self.rare.earlier.iter().position(|process| process.identity == Some(identity));
        if let Some(place) = found {
            let process = self.rare.earlier.remove(place);
            self.set_previous(Some(process));
        }
        found.is_some()
    }

    /// Has the previous process be the one that is watched, and the other way round.
    pub fn swap_processes(&mut self) {
        let previous = self.rare.previous.take().map(|previous| *previous);
        self.rare.previous = std::mem::replace(&mut self.current, previous).map(Box::new);
    }

    /// The identity of the process before the one that is watched, where there was one and told itself.
    pub fn previous_identity(&self) -> Option<ProcessIdentity> {
        self.rare.previous.as_ref()?.identity
    }

    /// All processes that are known.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.current.iter().chain(self.rare.previous.as_deref()).chain(&self.rare.earlier)
    }

    /// All processes that are known, to be changed.
    pub fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        let rare = &mut *self.rare;
        self.current.iter_mut().chain(rare.previous.as_deref_mut()).chain(&mut rare.earlier)
    }

    /// How long it has been silent at an instant; `None` if it was never heard.
    pub fn silence(&self, at: Monotonic) -> Option<Duration> {
        self.last_heard.map(|heard| at.since(heard).saturating_add(self.rare.silence_before))
    }

    /// When its silence is as long as it may be; `None` if it was never heard.
    pub fn silent_at(&self) -> Option<Monotonic> {
        self.last_heard.map(|heard| heard.plus(self.threshold.saturating_sub(self.rare.silence_before)))
    }

    /// Whether the end of its process was seen.
    pub fn has_ended(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.ended.is_some())
    }

    /// Whether it is not watched on purpose. While its process is looked at since maintenance is over, it is.
    pub fn is_paused(&self) -> bool {
        self.state == State::Paused && self.rare.phase == Phase::Watching
    }

    /// Has it looked at again after a fifth of its threshold.
    pub fn look_again_from(&mut self, now: Now) {
        let at = now.monotonic.plus((self.threshold / 5).max(RECHECK_AT_LEAST));
        if at > now.monotonic {
            self.watch_until(at);
        } else {
            // The clock has come to its end.
            self.stop_watching();
        }
    }

    /// Nothing is asked of it any more; it is due at `deadline`.
    pub fn watch_until(&mut self, deadline: Monotonic) {
        self.rare.phase = Phase::Watching;
        self.deadline = Some(deadline);
    }

    /// It is due at no time.
    pub fn stop_watching(&mut self) {
        self.rare.phase = Phase::Watching;
        self.deadline = None;
    }
}
