//! [`LogHandle`]: everything one can do with a log but append to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use crate::error::LogError;
use crate::position::Position;
use crate::progress::{Closed, LogHealth, Progress};
use crate::reader::Reader;
use crate::writer::Shared;

/// A log, for those who read it, wait for it, watch it, or free its disk. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct LogHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) health: watch::Receiver<LogHealth>,
}

impl LogHandle {
    /// A reader whose first record is the one at `from`, or the first behind it that there is.
    ///
    /// # Errors
    /// When `from` lies behind the end: see [`LogOptions::not_before`](crate::LogOptions::not_before).
    pub fn reader(&self, from: Position) -> Result<Reader, LogError> {
        let end = Position(self.shared.written.load(Ordering::Acquire));
        if from > end {
            return Err(LogError::BehindEnd { from, end });
        }
        Ok(Reader::new(Arc::clone(&self.shared), self.progress.clone(), from))
    }

    /// How far the writer has come, to look at or to wait for a change of.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Whether the disk takes what it is given, to look at or to wait for a change of.
    pub fn health(&self) -> watch::Receiver<LogHealth> {
        self.health.clone()
    }

    /// Waits until the record at `position` is written. Safe to drop and to call again.
    pub async fn when_written(&self, position: Position) -> Result<(), Closed> {
        self.progress.clone().wait_for(|progress| progress.written > position).await.map(drop).map_err(|_| Closed)
    }

    /// Waits until the record at `position` is on the disk. Safe to drop and to call again.
    pub async fn when_synced(&self, position: Position) -> Result<(), Closed> {
        self.progress.clone().wait_for(|progress| progress.synced > position).await.map(drop).map_err(|_| Closed)
    }

    /// Has all that is committed synced as soon as the disk can, and waits until the record at `position` is on the disk. Who
    /// asks while a sync is under way is served by the next one, together with all others who do. Safe to drop and to
    /// call again.
    pub async fn sync(&self, position: Position) -> Result<(), Closed> {
        if self.progress.borrow().synced <= position {
            self.shared.queue.sync();
        }
        self.when_synced(position).await
    }

    /// Lets segments go that lie wholly before `position`: the least of all readers' saved cursors. Returns at once, the
    /// writer deletes them.
    pub fn remove_before(&self, position: Position) {
        self.shared.queue.remove_before(position.0);
    }

    /// Bytes that the log's segments take on the disk.
    pub fn stored_bytes(&self) -> u64 {
        self.shared.segments.lock().iter().map(|(base, segment)| segment.end - base).sum()
    }
}
