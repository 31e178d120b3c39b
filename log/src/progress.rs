//! [`Progress`] and [`LogHealth`]: what the writer tells the world.

use std::sync::Arc;

use lastbeat_wire::UtcNanos;

use crate::position::Position;

/// How far the writer has come. Both only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Records that begin before this are in the kernel: they survive the death of this process.
    pub written: Position,
    /// Records that begin before this are on the disk: they survive the loss of power.
    pub synced: Position,
}

/// Whether the disk takes what it is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogHealth {
    /// It does.
    #[default]
    Ok,
    /// It does not, and is tried again. Nothing is lost as long as the records that wait fit in memory.
    Failing {
        /// Wall-clock time of the first failure since all was well.
        since: UtcNanos,
        /// What the last attempt met.
        error: Arc<str>,
    },
}

/// The log was closed; what was waited for won't come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log is closed")]
pub struct Closed;
