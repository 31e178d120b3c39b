//! Processes: their ends, their looks, two of them under one id.

use std::time::Duration;

use lastbeat_watchdog::{Cause, Fact, HostView, Notice, Output, Question, Reception, State, Watchdog};
use lastbeat_wire::{BootId, Header, Kind, Now, ProcessIdentity};

use crate::bench::{Bench, FIRST, at, of, process, runs, say, seen};

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
fn what_an_earlier_boot_of_this_host_left_behind_takes_no_process_s_place() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    // Three processes, of which two are remembered; then a broker delivers what the first had sent before the reboot.
    bench.hear(0, FIRST, &of(process(7, 1)));
    bench.hear(1, FIRST, &of(process(8, 1)));
    let before_boot = ProcessIdentity { boot: BootId(99), ..process(6, 1) };
    bench.hear(2, FIRST, &of(before_boot));
    assert_eq!(bench.watchdog.status(at(2), "light").unwrap().pid, Some(8));
    let end = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(8, 1), seen(Fact::Gone));
    assert_eq!(bench.then(3, end), State::Dead);
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

/// The header of a message of one of several processes of a publisher, sent at a second after that process's start.
fn numbered(pid: u32, sequence: u64, started: u64, sent: u64) -> Header<'static> {
    Header {
        sequence: Some(sequence),
        sent_at: Some(at(sent).utc),
        uptime: Some(Duration::from_secs(sent - started).as_nanos().try_into().unwrap()),
        ..of(process(pid, 1))
    }
}

#[test]
fn what_unknown_processes_left_behind_is_late_and_the_one_that_lives_stays_the_one_that_is_watched() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    // A beat of the one that lives goes ahead, without a number.
    bench.hear(1000, FIRST, &Header { sequence: None, ..numbered(9, 0, 999, 1000) });
    for (pid, started) in [(5, 100), (6, 300), (7, 600)] {
        for number in 0..3 {
            let header = numbered(pid, number, started, started + number);
            let reception = say(&mut bench.watchdog, at(1001), Kind::Sensor, Some(FIRST), &header);
            assert_eq!(reception, Reception::Late, "PID {pid}, number {number}");
        }
    }
    let status = bench.watchdog.status(at(1002), "light").unwrap();
    assert_eq!((status.state, status.pid, status.counts.messages), (State::Alive, Some(9), 10));
    assert_eq!((status.counts.restarts, status.counts.conflicts, status.counts.missed), (0, 0, 0));
    assert_eq!(bench.then(1049, |_, _| ()), State::Alive);
    assert_eq!(status.last_heard, Some(at(1000).utc), "late messages are no sign of life");
}

#[test]
fn what_an_earlier_process_left_behind_is_taken_once_though_its_successors_send_it_by_turns() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    let mut taken = 0;
    for successor in 10..18 {
        let seconds = 1000 + u64::from(successor);
        bench.hear(seconds, FIRST, &Header { sequence: None, ..numbered(successor, 0, seconds - 1, seconds) });
        for (pid, started) in [(5, 100), (6, 300)] {
            for number in 0..3 {
                let header = numbered(pid, number, started, started + number);
                let reception = say(&mut bench.watchdog, at(seconds), Kind::Sensor, Some(FIRST), &header);
                taken += usize::from(reception == Reception::Late);
                assert!(reception == Reception::Late || reception == Reception::Duplicate);
            }
        }
        let snapshot = bench.watchdog.snapshot(at(seconds));
        bench.watchdog = Watchdog::new(bench.rules.clone(), at(seconds));
        bench.watchdog.restore(at(seconds), snapshot);
        bench.watchdog.begin(at(seconds), None);
        bench.then(seconds, |watchdog, now| watchdog.link_up(now, FIRST));
    }
    assert_eq!(taken, 6);
    assert_eq!(bench.watchdog.status(at(1017), "light").unwrap().pid, Some(17));
}

