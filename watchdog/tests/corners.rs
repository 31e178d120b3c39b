//! What can't be told as a scenario, since it rests on the order of calls at one instant or on an odd answer.

use std::time::Duration;

use lastbeat_watchdog::{
    Cause, Evidence, Fact, Flip, Heard, HostView, LinkNumber, Notice, Output, PublisherRules, Question, Reception,
    Snapshot, Source, State, WatchRules, Watchdog,
};
use lastbeat_wire::{BootId, Header, HostId, Kind, Monotonic, Now, ProcessIdentity, UtcNanos};

const FIRST: LinkNumber = LinkNumber(0);
const SECOND: LinkNumber = LinkNumber(1);

/// A watchdog on one host, with two links that are down, and all it told.
struct Bench {
    rules: WatchRules,
    watchdog: Watchdog,
    told: Vec<Output>,
}

fn process(pid: u32, host: u64) -> ProcessIdentity {
    ProcessIdentity { host: HostId(host), boot: BootId(host.into()), pid_namespace: 1, pid, start: pid.into() }
}

fn at(seconds: u64) -> Now {
    let span = Duration::from_secs(seconds);
    Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(0).plus(span) }
}

fn seen(fact: Fact) -> Evidence {
    Evidence { at: UtcNanos(0), source: Source::ProcessTable, fact }
}

fn runs() -> Fact {
    Fact::Runs { detail: "sleeping".to_owned() }
}

impl Bench {
    fn new() -> Self {
        let rules = WatchRules {
            links: vec!["first".to_owned(), "second".to_owned()],
            host: Some(HostView { process: process(1, 1), booted_at: UtcNanos(0) }),
            ..WatchRules::default()
        };
        Self { watchdog: Watchdog::new(rules.clone(), at(0)), rules, told: Vec::new() }
    }

    /// Has something happen, then what is due; the state of `light` after it.
    fn then<R>(&mut self, seconds: u64, event: impl FnOnce(&mut Watchdog, Now) -> R) -> State {
        event(&mut self.watchdog, at(seconds));
        self.watchdog.due(at(seconds));
        self.told.extend(self.watchdog.outputs());
        self.watchdog.status(at(seconds), "light").map_or(State::Unseen, |status| status.state)
    }

    fn hear(&mut self, seconds: u64, link: LinkNumber, header: &Header<'_>) -> State {
        self.then(seconds, |watchdog, now| say(watchdog, now, Kind::Beat, Some(link), header))
    }

    fn question(&self) -> Question {
        let asked = self.told.iter().rev().find_map(|output| match output {
            Output::Ask(question) => Some(question.clone()),
            _ => None,
        });
        asked.expect("something was asked")
    }

    fn flip(&self) -> &Flip {
        let flip = self.told.iter().rev().find_map(|output| match output {
            Output::Flip(flip) => Some(flip),
            _ => None,
        });
        flip.expect("something was told")
    }

    fn restart(&mut self, seconds: u64, away_since: Option<u64>) {
        let snapshot = self.watchdog.snapshot(at(seconds));
        assert_eq!((snapshot.len(), snapshot.is_empty()), (self.watchdog.len(), self.watchdog.is_empty()));
        self.watchdog = Watchdog::new(self.rules.clone(), at(seconds));
        self.watchdog.restore(at(seconds), snapshot);
        self.watchdog.begin(at(seconds), away_since.map(|seconds| at(seconds).utc));
    }
}

fn say(watchdog: &mut Watchdog, now: Now, kind: Kind, link: Option<LinkNumber>, header: &Header<'_>) -> Reception {
    watchdog.heard(now, &Heard { publisher: "light", kind, link, retained: false, readable: true, header, log: None })
}

fn of(process: ProcessIdentity) -> Header<'static> {
    Header { process: Some(process), ..Header::default() }
}

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
fn an_end_that_the_evidence_does_not_prove_is_none() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    for fact in [runs(), Fact::Stopped, Fact::ProbeFailed { reason: "EIO".to_owned() }, Fact::Will] {
        let state = bench.then(1, |watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(fact)));
        assert_eq!(state, State::Alive);
    }
    let other = bench.then(1, |watchdog, now| watchdog.exited(now, "light", process(8, 1), seen(Fact::Gone)));
    assert_eq!(other, State::Alive);
    let end = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone));
    assert_eq!(bench.then(2, end), State::Dead);
    assert_eq!(bench.then(3, end), State::Dead);
    assert_eq!((bench.flip().at, bench.flip().silence), (at(2).utc, Some(Duration::from_secs(2))));
}

