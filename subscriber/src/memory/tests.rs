use super::*;
use lastbeat_swarm::{AgentJudgement, Judgement, Seen, TargetJudgement};
use lastbeat_watchdog::{BootClock, HostView, LinkNumber, Reception, WatchRules};
use lastbeat_wire::{BootId, Encoding, HostId, Monotonic, ProcessIdentity, encode};

const SECOND: u64 = 1_000_000_000;

/// Seconds on the monotonic clock, and by how many the wall clock was stepped.
fn at(seconds: u64, step: i64) -> Now {
    let utc = UtcNanos(i64::try_from(seconds * SECOND).unwrap() + step * 1_000_000_000);
    Now { monotonic: Monotonic(seconds * SECOND), utc }
}

fn identity(host: u64, boot: u128) -> ProcessIdentity {
    ProcessIdentity { host: HostId(host), boot: BootId(boot), pid_namespace: 1, pid: 1, start: 1 }
}

fn rules(own: ProcessIdentity) -> WatchRules {
    let host = Some(HostView { process: own, booted_at: UtcNanos(0) });
    WatchRules { links: vec!["only".to_owned()], host, ..WatchRules::default() }
}

fn beat(seconds: u64) -> Vec<u8> {
    beat_by(at(seconds, 0), seconds)
}

/// What another host sends that was started when ours was, by its own wall clock.
fn beat_by(clock: Now, seconds: u64) -> Vec<u8> {
    let (process, sent_at) = (Some(identity(2, 2)), Some(clock.utc));
    let header = Header { process, sent_at, uptime: Some(seconds * SECOND), ..Header::default() };
    encode(&lastbeat_wire::Message { header, ..Default::default() }, Encoding::Json)
}

fn replay_beat(watchdog: &mut Watchdog, now: Now, restored: &Restored, came_at: Stamp, payload: &[u8]) {
    let Stamp { utc: received_at, clock } = came_at;
    let message =
        Message { received_at, clock, retained: false, late: false, resent: false, topic: b"beat/light", payload };
    restored.replay(watchdog, &mut Swarm::default(), now, Position::START, &Record::Message(message));
}

/// As an early version wrote it, and as it is written.
fn by_wall(now: Now) -> Stamp {
    Stamp { utc: now.utc, clock: None }
}

fn by_both(now: Now) -> Stamp {
    Stamp { utc: now.utc, clock: Some(BootClock::of(BootId(1), now.monotonic)) }
}

fn hear(watchdog: &mut Watchdog, now: Now, payload: &[u8]) -> Reception {
    let message = decode(lastbeat_wire::Kind::Beat, payload).unwrap();
    let (kind, header, link) = (lastbeat_wire::Kind::Beat, &message.header, Some(LinkNumber(0)));
    let heard =
        Heard { publisher: "light", kind, link, retained: false, resent: false, readable: true, header, log: None };
    watchdog.heard(now, &heard)
}

/// A start at `now` with a snapshot made at 1001 s, after a first beat at 1000 s if it is to be known by then, and then
/// with beats that stand in the log.
fn started(now: Now, own: ProcessIdentity, known: bool, logged: &[(Stamp, Vec<u8>)]) -> Watchdog {
    let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
    watchdog.link_up(at(1000, 0), LinkNumber(0));
    if known {
        hear(&mut watchdog, at(1000, 0), &beat(1000));
    }
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::in_dir(dir.path());
    memory.save(&watchdog, &Swarm::default(), at(1001, 0), Position::START).unwrap();
    let mut watchdog = Watchdog::new(rules(own), now);
    let restored = restore(&mut watchdog, &mut Swarm::default(), now, memory.load().unwrap()).unwrap();
    for (came_at, payload) in logged {
        replay_beat(&mut watchdog, now, &restored, *came_at, payload);
    }
    watchdog.begin(now, restored.watched_until);
    watchdog.link_up(now, LinkNumber(0));
    watchdog
}

#[test]
fn a_wall_clock_that_was_stepped_while_the_watchdog_was_away_makes_nobody_late() {
    for stamp in [by_wall, by_both] {
        let mut watchdog = started(at(1030, 3600), identity(1, 1), true, &[(stamp(at(1010, 0)), beat(1010))]);
        assert_eq!(hear(&mut watchdog, at(1031, 3600), &beat(1031)), Reception::Live);
    }
}