#[test]
fn a_backlog_that_is_taken_in_for_many_thresholds_revives_no_process_of_this_host() {
    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.hear(1000, FIRST, &numbered(7, 0, 990, 1000)), State::Alive);
    // From here on each message comes 60 s after it was sent, for ten times the threshold of 50 s.
    for (number, second) in (1001..1500).enumerate() {
        let header = numbered(7, number as u64 + 1, 990, second);
        let reception = say(&mut bench.watchdog, at(second + 60), Kind::Sensor, Some(FIRST), &header);
        assert_eq!(reception, Reception::Late, "sent at {second} s");
    }
    let exited = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone));
    assert_eq!(bench.then(1561, exited), State::Dead);
    for (number, second) in (1500..1560).enumerate() {
        let header = numbered(7, number as u64 + 500, 990, second);
        assert_eq!(bench.hear(second + 62, FIRST, &header), State::Dead, "sent at {second} s, before its end");
    }
}

#[test]
fn an_end_while_blind_is_no_verdict_and_no_secret() {
    let mut bench = Bench::new();
    let told = |bench: &Bench, seconds| {
        let detail = bench.watchdog.detail(at(seconds), "light").unwrap();
        detail.evidence.iter().map(|evidence| evidence.fact.to_string()).collect::<Vec<_>>()
    };
    let end = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone));
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.hear(0, FIRST, &of(process(7, 1)));
    bench.then(10, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    bench.watchdog.touched(usize::MAX);
    assert_eq!(bench.then(20, end), State::Blind);
    assert_eq!(told(&bench, 20), ["link down: first: reset", "no such process"]);
    assert_eq!(bench.watchdog.touched(usize::MAX), [0], "it is shown");
    // Its link is down again before anybody judges.
    bench.then(30, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.then(30, |watchdog, now| watchdog.link_down(now, FIRST, "reset"));
    assert_eq!(told(&bench, 30), ["link down: first: reset", "no such process"]);
    bench.then(40, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.then(41, |_, _| ()), State::Dead);
    assert_eq!((bench.flip().at, bench.flip().noticed_at), (at(20).utc, at(41).utc));
}

/// What was under way for a second.
fn say_slowly(watchdog: &mut Watchdog, now: Now, kind: Kind) -> Reception {
    let header = Header { sent_at: Some(now.utc.minus(Duration::from_secs(1))), ..of(process(7, 1)) };
    say(watchdog, now, kind, Some(FIRST), &header)
}

#[test]
fn an_end_that_is_put_off_for_a_goodbye_is_told_though_its_link_goes_down_meanwhile() {
    let mut bench = Bench::new();
    let end = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone));
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.then(10, |watchdog, now| say_slowly(watchdog, now, Kind::Beat));
    assert_eq!(bench.then(20, end), State::Alive);
    assert_eq!(bench.then(20, |watchdog, now| watchdog.link_down(now, FIRST, "reset")), State::Blind);
    assert_eq!(bench.flip().evidence.last().unwrap().fact, Fact::Gone);
    bench.then(30, |watchdog, now| watchdog.link_up(now, FIRST));
    assert_eq!(bench.then(31, |_, _| ()), State::Dead);
    assert_eq!((bench.flip().at, bench.flip().noticed_at), (at(20).utc, at(31).utc));
}

#[test]
fn no_goodbye_is_waited_for_after_a_will() {
    let mut bench = Bench::new();
    let end = |watchdog: &mut Watchdog, now| watchdog.exited(now, "light", process(7, 1), seen(Fact::Gone));
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.then(10, |watchdog, now| say_slowly(watchdog, now, Kind::Beat));
    bench.then(20, |watchdog, now| say_slowly(watchdog, now, Kind::Rip));
    let state = bench.then(20, |watchdog, now| {
        let question =
            Question { publisher: "light".parse().unwrap(), process: process(7, 1), asked_at: now.monotonic };
        watchdog.answer(now, &question, seen(runs()));
    });
    assert_eq!(state, State::Alive);
    assert_eq!(bench.then(20, end), State::Dead);

    let mut bench = Bench::new();
    bench.then(0, |watchdog, now| watchdog.link_up(now, FIRST));
    bench.then(10, |watchdog, now| say_slowly(watchdog, now, Kind::Beat));
    assert_eq!(bench.then(20, end), State::Alive);
    assert_eq!(bench.then(20, |watchdog, now| say_slowly(watchdog, now, Kind::Rip)), State::Dead);
}
