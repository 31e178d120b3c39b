//! [`Memory`]: the snapshot of watchdog and swarm on disk, and how it is brought back after a restart.
//!
//! A snapshot is made of slices, each taken at a turn of the loop of its own ([`Slicing`]), so each publisher is remembered as
//! it was at another place of the log: at a replay it ignores the records before that.

mod file;
#[cfg(test)]
mod recorded;
mod slicing;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use lastbeat_log::{LogHandle, Position, WholeFile};
use lastbeat_swarm::{Instant, Swarm};
use lastbeat_watchdog::{Heard, Notice, Stamp, Timing, Watchdog};
use lastbeat_wire::{Header, Now, Topic, UtcNanos, decode};
use tokio::sync::OwnedMutexGuard;

pub use file::{Kept, Slice, Unreadable, head};
pub use slicing::{Known, Part, SLICE, Slicing};

use crate::intake::Came;
use crate::record::{Message, Record};

/// How much of the log is read at once.
const BATCH_BYTES: usize = 1 << 20;

/// The file that holds the newest snapshot.
#[derive(Debug, Clone)]
pub struct Memory {
    path: PathBuf,
    /// From where on the log is needed.
    from: Arc<AtomicU64>,
    /// Held by who writes it.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// A snapshot that is being written; the file holds the one before until it is [finished](Self::finish).
#[derive(Debug)]
pub struct Draft {
    file: WholeFile,
    from: Option<Position>,
    memory: Memory,
    _turn: OwnedMutexGuard<()>,
}

impl Memory {
    /// The file in the log's directory.
    pub fn in_dir(dir: &Path) -> Self {
        Self { path: dir.join("watchdog.snapshot"), from: Arc::default(), writing: Arc::default() }
    }

    /// From where on the log is needed, as last read or written.
    pub fn position(&self) -> Position {
        Position(self.from.load(Ordering::Acquire))
    }

    /// Opens the file, if there is one. One that can't be read is set aside: the watchdog then begins anew.
    pub fn load(&self) -> anyhow::Result<Option<Kept>> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
        };
        match Kept::open(io::BufReader::with_capacity(1 << 18, file)) {
            Ok(kept) => {
                self.from.store(kept.from().0, Ordering::Release);
                Ok(Some(kept))
            }
            Err(Unreadable::Io(error)) => Err(error).with_context(|| self.path.display().to_string()),
            Err(error) => self.set_aside(&error).map(|()| None),
        }
    }

    fn set_aside(&self, reason: &Unreadable) -> anyhow::Result<()> {
        let aside = self.path.with_extension("snapshot.damaged");
        fs::rename(&self.path, &aside).with_context(|| self.path.display().to_string())?;
        tracing::warn!("{} can't be read ({reason}), set aside as {}", self.path.display(), aside.display());
        Ok(())
    }

    /// Begins to write the file. Blocks while another one is being written: the later one is the newer one.
    pub fn draft(&self) -> io::Result<Draft> {
        let turn = Arc::clone(&self.writing).blocking_lock_owned();
        let mut file = WholeFile::create(&self.path)?;
        file.write(&head())?;
        Ok(Draft { file, from: None, memory: self.clone(), _turn: turn })
    }

    /// Writes the file from a watchdog and a swarm that hear nothing more, `position` being the end of the log. Blocks.
    pub fn save(&self, watchdog: &Watchdog, swarm: &Swarm, now: Now, position: Position) -> io::Result<()> {
        let mut draft = self.draft()?;
        let mut from = 0;
        while from < watchdog.len() {
            draft.add(&Slice::new(position, watchdog.snapshot_of(now, from..from + SLICE)))?;
            from += SLICE;
        }
        let nobody = || Slice::new(position, watchdog.snapshot_of(now, 0..0));
        let mut to = None;
        while let Some((kept, next)) = swarm.kept(now.monotonic, to.as_ref(), SLICE) {
            draft.add(&nobody().with_swarm(kept))?;
            to = Some(next);
        }
        draft.add(&nobody())?;
        draft.finish()
    }

    /// Makes the watchdog and the swarm and gives them back what they knew: the snapshot, and what the log holds after it. Returns,
    /// too, until when it watched, if it ever did.
    pub fn bring_back(
        &self,
        new: impl Fn() -> (Watchdog, Swarm),
        now: Now,
        kept: Option<Kept>,
        log: &LogHandle,
    ) -> anyhow::Result<(Watchdog, Swarm, Option<UtcNanos>)> {
        let (mut watchdog, mut swarm) = new();
        let restored = match restore(&mut watchdog, &mut swarm, now, kept) {
            Ok(restored) => restored,
            Err(error) => {
                self.set_aside(&error)?;
                (watchdog, swarm) = new();
                Restored::nothing(&watchdog, now)
            }
        };
        let watched_until = restored.replay_log(&mut watchdog, &mut swarm, now, log)?;
        Ok((watchdog, swarm, watched_until))
    }
}

impl Draft {
    /// Adds a slice. They come in the order in which they were taken, the swarm's after all of publishers, the
    /// last one with nothing in it.
    pub fn add(&mut self, slice: &Slice) -> io::Result<()> {
        self.from.get_or_insert(slice.position());
        self.file.write(&slice.encode()?)
    }

    /// Puts it in the place of the one before: all of it or nothing. The log has to be on the disk as far as it reaches.
    pub fn finish(self) -> io::Result<()> {
        self.file.finish()?;
        self.memory.from.store(self.from.unwrap_or_default().0, Ordering::Release);
        Ok(())
    }
}