#[test]
fn an_answer_to_an_older_question_or_about_another_process_is_ignored() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    bench.then(50, |_, _| ());
    let first = bench.question();
    bench.hear(50, FIRST, &of(process(7, 1)));
    bench.then(100, |_, _| ());
    let second = bench.question();
    for stale in [
        first,
        Question { process: process(8, 1), ..second.clone() },
        Question { publisher: "dark".parse().unwrap(), ..second.clone() },
    ] {
        let state = bench.then(100, |watchdog, now| watchdog.answer(now, &stale, seen(Fact::Gone)));
        assert_eq!(state, State::Alive);
    }
    let state = bench.then(100, |watchdog, now| watchdog.answer(now, &second, seen(runs())));
    assert_eq!((state, bench.flip().at), (State::Silent, at(100).utc));
}

#[test]
fn a_late_message_while_its_process_is_looked_at_moves_the_deadline_that_was_missed() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    let header = |seconds: u64| Header {
        process: Some(process(7, 1)),
        uptime: Some(seconds * 1_000_000_000),
        sent_at: Some(at(seconds).utc),
        ..Header::default()
    };
    bench.hear(10, FIRST, &header(10));
    bench.then(60, |_, _| ());
    let question = bench.question();
    // Sent at 11 s, a full threshold ago by both clocks: late, and yet the last that was heard.
    let nearly = Now { monotonic: at(61).monotonic.minus(Duration::from_nanos(1)), ..at(61) };
    assert_eq!(say(&mut bench.watchdog, nearly, Kind::Beat, Some(FIRST), &header(10)), Reception::Late);
    assert_eq!(say(&mut bench.watchdog, at(61), Kind::Beat, Some(FIRST), &header(11)), Reception::Late);
    let state = bench.then(61, |watchdog, now| watchdog.answer(now, &question, seen(runs())));
    assert_eq!((state, bench.flip().at), (State::Silent, at(61).utc));
    assert_eq!(bench.flip().silence, Some(Duration::from_secs(50)));
    let status = bench.watchdog.status(at(70), "light").unwrap();
    assert_eq!((status.silence, status.last_heard), (Some(Duration::from_secs(59)), Some(at(11).utc)));
}

#[test]
fn when_one_of_two_processes_says_goodbye_the_other_is_watched_on() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    bench.hear(10, FIRST, &of(process(8, 1)));
    bench.hear(20, FIRST, &of(process(7, 1)));
    assert!(bench.told.iter().any(|output| matches!(output, Output::Notice(Notice::Conflict { .. }))));
    let bye = |watchdog: &mut Watchdog, now| say(watchdog, now, Kind::Bye, Some(FIRST), &of(process(8, 1)));
    assert_eq!(bench.then(25, bye), State::Alive);
    assert_eq!(bench.watchdog.status(at(25), "light").unwrap().pid, Some(7));
    let end = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone));
    assert_eq!(bench.then(30, end), State::Dead);
}

#[test]
fn a_will_that_looks_up_a_process_just_before_its_deadline_does_not_put_the_verdict_off() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    let will = |watchdog: &mut Watchdog, now| say(watchdog, now, Kind::Rip, Some(FIRST), &of(process(7, 1)));
    assert_eq!(bench.then(49, will), State::Alive);
    assert_eq!(bench.question().asked_at, at(49).monotonic);
    assert_eq!(bench.then(50, will), State::Unknown);
    assert_eq!((bench.flip().cause, bench.flip().at), (Cause::ProbeFailed, at(50).utc));
}

