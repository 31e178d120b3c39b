//! What the board tells, and what it does not.

use lastbeat_log::{Log, LogOptions};
use lastbeat_transport::{Batch, Delivery, LinkIndex};
use lastbeat_watchdog::{Cause, Counts, Flip, LinkNumber, WatchRules, Watchdog};
use lastbeat_wire::{PublisherId, UtcNanos};
use serde_json::Value;
use tokio::sync::broadcast::Receiver;

use super::*;
use crate::intake::Intake;

fn at(seconds: f64) -> Now {
    let span = Duration::from_secs_f64(seconds);
    Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(0).plus(span) }
}

/// A board without a thread, and one who reads along.
struct Bench {
    board: Board,
    told: Told,
    lag: watch::Sender<Lag>,
    frames: Receiver<Frame>,
}

impl Bench {
    fn new(restored: usize) -> Self {
        let (lag, watched) = watch::channel(Lag::default());
        let board = Board::new(at(0.0).monotonic, restored, vec![("store", watched)]);
        let told = Told { at: at(0.0).monotonic, followers: board.followers() };
        Self { frames: board.frames(), board, told, lag }
    }

    /// Passes on that these publishers changed; the events of the frame, if there is one.
    fn pass(&mut self, seconds: f64, changed: Vec<(u32, Status)>) -> Vec<(String, Value)> {
        let links = vec![LinkView::up("x".to_owned())];
        let messages = changed.iter().map(|(_, status)| status.counts.messages).sum();
        let totals = Totals { messages, ..self.board.figures().totals };
        let totals = if changed.is_empty() { self.board.figures().totals } else { totals };
        let update = Update { now: at(seconds), changed, flips: Vec::new(), flips_left_out: false, links, totals };
        self.board.take(update, &mut self.told);
        self.frames.try_recv().map(|frame| events(&frame)).unwrap_or_default()
    }
}

fn events(frame: &Frame) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(frame).unwrap();
    let event = |event: &str| {
        let (name, data) = event.split_once('\n').unwrap();
        let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        (name.strip_prefix("event: ").unwrap().to_owned(), data)
    };
    text.split_terminator("\n\n").map(event).collect()
}

fn status(id: &str, seconds: f64, state: State, messages: u64) -> Status {
    Status {
        publisher: id.parse().unwrap(),
        host: None,
        at: at(seconds).utc,
        state,
        cause: Cause::Heard,
        since: at(0.0).utc,
        silence: Some(Duration::ZERO),
        threshold: Duration::from_secs(50),
        last_heard: Some(at(seconds).utc),
        pid: None,
        counts: Counts { messages, ..Counts::default() },
    }
}

