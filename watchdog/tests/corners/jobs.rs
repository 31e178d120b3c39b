//! Jobs that say how it went.

use lastbeat_watchdog::{Evidence, Fact, Heard, Snapshot, Source, State, Watchdog};
use lastbeat_wire::{Kind, Now};

use crate::bench::{Bench, FIRST, at, of, process, seen};

fn fail(log: Option<&str>) -> impl FnOnce(&mut Watchdog, Now) + '_ {
    move |watchdog, now| {
        let header = &of(process(7, 1));
        let (kind, link) = (Kind::Fail, Some(FIRST));
        watchdog.heard(
            now,
            &Heard { publisher: "light", kind, link, retained: false, resent: false, readable: true, header, log },
        );
    }
}

#[test]
fn the_beginning_of_a_report_is_the_evidence_of_a_failure_in_one_line() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    let reason = |bench: &Bench| match &bench.watchdog.detail(at(9), "light").unwrap().evidence[..] {
        [Evidence { fact: Fact::Failed { reason }, source: Source::Message, .. }] => reason.clone(),
        other => panic!("{other:?}"),
    };
    let long = format!("\n disk\tfull\u{1b}[2J{}", "é".repeat(1000));
    assert_eq!(bench.then(1, fail(Some(&long))), State::Failed);
    assert_eq!(bench.flip().evidence, bench.watchdog.detail(at(1), "light").unwrap().evidence);
    assert_eq!(reason(&bench), format!("disk full [2J{}", "é".repeat(187)));
    let told = bench.told.len();
    assert_eq!(bench.then(2, fail(None)), State::Failed);
    assert_eq!((reason(&bench), bench.told.len()), (String::new(), told), "no flip, and the newest evidence");
}

#[test]
fn who_reports_a_failure_while_its_process_is_looked_at_has_failed() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    bench.then(50, |_, _| ());
    let question = bench.question();
    assert_eq!(bench.then(50, fail(None)), State::Failed);
    assert_eq!(bench.then(50, |watchdog, now| watchdog.answer(now, &question, seen(Fact::Gone))), State::Failed);
    assert_eq!(bench.then(51, |_, _| ()), State::Failed);
    assert_eq!(bench.watchdog.next_deadline(), None);
}

#[test]
fn a_snapshot_of_before_there_were_failures_is_read() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.then(0, fail(None));
    let mut snapshot = serde_json::to_value(bench.watchdog.snapshot(at(1))).unwrap();
    assert!(snapshot["publishers"][0].as_object_mut().unwrap().remove("failure").is_some());
    let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
    assert_eq!(snapshot.len(), 1);
}
