//! A spool on a real disk: order, bounds, restarts, damage, a disk that takes nothing.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lastbeat_wire::{Encoding, Header, Kind, Message, ProcessIdentity, UtcNanos, encode};

use super::*;
use crate::letterhead::tests::own;
use crate::outbox::tests::ROOMY;

fn now(seconds: u64) -> Now {
    Now { monotonic: Monotonic(seconds * 1_000_000_000), utc: UtcNanos(seconds.cast_signed() * 1_000_000_000) }
}

/// A message of a process, sent in the second of its number, and so many bytes long at least.
fn payload(process: ProcessIdentity, number: u64, bytes: usize) -> Vec<u8> {
    let header = Header {
        process: Some(process),
        sequence: Some(number),
        sent_at: Some(now(number).utc),
        host: Some("h".repeat(bytes).into()),
        ..Header::default()
    };
    encode(&Message { header, ..Message::default() }, Encoding::MessagePack)
}

fn push(spool: &mut Spool, numbers: std::ops::Range<u64>, bytes: usize) {
    for number in numbers {
        spool.push(Kind::Beat, payload(own().process, number, bytes));
    }
}

fn number(held: &Held) -> u64 {
    lastbeat_wire::decode(held.address.kind(), &held.payload).unwrap().header.sequence.unwrap()
}

/// Takes all there is out, and says it is settled.
fn drain(spool: &mut Spool) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(held) = spool.pop() {
        numbers.push(number(&held));
        if let Some(span) = held.span {
            spool.settle(span);
        }
    }
    numbers
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, ROOMY, false).unwrap()
}

impl Spool {
    /// Returns when all that was pushed is written.
    pub fn wait_written(&mut self) {
        self.append();
        let disk = self.disk.as_mut().unwrap();
        disk.commit();
        let end = disk.end();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut progress = disk.progress();
        runtime.block_on(progress.wait_for(|progress| progress.written >= end)).unwrap();
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

#[test]
fn what_memory_does_not_hold_is_read_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    // Some of it is taken out before it is spilled, some after.
    push(&mut spool, 0..10, 10_000);
    assert_eq!((0..5).map(|_| number(&spool.pop().unwrap())).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for begin in [10, 200, 400] {
        push(&mut spool, begin..begin + 190, 10_000);
        spool.wait_written();
        spool.spill();
        assert!(spool.recent_bytes <= RECENT_BYTES, "{}", spool.recent_bytes);
    }
    assert_eq!(spool.held(), 575);
    let expected: Vec<_> = (5..200).chain(200..390).chain(400..590).collect();
    assert_eq!(drain(&mut spool), expected);
    assert!(spool.is_clear());
    push(&mut spool, 600..603, 10);
    assert_eq!(drain(&mut spool), [600, 601, 602]);
    assert_eq!(spool.dropped(), 0);
}

#[test]
fn the_oldest_are_dropped_beyond_the_bytes_that_may_be_held() {
    let folder = tempfile::tempdir().unwrap();
    for on_disk in [false, true] {
        let bounds = Bounds { unsent: 100_000, ..ROOMY };
        let mut spool =
            if on_disk { Spool::open(folder.path(), bounds, false).unwrap() } else { Spool::in_memory(bounds) };
        push(&mut spool, 0..95, 1_000 - 200);
        assert_eq!(spool.dropped(), 0, "on disk: {on_disk}");
        push(&mut spool, 95..200, 1_000 - 200);
        let left = drain(&mut spool);
        assert_eq!(spool.dropped() + left.len() as u64, 200);
        assert!(left.len() > 80 && left.iter().copied().eq(200 - left.len() as u64..200), "{left:?}");
    }
}

#[test]
fn a_backlog_beyond_the_bound_is_cut_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    push(&mut spool, 0..1000, 10);
    spool.close([]);
    let bounds = Bounds { unsent: 20_000, ..ROOMY };
    let mut spool = Spool::open(folder.path(), bounds, false).unwrap();
    let dropped = spool.dropped();
    assert!(dropped > 0);
    assert!(drain(&mut spool).into_iter().eq(dropped..1000));
}

#[test]
fn the_next_process_sends_what_was_not_settled() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    push(&mut spool, 0..100, 10);
    let mut in_flight = Vec::new();
    for _ in 0..60 {
        let span = spool.pop().unwrap().span.unwrap();
        if number_of(&spool) <= 50 {
            spool.settle(span);
        } else {
            in_flight.push(span);
        }
    }
    assert_eq!(spool.close(in_flight), Closed { kept: 50, whole: true });
    for _ in 0..3 {
        let mut spool = open(folder.path());
        assert_eq!(spool.held(), 50);
        assert_eq!(number(spool.front().unwrap()), 50);
        assert_eq!(spool.close([]).kept, 50);
    }
    let mut spool = open(folder.path());
    push(&mut spool, 100..110, 10);
    assert!(drain(&mut spool).into_iter().eq(50..110));
    spool.close([]);
    assert!(open(folder.path()).is_clear());
}

