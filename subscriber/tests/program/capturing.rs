//! A capture beside a subscriber, as processes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::Header;
use serde_json::Value;

use crate::support::{PATIENCE, Publisher, bound};

fn capture(args: &[&str], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastbeat-subscriber"));
    command.arg("capture").args(args).arg("--out").arg(out);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn arrivals_are_recorded_without_their_payloads_until_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("arrivals.jsonl");
    let (from, to) = bound();
    let child = capture(&["--from", &from], &out).spawn().unwrap();
    let mut publisher = Publisher::connect(&to, "light-1", Header { uptime: Some(5), ..Header::default() });
    publisher.reading(123_456_789);
    publisher.raw("beat/light-1", b"");
    publisher.close();
    // What was taken in is in the file within a second, while it goes on.
    let deadline = Clock.now().monotonic.plus(PATIENCE);
    while lines(&out).iter().filter(|line| line["topic"].is_string()).count() < 2 {
        assert!(Clock.now().monotonic < deadline, "{:?}", lines(&out));
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.starts_with("2 messages of 1 publishers in ") && told.contains("arrivals.jsonl"), "{told}");

    let lines = lines(&out);
    assert_eq!((&lines[0]["lastbeat_capture"], &lines[0]["links"][0]), (&1.into(), &from.into()));
    let topics: Vec<_> = lines.iter().filter_map(|line| line["topic"].as_str()).collect();
    assert_eq!(topics, ["sensor/light-1", "beat/light-1"]);
    let reading = lines.iter().find(|line| line["topic"] == "sensor/light-1").unwrap();
    assert_eq!((&reading["seq"], &reading["up"]), (&0.into(), &5.into()), "{reading}");
    assert!(!std::fs::read_to_string(&out).unwrap().contains("123456789"), "the payload is not recorded");
    assert_eq!(lines.last().unwrap()["end"], true);
}

#[test]
fn a_span_ends_it_and_no_file_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("arrivals.jsonl");
    let (from, _) = bound();
    let args = ["--from", &from, "--for", "50ms"];
    assert_eq!(capture(&args, &out).output().unwrap().status.code(), Some(0));
    let before = std::fs::read(&out).unwrap();
    let again = capture(&args, &out).output().unwrap();
    let told = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(1), "{told}");
    assert!(told.contains("arrivals.jsonl") && told.contains("exists"), "{told}");
    assert_eq!(std::fs::read(&out).unwrap(), before);
}

#[test]
fn wrong_options_are_named_and_no_password_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("arrivals.jsonl");
    for (args, reason) in [
        (&["--from", "mqt://kim:secret@host"][..], "no transport is called \"mqt\""),
        (&["--from", "memory://x", "--for", "0s"], "--for is 0s"),
    ] {
        let output = capture(args, &out).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_ne!(output.status.code(), Some(0));
        assert!(told.contains(reason) && !told.contains("secret"), "{told}");
        assert!(!out.exists(), "nothing is left behind");
    }
}

/// A publisher that beats every ten seconds for a day, captured.
fn day(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("day.jsonl");
    let mut text =
        String::from("{\"lastbeat_capture\":1,\"began\":\"2026-01-31T12:00:00Z\",\"links\":[\"mqtt://x\"]}\n");
    text.push_str("{\"at\":0,\"utc\":0,\"link\":0,\"state\":\"up\"}\n");
    for beat in 0..8641u64 {
        let at = beat * 10_000_000_000;
        text.push_str(&format!("{{\"at\":{at},\"utc\":{at},\"link\":0,\"topic\":\"beat/light-1\"}}\n"));
    }
    std::fs::write(&path, text + "{\"at\":864").unwrap();
    path
}

fn thresholds(capture: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastbeat-subscriber"));
    let output = command.arg("thresholds").arg("--capture").arg(capture).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn thresholds_are_suggested_for_what_was_captured() {
    let dir = tempfile::tempdir().unwrap();
    let day = day(dir.path());
    let (code, out, log) = thresholds(&day, &[]);
    assert_eq!(code, Some(0), "{log}");
    assert!(out.starts_with("light-1: 8640 gaps in 1day\n") && out.contains("30.0s  suggested"), "{out}");
    assert!(log.contains("day.jsonl line 8644 is cut off"), "{log}");
    let (_, out, _) = thresholds(&day, &["--json", "--publisher", "light-1", "--threshold", "1m"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["publisher"], &report["suggested_s"]), (&"light-1".into(), &30.0.into()));
    assert_eq!(report["thresholds"][0]["threshold_s"], 60.0);
}

#[test]
fn what_thresholds_cant_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let day = day(dir.path());
    for (args, reason) in [
        (&["--publisher", "nobody"][..], "no sign of life of publisher nobody"),
        (&["--false-alarms-a-month", "0"], "--false-alarms-a-month is 0"),
    ] {
        let (code, _, log) = thresholds(&day, args);
        assert!(code == Some(1) && log.contains(reason), "{log}");
    }
    std::fs::write(&day, "time,value\n1,2\n").unwrap();
    let (code, _, log) = thresholds(&day, &[]);
    assert!(code == Some(1) && log.contains("day.jsonl line 1: \"time,value\""), "{log}");
}
