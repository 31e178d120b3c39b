//! [`Status`]: how a publisher stands at one instant; the point of the measurement `heartbeat`.

use std::time::Duration;

use lastbeat_wire::{PublisherId, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::publisher::Counts;
use crate::state::{Cause, State};

/// How a publisher stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whose.
    pub publisher: PublisherId,
    /// The name of its host, where it told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// At which instant.
    pub at: UtcNanos,
    /// Its state.
    pub state: State,
    /// Why.
    pub cause: Cause,
    /// Since when it is in that state.
    pub since: UtcNanos,
    /// How long it has been silent; `None` if it was never heard.
    pub silence: Option<Duration>,
    /// The silence it is allowed.
    pub threshold: Duration,
    /// When it was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<UtcNanos>,
    /// Its PID, where it told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What came from it so far.
    pub counts: Counts,
}
