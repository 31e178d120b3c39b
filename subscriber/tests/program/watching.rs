//! What it hears, how it judges, what it keeps, how it ends.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Publisher, Subscriber, bound, child, command, count};
use lastbeat_host::Own;
use lastbeat_wire::{Body, Header};

/// What a process of ours says of itself; of this one, unless told otherwise.
fn header() -> Header<'static> {
    let own = Own::read().unwrap();
    Header { process: Some(own.process), host: Some(own.host_name.into()), ..Header::default() }
}

#[test]
fn the_end_of_a_process_is_told_under_each_id_it_publishes_as() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let subscriber = Subscriber::start(dir.path(), &from, &[]);
    let (mut child, process) = child();
    let header = Header { process: Some(process), ..Header::default() };
    let mut publishers = ["one", "other"].map(|id| (id, Publisher::connect(&to, id, header.clone())));
    for (id, publisher) in &mut publishers {
        publisher.reading(1);
        subscriber.expect(id, "unseen", "alive", "heard");
    }
    child.kill().unwrap();
    let mut told = [subscriber.flip(), subscriber.flip()].map(|flip| [flip["publisher"].clone(), flip["to"].clone()]);
    told.sort_by_key(|[publisher, _]| publisher.to_string());
    assert_eq!(told, [["one", "dead"], ["other", "dead"]]);
    child.wait().unwrap();
}

#[test]
fn a_foreign_publisher_is_stored_and_watched() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let subscriber = Subscriber::start(dir.path(), &from, &["--threshold", "500ms"]);
    let mut kitchen = Publisher::connect(&to, "kitchen", Header::default());
    kitchen.raw("sensor/kitchen", br#"{"celsius":21.5}"#);
    subscriber.expect("kitchen", "unseen", "alive", "heard");
    let flip = subscriber.expect("kitchen", "alive", "unknown", "no_identity");
    assert!(flip["alive"].is_null(), "nothing is claimed: {flip:#}");
    assert_eq!(flip["silence"], serde_json::json!({"secs": 0, "nanos": 500_000_000}), "{flip:#}");
    kitchen.raw("bye/kitchen", b"");
    subscriber.expect("kitchen", "unknown", "finished", "goodbye");
    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM readings"), 1);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM flips"), 3);
}

#[test]
fn the_end_of_a_local_process_is_known_at_once_and_a_silent_one_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    // Long enough that a death is not taken for silence, short enough to wait for.
    let subscriber = Subscriber::start(dir.path(), &from, &["--threshold", "4s"]);
    let mut hung = Publisher::connect(&to, "running", header());
    hung.reading(1);
    subscriber.expect("running", "unseen", "alive", "heard");

    let (mut child, process) = child();
    let mut victim = Publisher::connect(&to, "dying", Header { process: Some(process), ..Header::default() });
    victim.reading(1);
    subscriber.expect("dying", "unseen", "alive", "heard");
    child.kill().unwrap();
    let flip = subscriber.expect("dying", "alive", "dead", "process_gone");
    assert_eq!(flip["evidence"][0]["source"], "pidfd", "{flip:#}");
    assert_eq!(flip["alive"], false, "{flip:#}");
    child.wait().unwrap();

    victim.reading(2);

    let flip = subscriber.expect("running", "alive", "silent", "process_runs");
    assert_eq!(flip["evidence"][0]["source"], "process_table", "{flip:#}");
    hung.reading(2);
    subscriber.expect("running", "silent", "alive", "heard");
    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM readings"), 4, "the message of a dead process is kept, too");
}

#[test]
fn who_was_late_is_still_late_after_a_restart_and_who_was_alive_is_not_judged_unheard() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "[publishers.late]\nthreshold = '300ms'").unwrap();
    let args = ["--config", config.to_str().unwrap()];
    let first = Subscriber::start(dir.path(), &from, &args);
    let mut late = Publisher::connect(&to, "late", Header::default());
    late.raw("sensor/late", b"1");
    first.expect("late", "unseen", "alive", "heard");
    first.expect("late", "alive", "unknown", "no_identity");
    let mut well = Publisher::connect(&to, "well", Header::default());
    well.raw("sensor/well", b"1");
    first.expect("well", "unseen", "alive", "heard");
    // A flip is told when it is on its way to the log. Killed where it stands: what the log holds is enough.
    while count(dir.path(), "SELECT count(*) FROM flips") < 3 {
        std::thread::park_timeout(Duration::from_millis(2));
    }
    first.kill();

    let second = Subscriber::start(dir.path(), &from, &args);
    second.expect("well", "alive", "blind", "watchdog_away");
    // What ZeroMQ held for the first one when it was killed is lost; a new connection has nothing of the kind.
    let mut well = Publisher::connect(&to, "well", Header::default());
    well.raw("sensor/well", b"2");
    second.expect("well", "blind", "alive", "heard");
    let mut late = Publisher::connect(&to, "late", Header::default());
    late.raw("sensor/late", b"2");
    second.expect("late", "unknown", "alive", "heard");
    assert_eq!(second.stop().code(), Some(0));
    assert!(count(dir.path(), "SELECT count(*) FROM unwatched WHERE link IS NULL") >= 1);
}