#[test]
fn who_is_new_or_flips_comes_as_a_row_who_is_heard_in_few_bytes_and_others_not_at_all() {
    let mut bench = Bench::new(0);
    let new = vec![(0, status("a", 0.0, State::Alive, 1)), (1, status("b", 0.0, State::Alive, 1))];
    let events = bench.pass(0.0, new);
    let [(name, update)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((name.as_str(), &update["revision"]), ("update", &1.into()));
    assert_eq!(update["rows"].as_array().unwrap().len(), 2);
    assert_eq!(update["states"], serde_json::json!({"alive": 2}));

    let events = bench.pass(1.0, vec![(1, status("b", 1.0, State::Alive, 2))]);
    let (_, update) = &events[0];
    assert_eq!(update["rows"], serde_json::json!([]));
    assert_eq!(
        update["heard"],
        serde_json::json!([[1, 1.0, 0.0, 0.2, 2, 0, 0, 0]]),
        "index, heard, silence, rate, counts"
    );

    let events = bench.pass(2.0, vec![(0, status("a", 0.0, State::Dead, 1))]);
    let (_, update) = &events[0];
    assert_eq!((&update["revision"], &update["heard"]), (&3.into(), &serde_json::json!([])));
    assert_eq!((&update["rows"][0]["id"], &update["rows"][0]["state"]), (&"a".into(), &"dead".into()));
    assert_eq!(update["states"], serde_json::json!({"alive": 1, "dead": 1}));
}

#[test]
fn while_nothing_changes_it_is_told_every_five_seconds_that_all_is_as_it_was() {
    let mut bench = Bench::new(0);
    bench.pass(0.0, vec![(0, status("a", 0.0, State::Alive, 0))]);
    assert_eq!(bench.pass(0.5, Vec::new()), []);
    assert_eq!(bench.pass(4.9, Vec::new()), []);
    assert_eq!(bench.board.figures().revision, 1);
    let events = bench.pass(5.0, Vec::new());
    let (_, update) = &events[0];
    assert_eq!(
        (&update["revision"], &update["rows"], &update["heard"]),
        (&2.into(), &Value::from(vec![(); 0]), &Value::from(vec![(); 0]))
    );
    assert_eq!(bench.pass(5.5, Vec::new()), []);
}

#[test]
fn that_a_follower_fell_behind_is_told_once() {
    let mut bench = Bench::new(0);
    bench.pass(0.0, vec![(0, status("a", 0.0, State::Alive, 0))]);
    bench.lag.send_modify(|lag| lag.behind_bytes = 7);
    let events = bench.pass(0.5, Vec::new());
    assert_eq!(events[0].1["followers"][0]["behind_bytes"], 7);
    bench.lag.send_modify(|lag| lag.records += 1);
    assert_eq!(bench.pass(1.0, Vec::new()), [], "it goes on as it did");
}

#[test]
fn the_rate_of_one_that_falls_silent_falls_and_is_told_until_it_is_nothing() {
    let mut bench = Bench::new(0);
    bench.pass(0.0, vec![(0, status("a", 0.0, State::Alive, 0)), (1, status("b", 0.0, State::Alive, 0))]);
    bench.pass(9.0, vec![(0, status("a", 9.0, State::Alive, 60))]);
    let mut rates = Vec::new();
    for slot in 1..=8 {
        for (_, update) in bench.pass(f64::from(slot) * 10.0 + 1.0, Vec::new()) {
            assert_eq!(update["rows"], serde_json::json!([]));
            rates.extend(update["heard"].as_array().unwrap().iter().map(|heard| (heard[0].clone(), heard[3].clone())));
        }
    }
    let rates: Vec<_> = rates.iter().map(|(index, rate)| (index.as_u64().unwrap(), rate.to_string())).collect();
    let expected = ["5.45", "2.86", "1.94", "1.46", "1.18", "0.0"].map(|rate| (0, rate.to_owned()));
    assert_eq!(rates, expected, "those of `b` never changed");
}

#[test]
fn what_came_before_a_restart_is_no_rate() {
    let mut bench = Bench::new(1);
    bench.pass(0.0, vec![(0, status("old", 0.0, State::Alive, 1_000)), (1, status("new", 0.0, State::Alive, 3))]);
    assert_eq!((bench.board.rate(0), bench.board.rate(1)), (0, 30));
    assert_eq!(bench.board.rate(2), 0);
}

#[test]
fn silence_grows_by_the_monotonic_clock_between_two_updates() {
    let mut bench = Bench::new(0);
    bench.pass(10.0, vec![(0, status("a", 10.0, State::Alive, 1))]);
    assert_eq!(bench.board.rows(at(13.25), &[0])[0].silence_s, Some(3.25));
    // The wall clock is set back by an hour.
    let later = Now { monotonic: at(14.0).monotonic, utc: UtcNanos(0) };
    assert_eq!(bench.board.glance(later).publishers[0].silence, Some(Duration::from_secs(4)));
}

#[test]
fn publishers_are_found_by_state_and_words_and_told_in_the_order_asked_for() {
    let mut bench = Bench::new(0);
    let of = |id: &str, state, silence: u64, threshold: u64, missed, host: Option<&str>| Status {
        silence: (silence > 0).then(|| Duration::from_secs(silence)),
        last_heard: (silence > 0).then(|| at(0.0).utc),
        threshold: Duration::from_secs(threshold),
        host: host.map(str::to_owned),
        counts: Counts { missed, ..Counts::default() },
        ..status(id, 0.0, state, 0)
    };
    let all = [
        of("pump", State::Alive, 10, 50, 0, Some("Web-2")),
        of("gate", State::Finished, 20, 10, 7, None),
        of("Döor", State::Dead, 90, 60, 0, Some("web-1")),
        of("cam", State::Unseen, 0, 50, 0, None),
    ];
    bench.pass(0.0, (0..).zip(all).collect());
    let found = |text: &str, states: Option<Vec<State>>, sort: Option<&str>, offset, limit| {
        let sort = sort.map(|sort| Sort::parse(sort).unwrap());
        let words = text.split_whitespace().map(str::to_lowercase).collect();
        let (overview, found) = bench.board.overview(at(0.0), &Question { states, words, sort, offset, limit });
        let rows = bench.board.rows(at(0.0), &found.places);
        (overview.matching, rows.iter().map(|row| &*row.id).collect::<Vec<_>>().join(" "))
    };
    let sorted = |sort: &str| found("", None, Some(sort), 0, None).1;
    assert_eq!(found("", None, None, 1, Some(2)), (4, "gate Döor".to_owned()));
    assert_eq!(found("WEB", None, None, 0, None), (2, "pump Döor".to_owned()));
    assert_eq!(found("web dÖ", None, None, 0, None), (1, "Döor".to_owned()));
    assert_eq!(found("e", Some(vec![State::Alive, State::Finished]), Some("id"), 1, Some(9)), (2, "pump".to_owned()));
    assert_eq!((sorted("state"), sorted("-state")), ("Döor cam pump gate".into(), "gate pump cam Döor".into()));
    assert_eq!((sorted("heard"), sorted("silence")), ("pump gate Döor cam".into(), "pump Döor gate cam".into()));
    assert_eq!((sorted("host"), sorted("-missed")), ("pump Döor cam gate".into(), "gate Döor cam pump".into()));
    for offset in 0..5 {
        let page = found("", None, Some("state"), offset, Some(1));
        assert_eq!(page, (4, "Döor cam pump gate".split(' ').nth(offset).unwrap_or_default().to_owned()));
    }
    assert!(Sort::parse("colour").is_none());
}

#[test]
fn of_very_many_publishers_updates_tell_numbers_only() {
    let mut bench = Bench::new(0);
    let row = |index: usize| (u32::try_from(index).unwrap(), status(&format!("p{index}"), 0.0, State::Alive, 1));
    let events = bench.pass(0.0, (0..ALL_TOLD).map(row).collect());
    assert_eq!((&events[0].1["all_told"], events[0].1["rows"].as_array().unwrap().len()), (&true.into(), ALL_TOLD));
    let events = bench.pass(1.0, vec![row(ALL_TOLD)]);
    assert_eq!((&events[0].1["all_told"], &events[0].1["rows"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(events[0].1["states"], serde_json::json!({"alive": ALL_TOLD + 1}));
}

#[test]
fn the_glance_has_trouble_first_and_no_more_than_there_is_room_for() {
    let mut bench = Bench::new(0);
    let state = |index: u32| if index == 299 { State::Dead } else { State::Alive };
    let row = |index: u32| (index, status(&format!("p{index:03}"), 0.0, state(index), 0));
    bench.pass(0.0, (0..300).map(row).collect());
    let glance = bench.board.glance(at(1.0));
    let ids: Vec<_> = glance.publishers.iter().map(|status| status.publisher.as_str()).collect();
    assert_eq!((ids.len(), ids[0], ids[1], ids[199]), (200, "p299", "p000", "p198"));
    assert_eq!(glance.states, BTreeMap::from([(State::Alive, 299), (State::Dead, 1)]));
}

/// A loop's state, and its way to a board that takes nothing by itself.
fn handover(dir: &std::path::Path) -> (Intake, Handover, mpsc::Receiver<Update>) {
    handover_to(dir, &broadcast::Sender::new(1))
}

/// The same, with the event stream that may be read.
fn handover_to(dir: &std::path::Path, frames: &broadcast::Sender<Frame>) -> (Intake, Handover, mpsc::Receiver<Update>) {
    let rules = WatchRules { links: vec!["x".to_owned()], ..WatchRules::default() };
    let mut watchdog = Watchdog::new(rules, at(0.0));
    watchdog.begin(at(0.0), None);
    watchdog.link_up(at(0.0), LinkNumber(0));
    let (log, _) = Log::open(dir, LogOptions::default()).unwrap();
    let (sender, updates) = mpsc::channel(1);
    let handover = Handover::new(sender, Metrics::new(UtcNanos(0)), frames.clone());
    (Intake::new(watchdog, log, 1 << 20, []), handover, updates)
}

fn beat(intake: &mut Intake, seconds: f64, ids: &[&str]) {
    let mut batch = Batch::default();
    for id in ids {
        batch.push(Delivery { topic: format!("beat/{id}").as_bytes(), payload: b"", retained: false, resent: false });
    }
    intake.take(at(seconds), LinkIndex(0), &batch);
}

fn places(update: &Update) -> Vec<u32> {
    update.changed.iter().map(|(index, _)| *index).collect()
}

#[test]
fn what_a_full_way_can_not_take_is_passed_on_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let (mut intake, mut handover, mut updates) = handover(dir.path());
    assert_eq!(handover.next(), None);
    beat(&mut intake, 0.0, &["a"]);
    handover.due(at(0.0), &mut intake, &[]);
    assert_eq!(handover.next(), Some(at(0.5).monotonic));
    beat(&mut intake, 0.5, &["b"]);
    handover.due(at(0.499), &mut intake, &[]);
    handover.due(at(0.5), &mut intake, &[]);
    beat(&mut intake, 0.6, &["a"]);
    assert_eq!(places(&updates.try_recv().unwrap()), [0]);
    assert!(updates.try_recv().is_err(), "one at a time");
    handover.due(at(1.0), &mut intake, &[]);
    assert_eq!(places(&updates.try_recv().unwrap()), [1, 0]);
    handover.due(at(1.5), &mut intake, &[]);
    assert!(places(&updates.try_recv().unwrap()).is_empty());
}

#[test]
fn a_flip_is_passed_on_at_once_and_of_too_many_only_that_there_were_more() {
    let dir = tempfile::tempdir().unwrap();
    let (mut intake, mut handover, mut updates) = handover(dir.path());
    handover.due(at(0.0), &mut intake, &[]);
    updates.try_recv().unwrap();
    let publisher: PublisherId = "a".parse().unwrap();
    let flip = Flip {
        publisher,
        host: None,
        from: State::Alive,
        to: State::Silent,
        cause: Cause::ProcessRuns,
        at: UtcNanos(0),
        noticed_at: UtcNanos(0),
        silence: None,
        last_heard: None,
        process: None,
        evidence: Vec::new(),
    };
    handover.flipped(&flip);
    assert_eq!(handover.next(), Some(at(0.02).monotonic));
    handover.due(at(0.02), &mut intake, &[]);
    let update = updates.try_recv().unwrap();
    assert_eq!((update.flips.len(), update.flips_left_out), (1, false));
    assert_eq!(handover.next(), Some(at(0.52).monotonic));

    for _ in 0..1_001 {
        handover.flipped(&flip);
    }
    handover.due(at(0.04), &mut intake, &[]);
    let update = updates.try_recv().unwrap();
    assert_eq!((update.flips.len(), update.flips_left_out), (1_000, true));
    let mut bench = Bench::new(0);
    bench.board.take(update, &mut bench.told);
    let names: Vec<_> = events(&bench.frames.try_recv().unwrap()).into_iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), names[0].as_str(), names[1_001].as_str()), (1_002, "update", "resync"));
}

