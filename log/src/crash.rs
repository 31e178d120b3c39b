//! Tests of what survives: a disk that is full, fails, loses power or its process at any byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use lastbeat_host::Clock;
use proptest::prelude::*;

use crate::blocking::block_on;
use crate::disk::{Disk, FileSystem};
use crate::{DamageKind, Log, LogHealth, LogOptions, Position, Recovery, SyncPolicy};

/// What the double does with the calls made to it.
#[derive(Debug, Default)]
struct Faults {
    /// Bytes that still fit; none set: any number.
    room: Option<usize>,
    /// Longest single write; none set: any length.
    most_a_write: Option<usize>,
    /// Syncs that fail from now on, each dropping what it should have kept.
    failing_syncs: usize,
    /// Of each file, the writes that no sync has kept yet.
    unsynced: BTreeMap<PathBuf, Vec<(u64, Vec<u8>)>>,
    /// Of each file, the bytes that survive the loss of power.
    kept: BTreeMap<PathBuf, Vec<u8>>,
}

/// Real files, with faults, and with a record of what a loss of power would leave of them.
#[derive(Debug, Clone, Default)]
struct FaultyDisk(Arc<Mutex<Faults>>);

impl FaultyDisk {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().unwrap());
    }

    /// What the disk holds when the power comes back: what was synced, and some of the rest.
    fn lose_power(&self, dir: &Path, mut survives: impl FnMut() -> bool) {
        let mut faults = self.0.lock().unwrap();
        let unsynced = std::mem::take(&mut faults.unsynced);
        for (path, writes) in unsynced {
            let kept = faults.kept.entry(path).or_default();
            for (offset, bytes) in writes.iter().filter(|_| survives()) {
                put(kept, *offset, bytes);
            }
        }
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if let Some(bytes) = faults.kept.get(&path) {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = usize::try_from(offset).unwrap() + bytes.len();
    file.resize(file.len().max(end), 0);
    file[end - bytes.len()..end].copy_from_slice(bytes);
}

impl Disk for FaultyDisk {
    type File = (PathBuf, File);

    fn create(&mut self, path: &Path) -> io::Result<Self::File> {
        let mut faults = self.0.lock().unwrap();
        if faults.room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        faults.kept.insert(path.to_owned(), Vec::new());
        Ok((path.to_owned(), FileSystem.create(path)?))
    }

    fn open(&mut self, path: &Path) -> io::Result<Self::File> {
        let bytes = std::fs::read(path)?;
        self.set(|faults| drop(faults.kept.insert(path.to_owned(), bytes)));
        Ok((path.to_owned(), FileSystem.open(path)?))
    }

    fn write_at(&mut self, (path, file): &mut Self::File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut faults = self.0.lock().unwrap();
        let length = bytes.len().min(faults.room.unwrap_or(usize::MAX)).min(faults.most_a_write.unwrap_or(usize::MAX));
        if length == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        faults.room = faults.room.map(|room| room - length);
        faults.unsynced.entry(path.clone()).or_default().push((offset, bytes[..length].to_vec()));
        FileSystem.write_at(file, offset, &bytes[..length])
    }

    fn sync(&mut self, (path, _): &mut Self::File) -> io::Result<()> {
        let mut faults = self.0.lock().unwrap();
        let writes = faults.unsynced.remove(path).unwrap_or_default();
        if faults.failing_syncs > 0 {
            faults.failing_syncs -= 1;
            return Err(io::Error::other("the disk dropped the pages"));
        }
        let kept = faults.kept.entry(path.clone()).or_default();
        for (offset, bytes) in &writes {
            put(kept, *offset, bytes);
        }
        Ok(())
    }

    fn sync_dir(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn make_dir(&mut self, dir: &Path) -> io::Result<()> {
        FileSystem.make_dir(dir)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        FileSystem.remove(path)
    }
}

const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 300,
    pending_bytes: 1 << 20,
    unsynced_bytes: 400,
    retain_bytes: 0,
    sync: SyncPolicy::Interval(Duration::from_hours(1)),
    not_before: Position::START,
    retry_at_most: Duration::from_millis(1),
};

fn body(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((number * 31 + at * 7) % 251).unwrap()).collect()
}

