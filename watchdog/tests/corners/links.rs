//! Links that come, go, and are told of late.

use std::time::Duration;

use lastbeat_watchdog::{Cause, Heard, Output, PublisherRules, Reception, State, WatchRules, Watchdog};
use lastbeat_wire::{Header, Kind, ProcessIdentity};

use crate::bench::{Bench, FIRST, SECOND, at, of, process, say};

#[test]
fn a_message_that_comes_before_its_link_is_known_to_be_up_makes_blind_and_not_alive() {
    let mut bench = Bench::new();
    assert_eq!(bench.hear(0, FIRST, &of(process(7, 2))), State::Blind);
    assert_eq!(bench.then(1, |watchdog, now| watchdog.link_up(now, FIRST)), State::Blind);
    assert_eq!(bench.then(50, |_, _| ()), State::Blind);
    assert_eq!(bench.then(51, |_, _| ()), State::Unknown);
}

#[test]
fn a_message_still_queued_on_a_link_that_went_down_does_not_end_blindness() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.hear(0, FIRST, &of(process(7, 2))), State::Alive);
    assert_eq!(bench.then(10, |watchdog, now| watchdog.link_down(now, FIRST, "reset")), State::Blind);
    assert_eq!(bench.hear(10, FIRST, &of(process(7, 2))), State::Blind);
    assert_eq!(bench.watchdog.status(at(10), "light").unwrap().silence, Some(Duration::ZERO));
    assert_eq!(bench.then(10_000, |_, _| ()), State::Blind);
    assert_eq!(bench.hear(10_001, SECOND, &of(process(7, 2))), State::Blind);
    assert_eq!(bench.then(10_002, |watchdog, now| watchdog.link_up(now, SECOND)), State::Blind);
    assert_eq!(bench.hear(10_003, SECOND, &of(process(7, 2))), State::Alive);
}

#[test]
fn a_publisher_brought_back_without_its_links_is_judged_only_when_all_are_up() {
    let mut bench = Bench::new();
    say(&mut bench.watchdog, at(0), Kind::Beat, None, &of(process(7, 2)));
    bench.watchdog.begin(at(10), Some(at(5).utc));
    assert_eq!(bench.then(10, |watchdog, now| watchdog.link_up(now, FIRST)), State::Blind);
    assert_eq!((bench.flip().from, bench.flip().cause), (State::Unseen, Cause::WatchdogAway));
    assert_eq!(bench.then(1000, |_, _| ()), State::Blind);
    assert_eq!(bench.then(1000, |watchdog, now| watchdog.link_up(now, SECOND)), State::Blind);
    assert_eq!(bench.then(1049, |_, _| ()), State::Blind);
    assert_eq!(bench.then(1050, |_, _| ()), State::Unknown);
}

#[test]
fn a_link_that_is_down_is_not_forgotten_for_being_quiet() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.then(0, |watchdog, now| watchdog.link_up(now, SECOND));
    bench.hear(0, SECOND, &of(process(7, 2)));
    bench.then(1, |watchdog, now| watchdog.link_down(now, SECOND, "reset"));
    for beat in 0..20 {
        bench.hear(10 * beat + 10, FIRST, &of(process(7, 2)));
    }
    assert_eq!(bench.then(200, |watchdog, now| watchdog.link_down(now, FIRST, "reset")), State::Blind);
    assert_eq!(bench.then(300, |watchdog, now| watchdog.link_up(now, SECOND)), State::Blind);
    assert_eq!(bench.then(350, |_, _| ()), State::Unknown);
}

#[test]
fn a_publisher_heard_on_a_link_that_is_no_more_is_watched_on_the_others() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, SECOND));
    bench.hear(0, SECOND, &of(process(7, 2)));
    bench.rules.links.pop();
    bench.restart(10, Some(10));
    assert_eq!(bench.then(20, |watchdog, now| watchdog.link_up(now, FIRST)), State::Blind);
    assert_eq!(bench.then(70, |_, _| ()), State::Unknown);
}

#[test]
fn who_was_never_heard_is_not_missed_on_the_own_link_alone_and_who_was_heard_on_it_is() {
    let expected = PublisherRules { expected: true, ..PublisherRules::default() };
    let rules = WatchRules {
        links: vec!["first".to_owned(), "own".to_owned()],
        own_link: Some(SECOND),
        publishers: [("light".parse().unwrap(), expected)].into(),
        ..WatchRules::default()
    };
    let mut bench = Bench { watchdog: Watchdog::new(rules.clone(), at(0)), rules, told: Vec::new() };
    bench.watchdog.begin(at(0), None);
    bench.then(0, |watchdog, now| watchdog.link_up(now, SECOND));
    assert!(bench.told.is_empty(), "it was never down");
    assert_eq!(bench.then(1_000, |_, _| ()), State::Unseen);
    bench.then(1_000, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.then(1_049, |_, _| ()), State::Unseen);
    assert_eq!(bench.then(1_050, |_, _| ()), State::Unknown);
    bench.then(1_060, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    assert_eq!(bench.hear(1_100, SECOND, &Header::default()), State::Alive);
    assert_eq!(bench.then(1_149, |_, _| ()), State::Alive);
    assert_eq!(bench.then(1_150, |_, _| ()), State::Unknown);
}

#[test]
fn without_another_link_who_was_never_heard_is_missed_on_the_own_one() {
    let expected = PublisherRules { expected: true, ..PublisherRules::default() };
    let rules = WatchRules {
        links: vec!["own".to_owned()],
        own_link: Some(FIRST),
        publishers: [("light".parse().unwrap(), expected)].into(),
        ..WatchRules::default()
    };
    let mut bench = Bench { watchdog: Watchdog::new(rules.clone(), at(0)), rules, told: Vec::new() };
    bench.watchdog.begin(at(0), None);
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.then(49, |_, _| ()), State::Unseen);
    assert_eq!(bench.then(50, |_, _| ()), State::Unknown);
}

