//! [`Memory`]: the watchdog's snapshot on disk, and how it is brought back after a restart.
//!
//! A snapshot is made of slices, each taken at a turn of the loop of its own ([`Slicing`]), so each publisher is remembered as
//! it was at another place of the log: at a replay it ignores the records before that.

mod file;
#[cfg(test)]
mod recorded;
mod slicing;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use lastbeat_log::{LogHandle, Position, WholeFile};
use lastbeat_watchdog::{Heard, Notice, Stamp, Timing, Watchdog};
use lastbeat_wire::{Header, Now, Topic, UtcNanos, decode};
use tokio::sync::OwnedMutexGuard;

pub use file::{Kept, Slice, Unreadable, head};
pub use slicing::{Part, SLICE, Slicing};

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

    /// Writes the file from a watchdog that hears nothing more, `position` being the end of the log. Blocks.
    pub fn save(&self, watchdog: &Watchdog, now: Now, position: Position) -> io::Result<()> {
        let mut draft = self.draft()?;
        let mut from = 0;
        while from < watchdog.len() {
            draft.add(&Slice::new(position, watchdog.snapshot_of(now, from..from + SLICE)))?;
            from += SLICE;
        }
        draft.add(&Slice::new(position, watchdog.snapshot_of(now, 0..0)))?;
        draft.finish()
    }

    /// Makes the watchdog and gives it back what it knew: the snapshot, and what the log holds after it. Returns, too, until
    /// when it watched, if it ever did.
    pub fn bring_back(
        &self,
        new: impl Fn() -> Watchdog,
        now: Now,
        kept: Option<Kept>,
        log: &LogHandle,
    ) -> anyhow::Result<(Watchdog, Option<UtcNanos>)> {
        let mut watchdog = new();
        let restored = match restore(&mut watchdog, now, kept) {
            Ok(restored) => restored,
            Err(error) => {
                self.set_aside(&error)?;
                watchdog = new();
                Restored::nothing(&watchdog, now)
            }
        };
        let watched_until = restored.replay_log(&mut watchdog, now, log)?;
        Ok((watchdog, watched_until))
    }
}