#[test]
fn a_great_many_changes_are_passed_on_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (mut intake, mut handover, mut updates) = handover(dir.path());
    let ids: Vec<_> = (0..10_001).map(|number| number.to_string()).collect();
    beat(&mut intake, 0.0, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    handover.due(at(0.0), &mut intake, &[]);
    assert_eq!(places(&updates.try_recv().unwrap()), (0..10_000).collect::<Vec<_>>());
    assert_eq!(handover.next(), Some(at(0.02).monotonic), "the rest comes soon");
    handover.due(at(0.02), &mut intake, &[]);
    assert_eq!(places(&updates.try_recv().unwrap()), [10_000]);
    assert_eq!(handover.next(), Some(at(0.52).monotonic));
}

/// Beats of these, and when what they changed is passed on.
fn passed_on(intake: &mut Intake, handover: &mut Handover, seconds: f64, ids: &[&str]) -> Monotonic {
    beat(intake, seconds, ids);
    handover.came(at(seconds).monotonic);
    handover.next().unwrap()
}

#[test]
fn what_is_new_is_passed_on_soon_while_somebody_reads_along() {
    let dir = tempfile::tempdir().unwrap();
    let frames = broadcast::Sender::new(1);
    let (mut intake, mut handover, mut updates) = handover_to(dir.path(), &frames);
    handover.due(at(0.0), &mut intake, &[]);
    updates.try_recv().unwrap();
    assert_eq!(passed_on(&mut intake, &mut handover, 0.3, &["a"]), at(0.5).monotonic, "nobody reads");

    let reader = frames.subscribe();
    handover.due(at(0.5), &mut intake, &[]);
    updates.try_recv().unwrap();
    assert_eq!(handover.next(), Some(at(1.0).monotonic), "nothing is new");
    assert_eq!(passed_on(&mut intake, &mut handover, 0.7, &["a"]), at(0.72).monotonic);
    assert_eq!(passed_on(&mut intake, &mut handover, 0.71, &["b"]), at(0.72).monotonic, "with the one before");
    handover.due(at(0.72), &mut intake, &[]);
    assert_eq!(places(&updates.try_recv().unwrap()), [0, 1]);
    assert_eq!(passed_on(&mut intake, &mut handover, 0.721, &["a"]), at(0.77).monotonic, "not at once again");

    drop(reader);
    handover.due(at(0.77), &mut intake, &[]);
    updates.try_recv().unwrap();
    assert_eq!(passed_on(&mut intake, &mut handover, 0.78, &["a"]), at(1.27).monotonic, "nobody reads any more");
}

