//! [`Memory`]: the watchdog's snapshot on disk, and how it is brought back after a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use lastbeat_log::{LogHandle, Position};
use lastbeat_watchdog::{Heard, Snapshot, Watchdog};
use lastbeat_wire::{Header, Now, Topic, UtcNanos, decode};
use serde::{Deserialize, Serialize};

use crate::record::{Message, Record};

/// The newest form of the file.
const VERSION: u32 = 1;
/// How much of the log is read at once.
const BATCH_BYTES: usize = 1 << 20;

/// The file that holds the newest snapshot.
#[derive(Debug, Clone)]
pub struct Memory {
    path: PathBuf,
    /// How far in the log the file reaches.
    position: Arc<AtomicU64>,
    turns: Arc<AtomicU64>,
    /// The turn of the snapshot that was written last; held while one is written.
    written: Arc<Mutex<u64>>,
}

/// Which of two snapshots is the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

/// A snapshot, and how far in the log it reaches.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    version: u32,
    /// Records before this are in the snapshot.
    position: u64,
    snapshot: Snapshot,
}

impl Kept {
    /// Everything before `position` is in the snapshot.
    pub fn new(position: Position, snapshot: Snapshot) -> Self {
        Self { version: VERSION, position: position.0, snapshot }
    }

    /// The bytes of the file.
    pub fn written(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        rmp_serde::to_vec_named(self)
    }

    /// Reads the bytes of the file; they may be of another version.
    pub fn read(bytes: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        rmp_serde::from_slice(bytes)
    }

    /// The snapshot alone.
    pub fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }
}

impl Memory {
    /// The file in the log's directory.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            path: dir.join("watchdog.snapshot"),
            position: Arc::default(),
            turns: Arc::default(),
            written: Arc::default(),
        }
    }

    /// How far in the log the file reaches, as last read or written: the log is needed from there on.
    pub fn position(&self) -> Position {
        Position(self.position.load(Ordering::Acquire))
    }

    /// Reads the file, if there is one. One that can't be read is set aside: the watchdog then begins anew.
    pub fn load(&self) -> anyhow::Result<Option<Kept>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
        };
        match Kept::read(&bytes) {
            Ok(kept) if kept.version == VERSION => {
                self.position.store(kept.position, Ordering::Release);
                Ok(Some(kept))
            }
            Ok(kept) => self.set_aside(&format!("version {}, only {VERSION} is known", kept.version)),
            Err(error) => self.set_aside(&error.to_string()),
        }
    }

    fn set_aside(&self, reason: &str) -> anyhow::Result<Option<Kept>> {
        let aside = self.path.with_extension("snapshot.damaged");
        fs::rename(&self.path, &aside).with_context(|| self.path.display().to_string())?;
        tracing::warn!("{} can't be read ({reason}), set aside as {}", self.path.display(), aside.display());
        Ok(None)
    }

    /// The next turn; to be taken when a snapshot is made.
    pub fn turn(&self) -> Turn {
        Turn(self.turns.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Writes the file: all of it or nothing. A snapshot that a newer one went before is not written any more.
    pub fn save(&self, turn: Turn, position: Position, snapshot: Snapshot) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written >= turn.0 {
            return Ok(());
        }
        let bytes = Kept::new(position, snapshot).written().map_err(io::Error::other)?;
        lastbeat_log::write_whole(&self.path, &bytes)?;
        self.position.store(position.0, Ordering::Release);
        *written = turn.0;
        Ok(())
    }
}

/// Gives the watchdog back what it knew: the snapshot, and what the log holds after it. Returns until when it watched, if
/// it ever did.
pub fn bring_back(
    watchdog: &mut Watchdog,
    now: Now,
    kept: Option<Kept>,
    log: &LogHandle,
) -> anyhow::Result<Option<UtcNanos>> {
    let (from, mut watched_until) = restore(watchdog, now, kept);
    if from > log.progress().borrow().written {
        return Ok(watched_until);
    }
    let mut reader = log.reader(from).context("the log")?;
    loop {
        let batch = reader.next_batch(BATCH_BYTES).context("the log")?;
        for damage in &batch.damage {
            tracing::warn!("the log is damaged: {damage}");
        }
        if batch.is_empty() {
            return Ok(watched_until);
        }
        for record in batch.iter() {
            match Record::decode(record.kind, record.body) {
                Ok(record) => watched_until = watched_until.max(replay(watchdog, now, &record)),
                Err(error) => tracing::warn!("the log at {}: {error}", record.position),
            }
        }
    }
}

/// Gives the watchdog its snapshot back. Returns from where on the log is to be replayed, and until when it watched.
pub fn restore(watchdog: &mut Watchdog, now: Now, kept: Option<Kept>) -> (Position, Option<UtcNanos>) {
    match kept {
        Some(kept) => {
            let (from, at) = (Position(kept.position), kept.snapshot.at);
            watchdog.restore(now, kept.snapshot);
            (from, Some(at))
        }
        None => (Position::START, None),
    }
}

/// Tells the watchdog a record of the time before; the record's own time.
pub fn replay(watchdog: &mut Watchdog, now: Now, record: &Record<'_>) -> Option<UtcNanos> {
    match record {
        Record::Message(message) => replay_message(watchdog, now, message, true),
        // One that was refused is refused again, and shows as before that its publisher lives.
        Record::Refused { message, .. } => replay_message(watchdog, now, message, false),
        Record::Flip(flip) => watchdog.replay(now, flip),
        Record::Status(_) | Record::Unwatched(_) | Record::Notice(_) => {}
    }
    record.time()
}

fn replay_message(watchdog: &mut Watchdog, now: Now, message: &Message<'_>, was_read: bool) {
    let Ok(topic) = Topic::parse(message.topic) else { return };
    let decoded = decode(topic.kind, message.payload);
    let nothing = Header::default();
    // A monotonic clock is the same over a restart of the program; where the host was restarted too, nothing that is
    // due by it is judged before it was watched anew.
    let monotonic = now.monotonic.minus(now.utc.since(message.received_at));
    watchdog.heard(
        Now { monotonic, utc: message.received_at },
        &Heard {
            publisher: topic.publisher,
            kind: topic.kind,
            link: None,
            retained: message.retained,
            resent: message.resent,
            readable: was_read && decoded.is_ok(),
            header: decoded.as_ref().map_or(&nothing, |message| &message.header),
            log: decoded.as_ref().ok().and_then(|message| message.log.as_deref()),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_watchdog::WatchRules;
    use lastbeat_wire::Monotonic;

    #[test]
    fn a_snapshot_that_is_written_late_does_not_take_the_place_of_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::in_dir(dir.path());
        let at = |seconds: i64| Now { monotonic: Monotonic(0), utc: UtcNanos(seconds) };
        let snapshot = |now| Watchdog::new(WatchRules::default(), now).snapshot(now);
        let (older, newer) = (memory.turn(), memory.turn());
        memory.save(newer, Position(7), snapshot(at(2))).unwrap();
        memory.save(older, Position(7), snapshot(at(1))).unwrap();
        let kept = memory.load().unwrap().unwrap();
        assert_eq!((kept.position, kept.snapshot.at), (7, UtcNanos(2)));
        memory.save(memory.turn(), Position(8), snapshot(at(3))).unwrap();
        assert_eq!(memory.load().unwrap().unwrap().snapshot.at, UtcNanos(3));
    }
}
