//! Changes of state, newest first, told as people read them.

use lastbeat_watchdog::{Cause, Evidence, Flip, State};
use lastbeat_wire::{ProcessIdentity, PublisherId, UtcNanos};
use rusqlite::{Connection, Row, params_from_iter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::parameters::Parameters;
use super::states::word;
use super::time::Time;
use super::{HistoryError, known_publisher};

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
    pub flips: Vec<FlipView>,
    /// What `before` is for the next page; null on the last one.
    pub next: Option<i64>,
}

/// A change of state.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct FlipView {
    /// Its place among all records; missing where it is told as it happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// Whose.
    pub publisher: String,
    /// The name of its host, where it told it.
    pub host: Option<String>,
    /// The state it was in.
    #[schema(value_type = String)]
    pub from: State,
    /// The state it is in.
    #[schema(value_type = String)]
    pub to: State,
    /// Why, as a word.
    #[schema(value_type = String)]
    pub cause: Cause,
    /// Why, as a phrase.
    pub reason: String,
    /// When it happened.
    pub at: Time,
    /// When the watchdog knew.
    pub noticed_at: Time,
    /// How long it had been silent; null if it was never heard.
    pub silence_s: Option<f64>,
    /// When it was last heard.
    pub last_heard: Option<Time>,
    /// Its process, where it told it.
    #[schema(value_type = Option<Object>)]
    pub process: Option<ProcessIdentity>,
    /// What the verdict rests on.
    pub evidence: Vec<EvidenceView>,
    /// All of it in sentences.
    pub text: String,
}

/// A fact with its time and its source.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct EvidenceView {
    /// When it was seen.
    pub at: Time,
    /// By what means.
    pub source: serde_json::Value,
    /// What was seen, for machines.
    pub fact: serde_json::Value,
    /// What was seen, when and how, for people.
    pub text: String,
}

impl From<&Evidence> for EvidenceView {
    fn from(evidence: &Evidence) -> Self {
        let json = |value: Result<_, serde_json::Error>| value.expect("invariant: evidence has string keys");
        Self {
            at: Time(evidence.at),
            source: json(serde_json::to_value(&evidence.source)),
            fact: json(serde_json::to_value(&evidence.fact)),
            text: evidence.to_string(),
        }
    }
}

impl FlipView {
    /// A flip, with its place if it is known.
    pub fn new(flip: &Flip, position: Option<i64>) -> Self {
        Self {
            position,
            publisher: flip.publisher.to_string(),
            host: flip.host.clone(),
            from: flip.from,
            to: flip.to,
            cause: flip.cause,
            reason: flip.cause.to_string(),
            at: Time(flip.at),
            noticed_at: Time(flip.noticed_at),
            silence_s: flip.silence.map(|silence| silence.as_secs_f64()),
            last_heard: flip.last_heard.map(Time),
            process: flip.process,
            evidence: flip.evidence.iter().map(EvidenceView::from).collect(),
            text: flip.told(),
        }
    }
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
        Ok(Flips { next: flips.last().and_then(|flip| flip.position).filter(|_| more), flips })
    }
}

fn view(row: &Row<'_>) -> Result<FlipView, HistoryError> {
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
    Ok(FlipView::new(&flip, Some(position)))
}

fn parsed<T: DeserializeOwned>(
    json: &str,
    what: &'static str,
    wrong: &impl Fn(&'static str, &dyn std::fmt::Display) -> HistoryError,
) -> Result<T, HistoryError> {
    serde_json::from_str(json).map_err(|error| wrong(what, &error))
}
