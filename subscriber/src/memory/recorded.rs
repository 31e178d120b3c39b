//! Snapshots that older versions wrote, and what those versions said of each publisher just before; `recorded/record` says how
//! they were made. A version that changes the form of the snapshot adds one of the form before.

use std::collections::HashMap;
use std::time::Duration;

use lastbeat_swarm::Swarm;
use lastbeat_watchdog::{
    Bounds, Cause, Detail, Heard, HostView, LinkNumber, Output, PublisherRules, Reception, State, WatchRules, Watchdog,
};
use lastbeat_wire::{Header, Kind, Monotonic, Now, ProcessIdentity, UtcNanos, decode};
use serde_json::{Value, json};

use super::{Kept, Restored, restore};
use crate::told::{AdaptiveTold, Time};

const FIRST: Recorded = Recorded {
    snapshot: include_bytes!("recorded/first-version.snapshot"),
    said: include_str!("recorded/first-version.jsonl"),
};
const SECOND: Recorded = Recorded {
    snapshot: include_bytes!("recorded/second-version.snapshot"),
    said: include_str!("recorded/second-version.jsonl"),
};
/// The links as the configuration in `recorded/record` has them.
const LINKS: [&str; 2] = ["mqtt://127.0.0.1:21883", "http"];

/// What an older version left behind.
struct Recorded {
    snapshot: &'static [u8],
    /// A line for each publisher, and a last one: when and where it may be started again.
    said: &'static str,
}

impl Recorded {
    /// What was said of each publisher, and the start.
    fn told(&self) -> (Vec<Value>, Now, ProcessIdentity) {
        let mut told: Vec<Value> = self.said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let start = told.pop().unwrap();
        let utc = UtcNanos(start["utc"].as_i64().unwrap());
        let now = Now { monotonic: Monotonic(start["monotonic"].as_u64().unwrap()), utc };
        (told, now, process(&start["process"]))
    }

    /// A watchdog with the rules of then that was given the snapshot back.
    fn restored(&self) -> (Watchdog, Restored) {
        let (_, now, process) = self.told();
        let mut watchdog = Watchdog::new(rules(process), now);
        let kept = Kept::open(std::io::Cursor::new(self.snapshot)).unwrap();
        let restored = restore(&mut watchdog, &mut Swarm::default(), now, Some(kept)).unwrap();
        (watchdog, restored)
    }
}

/// As the configuration in `recorded/record` has them.
fn rules(own: ProcessIdentity) -> WatchRules {
    let expected = PublisherRules { expected: true, ..PublisherRules::default() };
    let an_hour = PublisherRules { threshold: Some(Duration::from_hours(1)), ..PublisherRules::default() };
    let bounds = Bounds { at_least: Duration::from_secs(5), at_most: Duration::from_mins(10) };
    let adaptive = PublisherRules { adaptive: Some(bounds), ..PublisherRules::default() };
    let own_rules = [
        ("never", expected),
        ("not-yet", PublisherRules { expected: true, ..an_hour }),
        ("backup", an_hour),
        ("learned", adaptive),
    ];
    WatchRules {
        threshold: Duration::from_secs(3),
        links: LINKS.map(str::to_owned).to_vec(),
        own_link: Some(LinkNumber(1)),
        host: Some(HostView { process: own, booted_at: UtcNanos(0) }),
        publishers: own_rules.map(|(id, rules)| (id.parse().unwrap(), rules)).into_iter().collect::<HashMap<_, _>>(),
        ..WatchRules::default()
    }
}

/// In the form of the protocol.
fn process(told: &Value) -> ProcessIdentity {
    let envelope = json!({ "lastbeat": 1, "process": told }).to_string();
    decode(Kind::Beat, envelope.as_bytes()).unwrap().header.process.unwrap()
}

/// What is said of a publisher, in the words of the API.
fn said(Detail { status, paused_until, adaptive, evidence, .. }: Detail) -> Value {
    let counts = status.counts;
    let evidence: Vec<_> = evidence.iter().map(|evidence| evidence.fact.to_string()).collect();
    json!({
        "id": status.publisher,
        "host": status.host,
        "state": status.state,
        "cause": status.cause,
        "since": Time(status.since),
        "last_heard": status.last_heard.map(Time),
        "threshold_s": status.threshold.as_secs(),
        "pid": status.pid,
        "paused_until": paused_until.map(Time),
        "adaptive": adaptive.map(AdaptiveTold::from),
        "counts": [
            counts.messages, counts.readings, counts.missed, counts.duplicates, counts.late, counts.retained, counts.restarts
        ],
        "evidence": evidence,
    })
}

#[test]
fn of_each_publisher_is_remembered_what_an_older_version_said() {
    for recorded in [FIRST, SECOND] {
        let (watchdog, _) = recorded.restored();
        let (told, now, _) = recorded.told();
        assert_eq!(watchdog.len(), told.len());
        for (status, told) in watchdog.statuses(now).zip(told) {
            assert_eq!(said(watchdog.detail(now, status.publisher.as_str()).unwrap()), told);
        }
    }
}

#[test]
fn who_an_older_version_knew_to_be_late_is_late_and_who_was_alive_is_not_judged_yet() {
    for recorded in [FIRST, SECOND] {
        let (mut watchdog, restored) = recorded.restored();
        let (told, now, _) = recorded.told();
        watchdog.begin(now, restored.watched_until);
        watchdog.link_up(now, LinkNumber(1));
        watchdog.link_up(now, LinkNumber(0));
        let flips: Vec<_> = watchdog
            .outputs()
            .into_iter()
            .filter_map(|output| match output {
                Output::Flip(flip) => Some((flip.publisher.to_string(), flip.to, flip.cause)),
                _ => None,
            })
            .collect();
        let was_alive = told.iter().filter(|told| told["state"] == "alive");
        let blind: Vec<_> = was_alive
            .map(|told| (told["id"].as_str().unwrap().to_owned(), State::Blind, Cause::WatchdogAway))
            .collect();
        assert_eq!(flips, blind);
    }
}

#[test]
fn what_came_to_an_older_version_does_not_come_anew() {
    for recorded in [FIRST, SECOND] {
        let (mut watchdog, restored) = recorded.restored();
        let (_, now, _) = recorded.told();
        watchdog.begin(now, restored.watched_until);
        watchdog.link_up(now, LinkNumber(0));
        let process = watchdog.detail(now, "elsewhere").unwrap().process;
        let mut hear = |sequence| {
            let header = Header { process, sequence: Some(sequence), ..Header::default() };
            let heard = Heard {
                publisher: "elsewhere",
                kind: Kind::Beat,
                link: Some(LinkNumber(0)),
                retained: false,
                resent: false,
                readable: true,
                header: &header,
                log: None,
            };
            watchdog.heard(now, &heard)
        };
        // Of 0 to 4 all came but 2.
        assert_eq!([0, 1, 3, 4].map(&mut hear), [Reception::Duplicate; 4]);
        hear(2);
        hear(5);
        assert_eq!(watchdog.status(now, "elsewhere").unwrap().counts.missed, 0);
    }
}
