//! Changes of state, newest first, told as people read them.

use lastbeat_watchdog::Flip;
use lastbeat_wire::{PublisherId, UtcNanos};
use rusqlite::{Connection, Row, params_from_iter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::parameters::Parameters;
use super::states::word;
use super::{HistoryError, known_publisher};
use crate::told::FlipTold;

const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 1_000;

/// Which flips are asked for.
#[derive(Debug, Clone)]
pub struct FlipsQuestion {
    /// Of whom; `None`: of all.
    publisher: Option<String>,
    since: Option<UtcNanos>,
    until: Option<UtcNanos>,
    before: Option<i64>,
    limit: usize,
}

/// A page of flips.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Flips {
    /// Newest first, in the order in which they were told.
    pub flips: Vec<PlacedFlip>,
    /// What `before` is for the next page; null on the last one.
    #[schema(required)]
    pub next: Option<i64>,
}

/// A change of state, and its place.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PlacedFlip {
    /// Its place among all records.
    pub position: i64,
    /// The change.
    #[serde(flatten)]
    pub flip: FlipTold,
}

impl FlipsQuestion {
    /// From a request's parameters.
    pub fn parse(publisher: Option<String>, query: Option<&str>, now: UtcNanos) -> Result<Self, HistoryError> {
        let parameters = Parameters::parse(query, &["since", "until", "limit", "before"])?;
        let before = parameters.one("before")?.map(|text| {
            let reason = "it has to be the `next` of the page before";
            text.parse().map_err(|_| HistoryError::parameter("before", text, reason))
        });
        Ok(Self {
            publisher,
            since: parameters.time("since", now)?,
            until: parameters.time("until", now)?,
            before: before.transpose()?,
            limit: parameters.number("limit", DEFAULT_LIMIT, 1..=MOST)?,
        })
    }

    /// The answer.
    pub fn answer(self, db: &Connection) -> Result<Flips, HistoryError> {
        let publisher = self.publisher.as_deref().map(|name| known_publisher(db, name)).transpose()?;
        let conditions = [
            ("publisher = ?", publisher),
            ("time_ns >= ?", self.since.map(|since| since.0)),
            ("time_ns < ?", self.until.map(|until| until.0)),
            ("position < ?", self.before),
        ];
        let given = || conditions.iter().filter_map(|(condition, value)| Some((*condition, (*value)?)));
        let conditions: Vec<_> = given().map(|(condition, _)| condition).collect();
        let only = if conditions.is_empty() { "1" } else { &conditions.join(" AND ") };
        // One more than asked for tells whether there is another page.
        let sql = format!(
            "SELECT position, name, host, from_state, to_state, cause, time_ns, noticed_ns, silence_s, last_heard_ns,
                    process, evidence
             FROM (SELECT * FROM flips WHERE {only} ORDER BY position DESC LIMIT {})
             JOIN publishers ON publishers.id = publisher ORDER BY position DESC",
            self.limit + 1
        );
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(given().map(|(_, value)| value)))?;
        let mut flips = Vec::new();
        while let Some(row) = rows.next()? {
            flips.push(view(row)?);
        }
        let more = flips.len() > self.limit;
        flips.truncate(self.limit);
        Ok(Flips { next: flips.last().map(|flip| flip.position).filter(|_| more), flips })
    }
}

fn view(row: &Row<'_>) -> Result<PlacedFlip, HistoryError> {
    let position: i64 = row.get("position")?;
    let text = |column| row.get::<_, String>(column);
    let wrong =
        |what, error: &dyn std::fmt::Display| HistoryError::Failed(anyhow::anyhow!("flip {position}: {what}: {error}"));
    let name = text("name")?;
    let silence = row.get::<_, Option<f64>>("silence_s")?;
    let silence = silence.map(std::time::Duration::try_from_secs_f64).transpose();
    let flip = Flip {
        publisher: PublisherId::try_from(name.as_str()).map_err(|error| wrong("publisher", &error))?,
        host: row.get("host")?,
        from: word(&text("from_state")?, position)?,
        to: word(&text("to_state")?, position)?,
        cause: word(&text("cause")?, position)?,
        at: UtcNanos(row.get("time_ns")?),
        noticed_at: UtcNanos(row.get("noticed_ns")?),
        silence: silence.map_err(|error| wrong("silence", &error))?,
        last_heard: row.get::<_, Option<i64>>("last_heard_ns")?.map(UtcNanos),
        process: row.get::<_, Option<String>>("process")?.map(|json| parsed(&json, "process", &wrong)).transpose()?,
        evidence: parsed(&text("evidence")?, "evidence", &wrong)?,
    };
    Ok(PlacedFlip { position, flip: FlipTold::from(&flip) })
}

fn parsed<T: DeserializeOwned>(
    json: &str,
    what: &'static str,
    wrong: &impl Fn(&'static str, &dyn std::fmt::Display) -> HistoryError,
) -> Result<T, HistoryError> {
    serde_json::from_str(json).map_err(|error| wrong(what, &error))
}
