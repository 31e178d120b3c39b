//! The program itself: its exit codes, its signals, and what it sends over ZeroMQ.

#![cfg(unix)]
#![allow(missing_docs, reason = "the names of tests are sentences")]

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use lastbeat_transport::{Arrival, Endpoint, Incoming, LinkIndex, SubscribeOptions, Subscription, subscribe};
use lastbeat_wire::{Body, Kind, Topic, decode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{Receiver, channel};

/// A subscriber on a socket of its own, and the folder that both live in.
struct Listener {
    folder: tempfile::TempDir,
    incoming: Receiver<Incoming>,
    received: Vec<Message>,
    _subscription: Subscription,
}

#[derive(Debug, Clone, PartialEq)]
struct Message {
    kind: Kind,
    publisher: String,
    sequence: u64,
    pid: u32,
    /// The sum of the integers in it.
    sum: i64,
}

impl Listener {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, incoming) = channel(1024);
        let endpoint: Endpoint = format!("{}?bind", url(folder.path())).parse().unwrap();
        let subscription = subscribe(&endpoint, SubscribeOptions::default(), LinkIndex(0), sender).unwrap();
        Self { folder, incoming, received: Vec::new(), _subscription: subscription }
    }

    fn file(&self, content: &str) -> PathBuf {
        let path = self.folder.path().join("a.csv");
        std::fs::write(&path, content).unwrap();
        path
    }

    fn csv(&self, content: &str, options: &str) -> Command {
        let mut command = program("csv", self.folder.path());
        command.arg(self.file(content)).args(["--id", "house/light-1", "--to", &url(self.folder.path())]);
        command.args(options.split_whitespace());
        command
    }

    /// Receives until a message of this kind came.
    fn receive_until(&mut self, kind: Kind) {
        while self.received.last().is_none_or(|message| message.kind != kind) {
            let arrival = self.incoming.blocking_recv().expect("the subscription lives").arrival;
            let Arrival::Batch(batch) = arrival else { continue };
            self.received.extend(batch.iter().map(|delivery| {
                let topic = Topic::parse(delivery.topic).unwrap();
                let message = decode(topic.kind, delivery.payload).unwrap();
                let sum = match &message.body {
                    Body::Reading(reading) => reading.fields.iter().map(|(_, value)| integer(value)).sum(),
                    _ => 0,
                };
                Message {
                    kind: topic.kind,
                    publisher: topic.publisher.to_owned(),
                    sequence: message.header.sequence.unwrap(),
                    pid: message.header.process.unwrap().pid,
                    sum,
                }
            }));
        }
    }
}

fn integer(value: &lastbeat_wire::Value<'_>) -> i64 {
    if let lastbeat_wire::Value::Integer(value) = value { *value } else { panic!("{value:?}") }
}

fn url(folder: &Path) -> String {
    format!("zmq+ipc://{}/s", folder.display())
}