#[test]
fn the_more_an_update_costs_the_later_comes_the_next_and_of_very_many_publishers_it_is_no_sooner_than_unread() {
    let dir = tempfile::tempdir().unwrap();
    let frames = broadcast::Sender::new(1);
    let (mut intake, mut handover, mut updates) = handover_to(dir.path(), &frames);
    let ids: Vec<_> = (0..=ALL_TOLD).map(|number| number.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut readers = vec![frames.subscribe()];
    let mut pause_after = |seconds: f64, ids: &[&str], readers: usize| {
        beat(&mut intake, seconds, ids);
        handover.due(at(seconds), &mut intake, &[]);
        let changed = updates.try_recv().unwrap().changed.len();
        let next = passed_on(&mut intake, &mut handover, seconds, &ids[..1]);
        (changed, readers, next.since(at(seconds).monotonic).as_micros())
    };
    assert_eq!(pause_after(1.0, &ids[..500], readers.len()), (500, 1, 50_000));
    assert_eq!(pause_after(2.0, &ids[..4_000], readers.len()), (4_000, 1, 200_200));
    assert_eq!(pause_after(3.0, &ids[..9_999], readers.len()), (9_999, 1, 500_000));
    readers.extend((1..400).map(|_| frames.subscribe()));
    assert_eq!(pause_after(4.0, &ids[..2], readers.len()), (2, 400, 80_100));
    assert_eq!(pause_after(5.0, &ids[9_000..18_999], readers.len()), (10_000, 400, 20_000), "the rest comes soon");
    assert_eq!(pause_after(6.0, &ids[18_999..], readers.len()), (1_003, 400, 500_000));
}
