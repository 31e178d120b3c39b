//! [`Memory`]: the watchdog's snapshot on disk, and how it is brought back after a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use lastbeat_log::{LogHandle, Position};
use lastbeat_watchdog::{Heard, Snapshot, Stamp, Timing, Watchdog};
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
    let Restored { from, mut watched_until, timing } = restore(watchdog, now, kept);
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
                Ok(record) => watched_until = watched_until.max(replay(watchdog, now, &timing, &record)),
                Err(error) => tracing::warn!("the log at {}: {error}", record.position),
            }
        }
    }
}

/// What a snapshot says of the log after it.
#[derive(Debug, Clone, Copy)]
pub struct Restored {
    /// From here on the log is to be replayed.
    pub from: Position,
    /// Until when the watchdog watched, if it ever did.
    pub watched_until: Option<UtcNanos>,
    /// How the records are timed.
    pub timing: Timing,
}

/// Gives the watchdog its snapshot back.
pub fn restore(watchdog: &mut Watchdog, now: Now, kept: Option<Kept>) -> Restored {
    match kept {
        Some(kept) => {
            let (from, at) = (Position(kept.position), kept.snapshot.at);
            let timing = watchdog.restore(now, kept.snapshot);
            Restored { from, watched_until: Some(at), timing }
        }
        None => Restored { from: Position::START, watched_until: None, timing: Timing::new(now, watchdog.boot()) },
    }
}

/// Tells the watchdog a record of the time before; the record's own time.
pub fn replay(watchdog: &mut Watchdog, now: Now, timing: &Timing, record: &Record<'_>) -> Option<UtcNanos> {
    match record {
        Record::Message(message) => replay_message(watchdog, timing, message, true),
        // One that was refused is refused again, and shows as before that its publisher lives.
        Record::Refused { message, .. } => replay_message(watchdog, timing, message, false),
        Record::Flip(flip) => watchdog.replay(now, flip),
        Record::Status(_) | Record::Unwatched(_) | Record::Notice(_) => {}
    }
    record.time()
}

