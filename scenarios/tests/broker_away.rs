//! The broker is away while publishers are killed and started anew: what they made arrives, each message once.
#![cfg(unix)]

#[path = "../../transport/tests/conformance/mosquitto.rs"]
mod mosquitto;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mosquitto::Mosquitto;
use rusqlite::{Connection, OpenFlags};
use support::scenarios;

/// Rows of one publisher's file, unless it is to go on and on; the files of others follow it.
const ROWS: u64 = 400;
const MANY_ROWS: u64 = 100_000;

/// A store, its subscriber, and publishers of one id.
struct Away {
    folder: tempfile::TempDir,
    rows: u64,
    programs: PathBuf,
    /// Killed when they are dropped.
    running: Vec<Running>,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Away {
    fn new(rows: u64) -> Self {
        let programs = Path::new(scenarios().get_program()).parent().unwrap().to_owned();
        Self { folder: tempfile::tempdir().unwrap(), rows, programs, running: Vec::new() }
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A subscriber that is there to the end.
    fn subscribe(&mut self, from: &str) {
        let mut subscriber = self.program("lastbeat-subscriber");
        subscriber.args(["--from", from, "--name", "away", "--http", "off", "--json", "--store"]);
        let subscriber = subscriber.arg(self.path("lastbeat.db")).spawn().unwrap();
        self.running.push(Running(subscriber));
    }

    /// The `number`th process of the publisher.
    fn publish(&self, number: u64, to: &str) -> Running {
        let file = self.path(&format!("{number}.csv"));
        let rows = number * self.rows..(number + 1) * self.rows;
        let content = rows.fold("n\n".to_owned(), |content, row| content + &format!("{row}\n"));
        std::fs::write(&file, content).unwrap();
        let mut publisher = self.program("lastbeat-publisher");
        publisher.arg("csv").arg(file).args([
            "--id",
            "house/light",
            "--to",
            to,
            "--once",
            "--header",
            "--every",
            "1ms",
        ]);
        Running(publisher.arg("--spool").arg(self.path("spool")).spawn().unwrap())
    }

    /// How many bytes the publishers have kept.
    fn spooled(&self) -> u64 {
        let entries = |folder: &Path| {
            let read = std::fs::read_dir(folder).into_iter().flatten();
            read.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        let files = entries(&self.path("spool")).into_iter().flat_map(|folder| entries(&folder));
        files
            .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
            .map(|file| file.metadata().unwrap().len())
            .sum()
    }

    /// A publisher that makes some of its rows while the broker is away, and is killed.
    fn publish_some(&self, number: u64, to: &str) {
        drop(self.publish_until_kept(number, to));
    }

    /// A publisher that has kept some of its rows.
    fn publish_until_kept(&self, number: u64, to: &str) -> Running {
        let before = self.spooled();
        let publisher = self.publish(number, to);
        wait_until("it keeps what it makes", || self.spooled() > before + 30_000);
        publisher
    }

    /// The stored rows, by process, in the order in which they came.
    fn stored(&self) -> BTreeMap<u64, Vec<u64>> {
        let store = Connection::open_with_flags(self.path("lastbeat.db"), OpenFlags::SQLITE_OPEN_READ_ONLY);
        let mut stored: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let Ok(store) = store else { return stored };
        let Ok(mut rows) = store.prepare("SELECT json_extract(fields, '$.n') FROM readings ORDER BY position") else {
            return stored;
        };
        for row in rows.query_map([], |row| row.get::<_, i64>(0)).unwrap() {
            let row = u64::try_from(row.unwrap()).unwrap();
            stored.entry(row / self.rows).or_default().push(row);
        }
        stored
    }

    fn wait_until_stored(&self, number: u64, rows: usize) {
        wait_until("rows are stored", || self.stored().get(&number).is_some_and(|stored| stored.len() >= rows));
    }

    /// Each process's rows came once, and without a gap from its first on.
    fn all_came_once(&self, complete: u64) {
        let stored = self.stored();
        assert!(stored.keys().copied().eq(0..=complete), "{:?}", stored.keys());
        for (number, rows) in stored {
            let count = rows.len() as u64;
            assert!(self.is_gapless(number, rows), "of process {number}, {count} rows");
            assert!(count >= if number == complete { self.rows } else { 50 }, "of process {number} {count} rows");
        }
    }

    /// Whether the rows of a process came once each, and none before the last is missing.
    fn is_gapless(&self, number: u64, mut rows: Vec<u64>) -> bool {
        rows.sort_unstable();
        let first = number * self.rows;
        let end = first + rows.len() as u64;
        rows.into_iter().eq(first..end)
    }

    fn wait_until_gapless(&self, number: u64, rows: usize) {
        wait_until("what was lost is sent again", || {
            let stored = self.stored().remove(&number).unwrap_or_default();
            stored.len() >= rows && self.is_gapless(number, stored)
        });
    }

    fn broker(&mut self, publishers: &Path, subscribers: &Path) -> Running {
        let mut broker = self.program("lastbeat-broker");
        let at = |path: &Path| format!("ipc://{}", path.display());
        broker.args(["--publishers", &at(publishers), "--subscribers", &at(subscribers)]);
        Running(broker.spawn().unwrap())
    }
}

/// Looks again and again: what other processes did is told by nobody.
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = lastbeat_host::Clock.now().monotonic;
    while !is() {
        let waited = lastbeat_host::Clock.now().monotonic.since(start);
        assert!(waited.as_secs() < 120, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn over_mqtt_everything_arrives_once_though_the_broker_is_away_and_publishers_are_killed() {
    let mut mosquitto = Mosquitto::new("");
    let (url, mut away) = (mosquitto.url(), Away::new(ROWS));
    away.subscribe(&url);
    let first = away.publish(0, &url);
    away.wait_until_stored(0, 50);
    drop(first);
    mosquitto.terminate();
    for number in 1..=3 {
        away.publish_some(number, &url);
    }
    // One that is killed while it sends what the others left.
    let fourth = away.publish_until_kept(4, &url);
    mosquitto.start();
    away.wait_until_stored(2, 20);
    drop(fourth);
    let mut last = away.publish(5, &url);
    assert!(last.0.wait().unwrap().success());
    away.wait_until_stored(5, usize::try_from(ROWS).unwrap());
    away.all_came_once(5);
}

#[test]
fn over_zeromq_everything_arrives_once_though_the_broker_comes_late_and_publishers_are_killed() {
    let mut away = Away::new(ROWS);
    let (publishers, subscribers) = (away.path("p"), away.path("s"));
    let [to, from] = [&publishers, &subscribers].map(|path| format!("zmq+ipc://{}", path.display()));
    away.subscribe(&from);
    for number in 0..=3 {
        away.publish_some(number, &to);
    }
    let mut last = away.publish(4, &to);
    let broker = away.broker(&publishers, &subscribers);
    away.running.push(broker);
    assert!(last.0.wait().unwrap().success());
    away.wait_until_stored(4, usize::try_from(ROWS).unwrap());
    away.all_came_once(4);
}

#[test]
fn over_zeromq_what_a_killed_broker_and_a_killed_publisher_had_under_way_is_sent_again() {
    let mut away = Away::new(MANY_ROWS);
    let (publishers, subscribers) = (away.path("p"), away.path("s"));
    let [to, from] = [&publishers, &subscribers].map(|path| format!("zmq+ipc://{}", path.display()));
    away.subscribe(&from);
    let broker = away.broker(&publishers, &subscribers);
    let first = away.publish(0, &to);
    away.wait_until_stored(0, 300);
    drop(broker);
    let broker = away.broker(&publishers, &subscribers);
    away.running.push(broker);
    away.wait_until_gapless(0, 2_000);
    drop(first);
    let second = away.publish(1, &to);
    away.wait_until_stored(1, 300);
    away.wait_until_gapless(0, 2_000);
    drop(second);
}