/// What a snapshot says of the log after it.
#[derive(Debug, Clone)]
pub struct Restored {
    /// From here on the log is to be replayed.
    pub from: Position,
    /// Until when the watchdog watched, if it ever did.
    pub watched_until: Option<UtcNanos>,
    /// How the records are timed.
    timing: Timing,
    /// Of each publisher, by its place: records of it before this are in the snapshot.
    reached: Vec<Position>,
}

/// Gives the watchdog and the swarm their snapshot back.
///
/// # Errors
/// When it can't be read. They may then know some of it.
pub fn restore(
    watchdog: &mut Watchdog,
    swarm: &mut Swarm,
    now: Now,
    kept: Option<Kept>,
) -> Result<Restored, Unreadable> {
    let Some(kept) = kept else { return Ok(Restored::nothing(watchdog, now)) };
    let timing = watchdog.timing(now, kept.last().snapshot());
    let (from, watched_until) = (kept.from(), Some(kept.last().snapshot().at));
    let mut reached = Vec::new();
    for slice in kept.slices() {
        let slice = slice?;
        let position = slice.position();
        let (snapshot, kept) = slice.into_parts();
        swarm.restore(now, Instant(timing.instant(snapshot.stamp())), kept);
        for place in watchdog.restore_part(now, &timing, snapshot) {
            let place = place as usize;
            if reached.len() <= place {
                reached.resize(place + 1, Position::START);
            }
            reached[place] = position;
        }
    }
    Ok(Restored { from, watched_until, timing, reached })
}

impl Restored {
    fn nothing(watchdog: &Watchdog, now: Now) -> Self {
        let timing = Timing::new(now, watchdog.boot());
        Self { from: Position::START, watched_until: None, timing, reached: Vec::new() }
    }

    fn replay_log(
        &self,
        watchdog: &mut Watchdog,
        swarm: &mut Swarm,
        now: Now,
        log: &LogHandle,
    ) -> anyhow::Result<Option<UtcNanos>> {
        let mut watched_until = self.watched_until;
        if self.from > log.progress().borrow().written {
            return Ok(watched_until);
        }
        let mut reader = log.reader(self.from).context("the log")?;
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
                    Ok(decoded) => {
                        watched_until = watched_until.max(self.replay(watchdog, swarm, now, record.position, &decoded));
                    }
                    Err(error) => tracing::warn!("the log at {}: {error}", record.position),
                }
            }
        }
    }

    /// Tells the watchdog and the swarm a record of the time before; the record's own time.
    pub fn replay(
        &self,
        watchdog: &mut Watchdog,
        swarm: &mut Swarm,
        now: Now,
        position: Position,
        record: &Record<'_>,
    ) -> Option<UtcNanos> {
        match record {
            Record::Message(message) => self.replay_message(watchdog, Some(swarm), now, position, message),
            // One that was refused is refused again, and shows as before that its publisher lives.
            Record::Refused { message, .. } => self.replay_message(watchdog, None, now, position, message),
            Record::Flip(flip) if !self.knows(watchdog, flip.publisher.as_str(), position) => {
                watchdog.replay(now, flip);
            }
            Record::Notice(notice @ Notice::Maintenance { publisher, .. })
                if !self.knows(watchdog, publisher.as_str(), position) =>
            {
                watchdog.replay_notice(notice);
            }
            Record::Judgement(judgement) => swarm.replay(judgement),
            Record::Flip(_) | Record::Status(_) | Record::Unwatched(_) | Record::Notice(_) => {}
        }
        record.time()
    }

    /// Whether what the log has of a publisher at a place was in the snapshot.
    fn knows(&self, watchdog: &Watchdog, publisher: &str, position: Position) -> bool {
        let reached = watchdog.place(publisher).and_then(|place| self.reached.get(place as usize));
        reached.is_some_and(|reached| position < *reached)
    }

    /// A message that was read, with the swarm, or one that was refused.
    ///
    /// The swarm is kept after all publishers: what an agent's slice has, it has, too. What it hears twice changes nothing.
    fn replay_message(
        &self,
        watchdog: &mut Watchdog,
        swarm: Option<&mut Swarm>,
        now: Now,
        position: Position,
        message: &Message<'_>,
    ) {
        let Ok(topic) = Topic::parse(message.topic) else { return };
        if self.knows(watchdog, topic.publisher, position) {
            return;
        }
        let decoded = decode(topic.kind, message.payload);
        let nothing = Header::default();
        let header = decoded.as_ref().map_or(&nothing, |message| &message.header);
        let stamp = Stamp { utc: message.received_at, clock: message.clock };
        let (came_at, header) = self.timing.of(stamp, header);
        let reception = watchdog.heard(
            came_at,
            &Heard {
                publisher: topic.publisher,
                kind: topic.kind,
                link: None,
                retained: message.retained,
                resent: message.resent,
                readable: swarm.is_some() && decoded.is_ok(),
                header: &header,
                log: decoded.as_ref().ok().and_then(|message| message.log.as_deref()),
            },
        );
        if let (Some(swarm), Ok(told)) = (swarm, &decoded) {
            let at = Instant(self.timing.instant(stamp));
            let came = Came { publisher: topic.publisher, at, now: came_at, link: None, reception };
            came.see(swarm, now, watchdog, &header, &told.body);
        }
    }
}
