//! The fixed seeds: each kind of fault happens in them, every promise is kept, and the same seed is the same output.

use std::time::Duration;

use clap::Parser;
use lastbeat_transport::{Batch, Delivery, LinkIndex};
use lastbeat_watchdog::{WatchRules, Watchdog};
use lastbeat_wire::{Monotonic, Now, UtcNanos};

use crate::intake::Intake;

use super::disk::Disk;
use super::faults::Fault;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: SimulateArgs,
}

fn args(line: &str) -> SimulateArgs {
    Line::parse_from(["simulate"].into_iter().chain(line.split_whitespace())).args
}

fn outcome(args: &SimulateArgs) -> Outcome {
    let mut all: Option<Outcome> = None;
    for seed in args.seed..args.seed + args.seeds {
        let one = simulate(args, &args.wanted().unwrap(), seed).unwrap_or_else(|failed| panic!("{failed}"));
        match &mut all {
            Some(all) => all.add(one),
            none => *none = Some(one),
        }
    }
    all.unwrap()
}

#[test]
fn in_a_storm_everything_goes_wrong_and_every_promise_is_kept() {
    let outcome = outcome(&args("--weather storm --publishers 24 --for 15m --seed 4 --seeds 5"));
    for fault in Fault::ALL {
        assert!(outcome.faults.get(fault.word()).copied() > Some(0), "{} did not happen", fault.word());
    }
    for found in ["end of a local process", "local process hung", "silence from elsewhere", "will"] {
        assert!(outcome.detections.iter().any(|detection| detection.way == found), "nothing was found by {found}");
    }
    assert!(!outcome.messages.lost.is_empty() && outcome.messages.recovered > 0, "{:?}", outcome.messages);
}

#[test]
fn the_same_seed_is_the_same_output_to_the_byte() {
    let args = args("--weather storm --publishers 8 --for 4m --seed 99");
    let told = || told::table(&outcome(&args), &[Cost::of(&outcome(&args), true)]);
    assert_eq!(told(), told());
    let json = || serde_json::to_string(&outcome(&args)).unwrap();
    assert_eq!(json(), json());
}

#[test]
fn where_nothing_goes_wrong_there_is_no_alarm() {
    let outcome = outcome(&args("--weather calm --publishers 8 --for 10m"));
    assert!(outcome.false_alarms.is_empty() && outcome.detections.is_empty(), "{outcome:?}");
    assert_eq!(outcome.messages.recovered, 0);
}

#[test]
fn another_threshold_judges_the_same_world() {
    let at = |threshold: u64| {
        let mut args = args("--weather storm --publishers 8 --for 10m --seed 5");
        args.threshold = Some(Duration::from_secs(threshold));
        outcome(&args)
    };
    let (short, long) = (at(12), at(200));
    assert_eq!(short.faults, long.faults);
    assert!(!short.faults.is_empty());
    assert!(short.alarm_rates().0 >= long.alarm_rates().0);
}

#[test]
fn a_message_that_is_turned_away_is_in_the_log_once_it_comes_again_and_not_before() {
    let now = Now { monotonic: Monotonic(0), utc: UtcNanos(0) };
    let rules = WatchRules { links: vec!["mqtt".to_owned()], ..WatchRules::default() };
    let disk = Disk::new(2000);
    let mut intake = Intake::new(Watchdog::new(rules, now), disk.clone(), 1000, []);
    let mut take = |payload: &[u8], number| {
        let mut batch = Batch::default();
        batch.push(Delivery { topic: b"sensor/light", payload, retained: false, resent: false });
        disk.taking(Some(number));
        (intake.take(now, LinkIndex(0), &batch).is_some(), disk.stored(), intake.totals().not_kept)
    };
    let (first, second) = (format!("[{:>700}]", 1), format!("[{:>700}]", 2));
    assert_eq!(take(first.as_bytes(), 1), (true, vec![1], 0));
    assert_eq!(take(second.as_bytes(), 2), (false, vec![], 1));
    assert_eq!(take(b"{not JSON", 3), (true, vec![3], 1));
    disk.write(disk.progress().end);
    assert_eq!(take(second.as_bytes(), 2), (true, vec![2], 1));
}