#[test]
fn a_wall_clock_that_was_stepped_since_the_snapshot_makes_nobody_late() {
    // Sent just before both clocks were put back by an hour, and taken in just after.
    let logged = [(by_both(at(1005, -3600)), beat(1005))];
    for known in [false, true] {
        let mut watchdog = started(at(1030, -3600), identity(1, 1), known, &logged);
        let sent = |seconds| beat_by(at(seconds, -3600), seconds);
        assert_eq!(hear(&mut watchdog, at(1031, -3600), &sent(1031)), Reception::Live);
        assert_eq!(hear(&mut watchdog, at(1100, -3600), &sent(1032)), Reception::Late);
    }
}

#[test]
fn a_sender_whose_wall_clock_was_stepped_while_this_host_was_rebooted_is_not_late() {
    // This host is started again at 1020 s of its old clock; the sender's wall clock is put back by an hour.
    let now = |seconds: u64| Now { utc: at(1020 + seconds, 0).utc, ..at(seconds, 0) };
    let stepped = |seconds| beat_by(at(seconds, -3600), seconds);
    for (known, logged) in [(true, vec![]), (false, vec![(by_both(at(1010, 0)), beat(1010))])] {
        let mut watchdog = started(now(30), identity(1, 3), known, &logged);
        assert_eq!(hear(&mut watchdog, now(31), &stepped(1051)), Reception::Live);
        assert_eq!(hear(&mut watchdog, now(140), &stepped(1052)), Reception::Late);
    }
}

fn of(publisher: &str, seconds: u64, position: u64) -> (Position, Vec<u8>, Stamp) {
    (Position(position), format!("beat/{publisher}").into_bytes(), by_both(at(seconds, 0)))
}

fn tell(watchdog: &mut Watchdog, restored: &Restored, records: &[(Position, Vec<u8>, Stamp)]) {
    for (position, topic, Stamp { utc: received_at, clock }) in records {
        let (received_at, clock, payload) = (*received_at, *clock, &b"{}"[..]);
        let message = Message { received_at, clock, retained: false, late: false, resent: false, topic, payload };
        restored.replay(watchdog, &mut Swarm::default(), at(1100, 0), *position, &Record::Message(message));
    }
}

#[test]
fn each_publisher_is_told_what_came_after_its_own_slice_and_nothing_twice() {
    let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
    let nothing = Restored::nothing(&watchdog, at(1100, 0));
    let records = [
        of("a", 1001, 0),
        of("b", 1002, 10),
        of("a", 1003, 20),
        of("b", 1004, 30),
        of("c", 1005, 40),
        of("a", 1006, 50),
        of("b", 1007, 60),
    ];
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::in_dir(dir.path());
    let mut draft = memory.draft().unwrap();
    tell(&mut watchdog, &nothing, &records[..2]);
    draft.add(&Slice::new(Position(20), watchdog.snapshot_of(at(1002, 0), 0..1))).unwrap();
    tell(&mut watchdog, &nothing, &records[2..5]);
    // By now there is a third one, too.
    draft.add(&Slice::new(Position(50), watchdog.snapshot_of(at(1005, 0), 1..3))).unwrap();
    draft.add(&Slice::new(Position(50), watchdog.snapshot_of(at(1005, 0), 3..3))).unwrap();
    draft.finish().unwrap();
    tell(&mut watchdog, &nothing, &records[5..]);

    let kept = memory.load().unwrap().unwrap();
    assert_eq!((memory.position(), kept.from(), kept.last().position()), (Position(20), Position(20), Position(50)));
    let mut again = Watchdog::new(rules(identity(1, 1)), at(1100, 0));
    let restored = restore(&mut again, &mut Swarm::default(), at(1100, 0), Some(kept)).unwrap();
    assert_eq!(restored.watched_until, Some(at(1005, 0).utc));
    tell(&mut again, &restored, &records[2..]);
    let then = at(1100, 0);
    assert!(watchdog.statuses(then).eq(again.statuses(then)), "{:?}", again.statuses(then).collect::<Vec<_>>());
}

