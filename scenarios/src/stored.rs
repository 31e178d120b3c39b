//! [`Stored`]: what the subscriber's store holds, read without writing to it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lastbeat_wire::UtcNanos;
use rusqlite::{Connection, OpenFlags, Row};

/// The subscriber's store, opened read-only.
pub struct Stored {
    connection: Connection,
    path: PathBuf,
}

/// One stored point of the measurement `heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heartbeat {
    /// Its time.
    pub at: UtcNanos,
    /// The state, as one word.
    pub state: String,
    /// The cause, as one word.
    pub cause: String,
    /// The yes-or-no answer, where there is one.
    pub alive: Option<bool>,
}

/// One stored flip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFlip {
    /// The state before, and the one after, as words.
    pub states: (String, String),
    /// The cause, as one word.
    pub cause: String,
    /// When it happened, and when the watchdog knew.
    pub times: (UtcNanos, UtcNanos),
}

impl Stored {
    /// Opens it.
    ///
    /// # Errors
    /// When it is not there, or no SQLite file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("open store {}", path.display()))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// A publisher's heartbeats, oldest first.
    pub fn heartbeats(&self, publisher: &str) -> anyhow::Result<Vec<Heartbeat>> {
        let heartbeat = |row: &Row<'_>| {
            Ok(Heartbeat { at: UtcNanos(row.get(0)?), state: row.get(1)?, cause: row.get(2)?, alive: row.get(3)? })
        };
        self.rows(
            "SELECT time_ns, state, cause, alive FROM heartbeats JOIN publishers ON publishers.id = publisher
             WHERE name = ?1 ORDER BY position",
            publisher,
            heartbeat,
        )
    }

    /// A publisher's flips, oldest first.
    pub fn flips(&self, publisher: &str) -> anyhow::Result<Vec<StoredFlip>> {
        let flip = |row: &Row<'_>| {
            Ok(StoredFlip {
                states: (row.get(0)?, row.get(1)?),
                cause: row.get(2)?,
                times: (UtcNanos(row.get(3)?), UtcNanos(row.get(4)?)),
            })
        };
        self.rows(
            "SELECT from_state, to_state, cause, time_ns, noticed_ns
             FROM flips JOIN publishers ON publishers.id = publisher WHERE name = ?1 ORDER BY position",
            publisher,
            flip,
        )
    }

    /// How many readings of a publisher there are.
    pub fn readings(&self, publisher: &str) -> anyhow::Result<u64> {
        let query = "SELECT count(*) FROM readings JOIN publishers ON publishers.id = publisher WHERE name = ?1";
        let count: Vec<i64> = self.rows(query, publisher, |row| row.get(0))?;
        Ok(count.into_iter().map(i64::cast_unsigned).sum())
    }

    /// How many messages of a publisher never came, at the last count.
    pub fn missed(&self, publisher: &str) -> anyhow::Result<u64> {
        let query = "SELECT missed FROM heartbeats JOIN publishers ON publishers.id = publisher
                     WHERE name = ?1 ORDER BY position DESC LIMIT 1";
        let last: Vec<i64> = self.rows(query, publisher, |row| row.get(0))?;
        Ok(last.into_iter().map(i64::cast_unsigned).sum())
    }

    fn rows<T>(
        &self,
        query: &str,
        publisher: &str,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        let read = || self.connection.prepare(query)?.query_map([publisher], row)?.collect::<rusqlite::Result<_>>();
        read().with_context(|| format!("read store {}, publisher {publisher}", self.path.display()))
    }
}
