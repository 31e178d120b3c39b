//! What people read of each flip.

use std::collections::BTreeSet;
use std::time::Duration;

use lastbeat_watchdog::{Cause, Evidence, Fact, Flip, Source, State};
use lastbeat_wire::{BootId, HostId, ProcessIdentity, UtcNanos};

/// 2024-05-01T03:12:05.2Z.
const AT: UtcNanos = UtcNanos(1_714_533_125_200_000_000);
const PROCESS: ProcessIdentity =
    ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4242, start: 5 };

fn flip(to: State, cause: Cause, evidence: Vec<(Source, Fact)>) -> Flip {
    let silence = Duration::from_secs(50);
    Flip {
        publisher: "light-1".parse().unwrap(),
        host: Some("web-1".to_owned()),
        from: State::Alive,
        to,
        cause,
        at: AT,
        noticed_at: AT,
        silence: Some(silence),
        last_heard: Some(AT.minus(silence)),
        process: Some(PROCESS),
        evidence: evidence.into_iter().map(|(source, fact)| Evidence { at: AT, source, fact }).collect(),
    }
}

fn table(fact: Fact) -> Vec<(Source, Fact)> {
    vec![(Source::ProcessTable, fact)]
}

fn watchdog(fact: Fact) -> Vec<(Source, Fact)> {
    vec![(Source::Watchdog, fact)]
}

fn identity(fact: Fact) -> Vec<(Source, Fact)> {
    vec![(Source::Identity, fact)]
}

const OOM: &str = "Look at its own log, and at the kernel's for the OOM killer.";
const SILENT: &str = "nothing heard for 50 s, since 03:11:15 UTC";

fn tells(to: State, cause: Cause, evidence: Vec<(Source, Fact)>, text: &str) {
    assert_eq!(flip(to, cause, evidence).told(), format!("light-1 {text}"));
}

#[test]
fn one_that_went_silent_is_told_with_its_process() {
    let runs = Fact::Runs { detail: "sleeping".to_owned() };
    let text = format!(
        "fell silent: {SILENT}; its process (PID 4242 on web-1) still runs (sleeping). Is it hung? Can it reach the broker?"
    );
    tells(State::Silent, Cause::ProcessRuns, table(runs), &text);
    let text = format!(
        "is suspended: {SILENT}; its process (PID 4242 on web-1) is stopped, by SIGSTOP, job control or a debugger. \
         Let it go on with kill -CONT 4242."
    );
    tells(State::Suspended, Cause::ProcessStopped, table(Fact::Stopped), &text);
}

#[test]
fn a_death_is_told_with_its_proof() {
    let text = format!(
        "is dead: its process (PID 4242 on web-1) ended at 03:12:05 UTC, 50 s after it was last heard. The kernel said so \
         (pidfd). {OOM}"
    );
    tells(State::Dead, Cause::ProcessGone, vec![(Source::Pidfd, Fact::Gone)], &text);
    let text = format!(
        "is dead: its process (PID 4242 on web-1) has ended, its parent has not reaped it (a zombie); {SILENT}. Look at \
         the parent."
    );
    tells(State::Dead, Cause::ProcessZombie, table(Fact::Zombie), &text);
    let text = format!(
        "is dead: its process (PID 4242 on web-1) has ended, its PID belongs to another process now; {SILENT}. {OOM}"
    );
    tells(State::Dead, Cause::PidReused, table(Fact::Reused { start: 7 }), &text);
    let text =
        format!("is dead: its host (web-1) was rebooted since; {SILENT}. Was it not started again after the reboot?");
    let rebooted = identity(Fact::Rebooted { boot: BootId(9) });
    tells(State::Dead, Cause::HostRebooted, rebooted, &text);
    let text = format!(
        "is taken for dead: a broker lost its connection and published its will; {SILENT}. Look at its host, its network."
    );
    tells(State::Dead, Cause::Will, vec![(Source::Message, Fact::Will)], &text);
}

