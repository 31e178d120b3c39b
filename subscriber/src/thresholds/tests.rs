//! Which gaps are counted, and what is made of them.

use std::time::Duration;

use lastbeat_wire::{BootId, HostId, Monotonic, Now, ProcessIdentity, UtcNanos};

use super::estimate::Report;
use super::gaps::Gaps;
use super::observe::Observed;
use super::table;
use crate::capture::{Captured, Event, What};
use crate::threshold::{BOUNDS, DEFAULT};

fn event(seconds: f64, what: What) -> Event {
    let span = Duration::from_secs_f64(seconds);
    Event { now: Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(0).plus(span) }, what }
}

fn message(seconds: f64, topic: &str, sequence: u64) -> Event {
    let process = ProcessIdentity { host: HostId(1), boot: BootId(1), pid_namespace: 1, pid: 7, start: 7 };
    let what = What::Message(Captured {
        link: 0,
        topic: topic.to_owned(),
        size: 0,
        retained: false,
        resent: false,
        readable: true,
        process: Some(process),
        sequence: Some(sequence),
        sent_at: None,
        uptime: None,
    });
    event(seconds, what)
}

fn changed(mut event: Event, change: impl FnOnce(&mut Captured)) -> Event {
    if let What::Message(message) = &mut event.what {
        change(message);
    }
    event
}

fn gaps(events: &[Event]) -> Gaps {
    let links = ["one".to_owned()];
    let mut observed = Observed::new(&links, UtcNanos(0), DEFAULT, BOUNDS, None);
    observed.take(&event(0.0, What::LinkUp(0)));
    for event in events {
        observed.take(event);
    }
    observed.end().remove(0).1
}

/// So many gaps, each so many seconds long.
fn of(gaps: impl IntoIterator<Item = f64>) -> Gaps {
    let mut all = Gaps::new(DEFAULT, BOUNDS);
    gaps.into_iter().for_each(|gap| all.take(Duration::from_secs_f64(gap)));
    all
}

fn report(gaps: &Gaps, wanted: f64) -> Report {
    Report::of("light".parse().unwrap(), gaps, DEFAULT, wanted)
}

#[test]
fn only_the_gaps_between_signs_of_life_are_counted() {
    let beat = |seconds, sequence| message(seconds, "beat/x", sequence);
    let counted = gaps(&[
        beat(1.0, 0),
        beat(2.0, 1),
        // Twice, kept by a broker, sent again, and told by a broker: no signs of life.
        beat(2.5, 1),
        changed(beat(2.6, 7), |message| message.retained = true),
        changed(beat(2.7, 8), |message| message.resent = true),
        message(2.8, "rip/x", 9),
        message(3.0, "sensor/x", 2),
        // Over a link that was down.
        event(3.5, What::LinkDown { link: 0, reason: "cut".to_owned() }),
        event(8.5, What::LinkUp(0)),
        beat(9.0, 3),
        beat(10.0, 4),
        // Another process.
        changed(beat(40.0, 0), |message| message.process.as_mut().unwrap().start = 8),
        changed(beat(41.0, 1), |message| message.process.as_mut().unwrap().start = 8),
        // After a goodbye.
        changed(message(42.0, "bye/x", 2), |message| message.process.as_mut().unwrap().start = 8),
        changed(beat(99.0, 3), |message| message.process.as_mut().unwrap().start = 8),
        event(102.0, What::End),
    ]);
    assert_eq!((counted.count, counted.longest()), (5, Duration::from_secs(1)));
    assert_eq!(counted.silent_at_end, Duration::from_secs(3));
}

#[test]
fn a_threshold_that_nothing_exceeded_has_a_bound_and_not_a_zero() {
    // 30 days in gaps of 10 s.
    let report = report(&of(std::iter::repeat_n(10.0, 259_200)), 0.1);
    let fixed = &report.thresholds[0];
    assert_eq!((fixed.how, fixed.exceeded, fixed.at_most), ("configured", 0, true));
    assert!((fixed.alarms_a_month - 3.0).abs() < 0.01 && fixed.by_tail_a_month == Some(0.0), "{fixed:?}");
    assert!((fixed.known_after_s - 45.0).abs() < 0.01, "{fixed:?}");
    assert_eq!(report.suggested_s, Some(30.0));
    let warning = &report.warnings[0];
    assert!(warning.contains("can't show fewer than 3.0 false alarms a month, for 0.1 it takes 900 days"), "{warning}");
}

#[test]
fn what_was_exceeded_is_counted() {
    // A day in which every hundredth gap is a minute.
    let report = report(&of((0..8640).map(|place| if place % 100 == 0 { 60.0 } else { 1.0 })), 0.1);
    let configured = &report.thresholds[0];
    assert_eq!((configured.exceeded, configured.at_most), (87, false));
    let month = 87.0 * 30.0 * 86_400.0 / report.watched_s;
    assert!((configured.alarms_a_month - month).abs() < 1e-6, "{configured:?}");
    assert!(report.suggested_s >= Some(90.0), "{report:?}");
    // That is no better with an adaptive one, for what the fixed one does not allow is not learned.
    let adaptive = report.thresholds.iter().find(|estimate| estimate.how == "adaptive").unwrap();
    assert_eq!(adaptive.exceeded, 87, "{adaptive:?}");
}

#[test]
fn an_exponential_tail_is_found_again() {
    // The quantiles of an exponential distribution with mean 5 s.
    let gaps = of((0..20_000).map(|place| -5.0 * (1.0 - (f64::from(place) + 0.5) / 20_000.0).ln()));
    let report = report(&gaps, 1.0);
    // Of 518,400 gaps a month one is longer than 65.8 s.
    assert!((60.0..72.0).contains(&report.suggested_s.unwrap().min(71.0)), "{report:?}");
    let estimate = |how| report.thresholds.iter().find(|estimate| estimate.how == how).unwrap();
    let tail = estimate("phi 8, tail").threshold_s;
    assert!((85.0..100.0).contains(&tail), "5 s times the logarithm of 10^8 is 92 s, not {tail}");
    assert!(estimate("phi 8, normal").threshold_s < 40.0, "a normal distribution has no such tail");
    assert!((20.0..26.0).contains(&estimate("configured").by_tail_a_month.unwrap()), "518,400 times e^-10 is 23.5");
}

#[test]
fn too_little_is_warned_of() {
    let few = report(&of([1.0; 3]), 0.1);
    assert!(few.warnings[0].contains("only 3 gaps were seen"), "{few:?}");
    let none = report(&of([]), 0.1);
    assert!(none.suggested_s.is_none() && none.thresholds.is_empty(), "{none:?}");
    let mut quiet = of([1.0; 200]);
    quiet.silent_at_end = Duration::from_secs(7);
    assert!(report(&quiet, 0.1).warnings.iter().any(|warning| warning.contains("silent for 7s at the end")));
}

#[test]
fn the_table_is_aligned() {
    let reports = [report(&of((0..8640).map(|place| 9.0 + f64::from(place % 3))), 0.1)];
    let mut text = Vec::new();
    table::write(&mut text, &reports).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "light: 8640 gaps in 1day");
    assert_eq!(lines[1], "  usually 10.1s, median 10.1s, 99 % 11.0s, longest 11.0s");
    assert!(lines[2].trim_start().starts_with("THRESHOLD"), "{text}");
    let ends: Vec<_> = lines[2..9].iter().map(|line| line.chars().count()).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "{text}");
    assert!(lines[3].contains("50.0s  configured") && lines[3].contains("at most 90.0"), "{text}");
}
