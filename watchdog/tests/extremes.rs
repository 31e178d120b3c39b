//! No input makes the watchdog panic, hang or grow: clocks at their ends, thresholds of a nanosecond, ids and processes
//! without end, and everything in any order.

use std::time::Duration;

use lastbeat_watchdog::{
    Bounds, Evidence, Fact, Flip, Heard, HostView, LinkNumber, Output, PublisherRules, Question, Source, WatchRules,
    Watchdog,
};
use lastbeat_wire::{BootId, Header, HostId, Kind, Monotonic, Now, ProcessIdentity, UtcNanos};
use proptest::prelude::*;

const PUBLISHERS: [&str; 4] = ["a", "b", "c", "not/../valid"];

/// One call of the watchdog.
#[derive(Debug, Clone)]
enum Call {
    Heard {
        publisher: usize,
        kind: Kind,
        link: Option<u16>,
        retained: bool,
        resent: bool,
        readable: bool,
        header: Header<'static>,
    },
    LinkUp(u16),
    LinkDown(u16),
    Stalled(i64),
    Pause(usize, Option<Duration>),
    Resume(usize),
    Exited(usize, ProcessIdentity, Fact),
    /// Answers the question asked that many calls ago.
    Answer(usize, Fact),
    Replay(usize),
    Restart(Option<i64>),
    Due,
}

fn own() -> ProcessIdentity {
    ProcessIdentity { host: HostId(1), boot: BootId(1), pid_namespace: 1, pid: 1, start: 1 }
}

fn process() -> impl Strategy<Value = ProcessIdentity> {
    (1..3u64, 1..3u128, 1..3u64, 1..3u32, prop_oneof![1..4u64, Just(u64::MAX)]).prop_map(
        |(host, boot, pid_namespace, pid, start)| ProcessIdentity {
            host: HostId(host),
            boot: BootId(boot),
            pid_namespace,
            pid,
            start,
        },
    )
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..200u64, 1 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)]
}

fn wall() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..200i64, 1 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn header() -> impl Strategy<Value = Header<'static>> {
    use proptest::option::of;
    (of(process()), of(time()), of(wall()), of(time()), of("[a-zé]{0,300}")).prop_map(
        |(process, sequence, sent_at, uptime, host)| Header {
            process,
            sequence,
            sent_at: sent_at.map(UtcNanos),
            uptime,
            host: host.map(Into::into),
        },
    )
}

fn fact() -> impl Strategy<Value = Fact> {
    proptest::sample::select(vec![
        Fact::Gone,
        Fact::Zombie,
        Fact::Stopped,
        Fact::NotPermitted,
        Fact::Runs { detail: String::new() },
        Fact::Reused { start: 0 },
        Fact::ProbeFailed { reason: String::new() },
        Fact::Goodbye,
    ])
}

fn call() -> impl Strategy<Value = Call> {
    use proptest::option::of;
    let publisher = || 0..PUBLISHERS.len();
    let span = || of(any::<u64>().prop_map(Duration::from_nanos));
    let heard = (publisher(), proptest::sample::select(Kind::ALL.to_vec()), of(0..2u16), any::<bool>(), header());
    prop_oneof![
        12 => heard.prop_flat_map(|(publisher, kind, link, readable, header)| {
            let retained = proptest::bool::weighted(0.1);
            (retained, proptest::bool::weighted(0.2)).prop_map(move |(retained, resent)| {
                Call::Heard { publisher, kind, link, retained, resent, readable, header: header.clone() }
            })
        }),
        3 => (0..2u16).prop_map(Call::LinkUp),
        2 => (0..2u16).prop_map(Call::LinkDown),
        1 => wall().prop_map(Call::Stalled),
        1 => (publisher(), span()).prop_map(|(publisher, span)| Call::Pause(publisher, span)),
        1 => publisher().prop_map(Call::Resume),
        2 => (publisher(), process(), fact()).prop_map(|(publisher, process, fact)| Call::Exited(publisher, process, fact)),
        4 => (0..3usize, fact()).prop_map(|(back, fact)| Call::Answer(back, fact)),
        1 => (0..3usize).prop_map(Call::Replay),
        1 => of(wall()).prop_map(Call::Restart),
        4 => Just(Call::Due),
    ]
}

fn rules() -> impl Strategy<Value = WatchRules> {
    let span = || {
        prop_oneof![
            Just(Duration::ZERO),
            Just(Duration::from_nanos(1)),
            (1..100u64).prop_map(Duration::from_nanos),
            Just(Duration::MAX)
        ]
    };
    let adaptive = proptest::option::of((span(), span()));
    (span(), span(), span(), 1..4usize, wall(), adaptive).prop_map(
        |(threshold, probe_limit, settle, max_publishers, booted_at, adaptive)| {
            let own_rules = PublisherRules {
                threshold: Some(Duration::from_nanos(1)),
                expected: true,
                ..PublisherRules::default()
            };
            WatchRules {
                own_link: None,
                threshold,
                adaptive: adaptive.map(|(one, other)| Bounds { at_least: one.min(other), at_most: one.max(other) }),
                links: vec!["first".to_owned(), "second".to_owned()],
                host: Some(HostView { process: own(), booted_at: UtcNanos(booted_at) }),
                probe_limit,
                settle,
                max_publishers,
                publishers: [("a".parse().unwrap(), own_rules)].into(),
            }
        },
    )
}

/// A watchdog and what it has asked and told.
struct Table {
    rules: WatchRules,
    watchdog: Watchdog,
    questions: Vec<Question>,
    flips: Vec<Flip>,
}