#[test]
fn a_pause_that_was_replaced_before_its_slice_was_taken_does_not_come_back() {
    let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
    let nothing = Restored::nothing(&watchdog, at(1000, 0));
    tell(&mut watchdog, &nothing, &[of("a", 1001, 0)]);
    watchdog.pause(at(1002, 0), "a", None);
    let notice =
        Notice::Maintenance { publisher: "a".parse().unwrap(), at: at(1001, 0).utc, until: Some(at(1003, 0).utc) };
    let mut kept = head().to_vec();
    for places in [0..1, 1..1] {
        kept.extend(Slice::new(Position(50), watchdog.snapshot_of(at(1002, 0), places)).encode().unwrap());
    }
    let kept = Kept::open(io::Cursor::new(kept)).unwrap();
    let mut again = Watchdog::new(rules(identity(1, 1)), at(1010, 0));
    let restored = restore(&mut again, &mut Swarm::default(), at(1010, 0), Some(kept)).unwrap();
    restored.replay(&mut again, &mut Swarm::default(), at(1010, 0), Position(40), &Record::Notice(notice.clone()));
    assert_eq!(again.detail(at(1010, 0), "a").unwrap().paused_until, None);
    restored.replay(&mut again, &mut Swarm::default(), at(1010, 0), Position(50), &Record::Notice(notice));
    assert_eq!(again.detail(at(1010, 0), "a").unwrap().paused_until, Some(at(1003, 0).utc));
}

#[test]
fn a_snapshot_of_the_first_version_is_read() {
    let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
    watchdog.link_up(at(1000, 0), LinkNumber(0));
    hear(&mut watchdog, at(1000, 0), &beat(1000));
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::in_dir(dir.path());
    fs::write(&memory.path, file::first_version(Position(7), watchdog.snapshot(at(1001, 0)))).unwrap();
    let kept = memory.load().unwrap().unwrap();
    assert_eq!((kept.from(), kept.last().position()), (Position(7), Position(7)));
    let mut again = Watchdog::new(rules(identity(1, 1)), at(1002, 0));
    let restored = restore(&mut again, &mut Swarm::default(), at(1002, 0), Some(kept)).unwrap();
    assert_eq!((restored.from, restored.watched_until), (Position(7), Some(at(1001, 0).utc)));
    assert_eq!(again.status(at(1002, 0), "light"), watchdog.status(at(1002, 0), "light"));
}

#[test]
fn a_file_that_is_cut_short_or_damaged_anywhere_is_set_aside_as_a_whole() {
    let mut watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
    watchdog.link_up(at(1000, 0), LinkNumber(0));
    hear(&mut watchdog, at(1000, 0), &beat(1000));
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::in_dir(dir.path());
    memory.save(&watchdog, &Swarm::default(), at(1001, 0), Position(7)).unwrap();
    let whole = fs::read(&memory.path).unwrap();
    let is_set_aside = |bytes: &[u8]| {
        fs::write(&memory.path, bytes).unwrap();
        memory.load().unwrap().is_none() && !memory.path.exists()
    };
    for length in 0..whole.len() {
        assert!(is_set_aside(&whole[..length]), "cut at {length}");
    }
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x20;
        assert!(is_set_aside(&damaged), "damaged at {place}");
    }
    assert!(!is_set_aside(&whole));
}

#[test]
fn a_snapshot_of_which_not_all_came_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::in_dir(dir.path());
    let watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
    memory.save(&watchdog, &Swarm::default(), at(1000, 0), Position(7)).unwrap();
    let mut draft = memory.draft().unwrap();
    draft.add(&Slice::new(Position(9), watchdog.snapshot_of(at(1010, 0), 0..1))).unwrap();
    drop(draft);
    assert_eq!(memory.load().unwrap().unwrap().from(), Position(7));
    memory.save(&watchdog, &Swarm::default(), at(1020, 0), Position(8)).unwrap();
    assert_eq!(memory.position(), Position(8));
}

/// What an agent that is heard every 20 s has found out about `a.example`.
fn result(loss: i64) -> lastbeat_wire::Fields<'static> {
    use lastbeat_wire::Value::{Integer, Text};
    let mut fields = lastbeat_wire::Fields::new();
    fields.push("target", Text("a.example".into()));
    fields.push("loss", Integer(loss));
    fields.push("every", Integer(20));
    fields
}

fn see(swarm: &mut Swarm, now: Now, agent: &str, loss: i64) -> Vec<String> {
    let (at, broker, fields) = (now.monotonic.into(), Some("only"), &result(loss));
    let seen = Seen { agent, target: "a.example", at, time: now.utc, broker, host: None, fields };
    assert!(swarm.see(now, &seen));
    swarm.due(now).iter().map(ToString::to_string).collect()
}

fn stands(swarm: &Swarm) -> (Vec<TargetJudgement>, Vec<AgentJudgement>) {
    (swarm.targets().collect(), swarm.agents().collect())
}

