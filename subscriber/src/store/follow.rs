//! [`Store`]: follows the log into the SQLite file, a transaction a batch, the cursor with its rows.
//!
//! Transactions are not synced one by one: the log behind them is. Once a second one is, and the cursor it holds is the
//! one that is reported, so that the log never lets go of what a loss of power would take from this file.

#[cfg(test)]
mod crashes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{LogHandle, Position, Reader};
use lastbeat_wire::Monotonic;
use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::file::{self, StoreError};
use super::known::Known;
use super::refused::Budget;
use super::rows::Rows;
use crate::follower::{Follower, Lag, Trouble};

/// About so much of the log makes one transaction: some 10,000 records.
const BATCH_BYTES: usize = 4 << 20;
/// When less of the log than this is left, a pause lets it become more: a slow trickle makes few transactions. What comes
/// after a longer silence is taken at once.
const LITTLE_BYTES: u64 = 256 << 10;
const PAUSE: Duration = Duration::from_millis(200);
/// The time between two transactions that are synced.
const DURABLE_EVERY: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The SQLite file as a follower of the log.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    db: Connection,
    known: Known,
    refused: Budget,
    /// Behind what the last transaction holds.
    cursor: Position,
    /// The cursor of the last transaction that was synced.
    durable: Position,
    /// When the next transaction is to be synced.
    durable_due: Monotonic,
}

/// What one transaction did.
struct Taken {
    records: u64,
    cursor: Position,
}

impl Store {
    /// Opens the file, made if need be.
    ///
    /// # Errors
    /// When it can't be opened, or is no store of this version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = file::open(path)?;
        let cursor = saved_cursor(&db);
        let cursor = cursor.map_err(|source| StoreError::Sqlite { doing: "read it", path: path.to_owned(), source })?;
        let durable_due = Clock.now().monotonic;
        let (known, refused) = (Known::default(), Budget::default());
        Ok(Self { path: path.to_owned(), db, known, refused, cursor, durable: cursor, durable_due })
    }

    /// One transaction with what the log has next.
    fn take(&mut self, reader: &mut Reader) -> anyhow::Result<Taken> {
        reader.seek(self.cursor);
        let batch = reader.next_batch(BATCH_BYTES)?;
        for damage in &batch.damage {
            tracing::warn!("{damage}");
        }
        let durable = Clock.now().monotonic >= self.durable_due;
        self.db.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
        let transaction = self.db.unchecked_transaction()?;
        let mut rows = Rows::new(&transaction, &mut self.known, &mut self.refused)?;
        let mut records = 0;
        for record in batch.iter() {
            rows.add(record.position, record.kind, record.body)?;
            records += 1;
        }
        drop(rows);
        save_cursor(&transaction, batch.end())?;
        transaction.commit()?;
        self.cursor = batch.end();
        if durable {
            self.durable = self.cursor;
            self.durable_due = Clock.now().monotonic.plus(DURABLE_EVERY);
        }
        Ok(Taken { records, cursor: self.cursor })
    }

    /// The same for whoever measures it; how many records those are.
    pub(crate) fn take_next(&mut self, reader: &mut Reader) -> anyhow::Result<u64> {
        self.take(reader).map(|taken| taken.records)
    }

    /// The same, and says so. False if it failed: then nothing has changed, and it is to be tried again.
    fn take_and_report(&mut self, reader: &mut Reader, lag: &watch::Sender<Lag>) -> bool {
        let taken = self.take(reader);
        if taken.is_err() {
            self.known.forget();
            self.refused.forget();
            reader.seek(self.cursor);
        }
        self.report(&taken, lag, reader.behind_bytes());
        taken.is_ok()
    }

    fn report(&self, taken: &anyhow::Result<Taken>, lag: &watch::Sender<Lag>, behind_bytes: u64) {
        let (durable, path) = (self.durable, self.path.display());
        lag.send_modify(|lag| {
            (lag.cursor, lag.behind_bytes, lag.dropped) = (durable, behind_bytes, self.refused.dropped);
            match taken {
                Ok(taken) => {
                    lag.records += taken.records;
                    if lag.trouble.take().is_some() {
                        tracing::info!(store = %path, cursor = %taken.cursor, "store: takes records again");
                    }
                }
                Err(error) => {
                    let error = format!("store {path}: {error:#}").into();
                    if lag.trouble.is_none() {
                        tracing::warn!(%error, "store: cannot be written, its records wait in the log");
                    }
                    let since = lag.trouble.as_ref().map_or_else(|| Clock.now().utc, |trouble| trouble.since);
                    lag.trouble = Some(Trouble { since, error });
                }
            }
        });
    }
}

impl Follower for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn cursor(&self) -> Position {
        self.cursor
    }

    async fn follow(mut self, log: LogHandle, lag: watch::Sender<Lag>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut reader = log.reader(self.cursor)?;
        let mut retry = FIRST_RETRY;
        loop {
            let is_durable = self.durable == self.cursor;
            let due = Instant::from_std(Clock.instant(self.durable_due));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                more = reader.wait() => if more.is_err() { break },
                () = sleep_until(due), if !is_durable => {}
            }
            let is_taken = self.take_and_report(&mut reader, &lag);
            retry = if is_taken { FIRST_RETRY } else { (retry * 2).min(LAST_RETRY) };
            let pause = match is_taken {
                true if reader.behind_bytes() >= LITTLE_BYTES => Duration::ZERO,
                true => PAUSE,
                false => retry,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(Instant::from_std(Clock.instant(Clock.now().monotonic.plus(pause)))) => {}
            }
        }
        if self.durable != self.cursor {
            self.durable_due = Clock.now().monotonic;
            self.take_and_report(&mut reader, &lag);
        }
        Ok(())
    }
}

fn saved_cursor(db: &Connection) -> rusqlite::Result<Position> {
    let mut statement = db.prepare("SELECT value FROM meta WHERE key = 'cursor'")?;
    let cursor = statement.query_map((), |row| row.get::<_, i64>(0))?.next().transpose()?;
    Ok(Position(cursor.unwrap_or_default().cast_unsigned()))
}

fn save_cursor(db: &Connection, cursor: Position) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('cursor', ?1)")?.execute([cursor.0.cast_signed()]).map(drop)
}
