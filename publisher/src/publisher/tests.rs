//! A publisher in simulated time, with a source and a transport that do as they are told.

mod forms;
mod resend;

use std::collections::VecDeque;

use lastbeat_wire::{Encoding, Fields, Reading, UtcNanos, Value, decode};

use super::*;
use crate::left::Left;
use crate::letterhead::tests::own;
use crate::outbox::tests::{Double, ROOMY};
use crate::spool::{Bounds, Spool};

/// Gives what it was told to, then ends.
struct Script(VecDeque<Step>, i64);

impl Source for Script {
    fn advance(&mut self, _now: Now) -> anyhow::Result<Step> {
        self.1 += 1;
        Ok(self.0.pop_front().unwrap_or(Step::End))
    }

    fn reading(&self) -> Reading<'_> {
        let fields: Fields<'_> = [("n".into(), Value::Integer(self.1))].into_iter().collect();
        Reading { fields, ..Reading::default() }
    }

    fn place(&self) -> String {
        format!("script row {}", self.1)
    }
}

fn row() -> Step {
    Step::Reading { row_time: None }
}

fn row_at(seconds: i64) -> Step {
    Step::Reading { row_time: Some(UtcNanos(seconds * 1_000_000_000)) }
}

fn rows(count: usize) -> Vec<Step> {
    (0..count).map(|_| row()).collect()
}

/// Stands for the number of a message that has none, since it went ahead of others.
const AHEAD: u64 = u64::MAX;

/// A publisher, its transport, and the time.
struct Bench {
    publisher: Publisher,
    link: Double,
    millis: u64,
}

impl Bench {
    fn new(steps: Vec<Step>, pace: Pace) -> Self {
        Self::with(steps, pace, BadRows::Skip, Spool::in_memory(ROOMY))
    }

    fn with(steps: Vec<Step>, pace: Pace, bad_rows: BadRows, spool: Spool) -> Self {
        let link = Double::default();
        link.open(true);
        let parts = Parts {
            source: Box::new(Script(steps.into(), 0)),
            pace,
            letterhead: Letterhead::new(own(), Encoding::Json, at(0)),
            outbox: link.outbox(spool),
            beat_every: Duration::from_secs(10),
            bad_rows,
        };
        Self { publisher: Publisher::new(parts, at(0)), link, millis: 0 }
    }

    /// Turns until there is something to wait for.
    fn turn(&mut self) -> Turn {
        loop {
            match self.publisher.turn(at(self.millis)).unwrap() {
                Turn::More => {}
                turn => return turn,
            }
        }
    }

    fn turn_at(&mut self, millis: u64) -> Turn {
        self.millis = millis;
        self.turn()
    }

    /// Lets time pass up to an instant, stopping wherever the publisher wants to be woken.
    fn run_until(&mut self, end: u64) {
        loop {
            let (Turn::Until(until) | Turn::Blocked(_, until)) = self.turn() else { return };
            let next = until.0.div_ceil(1_000_000);
            assert!(next > self.millis, "waits for {next} at {}", self.millis);
            if next > end {
                self.millis = end;
                self.turn();
                return;
            }
            self.millis = next;
        }
    }

    /// Topic, sequence number, and milliseconds of uptime of what was sent.
    fn sent(&self) -> Vec<(String, u64, u64)> {
        let line = |(topic, payload): (String, Vec<u8>)| {
            let kind = Kind::ALL.into_iter().find(|kind| topic.starts_with(kind.prefix())).unwrap();
            let header = decode(kind, &payload).unwrap().header;
            (topic, header.sequence.unwrap_or(AHEAD), header.uptime.unwrap() / 1_000_000)
        };
        self.link.taken().into_iter().map(line).collect()
    }
}

fn at(millis: u64) -> Now {
    let nanos = millis * 1_000_000;
    Now { monotonic: Monotonic(nanos), utc: UtcNanos(1_700_000_000_000_000_000 + nanos.cast_signed()) }
}

fn until(millis: u64) -> Turn {
    Turn::Until(at(millis).monotonic)
}

fn sent(list: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    list.iter().map(|(kind, sequence, millis)| (format!("{kind}/x"), *sequence, *millis)).collect()
}

#[test]
fn a_beat_comes_first_and_one_counter_runs_over_all_kinds() {
    let mut bench = Bench::new(rows(2), Pace::every(Duration::from_secs(1)));
    assert_eq!(bench.turn(), until(1000));
    assert_eq!(bench.turn_at(1000), until(2000));
    assert!(bench.publisher.goodbye(at(1000)).unwrap());
    assert_eq!(bench.sent(), sent(&[("beat", 0, 0), ("sensor", 1, 0), ("sensor", 2, 1000), ("bye", 3, 1000)]));
}

