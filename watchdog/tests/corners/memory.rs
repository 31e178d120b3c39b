//! What comes back from a snapshot and from the log.

use lastbeat_watchdog::{Fact, Output, Reception, State};
use lastbeat_wire::{Header, Kind};

use crate::bench::{Bench, FIRST, SECOND, at, of, process, say, seen};

#[test]
fn a_flip_to_alive_in_the_log_takes_back_the_end_that_was_logged_before_it() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    bench.then(5, |watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone)));
    // What revived it could not be read, so it is not in the log as a message.
    assert_eq!(bench.hear(10, FIRST, &Header::default()), State::Alive);
    let flips = bench.told.iter().filter_map(|told| if let Output::Flip(flip) = told { Some(flip) } else { None });
    let mut again = Bench::new();
    say(&mut again.watchdog, at(0), Kind::Beat, None, &of(process(7, 1)));
    flips.for_each(|flip| again.watchdog.replay(at(20), flip));
    again.watchdog.begin(at(20), Some(at(10).utc));
    again.then(20, |watchdog, now| watchdog.link_up(now, FIRST));
    again.then(20, |watchdog, now| watchdog.link_up(now, SECOND));
    assert_eq!(again.then(30, |_, _| ()), State::Blind);
}

#[test]
fn nothing_that_stands_in_the_log_is_a_duplicate() {
    let mut bench = Bench::new();
    let first = Header { sequence: Some(0), ..of(process(7, 1)) };
    // Of three processes at once one was forgotten when a kernel told the end of another, which the log does not hold.
    for _ in 0..2 {
        assert_eq!(say(&mut bench.watchdog, at(0), Kind::Beat, None, &first), Reception::Live);
    }
    assert_eq!(say(&mut bench.watchdog, at(1), Kind::Beat, Some(FIRST), &first), Reception::Duplicate);
    let counts = bench.watchdog.status(at(1), "light").unwrap().counts;
    assert_eq!((counts.messages, counts.missed, counts.duplicates), (2, 0, 1));
}
