//! [`Log`]: the one end at which records are appended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lastbeat_host::Clock;
use tokio::sync::watch;

use crate::disk::{self, Disk, FileSystem};
use crate::error::{AppendError, LogError};
use crate::handle::LogHandle;
use crate::options::LogOptions;
use crate::position::Position;
use crate::progress::{LogHealth, Progress};
use crate::queue::{Block, Queue};
use crate::record::Head;
use crate::recovery::{Recovered, Recovery};
use crate::segment::{self, HEADER_SPAN, Header, Segments};
use crate::writer::{Shared, Writer};

/// An open log. It has one appender; any number of readers come from its [`handle`](Self::handle).
///
/// Dropping it writes and syncs what is pending if the disk takes it at once; [`close`](Self::close) gives it time.
#[derive(Debug)]
pub struct Log {
    handle: LogHandle,
    options: LogOptions,
    /// Base of the segment that is being filled.
    segment: Option<u64>,
    /// Position of the next byte.
    next: u64,
    /// Where the last segment ended, for the next one's header.
    follows: u64,
    /// What was appended since the last commit.
    block: Block,
    writer: Option<JoinHandle<()>>,
    /// Held as long as this process may write.
    _lock: std::fs::File,
}

impl Log {
    /// Opens the log in a directory, which is made if need be, and repairs what it finds damaged.
    ///
    /// Looks at every segment's header and at all of the last segment; damage further back is found by those who read it.
    ///
    /// # Errors
    /// When another process has it open, the system refuses, or a newer version wrote it. Never because of damage.
    pub fn open(dir: &Path, options: LogOptions) -> Result<(Self, Recovery), LogError> {
        Self::open_on(FileSystem, dir, options)
    }

    pub(crate) fn open_on(mut disk: impl Disk, dir: &Path, options: LogOptions) -> Result<(Self, Recovery), LogError> {
        options.check()?;
        disk::make_dir(&mut disk, dir).map_err(|source| LogError::io("create", dir, source))?;
        let lock = lock(dir)?;
        let Recovered { segments, resume, end, beyond, recovery } = crate::recovery::recover(&mut disk, dir)?;
        let resume = resume.filter(|_| options.not_before.0 <= end);
        let next = if resume.is_some() { end } else { beyond.max(options.not_before.0) };

        let segments = Segments::new(segments);
        let shared =
            Arc::new(Shared { dir: dir.to_owned(), queue: Queue::default(), segments, written: AtomicU64::new(next) });
        let start = Progress { written: Position(next), synced: Position(next) };
        let ((progress, watched), (health, watched_health)) =
            (watch::channel(start), watch::channel(LogHealth::default()));
        let mut writer = Writer::new(disk, Arc::clone(&shared), options, progress, health);
        if let Some(base) = resume {
            writer.resume(base).map_err(|source| LogError::io("open", &segment::path(dir, base), source))?;
        }
        let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || writer.run());
        let log = Self {
            handle: LogHandle { shared, progress: watched, health: watched_health },
            options,
            segment: resume,
            next,
            follows: end,
            block: Block::at(next),
            writer: Some(thread.map_err(|source| LogError::io("start a thread for", dir, source))?),
            _lock: lock,
        };
        Ok((log, recovery))
    }

    /// Takes a record, its body in parts, into memory. Never waits. It is written after [`commit`](Self::commit), or
    /// before.
    ///
    /// # Errors
    /// [`AppendError::Full`] while as much as may be is waiting for the disk: the caller counts it and goes on.
    pub fn append(&mut self, kind: u8, body: &[&[u8]]) -> Result<Position, AppendError> {
        let head = Head::new(kind, body)
            .ok_or_else(|| AppendError::TooLarge { bytes: body.iter().map(|part| part.len()).sum() })?;
        let pending_bytes = self.next - self.handle.shared.written.load(Ordering::Acquire);
        if pending_bytes > 0 && pending_bytes + head.total() as u64 > self.options.pending_bytes {
            return Err(AppendError::Full { pending_bytes });
        }
        if self.segment.is_none_or(|base| self.next - base >= self.options.segment_bytes) {
            self.begin_segment();
        }
        let position = self.next;
        let head_bytes = head.to_bytes(position);
        self.block.bytes.extend_from_slice(&head_bytes);
        for part in body {
            self.block.bytes.extend_from_slice(part);
        }
        self.next += head.total() as u64;
        self.follows = self.next;
        if self.block.is_full() {
            self.commit();
        }
        Ok(Position(position))
    }

    /// Lets the writer have all that was appended. Never waits, and costs little: call it after each burst.
    pub fn commit(&mut self) {
        self.handle.shared.queue.commit(&mut self.block);
    }

    /// Where the next record will begin, or a little further on.
    pub fn end(&self) -> Position {
        Position(self.next)
    }

    /// Bytes that wait to be written.
    pub fn pending_bytes(&self) -> u64 {
        self.next - self.handle.shared.written.load(Ordering::Acquire)
    }

    /// For everything but appending: reading, waiting, watching, removing.
    pub fn handle(&self) -> &LogHandle {
        &self.handle
    }

    /// Writes and syncs all that is pending, for `patience` at most while the disk fails, and says how far it came.
    /// Blocks; readers may go on reading what is written.
    pub fn close(mut self, patience: Duration) -> Progress {
        self.finish(patience);
        *self.handle.progress.borrow()
    }

    fn begin_segment(&mut self) {
        let header = Header { base: self.next, follows: self.follows };
        self.commit();
        (self.block.position, self.block.header) = (header.base, Some(header));
        self.block.bytes.extend_from_slice(&header.to_bytes());
        self.segment = Some(header.base);
        self.next += HEADER_SPAN;
    }

    fn finish(&mut self, patience: Duration) {
        if let Some(writer) = self.writer.take() {
            self.commit();
            self.handle.shared.queue.close(Clock.now().monotonic.plus(patience));
            if writer.join().is_err() {
                tracing::error!(dir = %self.handle.shared.dir.display(), "log: the writer panicked");
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

fn lock(dir: &Path) -> Result<std::fs::File, LogError> {
    let path = dir.join("lock");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|source| LogError::io("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(LogError::Locked { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(LogError::io("lock", &path, source)),
    }
}