#[test]
fn what_nothing_here_can_tell_is_not_called_dead() {
    let text = "is expected, and nothing came from it by 03:12:05 UTC. Is it started? Does it use this id?";
    tells(State::Unknown, Cause::NeverHeard, watchdog(Fact::NeverHeard), text);
    let text = format!(
        "went quiet: {SILENT}; it runs on another host (web-1), where this watchdog can't look. Run a subscriber there, \
         or look there."
    );
    tells(State::Unknown, Cause::OtherHost, identity(Fact::OtherHost { host: HostId(7) }), &text);
    let text = format!(
        "went quiet: {SILENT}; its process (PID 4242 on web-1) is in another PID namespace, where this watchdog can't \
         look. Run a subscriber there, or look there."
    );
    tells(State::Unknown, Cause::OtherNamespace, identity(Fact::OtherNamespace { pid_namespace: 7 }), &text);
    let text = format!("went quiet: {SILENT}; it never told its process. Its silence is all there is.");
    tells(State::Unknown, Cause::NoIdentity, identity(Fact::NoIdentity), &text);
    let text = format!(
        "went quiet: {SILENT}; looking at its process (PID 4242 on web-1) failed: no answer within 1000 ms. Is /proc there?"
    );
    let failed = Fact::ProbeFailed { reason: "no answer within 1000 ms".to_owned() };
    tells(State::Unknown, Cause::ProbeFailed, table(failed), &text);
}

#[test]
fn a_failure_is_told_in_the_words_of_its_report() {
    let failed = |reason: &str| vec![(Source::Message, Fact::Failed { reason: reason.to_owned() })];
    let text = "failed: it reported so at 03:12:05 UTC: disk full. Look at its report, at its own log.";
    tells(State::Failed, Cause::Reported, failed("disk full."), text);
    let text = "failed: it reported so at 03:12:05 UTC. Look at its report, at its own log.";
    tells(State::Failed, Cause::Reported, failed(""), text);
    let mut after_maintenance = flip(State::Failed, Cause::Reported, failed(""));
    after_maintenance.evidence[0].at = AT.minus(Duration::from_mins(10));
    assert!(after_maintenance.told().contains("it reported so at 03:02:05 UTC."));
}

#[test]
fn what_calls_for_nobody_says_so() {
    tells(State::Unseen, Cause::NotHeardYet, vec![], "is watched again; it has not been heard yet.");
    let goodbye = vec![(Source::Message, Fact::Goodbye)];
    tells(State::Finished, Cause::Goodbye, goodbye, "finished: it said goodbye at 03:12:05 UTC.");
    let until = Fact::Maintenance { until: Some(AT.plus(Duration::from_hours(24))) };
    let text = "is paused for maintenance from 03:12:05 UTC until 2024-05-02 03:12:05 UTC: nobody judges it.";
    tells(State::Paused, Cause::Maintenance, watchdog(until), text);
    let text = "can't be heard since 03:12:05 UTC: the watchdog's link is down (mqtt://lab: reset); nobody judges it. Mend \
                the broker, the network.";
    let down = Fact::LinkDown { reason: "mqtt://lab: reset".to_owned() };
    tells(State::Blind, Cause::LinkDown, watchdog(down), text);
    let text = format!(
        "is not judged yet: the watchdog's link was not up for as long as it may be silent; {SILENT}. Wait at most one \
         threshold."
    );
    tells(State::Blind, Cause::LinkBack, vec![], &text);
    let text = format!(
        "was not watched from 03:12:05 UTC to 03:12:05 UTC: the watchdog was away; {SILENT}. Wait at most one threshold."
    );
    tells(State::Blind, Cause::WatchdogAway, vec![], &text);
}

#[test]
fn each_cause_has_its_own_sentence() {
    let told: BTreeSet<_> =
        Cause::ALL.into_iter().map(|cause| flip(State::Unknown, cause, Vec::new()).told()).collect();
    assert_eq!(told.len(), Cause::ALL.len());
}

#[test]
fn what_is_not_known_is_not_told() {
    let bare = |state, cause| Flip {
        host: None,
        silence: None,
        last_heard: None,
        process: None,
        ..flip(state, cause, Vec::new())
    };
    for (state, cause, text) in [
        (State::Alive, Cause::Heard, "is alive again (it was alive): heard at 03:12:05 UTC."),
        (
            State::Dead,
            Cause::ProcessGone,
            "is dead: its process is gone, it is not in the process table any more; it was never heard.",
        ),
        (State::Silent, Cause::ProcessRuns, "fell silent: it was never heard; its process still runs."),
        (
            State::Suspended,
            Cause::ProcessStopped,
            "is suspended: it was never heard; its process is stopped, by SIGSTOP",
        ),
        (State::Paused, Cause::Maintenance, "is paused for maintenance from 03:12:05 UTC: nobody judges it."),
    ] {
        let told = bare(state, cause).told();
        assert!(told.starts_with(&format!("light-1 {text}")), "{told}");
    }
    let endless = flip(State::Paused, Cause::Maintenance, watchdog(Fact::Maintenance { until: None })).told();
    assert!(endless.contains("from 03:12:05 UTC until it is resumed: "), "{endless}");
}

