//! From the store: the rows of each publisher in the order of their time, merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::{Context, bail};
use lastbeat_wire::{Fields, UtcNanos};
use rusqlite::{Connection, Rows, params};

use super::table::{RowHead, Table};
use super::{Measurement, Wanted};

const READINGS: &str = "SELECT time_ns, position, row_time_ns, fields FROM readings
    WHERE publisher = ?1 AND time_ns >= ?2 AND time_ns < ?3 ORDER BY time_ns";
const HEARTBEATS: &str = "SELECT time_ns, position, NULL, json_object(
        'alive', json(CASE alive WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END), 'state', state, 'cause', cause,
        'silence_s', silence_s, 'threshold_s', threshold_s, 'pid', pid, 'missed', missed)
    FROM heartbeats WHERE publisher = ?1 AND time_ns >= ?2 AND time_ns < ?3 ORDER BY time_ns";
const HEARTBEAT_FIELDS: [&str; 7] = ["alive", "state", "cause", "silence_s", "threshold_s", "pid", "missed"];

struct Publisher {
    id: i64,
    name: String,
    host: Option<String>,
}

/// The row that one publisher is at.
#[derive(Default)]
struct Current {
    time: i64,
    position: i64,
    row_time: Option<i64>,
    /// As JSON.
    fields: String,
}

/// Writes the wanted rows of an open store.
pub fn export(db: &Connection, wanted: &Wanted, table: &mut Table) -> anyhow::Result<()> {
    // One look at the store, however much is added meanwhile.
    let db = db.unchecked_transaction()?;
    rows(&db, wanted, table)
}

fn rows(db: &Connection, wanted: &Wanted, table: &mut Table) -> anyhow::Result<()> {
    let publishers = publishers(db, wanted)?;
    let sql = match wanted.measurement {
        Measurement::Sensor => {
            table.columns(fields(db, &publishers)?, has_row_time(db, wanted, &publishers)?)?;
            READINGS
        }
        Measurement::Heartbeat => {
            table.columns(HEARTBEAT_FIELDS.map(str::to_owned), false)?;
            HEARTBEATS
        }
    };
    let mut statements = publishers.iter().map(|_| db.prepare(sql)).collect::<Result<Vec<_>, _>>()?;
    let mut sources = Vec::new();
    for (statement, publisher) in statements.iter_mut().zip(&publishers) {
        let rows = statement.query(params![publisher.id, wanted.since.0, wanted.until.0])?;
        sources.push((publisher, rows, Current::default()));
    }
    let mut next = BinaryHeap::new();
    for (number, (_, rows, current)) in sources.iter_mut().enumerate() {
        if advance(rows, current)? {
            next.push(Reverse((current.time, current.position, number)));
        }
    }
    while let Some(Reverse((_, _, number))) = next.pop() {
        let (publisher, rows, current) = &mut sources[number];
        let head = RowHead {
            time: UtcNanos(current.time),
            publisher: &publisher.name,
            host: publisher.host.as_deref(),
            row_time: current.row_time.map(UtcNanos),
        };
        let fields: Fields<'_> = serde_json::from_str(&current.fields)
            .with_context(|| format!("position {}: fields {:?}", current.position, current.fields))?;
        table.row(head, fields.iter())?;
        if advance(rows, current)? {
            next.push(Reverse((current.time, current.position, number)));
        }
    }
    Ok(())
}

fn advance(rows: &mut Rows<'_>, current: &mut Current) -> rusqlite::Result<bool> {
    let Some(row) = rows.next()? else { return Ok(false) };
    (current.time, current.position, current.row_time) = (row.get(0)?, row.get(1)?, row.get(2)?);
    current.fields.clear();
    current.fields.push_str(row.get_ref(3)?.as_str()?);
    Ok(true)
}

fn publishers(db: &Connection, wanted: &Wanted) -> anyhow::Result<Vec<Publisher>> {
    let mut statement = db.prepare("SELECT id, name, host FROM publishers ORDER BY name")?;
    let all = statement.query_map((), |row| Ok(Publisher { id: row.get(0)?, name: row.get(1)?, host: row.get(2)? }))?;
    let mut all = all.collect::<Result<Vec<_>, _>>()?;
    for publisher in &wanted.publishers {
        if !all.iter().any(|known| known.name == publisher.as_str()) {
            bail!("no publisher {:?} in it", publisher.as_str());
        }
    }
    let is_wanted = |name: &str| wanted.publishers.iter().any(|wanted| wanted.as_str() == name);
    all.retain(|publisher| wanted.publishers.is_empty() || is_wanted(&publisher.name));
    Ok(all)
}

/// The names of all fields that the publishers' readings have had, in the order in which they first came.
fn fields(db: &Connection, publishers: &[Publisher]) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare("SELECT id, name FROM fields WHERE publisher = ?1")?;
    let mut fields = Vec::new();
    for publisher in publishers {
        let rows = statement.query_map([publisher.id], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        fields.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    fields.sort_unstable();
    Ok(fields.into_iter().map(|(_, name)| name).collect())
}

fn has_row_time(db: &Connection, wanted: &Wanted, publishers: &[Publisher]) -> rusqlite::Result<bool> {
    let mut statement = db.prepare(
        "SELECT EXISTS (SELECT 1 FROM readings
         WHERE publisher = ?1 AND time_ns >= ?2 AND time_ns < ?3 AND row_time_ns IS NOT NULL)",
    )?;
    for publisher in publishers {
        if statement.query_row(params![publisher.id, wanted.since.0, wanted.until.0], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}
