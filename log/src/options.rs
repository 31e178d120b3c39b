//! [`LogOptions`]: how a log is kept.

use std::time::Duration;

use crate::error::LogError;
use crate::position::Position;

/// When written records are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After each write, before the next: `synced` is never far behind `written`.
    Always,
    /// So long after the first unsynced write at the latest. What a loss of power takes is bounded by this.
    Interval(Duration),
}

/// How a log is kept. [`Default`] is right for most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment that is this long is followed by a new one. 1 byte to 1 GiB; 64 MiB.
    pub segment_bytes: u64,
    /// Most bytes that wait in memory to be written; a record beyond is refused. At least one is always taken. 64 MiB.
    pub pending_bytes: u64,
    /// So many unsynced bytes force a sync, whatever the policy. They are held in memory until then, because after a
    /// failed fdatasync the kernel may have dropped them. 16 MiB.
    pub unsynced_bytes: u64,
    /// This much is kept even when every reader is past it. 0.
    pub retain_bytes: u64,
    /// When to sync: by default a second after the first unsynced write.
    pub sync: SyncPolicy,
    /// No new record gets a position before this one. Give it the highest of the saved cursors: after a loss of power a
    /// cursor may be ahead of what is left of the log. [`Position::START`].
    pub not_before: Position,
    /// Longest pause between two attempts on a failing disk, which begin at a hundredth of it. 5 s.
    pub retry_at_most: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            pending_bytes: 64 << 20,
            unsynced_bytes: 16 << 20,
            retain_bytes: 0,
            sync: SyncPolicy::Interval(Duration::from_secs(1)),
            not_before: Position::START,
            retry_at_most: Duration::from_secs(5),
        }
    }
}

impl LogOptions {
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if !(1..=1 << 30).contains(&self.segment_bytes) {
            return Err(LogError::Option {
                option: "segment_bytes",
                value: self.segment_bytes,
                allowed: "1 to 1073741824",
            });
        }
        if self.not_before.0 >= u64::MAX / 2 {
            let allowed = "0 to 9223372036854775806";
            return Err(LogError::Option { option: "not_before", value: self.not_before.0, allowed });
        }
        Ok(())
    }
}
