//! Maintenance that begins and ends at odd moments.

use std::time::Duration;

use lastbeat_watchdog::{Notice, Output, State, Watchdog};
use lastbeat_wire::Header;

use crate::bench::{Bench, FIRST, at, of, process};

#[test]
fn maintenance_that_ends_while_messages_settle_is_judged_after_that() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 2)));
    bench.then(10, |watchdog, now| watchdog.pause(now, "light", None));
    bench.then(100, |watchdog, now| watchdog.stalled(now, at(90).utc, "the watchdog itself did not run"));
    assert_eq!(bench.then(100, |watchdog, now| watchdog.resume_watching(now, "light")), State::Paused);
    assert_eq!(bench.then(101, |_, _| ()), State::Unknown);
}

#[test]
fn nobody_is_paused_or_resumed_who_is_not_known_or_not_paused() {
    let mut bench = Bench::new();
    assert!(!bench.watchdog.pause(at(0), "light", None));
    assert!(!bench.watchdog.resume_watching(at(0), "light"));
    bench.hear(0, FIRST, &Header::default());
    assert!(!bench.watchdog.resume_watching(at(0), "light"));
    assert!(bench.watchdog.pause(at(0), "light", None));
    assert!(bench.watchdog.resume_watching(at(0), "light"));
    assert!(!bench.watchdog.resume_watching(at(0), "light"));
}

#[test]
fn a_pause_in_place_of_another_and_a_resume_that_waits_for_an_answer_come_back_from_their_notices() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    bench.then(10, |watchdog, now| watchdog.pause(now, "light", None));
    let snapshot = bench.watchdog.snapshot(at(10));
    bench.told.clear();
    bench.then(20, |watchdog, now| watchdog.pause(now, "light", Some(Duration::from_hours(1))));
    assert_eq!(bench.then(100, |watchdog, now| watchdog.resume_watching(now, "light")), State::Paused);
    let notices: Vec<_> = bench
        .told
        .iter()
        .filter_map(|output| if let Output::Notice(notice) = output { Some(notice) } else { None })
        .collect();
    assert!(matches!(notices[..], [Notice::Maintenance { .. }, Notice::Maintenance { .. }]), "{notices:?}");
    for (replayed, until, state) in [(1, 3620, State::Paused), (2, 100, State::Blind)] {
        let mut watchdog = Watchdog::new(bench.rules.clone(), at(101));
        watchdog.restore(at(101), snapshot.clone());
        notices[..replayed].iter().for_each(|notice| watchdog.replay_notice(notice));
        assert_eq!(watchdog.detail(at(101), "light").unwrap().paused_until, Some(at(until).utc));
        watchdog.begin(at(101), Some(at(100).utc));
        watchdog.due(at(101));
        assert_eq!(watchdog.status(at(101), "light").unwrap().state, state);
    }
}
