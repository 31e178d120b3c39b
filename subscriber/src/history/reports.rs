//! What a publisher reported of its own work, newest first: starts, beats with a log, failures, goodbyes.

use lastbeat_wire::UtcNanos;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::parameters::Parameters;
use super::{HistoryError, known_publisher};
use crate::told::Time;

const DEFAULT_LIMIT: usize = 50;
const MOST: usize = 1_000;
/// Once an answer holds so many bytes of bodies, those of older entries are cut after [`SHORT_BYTES`].
const WHOLE_BYTES: usize = 8 << 20;
const SHORT_BYTES: usize = 1 << 10;

/// Which reports are asked for.
#[derive(Debug, Clone)]
pub struct LogQuestion {
    publisher: String,
    limit: usize,
}

/// A publisher's reports.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Log {
    /// Newest first.
    pub entries: Vec<LogEntry>,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LogEntry {
    /// When.
    pub at: Time,
    /// Of which kind: `start`, `beat`, `fail` or `bye`.
    pub kind: String,
    /// How long it took since the start it ends; null without one, or for a start.
    #[schema(required)]
    pub took_s: Option<f64>,
    /// What came with it.
    pub body: String,
    /// Whether more of it came than stands here.
    pub truncated: bool,
}

impl LogQuestion {
    /// From a request's parameters.
    pub fn parse(publisher: String, query: Option<&str>) -> Result<Self, HistoryError> {
        let limit = Parameters::parse(query, &["limit"])?.number("limit", DEFAULT_LIMIT, 1..=MOST)?;
        Ok(Self { publisher, limit })
    }

    /// The answer.
    pub fn answer(self, db: &Connection) -> Result<Log, HistoryError> {
        let publisher = known_publisher(db, &self.publisher)?;
        let mut statement = db.prepare_cached(
            "SELECT time_ns, kind, body, truncated FROM reports WHERE publisher = ?1 ORDER BY position DESC LIMIT ?2",
        )?;
        // One more than asked for may be the start of the last one.
        let limit = i64::try_from(self.limit + 1).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![publisher, limit])?;
        let (mut entries, mut bytes): (Vec<LogEntry>, _) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let mut body: String = row.get(2)?;
            let mut truncated: bool = row.get(3)?;
            if bytes + body.len() > WHOLE_BYTES && body.len() > SHORT_BYTES {
                body.truncate(body.floor_char_boundary(SHORT_BYTES));
                truncated = true;
            }
            bytes += body.len();
            let at = UtcNanos(row.get(0)?);
            entries.push(LogEntry { at: Time(at), kind: row.get(1)?, took_s: None, body, truncated });
        }
        for newer in 1..entries.len() {
            let (start, end) = (&entries[newer], &entries[newer - 1]);
            if start.kind == START && end.kind != START {
                let took = end.at.0.since(start.at.0).as_secs_f64();
                entries[newer - 1].took_s = Some(took);
            }
        }
        entries.truncate(self.limit);
        Ok(Log { entries })
    }
}

const START: &str = "start";