/// The program, its spool in a folder.
fn program(subcommand: &str, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastbeat-publisher"));
    command.arg(subcommand).env_remove("LASTBEAT_LOG").stderr(Stdio::piped());
    command.env("LASTBEAT_SPOOL", folder.join("spool"));
    command
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn outcome(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn a_file_sent_once_arrives_whole_and_in_order_between_a_beat_and_a_goodbye() {
    let mut listener = Listener::new();
    let rows = (0..5000).fold(String::new(), |rows, row| rows + &format!("2018-02-10,{row}\n"));
    for encoding in ["json", "msgpack"] {
        let options = format!("--every 0 --once --encoding {encoding}");
        let child = listener.csv(&rows, &options).spawn().unwrap();
        let pid = child.id();
        listener.received.clear();
        listener.receive_until(Kind::Bye);
        let (code, log) = outcome(&child.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "{log}");

        let kinds: Vec<_> = listener.received.iter().map(|message| message.kind).collect();
        assert_eq!((kinds[0], *kinds.last().unwrap()), (Kind::Beat, Kind::Bye));
        let sensor = listener.received.iter().filter(|message| message.kind == Kind::Sensor);
        assert!(sensor.map(|message| message.sum).eq(0..5000));
        assert!(listener.received.iter().map(|message| message.sequence).eq(0..kinds.len() as u64));
        assert!(listener.received.iter().all(|message| message.pid == pid && message.publisher == "house/light-1"));
    }
}

#[test]
fn sigterm_and_sigint_say_goodbye_and_exit_with_0() {
    let mut listener = Listener::new();
    for number in [Signal::TERM, Signal::INT] {
        let mut child = listener.csv("1\n2\n", "").spawn().unwrap();
        listener.receive_until(Kind::Sensor);
        signal(&child, number);
        listener.receive_until(Kind::Bye);
        assert!(child.try_wait().unwrap().is_none(), "it lives on until the goodbye is heard");
        let (code, log) = outcome(&child.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn a_second_signal_ends_at_once_though_nobody_took_the_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::of(nobody_listens(folder.path(), "1h"));
    log.line_with("publishing as a");
    signal(&log.child, Signal::INT);
    log.line_with("saying goodbye, for at most 1h");
    signal(&log.child, Signal::INT);
    assert_eq!(log.child.wait().unwrap().code(), Some(130));
}

/// Two rows for a socket that is not there.
fn nobody_listens(folder: &Path, drain: &str) -> Command {
    let file = folder.join("a.csv");
    std::fs::write(&file, "1\n2\n").unwrap();
    let mut command = program("csv", folder);
    command.arg(file).args(["--id", "a", "--to", &url(folder), "--drain", drain]);
    command
}

/// A running program, and what it logs.
struct Log {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Log {
    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a line with this text.
    fn line_with(&mut self, text: &str) {
        let found = self.lines.by_ref().map(Result::unwrap).any(|line| line.contains(text));
        assert!(found, "no line with {text:?}");
    }
}

#[test]
fn exit_codes_are_as_documented() {
    let listener = Listener::new();
    let rows = "time,lux\n".to_owned() + &"2018-02-10,1\n".repeat(30) + "2018-02-11,x\n";
    for (options, expected, told) in [
        ("--every 0 --once", 0, "a.csv row 32: column \"lux\": bad integer \"x\""),
        ("--every 0 --once --strict", 2, "a.csv row 32: column \"lux\": bad integer \"x\""),
        ("--time-column when", 2, "no column \"when\"; there are time, lux"),
        ("--zone Mars/Olympus", 2, "Mars/Olympus"),
        ("--speed 0", 2, "no number above 0"),
        ("--to nowhere://x", 2, "cannot be used multiple times"),
    ] {
        let (code, log) = outcome(&listener.csv(&rows, options).output().unwrap());
        assert_eq!(code, Some(expected), "{options}: {log}");
        assert!(log.contains(told), "{options}: {log}");
    }
    for (path, told) in [("missing.csv", "missing.csv: No such file"), ("", "is a directory, not a file")] {
        let path = listener.folder.path().join(path);
        let output = program("csv", listener.folder.path())
            .arg(path)
            .args(["--id", "a", "--to", "memory://a"])
            .output()
            .unwrap();
        let (code, log) = outcome(&output);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(told), "{log}");
    }
}

#[test]
fn the_end_of_a_file_waits_for_a_subscriber_until_a_signal_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut nobody = nobody_listens(folder.path(), "1ms");
    nobody.args(["--once", "--every", "1ms"]);
    let mut log = Log::of(nobody);
    log.line_with("nobody takes messages");
    signal(&log.child, Signal::INT);
    log.line_with("3 not sent, 3 of them kept for the next start");
    log.line_with("the goodbye could not be sent within 1ms");
    assert_eq!(log.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_recording_can_be_replayed() {
    let mut listener = Listener::new();
    let out = listener.folder.path().join("recording.csv");
    let record = || {
        program("record", listener.folder.path())
            .args(["--every", "200ms", "--for", "1s", "--out"])
            .arg(&out)
            .output()
            .unwrap()
    };
    let (code, log) = outcome(&record());
    assert_eq!(code, Some(0), "{log}");
    let (code, log) = outcome(&record());
    assert_eq!(code, Some(1), "a recording is not overwritten");
    assert!(log.contains("recording.csv: can't be created"), "{log}");

    let mut replay = program("csv", listener.folder.path());
    replay.arg(&out).args(["--id", "a", "--to", &url(listener.folder.path()), "--every", "0", "--once", "--strict"]);
    let child = replay.args(["--type", "load_1m=string"]).spawn().unwrap();
    while listener.received.last().is_none_or(|message| message.kind != Kind::Bye) {
        let Arrival::Batch(batch) = listener.incoming.blocking_recv().unwrap().arrival else { continue };
        listener.received.extend(batch.iter().map(|delivery| Message {
            kind: Topic::parse(delivery.topic).unwrap().kind,
            publisher: String::new(),
            sequence: 0,
            pid: 0,
            sum: 0,
        }));
    }
    assert!(listener.received.iter().filter(|message| message.kind == Kind::Sensor).count() >= 2);
    let (code, log) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("time (time, iso)"), "{log}");
}
