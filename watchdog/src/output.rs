//! [`Output`]: what the watchdog wants done or told.

use lastbeat_wire::{Monotonic, ProcessIdentity, PublisherId, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::flip::Flip;
use crate::links::Unwatched;
use crate::resent::Missing;

/// One thing to do or to tell, in the order in which it came up.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A publisher's state changed: to be logged and told.
    Flip(Flip),
    /// A process of this host is to be looked at; answer with [`Watchdog::answer`](crate::Watchdog::answer).
    Ask(Question),
    /// A publisher's process is one of this host: its end is to be told with [`Watchdog::exited`](crate::Watchdog::exited).
    Attend(Attend),
    /// Something worth telling that changes no state.
    Notice(Notice),
    /// A time in which nobody watched has ended.
    Unwatched(Unwatched),
    /// Messages were left out: they can be asked for where the link allows it.
    Missing(Missing),
}

/// Is this process still there, and does it run?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose process.
    pub publisher: PublisherId,
    /// Which.
    pub process: ProcessIdentity,
    /// When it was asked; the answer says it again, so that an answer to an older question is known as such.
    pub asked_at: Monotonic,
}

/// Watch for the end of this process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attend {
    /// Whose process.
    pub publisher: PublisherId,
    /// Which.
    pub process: ProcessIdentity,
}

/// Something worth telling that changes no state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// A new process took over the id of one that has ended or is heard no more.
    Restarted {
        /// Whose id.
        publisher: PublisherId,
        /// When the new one was first heard.
        at: UtcNanos,
        /// The process before.
        old: ProcessIdentity,
        /// The process now.
        new: ProcessIdentity,
    },
    /// Two processes publish under one id.
    Conflict {
        /// Which id.
        publisher: PublisherId,
        /// When the second spoke between two messages of the first.
        at: UtcNanos,
        /// The one.
        first: ProcessIdentity,
        /// The other.
        second: ProcessIdentity,
    },
    /// A process that evidence had called dead spoke again.
    Contradiction {
        /// Whose.
        publisher: PublisherId,
        /// When it spoke.
        at: UtcNanos,
        /// Which process.
        process: ProcessIdentity,
    },
    /// It is paused already, and for another span from now on.
    Maintenance {
        /// Who.
        publisher: PublisherId,
        /// When that was said.
        at: UtcNanos,
        /// Until when it is paused; `None`: until it is resumed.
        until: Option<UtcNanos>,
    },
}
