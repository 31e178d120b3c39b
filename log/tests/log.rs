//! The log as those see it who append to it and read it.

use std::path::Path;
use std::time::Duration;

use lastbeat_log::{
    AppendError, DamageKind, Log, LogError, LogOptions, MAX_RECORD_BYTES, Position, Reader, SyncPolicy,
};

const SMALL: LogOptions = LogOptions {
    segment_bytes: 200,
    pending_bytes: 64 << 20,
    unsynced_bytes: 16 << 20,
    retain_bytes: 0,
    sync: SyncPolicy::Always,
    not_before: Position::START,
    retry_at_most: Duration::from_secs(1),
};

/// A closed log of numbered records of 20 bytes.
fn written(dir: &Path, records: u64) -> Vec<Position> {
    let (mut log, _) = Log::open(dir, SMALL).unwrap();
    let positions = (0..records).map(|number| append(&mut log, number)).collect();
    log.close(Duration::ZERO);
    positions
}

fn append(log: &mut Log, number: u64) -> Position {
    log.append(7, &[&number.to_le_bytes()]).unwrap()
}

fn read(reader: &mut Reader) -> (Vec<u64>, Vec<DamageKind>) {
    let (mut numbers, mut damage) = (Vec::new(), Vec::new());
    loop {
        let batch = reader.next_batch(50).unwrap();
        damage.extend(batch.damage.iter().map(|damage| damage.kind));
        if batch.is_empty() {
            return (numbers, damage);
        }
        numbers.extend(batch.iter().map(|record| u64::from_le_bytes(record.body.try_into().unwrap())));
    }
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    files.sort();
    files
}

#[test]
fn records_come_back_in_order_with_their_positions_kinds_and_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let positions = written(dir.path(), 30);
    let (log, _) = Log::open(dir.path(), SMALL).unwrap();
    let mut reader = log.handle().reader(positions[10]).unwrap();
    let batch = reader.next_batch(1).unwrap();
    let record = batch.iter().next().unwrap();
    assert_eq!((record.position, record.kind, record.body), (positions[10], 7, &10_u64.to_le_bytes()[..]));
    assert_eq!(record.next, batch.end());
    assert_eq!(read(&mut reader).0, (11..30).collect::<Vec<_>>());
    assert_eq!(reader.behind_bytes(), 0);
    reader.seek(positions[28]);
    assert_eq!(read(&mut reader).0, [28, 29]);
}

#[test]
fn a_record_longer_than_the_batch_asked_for_comes_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(dir.path(), SMALL).unwrap();
    let body = vec![3; MAX_RECORD_BYTES];
    log.append(1, &[&body[..5], &body[5..]]).unwrap();
    assert_eq!(log.append(1, &[&body, b"x"]), Err(AppendError::TooLarge { bytes: MAX_RECORD_BYTES + 1 }));
    log.append(2, &[]).unwrap();
    log.commit();
    let mut reader = log.handle().reader(Position::START).unwrap();
    reader.wait_blocking().unwrap();
    assert_eq!(reader.next_batch(1000).unwrap().iter().next().unwrap().body, body);
    log.close(Duration::ZERO);
    assert_eq!(reader.next_batch(1000).unwrap().iter().map(|record| record.kind).collect::<Vec<_>>(), [2]);
    assert!(reader.wait_blocking().is_err(), "closed, and all is read");
}

#[test]
fn a_reader_on_another_thread_follows_what_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(dir.path(), SMALL).unwrap();
    let mut reader = log.handle().reader(Position::START).unwrap();
    let follower = std::thread::spawn(move || {
        let mut numbers = Vec::new();
        while reader.wait_blocking().is_ok() {
            numbers.extend(read(&mut reader).0);
        }
        numbers
    });
    for number in 0..2000 {
        append(&mut log, number);
        log.commit();
    }
    let progress = log.close(Duration::from_secs(10));
    assert_eq!(progress.written, progress.synced);
    assert_eq!(follower.join().unwrap(), (0..2000).collect::<Vec<_>>());
}

#[test]
fn a_second_log_in_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), SMALL).unwrap();
    assert!(matches!(Log::open(dir.path(), SMALL), Err(LogError::Locked { .. })));
    drop(log);
    Log::open(dir.path(), SMALL).unwrap();
}