fn replay_message(watchdog: &mut Watchdog, timing: &Timing, message: &Message<'_>, was_read: bool) {
    let Ok(topic) = Topic::parse(message.topic) else { return };
    let decoded = decode(topic.kind, message.payload);
    let nothing = Header::default();
    let header = decoded.as_ref().map_or(&nothing, |message| &message.header);
    let (came_at, header) = timing.of(Stamp { utc: message.received_at, clock: message.clock }, header);
    watchdog.heard(
        came_at,
        &Heard {
            publisher: topic.publisher,
            kind: topic.kind,
            link: None,
            retained: message.retained,
            resent: message.resent,
            readable: was_read && decoded.is_ok(),
            header: &header,
            log: decoded.as_ref().ok().and_then(|message| message.log.as_deref()),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_watchdog::{BootClock, HostView, LinkNumber, Reception, WatchRules};
    use lastbeat_wire::{BootId, Encoding, HostId, Monotonic, ProcessIdentity, encode};

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

    const SECOND: u64 = 1_000_000_000;

    /// Seconds on the monotonic clock, and by how many the wall clock was stepped.
    fn at(seconds: u64, step: i64) -> Now {
        let utc = UtcNanos(i64::try_from(seconds * SECOND).unwrap() + step * 1_000_000_000);
        Now { monotonic: Monotonic(seconds * SECOND), utc }
    }

    fn identity(host: u64, boot: u128) -> ProcessIdentity {
        ProcessIdentity { host: HostId(host), boot: BootId(boot), pid_namespace: 1, pid: 1, start: 1 }
    }

    fn rules(own: ProcessIdentity) -> WatchRules {
        let host = Some(HostView { process: own, booted_at: UtcNanos(0) });
        WatchRules { links: vec!["only".to_owned()], host, ..WatchRules::default() }
    }

    fn beat(seconds: u64) -> Vec<u8> {
        beat_by(at(seconds, 0), seconds)
    }

    /// What another host sends that was started when ours was, by its own wall clock.
    fn beat_by(clock: Now, seconds: u64) -> Vec<u8> {
        let (process, sent_at) = (Some(identity(2, 2)), Some(clock.utc));
        let header = Header { process, sent_at, uptime: Some(seconds * SECOND), ..Header::default() };
        encode(&lastbeat_wire::Message { header, ..Default::default() }, Encoding::Json)
    }

    fn replay_beat(watchdog: &mut Watchdog, now: Now, timing: &Timing, came_at: Stamp, payload: &[u8]) {
        let Stamp { utc: received_at, clock } = came_at;
        let message =
            Message { received_at, clock, retained: false, late: false, resent: false, topic: b"beat/light", payload };
        replay(watchdog, now, timing, &Record::Message(message));
    }

    /// As an early version wrote it, and as it is written.
    fn by_wall(now: Now) -> Stamp {
        Stamp { utc: now.utc, clock: None }
    }

    fn by_both(now: Now) -> Stamp {
        Stamp { utc: now.utc, clock: Some(BootClock::of(BootId(1), now.monotonic)) }
    }

    fn hear(watchdog: &mut Watchdog, now: Now, payload: &[u8]) -> Reception {
        let message = decode(lastbeat_wire::Kind::Beat, payload).unwrap();
        let (kind, header, link) = (lastbeat_wire::Kind::Beat, &message.header, Some(LinkNumber(0)));
        let heard =
            Heard { publisher: "light", kind, link, retained: false, resent: false, readable: true, header, log: None };
        watchdog.heard(now, &heard)
    }

    /// A start at `now` with a snapshot made at 1001 s, after a first beat at 1000 s if it is to be known by then, and then
    /// with beats that stand in the log.
    fn started(now: Now, own: ProcessIdentity, known: bool, logged: &[(Stamp, Vec<u8>)]) -> Watchdog {
        let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
        watchdog.link_up(at(1000, 0), LinkNumber(0));
        if known {
            hear(&mut watchdog, at(1000, 0), &beat(1000));
        }
        let kept = Kept::new(Position(0), watchdog.snapshot(at(1001, 0)));
        let mut watchdog = Watchdog::new(rules(own), now);
        let Restored { timing, watched_until, .. } = restore(&mut watchdog, now, Some(kept));
        for (came_at, payload) in logged {
            replay_beat(&mut watchdog, now, &timing, *came_at, payload);
        }
        watchdog.begin(now, watched_until);
        watchdog.link_up(now, LinkNumber(0));
        watchdog
    }

    #[test]
    fn a_wall_clock_that_was_stepped_while_the_watchdog_was_away_makes_nobody_late() {
        for stamp in [by_wall, by_both] {
            let mut watchdog = started(at(1030, 3600), identity(1, 1), true, &[(stamp(at(1010, 0)), beat(1010))]);
            assert_eq!(hear(&mut watchdog, at(1031, 3600), &beat(1031)), Reception::Live);
        }
    }

    #[test]
    fn a_wall_clock_that_was_stepped_since_the_snapshot_makes_nobody_late() {
        // Sent just before both clocks were put back by an hour, and taken in just after.
        let logged = [(by_both(at(1005, -3600)), beat(1005))];
        for known in [false, true] {
            let mut watchdog = started(at(1030, -3600), identity(1, 1), known, &logged);
            let sent = |seconds| beat_by(at(seconds, -3600), seconds);
            assert_eq!(hear(&mut watchdog, at(1031, -3600), &sent(1031)), Reception::Live);
            assert_eq!(hear(&mut watchdog, at(1100, -3600), &sent(1032)), Reception::Late);
        }
    }

    #[test]
    fn a_sender_whose_wall_clock_was_stepped_while_this_host_was_rebooted_is_not_late() {
        // This host is started again at 1020 s of its old clock; the sender's wall clock is put back by an hour.
        let now = |seconds: u64| Now { utc: at(1020 + seconds, 0).utc, ..at(seconds, 0) };
        let stepped = |seconds| beat_by(at(seconds, -3600), seconds);
        for (known, logged) in [(true, vec![]), (false, vec![(by_both(at(1010, 0)), beat(1010))])] {
            let mut watchdog = started(now(30), identity(1, 3), known, &logged);
            assert_eq!(hear(&mut watchdog, now(31), &stepped(1051)), Reception::Live);
            assert_eq!(hear(&mut watchdog, now(140), &stepped(1052)), Reception::Late);
        }
    }
}