fn read_all(log: &Log) -> Vec<(Position, Vec<u8>)> {
    let mut reader = log.handle().reader(Position::START).unwrap();
    let mut read = Vec::new();
    loop {
        let batch = reader.next_batch(100).unwrap();
        if batch.is_empty() {
            return read;
        }
        read.extend(batch.iter().map(|record| (record.position, record.body.to_vec())));
    }
}

fn reopen(dir: &Path, not_before: Position) -> (Log, Recovery) {
    // Without faults, and without waiting for a real disk.
    Log::open_on(FaultyDisk::default(), dir, LogOptions { not_before, ..OPTIONS }).unwrap()
}

/// After a crash: all that was promised is there, nothing that was never appended is, and new records find new places.
fn check(dir: &Path, appended: &[(Position, Vec<u8>)], promised: Position) -> Result<(), TestCaseError> {
    let (mut log, _) = reopen(dir, promised);
    let read = read_all(&log);
    for (position, body) in &read {
        let known = appended.iter().find(|(at, _)| at == position);
        prop_assert_eq!(known.map(|(_, body)| body), Some(body), "a record at {} that nobody appended", position);
    }
    for record in appended.iter().filter(|(position, _)| *position < promised) {
        prop_assert!(read.contains(record), "{} was promised until {}", record.0, promised);
    }
    prop_assert!(read.is_sorted_by(|(a, _), (b, _)| a < b));
    let place = log.append(9, &[b"after"]).unwrap();
    prop_assert!(place >= promised && read.iter().all(|(position, _)| *position < place));
    log.close(Duration::ZERO);
    let (log, recovery) = reopen(dir, Position::START);
    prop_assert_eq!(recovery.damage, vec![], "damage is reported once");
    let again = read_all(&log);
    prop_assert_eq!(&again[..again.len() - 1], &read[..]);
    prop_assert_eq!(again.last().unwrap(), &(place, b"after".to_vec()));
    Ok(())
}

/// Waits until the record is written, or writing fails: then the blocks of a test don't rest on which thread was faster.
fn written_or_failing(log: &Log, position: Position) {
    let (handle, mut health) = (log.handle(), log.handle().health());
    let mut written = pin!(handle.when_written(position));
    let mut fails = pin!(health.wait_for(|health| *health != LogHealth::Ok));
    block_on(poll_fn(|context| match written.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => fails.as_mut().poll(context).map(drop),
    }));
}

#[test]
fn a_kill_at_any_byte_loses_nothing_that_was_reported_written() {
    let mut written_at = std::collections::BTreeSet::new();
    for room in 0..900 {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        disk.set(|faults| faults.room = Some(room));
        let (mut log, _) = Log::open_on(disk, dir.path(), OPTIONS).unwrap();
        let mut appended = Vec::new();
        for number in 0..12 {
            let body = body(number, 10 + 9 * number);
            appended.push((log.append(1, &[&body]).unwrap(), body));
            log.commit();
            written_or_failing(&log, appended.last().unwrap().0);
        }
        let promised = log.close(Duration::ZERO).written;
        written_at.insert(promised);
        check(dir.path(), &appended, promised).unwrap();
    }
    assert_eq!(written_at.len(), 12, "{written_at:?}");
}

#[test]
fn a_full_disk_is_waited_for_and_then_everything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = LogOptions { pending_bytes: 500, ..OPTIONS };
    let (mut log, _) = Log::open_on(disk.clone(), dir.path(), options).unwrap();
    disk.set(|faults| faults.room = Some(75));
    let mut appended = Vec::new();
    let refused = loop {
        let body = body(appended.len(), 20);
        match log.append(1, &[&body]) {
            Ok(position) => appended.push((position, body)),
            Err(error) => break error,
        }
        log.commit();
        assert!(appended.len() < 100, "the bound does not hold");
    };
    assert!(refused.to_string().contains("waiting to be written"), "{refused}");
    let mut health = log.handle().health();
    let failing = block_on(health.wait_for(|health| *health != LogHealth::Ok)).unwrap().clone();
    assert!(matches!(&failing, LogHealth::Failing { error, .. } if error.contains("no storage space")), "{failing:?}");

    disk.set(|faults| faults.room = None);
    let last = appended.last().unwrap().0;
    block_on(log.handle().when_written(last)).unwrap();
    block_on(health.wait_for(|health| *health == LogHealth::Ok)).unwrap();
    appended.push((log.append(1, &[b"more"]).unwrap(), b"more".to_vec()));
    log.close(Duration::ZERO);
    let (log, recovery) = reopen(dir.path(), Position::START);
    assert_eq!((read_all(&log), recovery.damage), (appended, vec![]));
}

