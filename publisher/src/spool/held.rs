//! [`Held`]: a message that is to be sent, and where it stands; [`Bounds`]: how much of them is kept.

use std::time::Duration;

use lastbeat_log::Position;

use crate::address::Address;

/// How much is kept; the oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of messages that are to be sent.
    pub unsent: u64,
    /// Bytes of messages that were sent and may be asked for again …
    pub kept: u64,
    /// … and for how long.
    pub keep: Duration,
}

/// Where a message stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub from: Position,
    /// Where the next one begins.
    pub to: Position,
}

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose topic it goes to.
    pub address: Address,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Where it stands in the log; `None` while that has not taken it.
    pub span: Option<Span>,
}
