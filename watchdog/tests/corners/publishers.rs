//! What is kept and told of a publisher.

use std::time::Duration;

use lastbeat_watchdog::{Heard, PublisherRules, Reception, State, Watchdog};
use lastbeat_wire::{Header, Kind};

use crate::bench::{Bench, FIRST, at, of, process};

#[test]
fn beyond_the_most_publishers_there_may_be_none_is_taken_and_those_there_are_go_on() {
    let mut bench = Bench::new();
    bench.rules.max_publishers = 1;
    bench.watchdog = Watchdog::new(bench.rules.clone(), at(0));
    let mut from = |publisher: &str| {
        let (link, header) = (Some(FIRST), &Header::default());
        let heard = Heard {
            publisher,
            kind: Kind::Beat,
            link,
            retained: false,
            resent: false,
            readable: true,
            header,
            log: None,
        };
        bench.watchdog.heard(at(0), &heard)
    };
    assert_eq!(from("a"), Reception::Live);
    assert_eq!(from("b"), Reception::TooManyPublishers);
    assert_eq!(from("a"), Reception::Live);
}

#[test]
fn a_host_name_is_kept_and_cut_to_the_longest_there_is() {
    let mut bench = Bench::new();
    let named = |name: &str| Header { host: Some(name.to_owned().into()), ..Header::default() };
    let host = |bench: &Bench| bench.watchdog.status(at(0), "light").unwrap().host;
    bench.hear(0, FIRST, &named("web-1"));
    assert_eq!(host(&bench).as_deref(), Some("web-1"));
    bench.hear(0, FIRST, &named(&"é".repeat(10_000)));
    assert_eq!(host(&bench).unwrap(), "é".repeat(126));
}

#[test]
fn who_was_touched_is_told_once_and_who_was_not_is_not() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    let hear = |bench: &mut Bench, seconds, publisher| {
        let header = Header::default();
        let heard = Heard {
            publisher,
            kind: Kind::Beat,
            link: Some(FIRST),
            retained: false,
            resent: false,
            readable: true,
            header: &header,
            log: None,
        };
        bench.then(seconds, |watchdog, now| watchdog.heard(now, &heard));
    };
    for (seconds, publisher) in [(0, "light"), (1, "other"), (2, "light")] {
        hear(&mut bench, seconds, publisher);
    }
    assert_eq!(bench.watchdog.touched(1), [0]);
    assert_eq!(bench.watchdog.touched(9), [1]);
    assert!(bench.watchdog.touched(9).is_empty());
    hear(&mut bench, 30, "other");
    assert_eq!(bench.watchdog.touched(9), [1]);
    assert_eq!(bench.watchdog.status_at(at(30), 1).publisher.as_str(), "other");
    // Nothing is heard: the deadline of `light` changes it, and only it.
    assert_eq!(bench.then(52, |_, _| ()), State::Unknown);
    assert_eq!(bench.watchdog.touched(9), [0]);
    bench.then(60, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    assert_eq!(bench.watchdog.touched(9), [1], "a verdict that fell before stands, the other is blind");
    bench.then(61, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.watchdog.touched(9), [1], "its cause is another now");
    bench.restart(70, Some(65));
    assert_eq!(bench.watchdog.touched(9), [0, 1], "after a restart all are new");
}

#[test]
fn all_that_is_known_of_a_publisher_can_be_asked_for() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 2)));
    assert_eq!(bench.watchdog.detail(at(1), "nobody"), None);
    let detail = bench.watchdog.detail(at(1), "light").unwrap();
    assert_eq!((detail.index, detail.process, detail.evidence.len()), (0, Some(process(7, 2)), 0));
    assert_eq!(detail.status, bench.watchdog.status_at(at(1), 0));
    bench.then(1, |watchdog, now| watchdog.pause(now, "light", Some(Duration::from_secs(9))));
    let detail = bench.watchdog.detail(at(1), "light").unwrap();
    assert_eq!((detail.paused_until, detail.evidence.len()), (Some(at(10).utc), 1));
    bench.then(2, |watchdog, now| watchdog.resume_watching(now, "light"));
    assert_eq!(bench.watchdog.detail(at(2), "light").unwrap().paused_until, None);
}

#[test]
fn who_is_expected_is_news_from_the_start_and_who_came_back_is_not() {
    let mut bench = Bench::new();
    let expected = PublisherRules { expected: true, ..PublisherRules::default() };
    bench.rules.publishers.insert("a".parse().unwrap(), expected);
    bench.watchdog = Watchdog::new(bench.rules.clone(), at(0));
    bench.watchdog.begin(at(0), None);
    assert!(bench.watchdog.news_of(0), "nobody was told of it yet");
    assert!(!bench.watchdog.news_of(0), "that was told");
}
