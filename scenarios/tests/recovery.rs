//! What is lost on ZeroMQ links comes back: programs are killed under load, and every row is stored once.
#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::{Connection, OpenFlags};
use support::scenarios;

/// Rows of each publisher, one a millisecond.
const ROWS: u64 = 6_000;
const PUBLISHERS: [&str; 2] = ["left", "right"];

/// A program; killed when it is dropped, as by SIGKILL.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two publishers, a broker and a subscriber, on this machine alone.
struct Lossy {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Lossy {
    fn new() -> Self {
        let programs = Path::new(scenarios().get_program()).parent().unwrap().to_owned();
        Self { folder: tempfile::tempdir().unwrap(), programs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("ipc://{}", self.path(name).display())
    }

    fn start(&self, program: &str, arguments: &[&str]) -> Running {
        let log =
            std::fs::File::options().create(true).append(true).open(self.path(&format!("{program}.log"))).unwrap();
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).stdout(Stdio::null()).stderr(log);
        Running(command.env("LASTBEAT_LOG", "debug").spawn().unwrap())
    }

    fn broker(&self) -> Running {
        let (publishers, subscribers) = (self.url("p"), self.url("s"));
        self.start(
            "lastbeat-broker",
            &["--publishers", &publishers, "--subscribers", &subscribers, "--keepalive", "1s"],
        )
    }

    fn subscriber(&self) -> Running {
        let (from, store) = (format!("zmq+{}", self.url("s")), self.path("lastbeat.db").display().to_string());
        self.start("lastbeat-subscriber", &["--from", &from, "--store", &store, "--http", "off", "--json"])
    }

    fn publisher(&self, id: &str) -> Running {
        let file = self.path(&format!("{id}.csv"));
        let rows = (0..ROWS).map(|row| row.to_string()).collect::<Vec<_>>().join("\n") + "\n";
        std::fs::write(&file, "n\n".to_owned() + &rows).unwrap();
        let (to, spool) = (format!("zmq+{}", self.url("p")), self.path("spool").display().to_string());
        let file = file.display().to_string();
        let arguments =
            ["csv", &file, "--id", id, "--to", &to, "--once", "--header", "--every", "1ms", "--spool", &spool];
        self.start("lastbeat-publisher", &arguments)
    }

    fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<(String, T)> {
        let store = Connection::open_with_flags(self.path("lastbeat.db"), OpenFlags::SQLITE_OPEN_READ_ONLY);
        let Ok(store) = store else { return Vec::new() };
        let Ok(mut rows) = store.prepare(sql) else { return Vec::new() };
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.map(|rows| rows.filter_map(Result::ok).collect()).unwrap_or_default()
    }

    /// How many rows of each publisher are stored.
    fn counts(&self) -> BTreeMap<String, i64> {
        self.query("SELECT name, count(*) FROM readings JOIN publishers ON publisher = id GROUP BY name")
            .into_iter()
            .collect()
    }

    fn wait_until_stored(&self, rows: u64) {
        let start = lastbeat_host::Clock.now().monotonic;
        loop {
            let counts = self.counts();
            if counts.len() == PUBLISHERS.len() && counts.values().all(|count| count.cast_unsigned() >= rows) {
                return;
            }
            let waited = lastbeat_host::Clock.now().monotonic.since(start);
            assert!(waited.as_secs() < 120, "{rows} rows are awaited, there are {counts:?}; {}", self.logs());
            // Not to take the processor from those that are waited for.
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    /// The end of each program's log.
    fn logs(&self) -> String {
        let end = |name: &str| {
            let text = std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            format!("{name}:\n{}\n", lines[lines.len().saturating_sub(30)..].join("\n"))
        };
        ["lastbeat-subscriber", "lastbeat-broker", "lastbeat-publisher"].map(end).concat()
    }

    /// Every row is stored once, and nobody was called anything that it was not.
    fn all_came_once(&self) {
        let rows = self.query::<i64>(
            "SELECT name, json_extract(fields, '$.n') FROM readings JOIN publishers ON publisher = id ORDER BY 1, 2",
        );
        for publisher in PUBLISHERS {
            let stored = rows.iter().filter(|(id, _)| id == publisher).map(|(_, row)| row.cast_unsigned());
            assert!(stored.eq(0..ROWS), "not each row of {publisher} once: {:?}", self.counts());
        }
        let flips = self.query::<String>("SELECT name, to_state FROM flips JOIN publishers ON publisher = id");
        let wrong: Vec<_> =
            flips.iter().filter(|(_, state)| !matches!(&**state, "alive" | "blind" | "finished")).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_broker_that_is_killed_under_load_costs_nothing() {
    let lossy = Lossy::new();
    let _subscriber = lossy.subscriber();
    let mut broker = lossy.broker();
    let mut publishers = PUBLISHERS.map(|id| lossy.publisher(id));
    for rows in [500, 2_000, 3_500] {
        lossy.wait_until_stored(rows);
        drop(broker);
        broker = lossy.broker();
    }
    assert!(publishers.iter_mut().all(|publisher| publisher.0.wait().unwrap().success()));
    lossy.wait_until_stored(ROWS);
    lossy.all_came_once();
}

#[test]
fn a_subscriber_that_is_killed_under_load_loses_nothing() {
    let lossy = Lossy::new();
    let _broker = lossy.broker();
    let mut subscriber = lossy.subscriber();
    let mut publishers = PUBLISHERS.map(|id| lossy.publisher(id));
    for rows in [500, 2_000, 3_500] {
        lossy.wait_until_stored(rows);
        drop(subscriber);
        subscriber = lossy.subscriber();
    }
    assert!(publishers.iter_mut().all(|publisher| publisher.0.wait().unwrap().success()));
    lossy.wait_until_stored(ROWS);
    lossy.all_came_once();
}
