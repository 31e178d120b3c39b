//! [`Writer`]: the thread that puts blocks on the disk, and keeps trying when the disk does not take them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::Monotonic;
use tokio::sync::watch;

use crate::disk::Disk;
use crate::options::{LogOptions, SyncPolicy};
use crate::position::Position;
use crate::progress::{LogHealth, Progress};
use crate::queue::{Block, Queue};
use crate::segment::{self, HEADER_SPAN, Segment, Segments};

/// What the appender, the readers and the writer have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) queue: Queue,
    pub(crate) segments: Segments,
    /// The same as in the progress that is published, for a look without a lock.
    pub(crate) written: AtomicU64,
}

/// See the module.
pub(crate) struct Writer<D: Disk> {
    disk: D,
    shared: Arc<Shared>,
    options: LogOptions,
    /// The last segment: its base and file.
    file: Option<(u64, D::File)>,
    progress: watch::Sender<Progress>,
    health: watch::Sender<LogHealth>,
    /// Written, not yet synced; all of the last segment.
    unsynced: Vec<Block>,
    unsynced_bytes: u64,
    /// A sync failed: the kernel may have dropped what `unsynced` holds, and a later sync that succeeds says nothing of
    /// it (<https://lwn.net/Articles/752063/>). It must be written once more.
    doubtful: bool,
    sync_due: Option<Monotonic>,
}

impl<D: Disk> Writer<D> {
    pub(crate) fn new(
        disk: D,
        shared: Arc<Shared>,
        options: LogOptions,
        progress: watch::Sender<Progress>,
        health: watch::Sender<LogHealth>,
    ) -> Self {
        Self {
            disk,
            shared,
            options,
            file: None,
            progress,
            health,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            doubtful: false,
            sync_due: None,
        }
    }

    /// Goes on writing the segment that begins at `base`.
    pub(crate) fn resume(&mut self, base: u64) -> io::Result<()> {
        self.file = Some((base, self.disk.open(&segment::path(&self.shared.dir, base))?));
        Ok(())
    }

    /// Runs until the log is closed. Ends early only when it is closing and the disk still fails.
    pub(crate) fn run(mut self) {
        if self.serve().is_none() {
            tracing::error!(
                dir = %self.shared.dir.display(),
                written = %self.progress.borrow().written,
                "log: closed while the disk fails, what was not written is lost"
            );
        }
    }

    fn serve(&mut self) -> Option<()> {
        loop {
            let now = Clock.now().monotonic;
            let work = self.shared.queue.take(self.sync_due.map(|due| due.since(now)));
            for block in work.blocks {
                self.write(block)?;
            }
            let due = self.sync_due.is_some_and(|due| Clock.now().monotonic >= due);
            if due || work.sync || work.closing {
                self.sync()?;
            }
            if let Some(position) = work.remove_before {
                self.remove_before(position);
            }
            if work.closing {
                return Some(());
            }
        }
    }

    fn write(&mut self, block: Block) -> Option<()> {
        let base = match block.header {
            None => self.file.as_ref().expect("invariant: the first block begins a segment, or one was resumed").0,
            Some(header) => {
                self.sync()?;
                let path = segment::path(&self.shared.dir, header.base);
                let file = self.persist("create", |writer| {
                    let file = writer.disk.create(&path)?;
                    // Before anything is written: what is said to be on the disk must not be in a file without a name.
                    writer.disk.sync_dir(&writer.shared.dir)?;
                    Ok(file)
                })?;
                self.file = Some((header.base, file));
                let begun = Segment { end: header.base + HEADER_SPAN, follows: header.follows };
                self.shared.segments.lock().insert(header.base, begun);
                header.base
            }
        };
        self.write_bytes(&block)?;
        if let Some(segment) = self.shared.segments.lock().get_mut(&base) {
            segment.end = block.end();
        }
        self.shared.written.store(block.end(), Ordering::Release);
        self.progress.send_modify(|progress| progress.written = Position(block.end()));

        self.unsynced_bytes += block.bytes.len() as u64;
        self.unsynced.push(block);
        let span = match self.options.sync {
            SyncPolicy::Always => Duration::ZERO,
            SyncPolicy::Interval(span) => span,
        };
        self.sync_due = self.sync_due.or_else(|| Some(Clock.now().monotonic.plus(span)));
        if self.unsynced_bytes >= self.options.unsynced_bytes { self.sync() } else { Some(()) }
    }