fn fail(log: Option<&str>) -> impl FnOnce(&mut Watchdog, Now) + '_ {
    move |watchdog, now| {
        let header = &of(process(7, 1));
        let (kind, link) = (Kind::Fail, Some(FIRST));
        watchdog.heard(now, &Heard { publisher: "light", kind, link, retained: false, readable: true, header, log });
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

#[test]
fn a_process_that_started_earlier_than_the_one_that_is_watched_is_no_restart() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(8, 1)));
    bench.hear(1, FIRST, &of(process(7, 1)));
    let status = bench.watchdog.status(at(1), "light").unwrap();
    assert_eq!((status.pid, status.counts.restarts, status.counts.conflicts), (Some(8), 0, 0));
    bench.hear(2, FIRST, &of(process(7, 1)));
    let status = bench.watchdog.status(at(2), "light").unwrap();
    assert_eq!((status.pid, status.counts.restarts, status.counts.conflicts), (Some(8), 0, 1));
    // The one that is watched is heard no more for a threshold: now it is the other one.
    bench.hear(50, FIRST, &of(process(7, 1)));
    assert_eq!(bench.watchdog.status(at(50), "light").unwrap().pid, Some(7));
}

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
fn a_goodbye_on_an_earlier_boot_of_this_host_does_not_silence_a_process_on_this_one() {
    let mut bench = Bench::new();
    let day = 86_400;
    bench.then(10 * day, |watchdog, now| watchdog.link_up(now, FIRST));
    let bye = |watchdog: &mut Watchdog, now| say(watchdog, now, Kind::Bye, Some(FIRST), &of(process(7, 2)));
    assert_eq!(bench.then(10 * day, bye), State::Finished);
    let snapshot = bench.watchdog.snapshot(at(10 * day));
    bench.rules.host = Some(HostView { process: process(1, 3), booted_at: at(10 * day).utc });
    // A minute after the boot, as its own monotonic clock has it.
    let rebooted = |seconds: u64| Now { utc: at(10 * day + seconds).utc, ..at(seconds) };
    let mut watchdog = Watchdog::new(bench.rules, rebooted(61));
    watchdog.restore(rebooted(61), snapshot);
    watchdog.begin(rebooted(61), Some(at(10 * day).utc));
    watchdog.link_up(rebooted(61), FIRST);
    let silence = watchdog.status(rebooted(61), "light").unwrap().silence;
    assert_eq!(silence, Some(Duration::from_secs(61)));
    let beat = say(&mut watchdog, rebooted(63), Kind::Beat, Some(FIRST), &of(process(7, 2)));
    assert_eq!(beat, Reception::Live);
    assert_eq!(watchdog.status(rebooted(63), "light").unwrap().state, State::Alive);
}

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
fn beyond_the_most_publishers_there_may_be_none_is_taken_and_those_there_are_go_on() {
    let mut bench = Bench::new();
    bench.rules.max_publishers = 1;
    bench.watchdog = Watchdog::new(bench.rules.clone(), at(0));
    let mut from = |publisher: &str| {
        let (link, header) = (Some(FIRST), &Header::default());
        let heard = Heard { publisher, kind: Kind::Beat, link, retained: false, readable: true, header, log: None };
        bench.watchdog.heard(at(0), &heard)
    };
    assert_eq!(from("a"), Reception::Live);
    assert_eq!(from("b"), Reception::TooManyPublishers);
    assert_eq!(from("a"), Reception::Live);
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
fn while_a_process_is_looked_at_after_maintenance_it_can_speak_end_or_be_lost() {
    let ready = || {
        let mut bench = Bench::new();
        bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
        bench.hear(0, FIRST, &of(process(7, 1)));
        bench.then(10, |watchdog, now| watchdog.pause(now, "light", None));
        assert_eq!(bench.then(100, |watchdog, now| watchdog.resume_watching(now, "light")), State::Paused);
        assert_eq!(bench.question().asked_at, at(100).monotonic);
        bench
    };
    let exited = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone));
    assert_eq!(ready().hear(100, FIRST, &of(process(7, 1))), State::Alive);
    assert_eq!(ready().then(100, exited), State::Dead);
    assert_eq!(ready().then(100, |watchdog, now| watchdog.link_down(now, FIRST, "reset")), State::Blind);
    assert_eq!(ready().then(100, |watchdog, now| watchdog.pause(now, "light", None)), State::Paused);
    assert_eq!(ready().then(101, |_, _| ()), State::Unknown);
    let mut again = ready();
    again.then(100, |watchdog, now| watchdog.pause(now, "light", None));
    assert_eq!(again.then(200, |_, _| ()), State::Paused);
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