impl Draft {
    /// Adds a slice. They come in the order in which they were taken, the last one without publishers.
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

/// Gives the watchdog its snapshot back.
///
/// # Errors
/// When it can't be read. The watchdog may then know some of it.
pub fn restore(watchdog: &mut Watchdog, now: Now, kept: Option<Kept>) -> Result<Restored, Unreadable> {
    let Some(kept) = kept else { return Ok(Restored::nothing(watchdog, now)) };
    let timing = watchdog.timing(now, kept.last().snapshot());
    let (from, watched_until) = (kept.from(), Some(kept.last().snapshot().at));
    let mut reached = Vec::new();
    for slice in kept.slices() {
        let slice = slice?;
        let position = slice.position();
        for place in watchdog.restore_part(now, &timing, slice.into_snapshot()) {
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

    fn replay_log(&self, watchdog: &mut Watchdog, now: Now, log: &LogHandle) -> anyhow::Result<Option<UtcNanos>> {
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
                        watched_until = watched_until.max(self.replay(watchdog, now, record.position, &decoded));
                    }
                    Err(error) => tracing::warn!("the log at {}: {error}", record.position),
                }
            }
        }
    }

    /// Tells the watchdog a record of the time before; the record's own time.
    pub fn replay(
        &self,
        watchdog: &mut Watchdog,
        now: Now,
        position: Position,
        record: &Record<'_>,
    ) -> Option<UtcNanos> {
        match record {
            Record::Message(message) => self.replay_message(watchdog, position, message, true),
            // One that was refused is refused again, and shows as before that its publisher lives.
            Record::Refused { message, .. } => self.replay_message(watchdog, position, message, false),
            Record::Flip(flip) if !self.knows(watchdog, flip.publisher.as_str(), position) => {
                watchdog.replay(now, flip);
            }
            Record::Notice(notice @ Notice::Maintenance { publisher, .. })
                if !self.knows(watchdog, publisher.as_str(), position) =>
            {
                watchdog.replay_notice(notice);
            }
            Record::Flip(_) | Record::Status(_) | Record::Unwatched(_) | Record::Notice(_) | Record::Judgement(_) => {}
        }
        record.time()
    }

    /// Whether what the log has of a publisher at a place was in the snapshot.
    fn knows(&self, watchdog: &Watchdog, publisher: &str, position: Position) -> bool {
        let reached = watchdog.place(publisher).and_then(|place| self.reached.get(place as usize));
        reached.is_some_and(|reached| position < *reached)
    }

    fn replay_message(&self, watchdog: &mut Watchdog, position: Position, message: &Message<'_>, was_read: bool) {
        let Ok(topic) = Topic::parse(message.topic) else { return };
        if self.knows(watchdog, topic.publisher, position) {
            return;
        }
        let decoded = decode(topic.kind, message.payload);
        let nothing = Header::default();
        let header = decoded.as_ref().map_or(&nothing, |message| &message.header);
        let (came_at, header) = self.timing.of(Stamp { utc: message.received_at, clock: message.clock }, header);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_watchdog::{BootClock, HostView, LinkNumber, Reception, WatchRules};
    use lastbeat_wire::{BootId, Encoding, HostId, Monotonic, ProcessIdentity, encode};

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

    fn replay_beat(watchdog: &mut Watchdog, now: Now, restored: &Restored, came_at: Stamp, payload: &[u8]) {
        let Stamp { utc: received_at, clock } = came_at;
        let message =
            Message { received_at, clock, retained: false, late: false, resent: false, topic: b"beat/light", payload };
        restored.replay(watchdog, now, Position::START, &Record::Message(message));
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
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::in_dir(dir.path());
        memory.save(&watchdog, at(1001, 0), Position::START).unwrap();
        let mut watchdog = Watchdog::new(rules(own), now);
        let restored = restore(&mut watchdog, now, memory.load().unwrap()).unwrap();
        for (came_at, payload) in logged {
            replay_beat(&mut watchdog, now, &restored, *came_at, payload);
        }
        watchdog.begin(now, restored.watched_until);
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

    fn of(publisher: &str, seconds: u64, position: u64) -> (Position, Vec<u8>, Stamp) {
        (Position(position), format!("beat/{publisher}").into_bytes(), by_both(at(seconds, 0)))
    }

    fn tell(watchdog: &mut Watchdog, restored: &Restored, records: &[(Position, Vec<u8>, Stamp)]) {
        for (position, topic, Stamp { utc: received_at, clock }) in records {
            let (received_at, clock, payload) = (*received_at, *clock, &b"{}"[..]);
            let message = Message { received_at, clock, retained: false, late: false, resent: false, topic, payload };
            restored.replay(watchdog, at(1100, 0), *position, &Record::Message(message));
        }
    }

    #[test]
    fn each_publisher_is_told_what_came_after_its_own_slice_and_nothing_twice() {
        let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
        let nothing = Restored::nothing(&watchdog, at(1100, 0));
        let records = [
            of("a", 1001, 0),
            of("b", 1002, 10),
            of("a", 1003, 20),
            of("b", 1004, 30),
            of("c", 1005, 40),
            of("a", 1006, 50),
            of("b", 1007, 60),
        ];
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::in_dir(dir.path());
        let mut draft = memory.draft().unwrap();
        tell(&mut watchdog, &nothing, &records[..2]);
        draft.add(&Slice::new(Position(20), watchdog.snapshot_of(at(1002, 0), 0..1))).unwrap();
        tell(&mut watchdog, &nothing, &records[2..5]);
        // By now there is a third one, too.
        draft.add(&Slice::new(Position(50), watchdog.snapshot_of(at(1005, 0), 1..3))).unwrap();
        draft.add(&Slice::new(Position(50), watchdog.snapshot_of(at(1005, 0), 3..3))).unwrap();
        draft.finish().unwrap();
        tell(&mut watchdog, &nothing, &records[5..]);

        let kept = memory.load().unwrap().unwrap();
        assert_eq!(
            (memory.position(), kept.from(), kept.last().position()),
            (Position(20), Position(20), Position(50))
        );
        let mut again = Watchdog::new(rules(identity(1, 1)), at(1100, 0));
        let restored = restore(&mut again, at(1100, 0), Some(kept)).unwrap();
        assert_eq!(restored.watched_until, Some(at(1005, 0).utc));
        tell(&mut again, &restored, &records[2..]);
        let then = at(1100, 0);
        assert!(watchdog.statuses(then).eq(again.statuses(then)), "{:?}", again.statuses(then).collect::<Vec<_>>());
    }

    #[test]
    fn a_pause_that_was_replaced_before_its_slice_was_taken_does_not_come_back() {
        let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
        let nothing = Restored::nothing(&watchdog, at(1000, 0));
        tell(&mut watchdog, &nothing, &[of("a", 1001, 0)]);
        watchdog.pause(at(1002, 0), "a", None);
        let notice =
            Notice::Maintenance { publisher: "a".parse().unwrap(), at: at(1001, 0).utc, until: Some(at(1003, 0).utc) };
        let mut kept = head().to_vec();
        for places in [0..1, 1..1] {
            kept.extend(Slice::new(Position(50), watchdog.snapshot_of(at(1002, 0), places)).encode().unwrap());
        }
        let kept = Kept::open(io::Cursor::new(kept)).unwrap();
        let mut again = Watchdog::new(rules(identity(1, 1)), at(1010, 0));
        let restored = restore(&mut again, at(1010, 0), Some(kept)).unwrap();
        restored.replay(&mut again, at(1010, 0), Position(40), &Record::Notice(notice.clone()));
        assert_eq!(again.detail(at(1010, 0), "a").unwrap().paused_until, None);
        restored.replay(&mut again, at(1010, 0), Position(50), &Record::Notice(notice));
        assert_eq!(again.detail(at(1010, 0), "a").unwrap().paused_until, Some(at(1003, 0).utc));
    }

    #[test]
    fn a_snapshot_of_the_first_version_is_read() {
        let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
        watchdog.link_up(at(1000, 0), LinkNumber(0));
        hear(&mut watchdog, at(1000, 0), &beat(1000));
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::in_dir(dir.path());
        fs::write(&memory.path, file::first_version(Position(7), watchdog.snapshot(at(1001, 0)))).unwrap();
        let kept = memory.load().unwrap().unwrap();
        assert_eq!((kept.from(), kept.last().position()), (Position(7), Position(7)));
        let mut again = Watchdog::new(rules(identity(1, 1)), at(1002, 0));
        let restored = restore(&mut again, at(1002, 0), Some(kept)).unwrap();
        assert_eq!((restored.from, restored.watched_until), (Position(7), Some(at(1001, 0).utc)));
        assert_eq!(again.status(at(1002, 0), "light"), watchdog.status(at(1002, 0), "light"));
    }

    #[test]
    fn a_file_that_is_cut_short_or_damaged_anywhere_is_set_aside_as_a_whole() {
        let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
        watchdog.link_up(at(1000, 0), LinkNumber(0));
        hear(&mut watchdog, at(1000, 0), &beat(1000));
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::in_dir(dir.path());
        memory.save(&watchdog, at(1001, 0), Position(7)).unwrap();
        let whole = fs::read(&memory.path).unwrap();
        let is_set_aside = |bytes: &[u8]| {
            fs::write(&memory.path, bytes).unwrap();
            memory.load().unwrap().is_none() && !memory.path.exists()
        };
        for length in 0..whole.len() {
            assert!(is_set_aside(&whole[..length]), "cut at {length}");
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x20;
            assert!(is_set_aside(&damaged), "damaged at {place}");
        }
        assert!(!is_set_aside(&whole));
    }

    #[test]
    fn a_snapshot_of_which_not_all_came_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::in_dir(dir.path());
        let watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
        memory.save(&watchdog, at(1000, 0), Position(7)).unwrap();
        let mut draft = memory.draft().unwrap();
        draft.add(&Slice::new(Position(9), watchdog.snapshot_of(at(1010, 0), 0..1))).unwrap();
        drop(draft);
        assert_eq!(memory.load().unwrap().unwrap().from(), Position(7));
        memory.save(&watchdog, at(1020, 0), Position(8)).unwrap();
        assert_eq!(memory.position(), Position(8));
    }
}
