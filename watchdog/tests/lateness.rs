//! How late a verdict may be: the loop comes late by less than a second at each deadline, and looking takes what it takes.

use std::time::Duration;

use lastbeat_watchdog::{
    Evidence, Fact, Heard, HostView, LinkNumber, Output, Question, Source, State, WatchRules, Watchdog,
};
use lastbeat_wire::{BootId, Header, HostId, Kind, Monotonic, Now, ProcessIdentity, UtcNanos};
use proptest::prelude::*;

/// As the subscriber states it.
const BOUND: Duration = Duration::from_secs(3);
/// What the subscriber takes for a stall.
const STALL: Duration = Duration::from_secs(1);

fn at(monotonic: Monotonic) -> Now {
    Now { monotonic, utc: UtcNanos(i64::try_from(monotonic.0).unwrap()) }
}

fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity { host: HostId(1), boot: BootId(1), pid_namespace: 1, pid, start: 1 }
}

proptest! {
    #[test]
    fn every_silence_ends_in_a_verdict_that_is_late_by_no_more_than_the_bound(
        heard in prop::collection::vec(any::<bool>(), 1..20),
        late in prop::collection::vec(0..=1_000_u64, 1..40),
        looking in prop::collection::vec(prop::option::of(0..3_000_u64), 1..20),
    ) {
        let rules = WatchRules {
            threshold: Duration::from_secs(5),
            links: vec!["link".to_owned()],
            host: Some(HostView { process: process(1), booted_at: UtcNanos(0) }),
            ..WatchRules::default()
        };
        let mut watchdog = Watchdog::new(rules, at(Monotonic(0)));
        watchdog.begin(at(Monotonic(0)), None);
        watchdog.link_up(at(Monotonic(0)), LinkNumber(0));
        for (number, local) in heard.iter().enumerate() {
            let of = local.then(|| process(u32::try_from(number).unwrap() + 10));
            let header = Header { process: of, ..Header::default() };
            let publisher = format!("light-{number}");
            let heard = Heard {
                publisher: &publisher, kind: Kind::Beat, link: Some(LinkNumber(0)), retained: false, resent: false, readable: true,
                header: &header, log: None,
            };
            // All within the first two seconds.
            watchdog.heard(at(Monotonic(number as u64 * 100_000_000)), &heard);
        }
        let (mut late, mut looking) = (late.into_iter().cycle(), looking.into_iter().cycle());
        let mut answers: Vec<(Monotonic, Question)> = Vec::new();
        let mut verdicts = 0;
        // What comes next: a deadline, met late, or an answer.
        while let Some(deadline) = watchdog.next_deadline().filter(|deadline| deadline.0 < 60_000_000_000) {
            let wake = deadline.plus(Duration::from_millis(late.next().unwrap()).min(STALL));
            answers.sort_by_key(|(when, _)| *when);
            let answered = answers.first().is_some_and(|(when, _)| *when < wake).then(|| answers.remove(0));
            let now = at(answered.as_ref().map_or(wake, |(when, _)| (*when).max(deadline.min(*when))));
            if let Some((_, question)) = answered {
                let fact = Fact::Runs { detail: "sleeping".to_owned() };
                watchdog.answer(now, &question, Evidence { at: now.utc, source: Source::ProcessTable, fact });
            } else {
                watchdog.due(now);
            }
            for output in watchdog.outputs() {
                match output {
                    Output::Ask(question) => {
                        let span = looking.next().unwrap();
                        answers.extend(span.map(|span| (now.monotonic.plus(Duration::from_millis(span)), question)));
                    }
                    Output::Flip(flip) if flip.from == State::Alive => {
                        prop_assert!(flip.noticed_at.since(flip.at) <= BOUND, "{flip:?}");
                        verdicts += 1;
                    }
                    _ => {}
                }
            }
        }
        prop_assert_eq!(verdicts, heard.len(), "every silence ends in a verdict");
    }
}