/// How many of a hundred were taken out.
fn number_of(spool: &Spool) -> u64 {
    100 - spool.held()
}

#[test]
fn a_torn_tail_costs_what_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    push(&mut spool, 0..100, 10);
    spool.close([]);
    let last = segments(folder.path()).pop().unwrap();
    let length = fs::metadata(&last).unwrap().len();
    fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(length - 5).unwrap();
    let mut spool = open(folder.path());
    push(&mut spool, 100..102, 10);
    let expected: Vec<_> = (0..99).chain(100..102).collect();
    assert_eq!(drain(&mut spool), expected);
}

#[test]
fn damage_in_the_middle_costs_the_message_it_hit() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    push(&mut spool, 0..100, 10);
    let fifth = spool.recent[5].span.unwrap();
    spool.close([]);
    let path = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(fifth.to.0).unwrap() - 1] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut spool = open(folder.path());
    let expected: Vec<_> = (0..100).filter(|number| *number != 5).collect();
    assert_eq!(drain(&mut spool), expected);
    assert!(spool.is_clear());
}

#[test]
fn segments_that_vanish_under_it_are_counted_as_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { unsent: 1 << 20, ..ROOMY };
    let mut spool = Spool::open(folder.path(), Bounds { kept: 0, ..bounds }, false).unwrap();
    push(&mut spool, 0..50, 10_000);
    spool.close([]);
    let mut spool = Spool::open(folder.path(), bounds, false).unwrap();
    let first = segments(folder.path()).remove(0);
    fs::remove_file(first).unwrap();
    let left = drain(&mut spool);
    assert!(!left.is_empty() && left.len() < 50);
    assert_eq!(spool.dropped() + left.len() as u64, 50);
    assert!(spool.is_clear());
}

#[test]
fn what_was_sent_is_kept_for_its_time_and_within_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = |bounds: Bounds| {
        let folder = tempfile::tempdir_in(folder.path()).unwrap();
        let mut spool = Spool::open(folder.path(), bounds, false).unwrap();
        push(&mut spool, 0..300, 10_000);
        drain(&mut spool);
        spool.wait_written();
        spool.tend(now(300));
        spool.close([]);
        segments(folder.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>()
    };
    let small = Bounds { unsent: 4 << 20, kept: 4 << 20, keep: Duration::from_mins(10) };
    assert!(sizes(small) > 3_000_000, "all of it");
    let briefly = sizes(Bounds { keep: Duration::from_secs(100), ..small });
    assert!((1_000_000..2_000_000).contains(&briefly), "a third of it: {briefly}");
    let little = sizes(Bounds { kept: 1 << 20, ..small });
    assert!((1_000_000..2_000_000).contains(&little), "a mebibyte of it: {little}");
}

#[test]
fn nothing_that_is_not_settled_is_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { unsent: 64 << 20, kept: 0, keep: Duration::ZERO };
    let mut spool = Spool::open(folder.path(), bounds, false).unwrap();
    push(&mut spool, 0..1000, 10_000);
    for second in 0..5 {
        spool.wait_written();
        spool.tend(now(1_000_000 + second));
    }
    spool.close([]);
    let mut spool = Spool::open(folder.path(), bounds, false).unwrap();
    assert!(drain(&mut spool).into_iter().eq(0..1000));
}

