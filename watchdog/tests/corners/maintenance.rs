//! Maintenance that begins and ends at odd moments.

use lastbeat_watchdog::State;
use lastbeat_wire::Header;

use crate::bench::{Bench, FIRST, at, of, process};

#[test]
fn maintenance_that_ends_while_messages_settle_is_judged_after_that() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 2)));
    bench.then(10, |watchdog, now| watchdog.pause(now, "light", None));
    bench.then(100, |watchdog, now| watchdog.stalled(now, at(90).utc));
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