#[test]
fn while_a_disk_is_full_what_all_have_read_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (mut log, _) = Log::open_on(disk.clone(), dir.path(), OPTIONS).unwrap();
    let append = |log: &mut Log, number| {
        let position = log.append(1, &[&body(number, 100)]).unwrap();
        log.commit();
        position
    };
    let last = (0..12).map(|number| append(&mut log, number)).last().unwrap();
    block_on(log.handle().when_written(last)).unwrap();
    disk.set(|faults| faults.room = Some(0));
    append(&mut log, 12);
    let mut health = log.handle().health();
    block_on(health.wait_for(|health| *health != LogHealth::Ok)).unwrap();
    let before = log.handle().stored_bytes();
    log.handle().remove_before(last);
    // The next attempt to write removes it; nobody tells when.
    let start = Clock.now().monotonic;
    while log.handle().stored_bytes() == before {
        assert!(Clock.now().monotonic.since(start) < Duration::from_mins(1), "it is not removed");
        std::thread::yield_now();
    }
    disk.set(|faults| faults.room = None);
}

#[test]
fn what_a_failed_sync_dropped_is_written_again_before_it_is_called_synced() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = LogOptions { sync: SyncPolicy::Always, ..OPTIONS };
    let (mut log, _) = Log::open_on(disk.clone(), dir.path(), options).unwrap();
    disk.set(|faults| faults.failing_syncs = 3);
    let position = log.append(1, &[b"precious"]).unwrap();
    log.commit();
    block_on(log.handle().when_synced(position)).unwrap();
    drop(log);
    disk.lose_power(dir.path(), || false);
    assert_eq!(read_all(&reopen(dir.path(), Position::START).0), [(position, b"precious".to_vec())]);
}

#[test]
fn what_somebody_waits_for_is_synced_at_once_and_survives_a_loss_of_power() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = LogOptions { sync: SyncPolicy::Interval(Duration::from_hours(1)), ..OPTIONS };
    let (mut log, _) = Log::open_on(disk.clone(), dir.path(), options).unwrap();
    let mut expected = Vec::new();
    for body in [&b"one"[..], b"another"] {
        let position = log.append(1, &[body]).unwrap();
        expected.push((position, body.to_vec()));
        log.commit();
        block_on(log.handle().sync(position)).unwrap();
    }
    disk.set(|faults| faults.failing_syncs = usize::MAX);
    drop(log);
    disk.lose_power(dir.path(), || false);
    assert_eq!(read_all(&reopen(dir.path(), Position::START).0), expected);
}