#[test]
fn a_damaged_record_in_the_middle_is_skipped_kept_and_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 30);
    let first = &segments(dir.path())[0];
    let mut bytes = std::fs::read(first).unwrap();
    bytes[32 + 20 + 15] ^= 1; // in the body of record 1
    bytes[32 + 5 * 20 + 1] ^= 1; // in the head of record 5
    std::fs::write(first, bytes).unwrap();
    let (log, recovery) = Log::open(dir.path(), SMALL).unwrap();
    assert_eq!(recovery.damage, [], "only the last segment is read through when opening");
    let expected: Vec<u64> = [0, 2, 3, 4].into_iter().chain(6..30).collect();
    for damage in [vec![DamageKind::Records; 2], vec![]] {
        assert_eq!(read(&mut log.handle().reader(Position::START).unwrap()), (expected.clone(), damage));
    }
    assert_eq!(std::fs::read_dir(dir.path().join("damaged")).unwrap().count(), 2);
}

#[test]
fn damage_in_the_last_segment_is_reported_when_opening() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 6);
    let last = &segments(dir.path())[0];
    let mut bytes = std::fs::read(last).unwrap();
    bytes[32 + 20 + 15] ^= 1;
    std::fs::write(last, bytes).unwrap();
    let (log, recovery) = Log::open(dir.path(), SMALL).unwrap();
    let shown: Vec<_> = recovery.damage.iter().map(ToString::to_string).collect();
    assert!(shown[0].starts_with("log: damaged records skipped, positions 52 to 72 (20 bytes), kept in "), "{shown:?}");
    assert_eq!(read(&mut log.handle().reader(Position::START).unwrap()), (vec![0, 2, 3, 4, 5], vec![]));
}

#[test]
fn a_missing_segment_is_reported_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let positions = written(dir.path(), 30);
    std::fs::remove_file(&segments(dir.path())[1]).unwrap();
    let (log, recovery) = Log::open(dir.path(), SMALL).unwrap();
    assert_eq!(recovery.damage.iter().map(|damage| damage.kind).collect::<Vec<_>>(), [DamageKind::Missing]);
    assert!(recovery.damage[0].from <= positions[9] && recovery.damage[0].to >= positions[17]);
    let expected: Vec<u64> = (0..9).chain(18..30).collect();
    assert_eq!(read(&mut log.handle().reader(Position::START).unwrap()).0, expected);
}

#[test]
fn a_damaged_header_is_written_anew_and_costs_no_record() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 30);
    let second = &segments(dir.path())[1];
    let mut bytes = std::fs::read(second).unwrap();
    bytes[3] ^= 1;
    std::fs::write(second, bytes).unwrap();
    for damage in [vec![DamageKind::Header], vec![]] {
        let (log, recovery) = Log::open(dir.path(), SMALL).unwrap();
        assert_eq!(recovery.damage.iter().map(|damage| damage.kind).collect::<Vec<_>>(), damage);
        assert_eq!(read(&mut log.handle().reader(Position::START).unwrap()).0, (0..30).collect::<Vec<_>>());
    }
}

#[test]
fn a_segment_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut header = b"LBEATLOG\x02\0\0\0".to_vec();
    header.extend([0; 16]);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    std::fs::write(dir.path().join("00000000000000000000.log"), &header).unwrap();
    let error = Log::open(dir.path(), SMALL).unwrap_err().to_string();
    assert!(error.ends_with("00000000000000000000.log: version 2, only 1 is known"), "{error}");
    assert_eq!(std::fs::read(&segments(dir.path())[0]).unwrap(), header);
}

#[test]
fn segments_that_all_have_read_are_deleted_but_for_what_is_retained() {
    let dir = tempfile::tempdir().unwrap();
    let positions = written(dir.path(), 50);
    let all = segments(dir.path()).len();
    let options = LogOptions { retain_bytes: 500, ..SMALL };
    let (log, _) = Log::open(dir.path(), options).unwrap();
    log.handle().remove_before(positions[20]);
    log.close(Duration::ZERO);
    assert_eq!(segments(dir.path()).len(), all - 2, "two lie wholly before record 20");

    let (log, recovery) = Log::open(dir.path(), options).unwrap();
    assert_eq!(recovery.damage, [], "what was removed is not missing");
    assert_eq!(read(&mut log.handle().reader(Position::START).unwrap()).0, (18..50).collect::<Vec<_>>());
    let (_, damage) = read(&mut log.handle().reader(positions[3]).unwrap());
    assert_eq!(damage, [DamageKind::Missing], "who is behind what was removed is told so");
    log.handle().remove_before(log.end());
    log.close(Duration::ZERO);
    let kept: u64 = segments(dir.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!((500..800).contains(&kept), "{kept}");
}

#[test]
fn a_cursor_behind_the_end_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), SMALL).unwrap();
    let error = log.handle().reader(Position(9)).unwrap_err().to_string();
    assert_eq!(error, "log: position 9 is behind the end, 0; open the log with not_before");
}
