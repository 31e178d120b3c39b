//! [`Flip`]: a change of state, with the evidence it rests on.

use std::time::Duration;

use lastbeat_wire::{ProcessIdentity, PublisherId, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::state::{Cause, State};

/// A change of a publisher's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    /// Whose.
    pub publisher: PublisherId,
    /// The name of its host, where it told it.
    pub host: Option<String>,
    /// The state it was in.
    pub from: State,
    /// The state it is in.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When it happened: the deadline that was missed, the end that was seen, the message that came.
    pub at: UtcNanos,
    /// When the watchdog knew.
    pub noticed_at: UtcNanos,
    /// How long it had been silent at `at`; `None` if it was never heard.
    pub silence: Option<Duration>,
    /// When it was last heard.
    pub last_heard: Option<UtcNanos>,
    /// Its process, where it told it.
    pub process: Option<ProcessIdentity>,
    /// What the verdict rests on. Never empty when `to` is [`State::Dead`].
    pub evidence: Vec<Evidence>,
}