impl Table {
    fn take(&mut self, now: Now, call: Call) {
        let watchdog = &mut self.watchdog;
        let evidence = |fact| Evidence { at: now.utc, source: Source::Pidfd, fact };
        match call {
            Call::Heard { publisher, kind, link, retained, resent, readable, header } => {
                let (publisher, link) = (PUBLISHERS[publisher], link.map(LinkNumber));
                watchdog.heard(
                    now,
                    &Heard { publisher, kind, link, retained, resent, readable, header: &header, log: Some("\u{7}é") },
                );
            }
            Call::LinkUp(link) => watchdog.link_up(now, LinkNumber(link)),
            Call::LinkDown(link) => watchdog.link_down(now, LinkNumber(link), "down"),
            Call::Stalled(from) => watchdog.stalled(now, UtcNanos(from), "the watchdog itself did not run"),
            Call::Pause(publisher, span) => drop(watchdog.pause(now, PUBLISHERS[publisher], span)),
            Call::Resume(publisher) => drop(watchdog.resume_watching(now, PUBLISHERS[publisher])),
            Call::Exited(publisher, process, fact) => {
                watchdog.exited(now, PUBLISHERS[publisher], process, evidence(fact));
            }
            Call::Answer(back, fact) => {
                if let Some(question) = self.questions.iter().rev().nth(back) {
                    watchdog.answer(now, question, evidence(fact));
                }
            }
            Call::Replay(back) => {
                if let Some(flip) = self.flips.iter().rev().nth(back) {
                    watchdog.replay(now, flip);
                }
            }
            Call::Restart(away_since) => {
                let snapshot = watchdog.snapshot(now);
                *watchdog = Watchdog::new(self.rules.clone(), now);
                watchdog.restore(now, snapshot);
                watchdog.begin(now, away_since.map(UtcNanos));
            }
            Call::Due => watchdog.due(now),
        }
        for output in self.watchdog.outputs() {
            match output {
                Output::Ask(question) => self.questions.push(question),
                Output::Flip(flip) => self.flips.push(flip),
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_input_makes_it_panic_or_hang(
        rules in rules(),
        calls in proptest::collection::vec((time(), wall(), call()), 1..80),
    ) {
        let start = Now { monotonic: Monotonic(calls[0].0), utc: UtcNanos(calls[0].1) };
        let watchdog = Watchdog::new(rules.clone(), start);
        let mut table = Table { rules, watchdog, questions: Vec::new(), flips: Vec::new() };
        for (monotonic, wall, call) in calls {
            let now = Now { monotonic: Monotonic(monotonic), utc: UtcNanos(wall) };
            table.take(now, call);
            table.take(now, Call::Due);
            for status in table.watchdog.statuses(now) {
                prop_assert!(status.host.is_none_or(|host| host.len() <= 253));
            }
            prop_assert!(table.watchdog.len() <= 4);
        }
    }
}

/// One publisher on one link, both heard.
fn watchdog(threshold: Duration) -> Watchdog {
    let rules = WatchRules {
        threshold,
        links: vec!["only".to_owned()],
        host: Some(HostView { process: own(), booted_at: UtcNanos(0) }),
        ..WatchRules::default()
    };
    let mut watchdog = Watchdog::new(rules, now(0));
    watchdog.link_up(now(0), LinkNumber(0));
    watchdog
}

fn now(second: u64) -> Now {
    Now {
        monotonic: Monotonic(0).plus(Duration::from_secs(second)),
        utc: UtcNanos(0).plus(Duration::from_secs(second)),
    }
}

fn hear(watchdog: &mut Watchdog, second: u64, kind: Kind, process: ProcessIdentity, sequence: u64) {
    let header = Header { process: Some(process), sequence: Some(sequence), ..Header::default() };
    let link = Some(LinkNumber(0));
    watchdog.heard(
        now(second),
        &Heard {
            publisher: "light",
            kind,
            link,
            retained: false,
            resent: false,
            readable: true,
            header: &header,
            log: None,
        },
    );
    watchdog.due(now(second));
}

#[test]
fn the_memory_of_one_publisher_is_bounded_whatever_it_claims() {
    let mut watchdog = watchdog(Duration::from_secs(50));
    let size = |watchdog: &Watchdog| serde_json::to_string(&watchdog.snapshot(now(1))).unwrap().len();
    let mut largest = 0;
    for round in 0..20_000u64 {
        let process = ProcessIdentity { pid: 7, start: round / 2_500, host: HostId(round / 2_500), ..own() };
        hear(&mut watchdog, round / 1000, Kind::Beat, process, round * 3);
        watchdog.outputs();
        if round % 500 == 499 {
            largest = largest.max(size(&watchdog));
        }
    }
    assert!(largest < 40_000, "{largest} bytes");
}

#[test]
fn a_flood_of_wills_neither_grows_the_queue_nor_puts_off_the_verdict() {
    let day = 2 * 3600;
    let mut watchdog = watchdog(Duration::from_secs(day));
    let process = ProcessIdentity { pid: 7, ..own() };
    hear(&mut watchdog, 0, Kind::Beat, process, 0);
    for second in 1..day {
        hear(&mut watchdog, second, Kind::Rip, process, 0);
        assert!(
            watchdog
                .outputs()
                .iter()
                .all(|output| !matches!(output, Output::Flip(flip) if second > 1 || flip.cause.word() != "heard"))
        );
    }
    assert!(format!("{watchdog:?}").len() < 10_000, "the queue has grown");
    watchdog.due(now(day));
    watchdog.due(now(day + 1));
    let told = watchdog.outputs();
    let flip = told.iter().find_map(|output| if let Output::Flip(flip) = output { Some(flip) } else { None });
    let flip = flip.expect("a verdict no later than the probe's limit after the deadline");
    assert_eq!((flip.cause.word(), flip.at), ("probe_failed", now(day).utc));
}