#[test]
fn beats_keep_their_interval_though_readings_are_an_hour_apart() {
    let mut bench = Bench::new(vec![row_at(0), row_at(3600)], Pace::own("1".parse().unwrap()));
    bench.run_until(29_999);
    assert_eq!(bench.sent(), sent(&[("beat", 0, 0), ("sensor", 1, 0), ("beat", 2, 10_000), ("beat", 3, 20_000)]));
    bench.run_until(30_000);
    assert_eq!(bench.sent().len(), 5);
}

#[test]
fn beats_keep_their_interval_in_a_flood_of_readings() {
    let mut bench = Bench::new(rows(10_000), Pace::every(Duration::from_millis(10)));
    bench.run_until(25_000);
    let beats: Vec<_> = bench.sent().into_iter().filter(|(topic, ..)| topic == "beat/x").map(|(.., at)| at).collect();
    assert_eq!(beats, [0, 10_000, 20_000]);
    assert_eq!(bench.sent().len(), 3 + 2501);
}

#[test]
fn readings_do_not_wait_longer_than_a_second_for_the_first_beat() {
    let mut bench = Bench::new(rows(2), Pace::every(Duration::from_secs(1)));
    bench.link.open(false);
    assert!(matches!(bench.turn(), Turn::Blocked(Kind::Beat, at) if at.0 == 1_000_000_000));
    bench.turn_at(999);
    assert_eq!(bench.publisher.parts.outbox.held(), 0);
    bench.turn_at(1000);
    assert_eq!(bench.publisher.parts.outbox.held(), 1);
    bench.link.open(true);
    bench.turn_at(1500);
    assert_eq!(bench.sent(), sent(&[("beat", AHEAD, 1500), ("sensor", 0, 1000)]), "nobody takes it for a lost one");
}

#[test]
fn a_beat_that_could_not_be_sent_is_not_made_and_takes_no_number() {
    let mut bench = Bench::new(rows(1000), Pace::every(Duration::from_mins(1)));
    bench.run_until(5_000);
    bench.link.open(false);
    bench.run_until(35_000);
    bench.link.open(true);
    bench.turn_at(36_000);
    bench.run_until(46_000);
    let all = sent(&[("beat", 0, 0), ("sensor", 1, 0), ("beat", 2, 36_000), ("beat", 3, 46_000)]);
    assert_eq!(bench.sent(), all);
}

#[test]
fn a_fixed_pace_goes_on_while_nobody_takes_readings_and_the_oldest_are_dropped() {
    let spool = Spool::in_memory(Bounds { unsent: 1_000, ..ROOMY });
    let mut bench = Bench::with(rows(1000), Pace::every(Duration::from_secs(1)), BadRows::Skip, spool);
    bench.run_until(500);
    bench.link.open(false);
    bench.run_until(9_500);
    bench.link.open(true);
    bench.turn_at(9_600);
    let dropped = bench.publisher.parts.outbox.tally().dropped;
    assert!((1..9).contains(&dropped), "{dropped}");
    let mut all = sent(&[("beat", 0, 0), ("sensor", 1, 0)]);
    all.extend((dropped + 1..=9).map(|second| ("sensor/x".to_owned(), second + 1, second * 1000)));
    assert_eq!(bench.sent(), all);
}

#[test]
fn a_source_without_a_pace_waits_rather_than_overflow() {
    let spool = Spool::in_memory(Bounds { unsent: 1_000, ..ROOMY });
    let mut bench = Bench::with(rows(1000), Pace::every(Duration::ZERO), BadRows::Skip, spool);
    bench.link.open(false);
    assert!(matches!(bench.turn_at(1000), Turn::Blocked(..)));
    assert_eq!(bench.publisher.parts.outbox.held(), 1);
    bench.link.open(true);
    assert_eq!(bench.turn(), Turn::Done);
    assert_eq!(bench.sent().len(), 1 + 1000);
    assert_eq!(bench.publisher.parts.outbox.tally().dropped, 0);
}

#[test]
fn a_source_that_ended_is_done_once_all_is_sent() {
    let mut bench = Bench::new(rows(1), Pace::every(Duration::ZERO));
    bench.link.open(false);
    assert!(matches!(bench.turn_at(1000), Turn::Blocked(..)));
    assert!(matches!(bench.turn_at(2000), Turn::Blocked(..)));
    bench.link.open(true);
    assert_eq!(bench.turn(), Turn::Done);
}

#[test]
fn a_bad_row_takes_no_time_and_no_number() {
    let bad = || Step::Bad("bad".into());
    let mut bench = Bench::new(vec![row(), bad(), Step::Nothing, row()], Pace::every(Duration::from_secs(1)));
    bench.run_until(1000);
    assert_eq!(bench.sent(), sent(&[("beat", 0, 0), ("sensor", 1, 0), ("sensor", 2, 1000)]));
}

#[test]
fn a_bad_row_ends_it_when_strict() {
    let steps = vec![Step::Bad("light.csv row 2: bad".into())];
    let mut bench = Bench::with(steps, Pace::every(Duration::from_secs(1)), BadRows::Stop, Spool::in_memory(ROOMY));
    let failure = bench.publisher.turn(at(0)).unwrap_err();
    assert!(matches!(failure, Failure::BadRow(_)));
    assert_eq!(failure.to_string(), "light.csv row 2: bad");
}