#[test]
fn being_heard_is_told_by_what_it_was_before() {
    for (from, text) in [
        (State::Unseen, "is alive: first heard at 03:12:05 UTC."),
        (State::Paused, "is alive: maintenance is over, and it was heard within its threshold."),
        (State::Blind, "is alive: the watchdog hears it again since 03:12:05 UTC, after 50 s of silence."),
        (State::Failed, "works again after its failure: heard at 03:12:05 UTC, after 50 s of silence."),
        (State::Dead, "is alive again (it was dead): heard at 03:12:05 UTC, after 50 s of silence."),
    ] {
        let heard = Flip { from, ..flip(State::Alive, Cause::Heard, Vec::new()) };
        assert_eq!(heard.told(), format!("light-1 {text}"));
    }
}

#[test]
fn a_delay_is_told_where_it_matters() {
    let late = |cause, source, late| {
        let flip = flip(State::Dead, cause, vec![(source, Fact::Gone)]);
        Flip { noticed_at: AT.plus(Duration::from_millis(late)), ..flip }.told()
    };
    assert!(late(Cause::ProcessGone, Source::Pidfd, 2).contains("The kernel said so (pidfd) 2 ms later. Look"));
    assert!(!late(Cause::ProcessGone, Source::ProcessTable, 999).contains("later"));
    let table = late(Cause::ProcessGone, Source::ProcessTable, 90_500);
    assert!(
        table.contains("; nothing heard for 50 s, since 03:11:15 UTC. The watchdog knew 1 min 30 s later. Look"),
        "{table}"
    );
    let away = late(Cause::WatchdogAway, Source::Watchdog, 3_600_000);
    assert!(away.contains("was not watched from 03:12:05 UTC to 04:12:05 UTC: ") && !away.contains("later"), "{away}");
}

#[test]
fn an_end_that_was_seen_long_before_is_told_with_its_own_time() {
    let mut flip = flip(State::Dead, Cause::ProcessGone, vec![(Source::Pidfd, Fact::Gone)]);
    flip.from = State::Paused;
    flip.evidence[0].at = AT.minus(Duration::from_mins(10));
    assert_eq!(
        flip.told(),
        format!(
            "light-1 is dead: its process (PID 4242 on web-1) had ended by 03:02:05 UTC, as the kernel said (pidfd); it is \
             judged since 03:12:05 UTC. {OOM}"
        )
    );
}

#[test]
fn spans_are_said_as_people_say_them() {
    for (millis, text) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (1_250, "1.2 s"),
        (9_999, "9.9 s"),
        (10_500, "10 s"),
        (60_000, "1 min"),
        (123_000, "2 min 3 s"),
        (3_600_000, "1 h"),
        (11_100_000, "3 h 5 min"),
        (86_400_000, "1 day"),
        (100_800_000, "1 day 4 h"),
        (259_200_000, "3 days"),
    ] {
        let silence = Some(Duration::from_millis(millis));
        let told = Flip { silence, ..flip(State::Alive, Cause::Heard, Vec::new()) }.told();
        assert!(told.ends_with(&format!("after {text} of silence.")), "{told}");
    }
}

#[test]
fn the_advice_is_that_of_the_documents() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATING.md")).unwrap();
    let plain = text.replace('`', "");
    for cause in Cause::ALL {
        let Some(advice) = cause.advice() else { continue };
        let row = plain.lines().find(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            cells.get(1).is_some_and(|causes| causes.split(", ").any(|word| word == cause.word()))
        });
        let row = row.unwrap_or_else(|| panic!("{cause:?} has no row"));
        assert_eq!(row.split('|').nth(3).map(str::trim), Some(advice), "{cause:?}");
    }
}
