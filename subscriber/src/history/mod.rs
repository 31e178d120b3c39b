//! [`History`]: answers questions about the past from the store, beside the one who writes it.
//!
//! ```text
//!   handler ── question ─▶ permit ─▶ blocking thread ─ read-only connection ─▶ store
//!      └─ dropped when the client goes away: the question's next look at its token ends it
//! ```

mod buckets;
mod error;
mod fields;
mod flips;
mod parameters;
mod picker;
mod rates;
mod readings;
mod reports;
mod routes;
mod spans;
mod states;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::{Monotonic, UtcNanos};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

pub use error::HistoryError;
pub use fields::Field;
pub use routes::routes;

/// A request's path and query put to every question, and in what words each refuses them.
pub fn refused(id: &str, query: &str, now: UtcNanos) -> Vec<String> {
    let (id, query) = (|| id.to_owned(), Some(query));
    let all = [
        readings::ReadingsQuestion::parse(id(), query, now).err(),
        states::StatesQuestion::parse(id(), query, now).err(),
        flips::FlipsQuestion::parse(Some(id()), query, now).err(),
        flips::FlipsQuestion::parse(None, query, now).err(),
        reports::LogQuestion::parse(id(), query).err(),
        rates::RatesQuestion::parse(query, now).err(),
        stream::ExportQuestion::parse(query, now).err(),
    ];
    all.into_iter().flatten().map(|error| error.to_string()).collect()
}

/// Questions at a time: each holds a thread and a connection, and more of them would only take turns on the disk.
const QUESTIONS: usize = 4;
/// Exports at a time. They last as long as their client reads, so they are counted apart from questions.
const EXPORTS: usize = 4;
/// Blocking threads that are needed at most.
pub const THREADS: usize = QUESTIONS + EXPORTS;
/// How long a question may take, its wait for a turn included.
const LONGEST: Duration = Duration::from_secs(10);
/// A client of an export that takes nothing for so long is let go: while its look at the store lasts, SQLite's own log can
/// only grow.
const STALL: Duration = Duration::from_mins(1);
/// Steps of SQLite's machine between two looks at whether the answer is still wanted: some 0.1 ms.
const STEPS: i32 = 2_000;

/// The store's past, to be asked by many at a time.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    /// How often each publisher's state is stored.
    report_every: Duration,
    longest: Duration,
    stall: Duration,
    /// Connections that nobody uses now; at most as many as there are permits.
    idle: Mutex<Vec<Connection>>,
    questions: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

impl History {
    /// For the store at `path`, which is opened when the first question comes. `report_every` is how often each
    /// publisher's heartbeat is stored.
    pub fn new(path: &Path, report_every: Duration) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            report_every,
            longest: LONGEST,
            stall: STALL,
            idle: Mutex::default(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            exports: Arc::new(Semaphore::new(EXPORTS)),
        })
    }

    /// Asks one question on a blocking thread; it sees the store as it is at one instant.
    ///
    /// Dropping the future ends the question.
    ///
    /// # Errors
    /// What the question finds wrong, and [`HistoryError::Busy`] or [`HistoryError::TooLong`] after ten seconds.
    pub async fn ask<T, Q>(self: &Arc<Self>, question: Q) -> Result<T, HistoryError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T, HistoryError> + Send + 'static,
    {
        let deadline = Clock.now().monotonic.plus(self.longest);
        let turn = Arc::clone(&self.questions).acquire_owned();
        let Ok(permit) = tokio::time::timeout_at(Clock.instant(deadline).into(), turn).await else {
            return Err(HistoryError::Busy { what: "questions about the past", most: QUESTIONS });
        };
        let permit = permit.expect("invariant: the semaphore is never closed");
        let gone = CancellationToken::new();
        let _asker = gone.clone().drop_guard();
        let history = Arc::clone(self);
        let limit = Limit { gone, deadline, longest: self.longest };
        let answer = tokio::task::spawn_blocking(move || history.answer(permit, limit, question));
        answer.await.unwrap_or_else(|panic| Err(HistoryError::Failed(anyhow::anyhow!("a question failed: {panic}"))))
    }

    /// The fields of a publisher's readings with their latest values; none of one that the store does not know yet.
    ///
    /// # Errors
    /// When the store can't be read, or not in time.
    pub async fn fields(self: &Arc<Self>, publisher: String) -> Result<Vec<Field>, HistoryError> {
        self.ask(move |db| fields::latest(db, &publisher)).await
    }

    fn answer<T>(
        &self,
        _permit: OwnedSemaphorePermit,
        limit: Limit,
        question: impl FnOnce(&Connection) -> Result<T, HistoryError>,
    ) -> Result<T, HistoryError> {
        let mut db = match self.idle().pop() {
            Some(db) => db,
            None => crate::store::open_read_only(&self.path).map_err(anyhow::Error::from)?,
        };
        let longest = limit.longest;
        db.progress_handler(STEPS, Some(move || limit.is_reached()))?;
        let answer = db.unchecked_transaction().map_err(HistoryError::from).and_then(|view| question(&view));
        db.progress_handler(0, None::<fn() -> bool>)?;
        self.idle().push(db);
        answer.map_err(|error| if error.is_interrupt() { HistoryError::TooLong { longest } } else { error })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a question is to end before it has its answer.
#[derive(Debug)]
struct Limit {
    /// Cancelled when nobody waits for the answer any more.
    gone: CancellationToken,
    deadline: Monotonic,
    longest: Duration,
}

impl Limit {
    fn is_reached(&self) -> bool {
        self.gone.is_cancelled() || Clock.now().monotonic >= self.deadline
    }
}

/// A publisher's row in the store.
fn publisher_row(db: &Connection, publisher: &str) -> Result<Option<i64>, HistoryError> {
    let mut statement = db.prepare_cached("SELECT id FROM publishers WHERE name = ?1")?;
    Ok(statement.query_row([publisher], |row| row.get(0)).optional()?)
}

/// The same of one that has to be there.
fn known_publisher(db: &Connection, publisher: &str) -> Result<i64, HistoryError> {
    publisher_row(db, publisher)?.ok_or_else(|| HistoryError::NoPublisher(publisher.to_owned()))
}
