//! [`Holding`]: the links are held back for a moment while the log's disk is slow.
//!
//! A disk that stands still for half a second is no reason to turn a message away: whoever sends waits, as it does where the
//! processor is the limit. A disk that takes nothing for longer is one that fails: then the publishers are heard all the same,
//! and what they send is turned away.

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{Log, Progress};
use lastbeat_wire::Now;
use tokio::sync::watch;

/// Holds for so long at most. Less than what counts as a stall of the loop, so that it is told once.
pub const AT_MOST: Duration = Duration::from_millis(900);

/// See the module.
#[derive(Debug)]
pub struct Holding {
    /// More bytes than this may not wait for the disk.
    above: u64,
    at_most: Duration,
    progress: watch::Receiver<Progress>,
    /// It held in vain, and does not again before there is room.
    gave_up: bool,
}

impl Holding {
    /// Holds while more than three quarters of `pending_bytes` wait for the disk, for `at_most` at a time.
    pub fn new(log: &Log, pending_bytes: u64, at_most: Duration) -> Self {
        Self { above: pending_bytes / 4 * 3, at_most, progress: log.handle().progress(), gave_up: false }
    }

    /// Waits until the disk has taken enough; since when, if it had to.
    pub async fn for_room(&mut self, log: &Log) -> Option<Now> {
        if log.pending_bytes() <= self.above {
            self.gave_up = false;
            return None;
        }
        if self.gave_up {
            return None;
        }
        let since = Clock.now();
        let room = async { while log.pending_bytes() > self.above && self.progress.changed().await.is_ok() {} };
        self.gave_up = tokio::time::timeout(self.at_most, room).await.is_err();
        Some(since)
    }
}