#[test]
fn a_folder_is_one_process_s_own() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    assert!(matches!(Spool::open(folder.path(), ROOMY, false), Err(LogError::Locked { .. })));
}

#[test]
fn what_another_version_wrote_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("spool");
    open(&place).close([]);
    let mut spool = open(&place);
    push(&mut spool, 0..3, 10);
    spool.close([]);
    let path = segments(&place).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let sum = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    for aside in ["spool.aside-1", "spool.aside-2"] {
        let spool = open(&place);
        assert!(spool.is_clear());
        spool.close([]);
        assert!(folder.path().join(aside).exists());
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn a_disk_that_takes_nothing_costs_what_memory_does_not_hold_and_order_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("spool");
    let mut spool = open(&place);
    push(&mut spool, 0..10, 100);
    spool.wait_written();
    // The next segment can't be made: its folder is gone.
    fs::remove_dir_all(&place).unwrap();
    // More than the log's segment, its queue and the memory together.
    push(&mut spool, 10..1_100, 100_000);
    let dropped = spool.dropped();
    assert!(dropped > 0 && spool.recent_bytes <= MEMORY_BYTES + 200_000);
    let left = drain(&mut spool);
    assert_eq!(spool.dropped() + left.len() as u64, 1_100, "with those that were in the folder");
    assert!(left.is_sorted());
    assert_eq!(left.last(), Some(&1_099));
    push(&mut spool, 1_100..1_103, 10);
    assert_eq!(drain(&mut spool), [1_100, 1_101, 1_102], "and it goes on");
}

#[test]
fn a_disk_that_can_not_be_read_is_waited_for_and_then_given_up_but_order_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (place, away) = (folder.path().join("spool"), folder.path().join("away"));
    let several_segments = Bounds { unsent: 1 << 20, kept: 0, ..ROOMY };
    let open = || Spool::open(&place, several_segments, false).unwrap();
    let mut spool = open();
    push(&mut spool, 0..20, 10_000);
    spool.close([]);
    let hide = || {
        fs::rename(&place, &away).unwrap();
        fs::write(&place, b"").unwrap();
    };

    let mut spool = open();
    hide();
    spool.push(Kind::Beat, payload(own().process, 20, 10));
    for _ in 1..READ_TRIES {
        assert_eq!(spool.front(), None);
    }
    fs::remove_file(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    assert!(drain(&mut spool).into_iter().eq(0..21));

    push(&mut spool, 21..41, 10_000);
    spool.close([]);
    let mut spool = open();
    hide();
    spool.push(Kind::Beat, payload(own().process, 41, 10));
    for _ in 1..READ_TRIES {
        assert_eq!(spool.pop(), None);
    }
    assert_eq!((drain(&mut spool), spool.dropped()), (vec![41], 20));
}

#[test]
fn the_last_message_of_the_process_before_goes_again_unless_it_was_a_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let again = |folder: &Path| Spool::open(folder, ROOMY, true).unwrap();
    let mut spool = again(folder.path());
    push(&mut spool, 0..5, 10);
    drain(&mut spool);
    spool.close([]);
    assert!(open(folder.path()).is_clear());
    let mut spool = again(folder.path());
    assert_eq!(drain(&mut spool), [4]);
    spool.push(Kind::Bye, payload(own().process, 5, 1));
    drain(&mut spool);
    spool.close([]);
    assert!(again(folder.path()).is_clear());
}

#[test]
fn a_result_finds_its_target_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    let ping = Address::Ping("https://a.example/".parse().unwrap());
    spool.push(Kind::Beat, payload(own().process, 0, 1));
    spool.push(ping.clone(), payload(own().process, 1, 1));
    // As athoune/swarming writes it, without a number.
    spool.push(ping.clone(), b"[]".to_vec());
    spool.push(Kind::Sensor, payload(own().process, 2, 1));
    assert_eq!(spool.close([]).kept, 4);
    let mut spool = open(folder.path());
    let read: Vec<_> = std::iter::from_fn(|| spool.pop()).map(|held| held.address).collect();
    assert_eq!(read, [Kind::Beat.into(), ping.clone(), ping, Kind::Sensor.into()]);
}
