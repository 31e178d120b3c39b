//! [`Subscriber`]: the real one under measurement, and how far it has come: by its log, its cursors, its metrics.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_host::Clock;
use lastbeat_scenarios::network::free_port;
use lastbeat_scenarios::process::{Lines, Process, Reads};
use lastbeat_scenarios::programs;
use lastbeat_watchdog::Flip;
use lastbeat_wire::UtcNanos;
use rustix::process::Signal;
use serde_json::Value;

use crate::page::Connection;
use crate::stage::{Stage, deadline};
use crate::usage;

/// How long it may take to start, and to end.
const WITHIN: Duration = Duration::from_mins(1);

/// A running subscriber.
pub struct Subscriber {
    /// Its process.
    pub process: Process,
    /// Where its page is.
    pub page: SocketAddr,
    store: PathBuf,
}

impl Subscriber {
    /// Starts one that hears this link; with further options.
    pub fn start(stage: &Stage, from: &str, options: &[&str]) -> anyhow::Result<Self> {
        Self::telling(stage, from, options, Box::new(|_| {}))
    }

    /// The same, each line it writes to stdout, a flip in JSON, given to `lines`.
    pub fn telling(stage: &Stage, from: &str, options: &[&str], lines: Lines) -> anyhow::Result<Self> {
        let subscriber = Self::spawn(stage, from, options, lines)?;
        stage.until(deadline(WITHIN), "the subscriber answers", || {
            if let Some(status) = subscriber.process.ended() {
                bail!("the subscriber ended, {status}: {}", subscriber.process.log_tail(3));
            }
            Ok(Connection::open(subscriber.page).is_ok_and(|mut page| page.get("/readyz").is_ok()))
        })?;
        Ok(subscriber)
    }

    /// The same without waiting for it.
    pub fn spawn(stage: &Stage, from: &str, options: &[&str], lines: Lines) -> anyhow::Result<Self> {
        let page = free_port(Ipv4Addr::LOCALHOST)?;
        let store = stage.path("lastbeat.db");
        let mut command = programs::own("lastbeat-subscriber")?;
        command.args(["--json", "--name", "bench", "--http", &page.to_string(), "--from", from]).args(options);
        command.arg("--store").arg(&store);
        let process = stage.start("subscriber", command, Reads::Stdout(lines))?;
        Ok(Self { process, page, store })
    }

    /// Where the log ends on disk: the newest segment's name is its position.
    pub fn written(&self) -> anyhow::Result<u64> {
        let folder = self.store.with_extension("db.log");
        let mut end = 0;
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if let Some(base) = name.strip_suffix(".log").and_then(|base| base.parse::<u64>().ok()) {
                // It may just have been removed, for everybody has passed it.
                end = end.max(base + entry.metadata().map_or(0, |metadata| metadata.len()));
            }
        }
        Ok(end)
    }

    /// Up to where the store has the log.
    pub fn stored(&self) -> anyhow::Result<u64> {
        let database = rusqlite::Connection::open_with_flags(&self.store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let query = "SELECT value FROM meta WHERE key = 'cursor'";
        match database.query_row(query, (), |row| row.get::<_, i64>(0)) {
            Ok(cursor) => Ok(cursor.cast_unsigned()),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// How many readings the store holds.
    pub fn readings(&self) -> anyhow::Result<u64> {
        let database = rusqlite::Connection::open_with_flags(&self.store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(database.query_row("SELECT count(*) FROM readings", (), |row| row.get::<_, i64>(0))?.cast_unsigned())
    }

    /// Up to where `InfluxDB` has the log.
    pub fn shipped(&self) -> u64 {
        let file = self.store.with_extension("db.log").join("influx.cursor");
        let Ok(text) = std::fs::read(file) else { return 0 };
        serde_json::from_slice::<Value>(&text).ok().and_then(|file| file["position"].as_u64()).unwrap_or_default()
    }

    /// One of its metrics, without labels; twice a second they are new.
    pub fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = Connection::open(self.page)?.get("/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no metric {name}"))?.trim().parse()?)
    }

    /// Publishers that are known, in whatever state.
    pub fn publishers(&self) -> anyhow::Result<u64> {
        let text = Connection::open(self.page)?.get("/metrics")?;
        let lines = text.lines().filter(|line| line.starts_with("lastbeat_publishers{"));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Messages that came.
    pub fn messages(&self) -> anyhow::Result<u64> {
        Ok(self.metric("lastbeat_messages_total")? as u64)
    }

    /// Waits until so many messages have come, or for so long; how many have.
    pub fn heard(&self, stage: &Stage, messages: u64, within: Duration) -> anyhow::Result<u64> {
        let limit = deadline(within);
        loop {
            let heard = self.messages()?;
            if heard >= messages || Clock.now().monotonic >= limit {
                return Ok(heard);
            }
            stage.pause(Duration::from_millis(50))?;
        }
    }

    /// The CPU it has used, in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        usage::cpu_seconds(self.process.pid())
    }

    /// Ends it in order.
    pub fn end(self, stage: &Stage) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)?;
        stage.until(deadline(WITHIN), "the subscriber has ended", || Ok(self.process.ended().is_some()))?;
        match self.process.ended() {
            Some(status) if status.success() => Ok(()),
            other => bail!("the subscriber ended with {other:?}: {}", self.process.log_tail(3)),
        }
    }
}

/// A flip, and when its line was read.
#[derive(Debug, Clone)]
pub struct Told {
    /// What the subscriber told.
    pub flip: Flip,
    /// When its line was read.
    pub arrived: UtcNanos,
}

/// Every flip that a subscriber tells.
#[derive(Debug, Clone, Default)]
pub struct Flips(Arc<Mutex<Vec<Told>>>);

impl Flips {
    /// What hears them.
    pub fn lines(&self) -> Lines {
        let flips = self.clone();
        Box::new(move |line| {
            let arrived = Clock.now().utc;
            // Whatever else it writes is in its log.
            if let Ok(flip) = serde_json::from_str(line) {
                flips.lock().push(Told { flip, arrived });
            }
        })
    }

    /// How many there are like this.
    pub fn count(&self, like: impl Fn(&Told) -> bool) -> usize {
        self.lock().iter().filter(|told| like(told)).count()
    }

    /// The first like this.
    pub fn find(&self, like: impl Fn(&Told) -> bool) -> Option<Told> {
        self.lock().iter().find(|told| like(told)).cloned()
    }

    /// All of them, which are then forgotten.
    pub fn taken(&self) -> Vec<Told> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