/// A beat that was sent at `sent` seconds.
fn sent_at(sent: u64, process: ProcessIdentity) -> Header<'static> {
    Header { uptime: Some(sent * 1_000_000_000), sent_at: Some(at(sent).utc), ..of(process) }
}

#[test]
fn nobody_is_silent_on_a_link_that_still_delivers_what_was_kept() {
    let here = process(7, 1);
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &sent_at(0, here));
    bench.then(10, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    bench.then(1000, |watchdog, now| watchdog.link_up(now, FIRST));
    // Five seconds of messages a second: what is sent now comes when all of it is through.
    for second in 1000..1090 {
        let state = bench.hear(second, FIRST, &sent_at((second - 1000) * 5, here));
        assert!(second >= 1050 || state == State::Blind, "{state} at {second}");
        assert_ne!(state, State::Silent);
    }
    assert_eq!(bench.hear(1091, FIRST, &sent_at(1091, here)), State::Alive);
    let asked = |bench: &Bench| bench.told.iter().filter(|output| matches!(output, Output::Ask(_))).count();
    assert_eq!((bench.then(1140, |_, _| ()), asked(&bench)), (State::Alive, 0));
    bench.then(1141, |_, _| ());
    assert_eq!(asked(&bench), 1, "it has caught up, and is silent now");
}

#[test]
fn a_link_that_delivers_nothing_more_has_caught_up() {
    let elsewhere = process(7, 2);
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &sent_at(0, elsewhere));
    bench.then(10, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    bench.then(1000, |watchdog, now| watchdog.link_up(now, FIRST));
    for second in 1000..1030 {
        assert_eq!(bench.hear(second, FIRST, &sent_at(second - 1000, elsewhere)), State::Blind);
    }
    assert_eq!(bench.then(1049, |_, _| ()), State::Blind);
    assert_eq!(bench.then(1050, |_, _| ()), State::Unknown);
}

#[test]
fn who_turns_out_to_be_heard_on_another_link_is_watched_there() {
    let here = |number: u64, sent: u64| Header { sequence: Some(number), ..sent_at(sent, process(7, 2)) };
    // A copy of what had come by the other link; one that comes late.
    for (number, second) in [(0, 21), (1, 100)] {
        let mut bench = Bench::new();
        for link in [FIRST, SECOND] {
            bench.then(0, |watchdog, now| watchdog.link_up(now, link));
        }
        assert_eq!(bench.hear(10, FIRST, &here(0, 10)), State::Alive);
        assert_eq!(bench.then(20, |watchdog, now| watchdog.link_down(now, FIRST, "reset")), State::Blind);
        assert_eq!(bench.hear(second, SECOND, &here(number, 10 + number)), State::Blind);
        // What waited may have more behind it that did not: a second to settle.
        assert_eq!(bench.then(second + 49, |_, _| ()), State::Blind);
        assert_eq!(bench.then(second + 50, |_, _| ()), State::Unknown);
    }
}

#[test]
fn it_is_told_until_when_what_a_broker_kept_puts_off_verdicts() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &sent_at(0, process(7, 2)));
    bench.then(10, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    bench.then(1000, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.watchdog.behind_until(FIRST), None);
    for second in [1000, 1599] {
        bench.hear(second, FIRST, &sent_at(1, process(7, 2)));
        assert_eq!(bench.watchdog.behind_until(FIRST), Some(at(second + 1).monotonic));
    }
    bench.hear(1600, FIRST, &sent_at(1, process(7, 2)));
    assert_eq!(bench.watchdog.behind_until(FIRST), None, "ten minutes are the most");
    bench.then(1700, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    bench.then(1700, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(1710, FIRST, &sent_at(2, process(7, 2)));
    assert_eq!(bench.watchdog.behind_until(SECOND), None);
    assert_eq!(bench.watchdog.behind_until(FIRST), Some(at(1711).monotonic));
    bench.hear(1710, FIRST, &sent_at(1710, process(7, 2)));
    assert_eq!(bench.watchdog.behind_until(FIRST), None, "what is sent now comes now");
}

#[test]
fn a_peer_whose_messages_always_seem_late_puts_off_the_verdict_on_another_for_ten_minutes_at_most() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &sent_at(0, process(7, 2)));
    let odd = |watchdog: &mut Watchdog, now| {
        let header = &sent_at(0, process(8, 3));
        let (kind, link) = (Kind::Beat, Some(FIRST));
        let heard =
            Heard { publisher: "odd", kind, link, retained: false, resent: false, readable: true, header, log: None };
        watchdog.heard(now, &heard)
    };
    bench.then(0, odd);
    bench.then(10, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    bench.then(1000, |watchdog, now| watchdog.link_up(now, FIRST));
    for second in 1000..1600 {
        assert_eq!(odd(&mut bench.watchdog, at(second)), Reception::Late, "at {second}");
        assert_eq!(bench.then(second, |_, _| ()), State::Blind, "at {second}");
    }
    assert_eq!(bench.then(1600, odd), State::Unknown);
}
