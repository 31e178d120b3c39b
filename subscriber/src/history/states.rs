//! In which states a publisher was, and what share of the time in which it was watched it was alive.

use std::time::Duration;

use lastbeat_watchdog::{Cause, State};
use lastbeat_wire::UtcNanos;
use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::parameters::{Parameters, Range};
use super::spans::{Change, Span, spans};
use super::{HistoryError, known_publisher};
use crate::told::Time;

/// Most spans in an answer.
const MOST_SPANS: usize = 100_000;

/// Which states are asked for.
#[derive(Debug, Clone)]
pub struct StatesQuestion {
    publisher: String,
    range: Range,
    now: UtcNanos,
}

/// A publisher's states.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct States {
    /// Whose.
    pub publisher: String,
    /// From this time on.
    pub from: Time,
    /// Before this time, at most now.
    pub to: Time,
    /// The times in which it was in one state, in order, without gap or overlap. The time before it was first heard of is
    /// in none.
    pub spans: Vec<Span>,
    /// How long it was watched and alive.
    pub alive_s: f64,
    /// How long it was watched.
    pub watched_s: f64,
    /// The one as a share of the other; null if it was not watched at all.
    #[schema(required)]
    pub alive_share: Option<f64>,
}

impl StatesQuestion {
    /// From a request's parameters.
    pub fn parse(publisher: String, query: Option<&str>, now: UtcNanos) -> Result<Self, HistoryError> {
        let range = Parameters::parse(query, &["since", "until"])?.range(now, Duration::from_hours(24))?;
        Ok(Self { publisher, range, now })
    }

    /// The answer.
    pub fn answer(self, db: &Connection) -> Result<States, HistoryError> {
        let publisher = known_publisher(db, &self.publisher)?;
        // Nobody knows what will be.
        let range = Range { to: self.range.to.min(self.now).max(self.range.from), ..self.range };
        let spans = if range.from < range.to { read(db, publisher, range)? } else { Vec::new() };
        if spans.len() > MOST_SPANS {
            let reason = format!("from then on there are more than {MOST_SPANS} spans; ask for a shorter time");
            return Err(HistoryError::parameter("since", &range.from.to_string(), reason));
        }
        let seconds = |of: fn(&Span) -> bool| {
            spans.iter().filter(|span| span.watched && of(span)).map(Span::length).sum::<Duration>()
        };
        let (alive, watched) = (seconds(|span| span.state.alive() == Some(true)), seconds(|_| true));
        let (alive_s, watched_s) = (alive.as_secs_f64(), watched.as_secs_f64());
        let alive_share = (!watched.is_zero()).then(|| alive_s / watched_s);
        let (from, to) = (Time(range.from), Time(range.to));
        Ok(States { publisher: self.publisher, from, to, spans, alive_s, watched_s, alive_share })
    }
}

fn read(db: &Connection, publisher: i64, range: Range) -> Result<Vec<Span>, HistoryError> {
    let mut statement =
        db.prepare_cached("SELECT from_ns, to_ns FROM unwatched WHERE link IS NULL AND to_ns > ?1 AND from_ns < ?2")?;
    let times = statement.query_map(params![range.from.0, range.to.0], |row| {
        Ok(Range { from: UtcNanos(row.get(0)?), to: UtcNanos(row.get(1)?) })
    })?;
    let away = times.collect::<Result<Vec<_>, _>>()?;
    let mut statement = db.prepare_cached(
        "SELECT time_ns, to_state, cause, position FROM flips WHERE publisher = ?1 ORDER BY position DESC",
    )?;
    let mut rows = statement.query([publisher])?;
    let changes = std::iter::from_fn(|| rows.next().map(|row| row.map(change)).transpose());
    spans(range, changes.map(|change| change?), &away)
}

fn change(row: &rusqlite::Row<'_>) -> Result<Change, HistoryError> {
    let position: i64 = row.get(3)?;
    let text = |column| {
        row.get_ref(column).map_err(HistoryError::from)?.as_str().map_err(|error| HistoryError::Failed(error.into()))
    };
    let state: State = word(text(1)?, position)?;
    let cause: Cause = word(text(2)?, position)?;
    Ok(Change { at: UtcNanos(row.get(0)?), state, cause })
}

/// A state or a cause from its word.
pub fn word<T: DeserializeOwned>(word: &str, position: i64) -> Result<T, HistoryError> {
    let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
    T::deserialize(deserializer).map_err(|error| HistoryError::Failed(anyhow::anyhow!("flip {position}: {error}")))
}
