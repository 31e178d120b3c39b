//! An adaptive threshold where it meets other rules at one instant.

use std::time::Duration;

use lastbeat_watchdog::{Bounds, Fact, PublisherRules, State, Watchdog};
use lastbeat_wire::{Header, Kind, Now, UtcNanos};
use proptest::prelude::*;

use crate::bench::{Bench, FIRST, SECOND, at, of, process, say};

const BOUNDS: Bounds = Bounds { at_least: Duration::from_secs(5), at_most: Duration::from_mins(10) };

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.rules.adaptive = Some(BOUNDS);
    bench.watchdog = Watchdog::new(bench.rules.clone(), at(0));
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench
}

/// One that was heard every 10 s, for the last time at 2000 s; its process is on another host.
fn steady() -> Bench {
    let mut bench = bench();
    for second in (0..=2000).step_by(10) {
        bench.hear(second, FIRST, &of(process(7, 2)));
    }
    bench
}

fn threshold(bench: &Bench) -> u64 {
    bench.watchdog.status(at(0), "light").unwrap().threshold.as_secs()
}

#[test]
fn the_flip_says_what_its_threshold_rests_on() {
    let mut bench = steady();
    assert_eq!(bench.then(2030, |_, _| ()), State::Unknown);
    let flip = bench.flip();
    assert_eq!((flip.at, flip.silence), (at(2030).utc, Some(Duration::from_secs(30))));
    let Fact::Adaptive { threshold, phi_tenths, learned } = flip.evidence[1].fact else { panic!("{flip:?}") };
    assert_eq!((threshold.as_secs(), phi_tenths, learned.gaps), (30, Some(999), 200));
    let told = "nothing heard for 30 s, since 00:33:20 UTC (adaptive threshold 30 s, of 200 gaps of usually 10 s and at most 10 s; \
                phi 99.9)";
    assert!(flip.told().contains(told), "{}", flip.told());
    let detail = bench.watchdog.detail(at(2040), "light").unwrap();
    assert_eq!(detail.adaptive.unwrap().usual, Duration::from_secs(10));
}

#[test]
fn a_restart_of_the_publisher_and_another_process_are_no_gaps_of_its_own() {
    let mut bench = steady();
    bench.hear(2025, FIRST, &of(process(8, 2)));
    bench.hear(2035, FIRST, &of(process(8, 2)));
    let learned = bench.watchdog.detail(at(2035), "light").unwrap().adaptive.unwrap();
    assert_eq!((learned.gaps, learned.longest), (201, Duration::from_secs(10)));
    // Gone for long, and started again: as often as that happens it is no change of pace.
    for number in 1..20 {
        bench.hear(2035 + number * 100, FIRST, &of(process(8 + u32::try_from(number).unwrap(), 2)));
    }
    assert_eq!(threshold(&bench), 30);
}

#[test]
fn a_link_that_went_down_between_two_messages_hides_what_came_between() {
    let mut bench = bench();
    bench.then(0, |watchdog, now| watchdog.link_up(now, SECOND));
    for second in (0..=2000).step_by(10) {
        bench.hear(second, if second % 20 == 0 { FIRST } else { SECOND }, &of(process(7, 2)));
    }
    bench.then(2005, |watchdog, now| watchdog.link_down(now, SECOND, "cut"));
    bench.hear(2020, FIRST, &of(process(7, 2)));
    let learned = bench.watchdog.detail(at(2020), "light").unwrap().adaptive.unwrap();
    assert_eq!((learned.gaps, learned.longest), (200, Duration::from_secs(10)));
}

#[test]
fn a_rule_of_its_own_goes_before_that_of_all() {
    let mut bench = bench();
    let own = PublisherRules { threshold: Some(Duration::from_secs(50)), ..PublisherRules::default() };
    bench.rules.publishers.insert("light".parse().unwrap(), own);
    bench.watchdog = Watchdog::new(bench.rules.clone(), at(0));
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    for second in (0..=2000).step_by(10) {
        bench.hear(second, FIRST, &Header::default());
    }
    assert_eq!((threshold(&bench), bench.watchdog.detail(at(2000), "light").unwrap().adaptive), (50, None));
}

proptest! {
    /// Whatever was learned: alive one nanosecond before the threshold that was in force, judged at it.
    #[test]
    fn a_verdict_falls_at_the_nanosecond(gaps in proptest::collection::vec(1..8_000_000_000u64, 100..300)) {
        let mut bench = bench();
        let mut nanos = 1_000;
        for gap in gaps {
            let now = instant(nanos);
            say(&mut bench.watchdog, now, Kind::Beat, Some(FIRST), &of(process(7, 2)));
            bench.watchdog.due(now);
            let status = bench.watchdog.status(now, "light").unwrap();
            prop_assert!((BOUNDS.at_least..=BOUNDS.at_most).contains(&status.threshold));
            let deadline = nanos + u64::try_from(status.threshold.as_nanos()).unwrap();
            let mut other = bench.watchdog.clone();
            other.due(instant(deadline - 1));
            prop_assert_eq!(other.status(instant(deadline - 1), "light").unwrap().state, State::Alive);
            other.due(instant(deadline));
            let judged = other.status(instant(deadline), "light").unwrap();
            prop_assert_eq!((judged.state, judged.since), (State::Unknown, instant(deadline).utc));
            nanos += gap.min(deadline - nanos - 1);
        }
    }
}

fn instant(nanos: u64) -> Now {
    Now { monotonic: lastbeat_wire::Monotonic(nanos), utc: UtcNanos(nanos.cast_signed()) }
}