#[test]
fn only_bad_rows_leave_time_for_beats_and_signals() {
    let steps = (0..100_000).map(|_| Step::Bad("bad".into())).collect();
    let mut bench = Bench::new(steps, Pace::every(Duration::ZERO));
    assert_eq!(bench.publisher.turn(at(0)).unwrap(), Turn::More);
    assert_eq!(bench.publisher.turn(at(10_000)).unwrap(), Turn::More);
    assert_eq!(bench.sent(), sent(&[("beat", 0, 0), ("beat", 1, 10_000)]));
}

#[test]
fn a_source_that_has_nothing_yet_is_asked_again_in_time() {
    let mut bench = Bench::new(vec![Step::Later(Duration::from_secs(4)), row()], Pace::every(Duration::from_secs(1)));
    assert_eq!(bench.turn(), until(4000));
    bench.run_until(4000);
    assert_eq!(bench.sent(), sent(&[("beat", 0, 0), ("sensor", 1, 4000)]));
}

#[test]
fn the_goodbye_comes_after_what_is_held() {
    let mut bench = Bench::new(rows(5), Pace::every(Duration::from_secs(1)));
    bench.run_until(500);
    bench.link.open(false);
    bench.run_until(2500);
    assert!(!bench.publisher.goodbye(at(2600)).unwrap());
    bench.link.open(true);
    assert!(bench.publisher.goodbye(at(2700)).unwrap());
    let last = sent(&[("sensor", 2, 1000), ("sensor", 3, 2000), ("bye", 4, 2700)]);
    assert_eq!(bench.sent()[2..], last);
}

#[test]
fn beats_go_ahead_of_an_hour_that_waits_and_bear_no_number() {
    let mut bench = Bench::new(rows(100_000), Pace::every(Duration::from_secs(1)));
    bench.run_until(500);
    bench.link.open(false);
    bench.run_until(3_600_500);
    bench.link.clear();
    // Who listens takes a hundred messages a second.
    for second in 0..40 {
        bench.link.open_for(100);
        bench.turn_at(3_601_000 + second * 1_000);
    }
    let all = bench.sent();
    let beats: Vec<_> = all.iter().filter(|(topic, ..)| topic == "beat/x").collect();
    let times: Vec<_> = beats.iter().map(|(.., millis)| *millis).collect();
    assert_eq!(times, [3_601_000, 3_611_000, 3_621_000, 3_631_000]);
    assert_eq!(all[0].1, AHEAD, "it is the very first that is heard");
    assert!(beats.iter().all(|(_, number, _)| *number == AHEAD), "{beats:?}");
    let readings = all.iter().filter(|(topic, ..)| topic == "sensor/x").map(|(_, number, _)| *number);
    assert!(readings.eq(2..=3_641), "in order, and no number is used up");
    bench.link.clear();
    bench.turn_at(3_641_000);
    assert_eq!(bench.sent(), sent(&[("beat", 3_642, 3_641_000), ("sensor", 3_643, 3_641_000)]));
}

#[test]
fn a_restart_sends_what_the_process_before_it_left_behind_a_beat_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let spool = || Spool::open(folder.path(), ROOMY, false).unwrap();
    let bench = |first: u64| {
        let mut bench = Bench::with(rows(1000), Pace::every(Duration::from_secs(1)), BadRows::Skip, spool());
        bench.millis = first;
        bench
    };
    for _ in 0..3 {
        let mut killed = bench(0);
        killed.link.open(false);
        killed.run_until(2_500);
        // It is dropped without a goodbye.
    }
    let mut last = bench(0);
    last.turn_at(1_000);
    let old = [("sensor", 0, 1000), ("sensor", 1, 2000)];
    let mut all = vec![("beat", AHEAD, 1000)];
    all.extend(old.repeat(3));
    all.push(("sensor", 0, 1000));
    assert_eq!(last.sent(), sent(&all));
}

#[test]
fn a_goodbye_that_can_not_wait_goes_ahead_or_stays_with_what_is_held() {
    let folder = tempfile::tempdir().unwrap();
    for open in [true, false] {
        let spool = Spool::open(folder.path(), ROOMY, false).unwrap();
        let mut bench = Bench::with(rows(1000), Pace::every(Duration::from_secs(1)), BadRows::Skip, spool);
        bench.link.open(false);
        bench.run_until(2_500);
        bench.link.open(open);
        assert_eq!(bench.publisher.goodbye_ahead(at(2_500)).unwrap(), open);
        let held = if open { 2 } else { 2 + 2 + 1 };
        assert_eq!(bench.sent(), sent(if open { &[("bye", AHEAD, 2_500)] } else { &[] }));
        assert_eq!(bench.publisher.close(Duration::ZERO), Left { unsent: held, kept: held, ..Left::default() });
    }
}
