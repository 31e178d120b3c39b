//! [`Stored`]: what the subscriber's store holds, read without writing to it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

    /// How many readings of a publisher there are that differ in a field.
    pub fn distinct(&self, publisher: &str, field: &str) -> anyhow::Result<u64> {
        let query = format!(
            "SELECT count(DISTINCT json_extract(fields, '$.{field}')) FROM readings
             JOIN publishers ON publishers.id = publisher WHERE name = ?1"
        );
        let count: Vec<i64> = self.rows(&query, publisher, |row| row.get(0))?;
        Ok(count.into_iter().map(i64::cast_unsigned).sum())
    }

    /// Of a publisher's readings whose field is a number in a range, the one with the largest: that number, and its time.
    pub fn last_number(
        &self,
        publisher: &str,
        field: &str,
        range: Range<u64>,
    ) -> anyhow::Result<Option<(u64, UtcNanos)>> {
        let (from, to) = (range.start, range.end);
        let query = format!(
            "SELECT json_extract(fields, '$.{field}') AS number, time_ns FROM readings
             JOIN publishers ON publishers.id = publisher
             WHERE name = ?1 AND number >= {from} AND number < {to} ORDER BY number DESC LIMIT 1"
        );
        let last: Vec<(i64, i64)> = self.rows(&query, publisher, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(last.first().map(|(number, time)| (number.cast_unsigned(), UtcNanos(*time))))
    }

    /// From the earliest to the latest time of a publisher's readings, in one of the columns of times.
    pub fn span(&self, publisher: &str, column: &str) -> anyhow::Result<Duration> {
        let query = format!(
            "SELECT coalesce(min({column}), 0), coalesce(max({column}), 0) FROM readings
             JOIN publishers ON publishers.id = publisher WHERE name = ?1"
        );
        let ends: Vec<(i64, i64)> = self.rows(&query, publisher, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(ends.iter().map(|(first, last)| UtcNanos(*last).since(UtcNanos(*first))).sum())
    }

    /// How many messages could not be read.
    pub fn refused(&self) -> anyhow::Result<u64> {
        let count: i64 = self
            .connection
            .query_row("SELECT count(*) FROM refused", (), |row| row.get(0))
            .with_context(|| format!("read store {}", self.path.display()))?;
        Ok(count.cast_unsigned())
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