/// What is remembered after `records` of a swarm that was kept at 1001 s, on a boot.
fn remembered(swarm: &Swarm, now: Now, boot: u128, records: &[Record<'_>]) -> Swarm {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::in_dir(dir.path());
    let watchdog = Watchdog::new(rules(identity(1, 1)), at(1000, 0));
    memory.save(&watchdog, swarm, at(1001, 0), Position::START).unwrap();
    let (mut watchdog, mut again) = (Watchdog::new(rules(identity(1, boot)), now), Swarm::default());
    let restored = restore(&mut watchdog, &mut again, now, memory.load().unwrap()).unwrap();
    for record in records {
        restored.replay(&mut watchdog, &mut again, now, Position::START, record);
    }
    again
}

#[test]
fn of_a_swarm_is_said_what_was_said_and_nothing_told_twice() {
    let mut swarm = Swarm::default();
    see(&mut swarm, at(1000, 0), "rome", 100);
    assert_eq!(see(&mut swarm, at(1000, 0), "oslo", 0), ["a.example: not reached by 1 of 2 (rome)"]);
    for step in [0, 3600, -3600] {
        let mut again = remembered(&swarm, at(1064, step), 1, &[]);
        assert_eq!(again.due(at(1064, step)), []);
        assert_eq!(stands(&again), stands(&swarm));
        assert!(swarm.cells(at(1064, 0).monotonic).eq(again.cells(at(1064, 0).monotonic)));
        assert_eq!(
            again.next_deadline(),
            Some(at(1065, 0).monotonic),
            "two and a half spans and 15 s after it was found"
        );
        let told: Vec<_> = again.due(at(1065, step)).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["oslo: no result that counts", "rome: no result that counts", "a.example: no result that counts"]
        );
    }
}

#[test]
fn over_a_reboot_results_are_as_old_as_they_are() {
    let mut swarm = Swarm::default();
    see(&mut swarm, at(1000, 0), "rome", 100);
    // This host is started again at 1030 s of its old clock.
    let now = |seconds: u64| Now { utc: at(1030 + seconds, 0).utc, ..at(seconds, 0) };
    for (seconds, counts) in [(34, true), (35, false)] {
        let again = remembered(&swarm, now(seconds), 3, &[]);
        let cell = again.cells(now(seconds).monotonic).next().expect("it is remembered");
        assert_eq!((cell.grade.is_some(), cell.found.time), (counts, at(1000, 0).utc), "{seconds} s after the boot");
    }
}

#[test]
fn what_a_swarm_heard_and_told_since_the_snapshot_is_remembered_and_what_was_not_told_is_told_once() {
    let mut swarm = Swarm::default();
    see(&mut swarm, at(1000, 0), "rome", 100);
    let payload = |loss| {
        let reading = lastbeat_wire::Reading { fields: result(loss), ..Default::default() };
        let body = lastbeat_wire::Body::Reading(reading);
        encode(&lastbeat_wire::Message { body, ..Default::default() }, Encoding::Json)
    };
    let (reached, lost) = (payload(0), payload(100));
    let message = |seconds, topic, payload| {
        let Stamp { utc: received_at, clock } = by_both(at(seconds, 0));
        Record::Message(Message { received_at, clock, retained: false, late: false, resent: false, topic, payload })
    };
    let oslo = message(1010, b"sensor/agent/oslo", &reached[..]);
    let once = |mut again: Swarm| {
        let told: Vec<_> = again.due(at(1030, 0)).iter().map(ToString::to_string).collect();
        (told, again)
    };
    let (told, again) = once(remembered(&swarm, at(1030, 0), 1, std::slice::from_ref(&oslo)));
    assert_eq!(told, ["a.example: not reached by 1 of 2 (rome)"]);
    assert_eq!(again.next_deadline(), Some(at(1065, 0).monotonic));
    // The same once it was told: it is not told again, and since when it is so is remembered.
    let mut judgement = again.targets().next().expect("it is judged");
    judgement.at = at(1010, 0).utc;
    let records = [oslo.clone(), Record::Judgement(Judgement::Target(judgement.clone()))];
    let (told, again) = once(remembered(&swarm, at(1030, 0), 1, &records));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(again.targets().collect::<Vec<_>>(), [judgement]);
    let lost = message(1020, b"sensor/agent/oslo", &lost[..]);
    let (told, _) = once(remembered(&swarm, at(1030, 0), 1, &[&records[..], &[lost]].concat()));
    assert_eq!(told, ["a.example: reached by none of 2"]);
}
