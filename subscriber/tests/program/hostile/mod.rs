//! One peer does its worst. In each test a bystander goes on, all it sends is stored, the program lives, answers, and takes
//! no more memory than is said here.

mod fields;
mod ids;
mod mqtt;
mod payloads;
mod processes;
mod sockets;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use lastbeat_wire::{Body, Header};

use crate::support::{Publisher, Subscriber, bound, count};

/// How long anything is waited for that must come.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many readings a bystander sends.
const READINGS: i64 = 300;

/// A subscriber that serves, a bystander, and where the others may connect.
struct Place {
    dir: tempfile::TempDir,
    subscriber: Subscriber,
    url: String,
    to: String,
    bystander: Publisher,
    sent: i64,
}

impl Place {
    /// The bystander is heard before anything else happens.
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let (from, to) = bound();
        let (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from, "--config", file.to_str().unwrap()]);
        let mut bystander = Publisher::connect(&to, "bystander", Header::default());
        bystander.reading(0);
        subscriber.expect("bystander", "unseen", "alive", "heard");
        Self { dir, subscriber, url, to, bystander, sent: 1 }
    }

    fn hostile(&self) -> Publisher {
        Publisher::connect(&self.to, "hostile", Header::default())
    }

    /// The bystander says something.
    fn beside(&mut self) {
        if self.sent < READINGS {
            self.bystander.reading(self.sent);
            self.sent += 1;
        }
    }

    /// The bystander says the rest, and nothing is wrong with it. Then the subscriber ends; the folder of its store.
    fn end(mut self, most_mib: u64) -> tempfile::TempDir {
        while self.sent < READINGS {
            self.beside();
        }
        wait_until(|| self.metric("lastbeat_messages_total") >= u64::try_from(READINGS).unwrap());
        let told = get(&self.url, "/api/v1/publishers/bystander");
        assert!(told.contains(r#""state":"alive""#), "{told}");
        self.bystander.send(Body::Bye);
        self.bystander.close();
        while self.subscriber.flip()["publisher"] != "bystander" {}
        let most = most_memory(self.subscriber.pid());
        assert!(most < most_mib << 10, "{most} KiB of memory, at most {most_mib} MiB are right");
        assert_eq!(self.subscriber.stop().code(), Some(0));
        assert_eq!(readings(self.dir.path(), "bystander"), READINGS);
        self.dir
    }

    fn metric(&self, name: &str) -> u64 {
        let text = get(&self.url, "/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits until so many messages were refused for a reason.
    fn refused(&self, reason: &str, messages: u64) {
        let name = format!("lastbeat_messages_refused_total{{reason=\"{reason}\"}}");
        wait_until(|| self.metric(&name) >= messages);
        assert_eq!(self.metric(&name), messages, "{reason}");
    }
}

/// Each look is a request to the program; there are as many as it takes.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begin = lastbeat_host::Clock.now().monotonic;
    while !is_so() {
        assert!(lastbeat_host::Clock.now().monotonic.since(begin) < PATIENCE, "it never came to be");
    }
}

/// Asks without any library between.
fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "GET {path}: {answer}");
    answer
}

/// The most memory that a process ever had resident, in KiB.
fn most_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How many files a process has open.
fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// How many readings of a publisher are stored.
fn readings(dir: &Path, publisher: &str) -> i64 {
    let publisher = publisher.replace('\'', "''");
    let of = format!("(SELECT id FROM publishers WHERE name = '{publisher}')");
    count(dir, &format!("SELECT count(*) FROM readings WHERE publisher = {of}"))
}

fn refused_rows(dir: &Path) -> i64 {
    count(dir, "SELECT count(*) FROM refused")
}