    /// Writes at the block's own place until all of it is there: an attempt that ended half-way is completed.
    fn write_bytes(&mut self, block: &Block) -> Option<()> {
        let mut done = 0;
        while done < block.bytes.len() {
            done += self.persist("write", |writer| writer.write_some(block, done))?;
        }
        Some(())
    }

    fn write_some(&mut self, block: &Block, done: usize) -> io::Result<usize> {
        let (base, file) = self.file.as_mut().expect("invariant: a block has a segment");
        match self.disk.write_at(file, block.position + done as u64 - *base, &block.bytes[done..])? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    fn sync(&mut self) -> Option<()> {
        if !self.unsynced.is_empty() {
            self.persist("sync", Self::sync_once)?;
            for block in self.unsynced.drain(..) {
                self.shared.queue.recycle(block.bytes);
            }
            self.unsynced_bytes = 0;
            self.progress.send_modify(|progress| progress.synced = progress.written);
        }
        self.sync_due = None;
        Some(())
    }

    fn sync_once(&mut self) -> io::Result<()> {
        if self.doubtful {
            let blocks = std::mem::take(&mut self.unsynced);
            let result = blocks.iter().try_for_each(|block| self.rewrite(block));
            self.unsynced = blocks;
            result?;
        }
        let (_, file) = self.file.as_mut().expect("invariant: unsynced blocks have a segment");
        let result = self.disk.sync(file);
        self.doubtful = result.is_err();
        result
    }

    fn rewrite(&mut self, block: &Block) -> io::Result<()> {
        let mut done = 0;
        while done < block.bytes.len() {
            done += self.write_some(block, done)?;
        }
        Ok(())
    }

    /// Tries until it succeeds, with growing pauses. `None` when the log is closing and time is up.
    fn persist<T>(&mut self, doing: &str, mut attempt: impl FnMut(&mut Self) -> io::Result<T>) -> Option<T> {
        let mut pause = self.options.retry_at_most / 100;
        loop {
            match attempt(self) {
                Ok(value) => {
                    self.recovered();
                    return Some(value);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed(doing, &error);
                    // What nobody needs any more may be what fills the disk.
                    if let Some(position) = self.shared.queue.take_removal() {
                        self.remove_before(position);
                    }
                    self.shared.queue.pause(pause, || Clock.now().monotonic)?;
                    pause = (pause * 2).min(self.options.retry_at_most);
                }
            }
        }
    }

    fn recovered(&mut self) {
        self.health.send_if_modified(|health| {
            let failed = *health != LogHealth::Ok;
            if failed {
                tracing::info!(dir = %self.shared.dir.display(), "log: the disk takes records again");
                *health = LogHealth::Ok;
            }
            failed
        });
    }

    fn failed(&mut self, doing: &str, error: &io::Error) {
        let dir = self.shared.dir.display();
        let error: Arc<str> = format!("cannot {doing} a segment in {dir}: {error}").into();
        self.health.send_modify(|health| {
            let since = match health {
                LogHealth::Ok => {
                    tracing::warn!(%error, "log: the disk fails, records wait in memory");
                    Clock.now().utc
                }
                LogHealth::Failing { since, .. } => *since,
            };
            *health = LogHealth::Failing { since, error: Arc::clone(&error) };
        });
    }

    /// Deletes the segments that lie wholly before a position, the oldest first, but for what is to be kept.
    fn remove_before(&mut self, position: u64) {
        loop {
            let segments = self.shared.segments.lock();
            let kept: u64 = segments.iter().skip(1).map(|(base, segment)| segment.end - base).sum();
            let oldest = segments.iter().next().map(|(base, segment)| (*base, segment.end));
            let another = segments.len() > 1;
            drop(segments);
            let Some((base, _)) = oldest.filter(|(_, end)| another && *end <= position) else { return };
            if kept < self.options.retain_bytes {
                return;
            }
            let path = segment::path(&self.shared.dir, base);
            // One after the other also on the disk: without the later of two segments the earlier one would stand before
            // a gap, which looks like a loss.
            let removed = match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => self.disk.sync_dir(&self.shared.dir),
            };
            if let Err(error) = removed {
                tracing::warn!(%error, path = %path.display(), "log: cannot remove a segment that all have read");
                return;
            }
            self.shared.segments.lock().remove(&base);
        }
    }
}