#[test]
fn a_cursor_ahead_of_what_power_loss_left_never_meets_its_position_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (mut log, _) = Log::open_on(disk.clone(), dir.path(), OPTIONS).unwrap();
    let first = log.append(1, &[b"lost"]).unwrap();
    log.commit();
    block_on(log.handle().when_written(first)).unwrap();
    let cursor = log.end();
    disk.set(|faults| faults.failing_syncs = usize::MAX);
    drop(log);
    disk.lose_power(dir.path(), || false);
    let (mut log, _) = reopen(dir.path(), cursor);
    let mut reader = log.handle().reader(cursor).unwrap();
    assert!(log.append(1, &[b"new"]).unwrap() >= cursor);
    log.commit();
    reader.wait_blocking().unwrap();
    assert_eq!(reader.next_batch(100).unwrap().iter().map(|record| record.body).collect::<Vec<_>>(), [b"new"]);
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Commit,
    AwaitWritten,
    Room(usize),
    FailSyncs(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..200_usize).prop_map(Step::Append),
        3 => Just(Step::Commit),
        2 => Just(Step::AwaitWritten),
        1 => (0..300_usize).prop_map(Step::Room),
        1 => (0..3_usize).prop_map(Step::FailSyncs),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_was_promised_is_there(
        steps in prop::collection::vec(step(), 0..40),
        most_a_write in prop::option::of(1..200_usize),
        power_fails: bool,
        survivors: Vec<bool>,
        always: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        disk.set(|faults| faults.most_a_write = most_a_write);
        let sync = if always { SyncPolicy::Always } else { OPTIONS.sync };
        let (mut log, _) = Log::open_on(disk.clone(), dir.path(), LogOptions { sync, ..OPTIONS }).unwrap();
        let mut appended = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(length) => {
                    let body = body(number, length);
                    appended.push((log.append(3, &[&body[..length / 2], &body[length / 2..]]).unwrap(), body));
                }
                Step::Commit => log.commit(),
                Step::AwaitWritten => {
                    disk.set(|faults| faults.room = None);
                    log.commit();
                    if let Some((last, _)) = appended.last() {
                        block_on(log.handle().when_written(*last)).unwrap();
                    }
                }
                Step::Room(room) => disk.set(|faults| faults.room = Some(room)),
                Step::FailSyncs(failing) => disk.set(|faults| faults.failing_syncs = failing),
            }
        }
        let progress = log.handle().progress();
        disk.set(|faults| (faults.room, faults.failing_syncs) = (Some(0), usize::MAX));
        drop(log);
        let progress = *progress.borrow();
        let promised = if power_fails {
            let mut survivors = survivors.into_iter();
            disk.lose_power(dir.path(), || survivors.next().unwrap_or(false));
            progress.synced
        } else {
            progress.written
        };
        check(dir.path(), &appended, promised)?;
    }

    #[test]
    fn arbitrary_bytes_as_segments_never_break_opening_reading_or_appending(
        files in prop::collection::btree_map(0..500_u64, prop::collection::vec(any::<u8>(), 0..300), 1..4),
        whole in prop::collection::vec((0..500_u64, 0..5_usize), 0..3),
        flips in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for (base, bytes) in &files {
            std::fs::write(crate::segment::path(dir.path(), *base), bytes).unwrap();
        }
        for (base, records) in whole {
            let header = crate::segment::Header { base, follows: base };
            let mut bytes = header.to_bytes().to_vec();
            for number in 0..records {
                let body = body(number, 30);
                let head = crate::record::Head::new(1, &[&body]).unwrap();
                bytes.extend(head.to_bytes(base + bytes.len() as u64));
                bytes.extend(body);
            }
            for flip in &flips {
                let at = flip.index(bytes.len());
                bytes[at] ^= 64;
            }
            std::fs::write(crate::segment::path(dir.path(), base), bytes).unwrap();
        }
        let (mut log, _) = reopen(dir.path(), Position::START);
        let before = read_all(&log).len();
        log.append(1, &[b"new"]).unwrap();
        log.close(Duration::ZERO);
        let (log, _) = reopen(dir.path(), Position::START);
        let read = read_all(&log);
        prop_assert_eq!(read.len(), before + 1);
        prop_assert_eq!(&read[before].1, b"new");
    }
}

#[test]
fn a_torn_tail_is_left_out_kept_and_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = reopen(dir.path(), Position::START);
    let whole = log.append(1, &[b"whole"]).unwrap();
    log.append(1, &[b"torn"]).unwrap();
    let end = log.close(Duration::ZERO).synced;
    let path = crate::segment::path(dir.path(), 0);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();

    let (log, recovery) = reopen(dir.path(), Position::START);
    let [torn] = &recovery.damage[..] else { panic!("{recovery:?}") };
    assert_eq!((torn.kind, torn.to), (DamageKind::TornTail, Position(end.0 - 1)));
    assert_eq!(std::fs::read(torn.set_aside.as_ref().unwrap()).unwrap(), bytes[49..bytes.len() - 1]);
    assert_eq!(read_all(&log), [(whole, b"whole".to_vec())]);
    drop(log);
    assert_eq!(reopen(dir.path(), Position::START).1.damage, []);
}