#[test]
fn its_own_lost_link_makes_it_blind_and_nobody_dead() {
    let dir = tempfile::tempdir().unwrap();
    let (bound, connected) = bound();
    let subscriber = Subscriber::start(dir.path(), &connected, &["--threshold", "1s"]);
    let mut well = Publisher::connect(&bound, "well", Header::default());
    well.raw("sensor/well", b"1");
    subscriber.expect("well", "unseen", "alive", "heard");
    well.close();
    let flip = subscriber.expect("well", "alive", "blind", "link_down");
    assert_eq!(flip["evidence"][0]["source"], "watchdog", "{flip:#}");
    let mut back = Publisher::connect(&bound, "well", Header::default());
    back.raw("sensor/well", b"2");
    subscriber.expect("well", "blind", "alive", "heard");
}

#[test]
fn garbage_is_counted_kept_with_its_reason_and_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let subscriber = Subscriber::start(dir.path(), &from, &[]);
    let mut publisher = Publisher::connect(&to, "odd", header());
    publisher.raw("sensor/odd", b"{\"a\":");
    publisher.raw("sensor/odd", &[0x80, 0xff, 0x00]);
    publisher.raw("sensor/", b"1");
    publisher.raw("sensor/../../etc", b"1");
    publisher.reading(7);
    publisher.send(Body::Bye);
    subscriber.expect("odd", "unseen", "alive", "heard");
    subscriber.expect("odd", "alive", "finished", "goodbye");
    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM readings"), 1);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM refused"), 4);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM refused WHERE reason = ''"), 0);
}

#[test]
fn all_that_was_sent_is_stored_in_order_and_a_message_sent_twice_once() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let subscriber = Subscriber::start(dir.path(), &from, &[]);
    let mut publisher = Publisher::connect(&to, "busy", header());
    for value in 0..20_000 {
        publisher.reading(value);
    }
    let again = br#"{"lastbeat":1,"seq":77,"fields":{"value":77}}"#;
    publisher.raw("sensor/busy", again);
    publisher.send(Body::Bye);
    subscriber.expect("busy", "unseen", "alive", "heard");
    subscriber.expect("busy", "alive", "finished", "goodbye");
    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM readings"), 20_000);
}

#[test]
fn a_job_says_how_it_went_and_what_it_said_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let subscriber = Subscriber::start(dir.path(), &from, &[]);
    let mut job = Publisher::connect(&to, "backup", Header::default());
    job.raw("start/backup", b"");
    subscriber.expect("backup", "unseen", "alive", "heard");
    job.raw("fail/backup", b"disk full\n");
    let flip = subscriber.expect("backup", "alive", "failed", "reported");
    assert_eq!(
        (&flip["alive"], &flip["evidence"][0]["fact"]["failed"]["reason"]),
        (&false.into(), &"disk full".into())
    );
    job.close();
    assert_eq!(subscriber.stop().code(), Some(0));

    let subscriber = Subscriber::start(dir.path(), &from, &[]);
    let mut job = Publisher::connect(&to, "backup", Header::default());
    job.raw("start/backup", b"");
    job.raw("beat/backup", b"");
    subscriber.expect("backup", "failed", "alive", "heard");
    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM reports WHERE kind = 'start' AND body = ''"), 2);
    assert_eq!(
        count(dir.path(), "SELECT count(*) FROM reports WHERE kind = 'fail' AND body = 'disk full' || char(10)"),
        1
    );
    assert_eq!(count(dir.path(), "SELECT count(*) FROM reports"), 3);
}

#[test]
fn it_says_what_is_wrong_and_its_exit_code_tells_whose_fault_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let output = |command: &mut Command| {
        let output = command.stderr(Stdio::piped()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = output(&mut command(dir.path(), "http://example"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("http"), "{text}");
    let (code, text) = output(command(dir.path(), "memory://x").args(["--threshold", "soon"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("soon"), "{text}");
    std::fs::write(dir.path().join("file"), "no folder").unwrap();
    let (code, text) = output(&mut command(&dir.path().join("file"), "memory://x"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("file/store.db"), "{text}");

    let running = Subscriber::start(dir.path(), "memory://x", &["--expect", "somebody", "--threshold", "1s"]);
    // By then it has its log open.
    running.expect("somebody", "unseen", "unknown", "never_heard");
    let (code, text) = output(&mut command(dir.path(), "memory://x"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("store.db.log"), "{text}");
}

#[test]
fn what_it_keeps_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let subscriber = Subscriber::start(dir.path(), &from, &[]);
    let mut publisher = Publisher::connect(&to, "kitchen", Header::default());
    publisher.reading(1);
    subscriber.expect("kitchen", "unseen", "alive", "heard");
    let mut folders = vec![dir.path().to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            // A file of SQLite's may just have gone.
            let Ok(found) = entry.metadata() else { continue };
            assert_eq!(found.permissions().mode() & 0o077, 0, "{}", entry.path().display());
            seen += 1;
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(seen >= 3, "the store, the log's folder and what is in it");
}
