//! The fields of a publisher's readings: which there are, of which type, and their latest values.

use std::collections::HashMap;

use lastbeat_wire::{UtcNanos, Value};
use rusqlite::Connection;
use serde::de;
use serde::{Deserialize, Serialize};

use super::buckets::Collect;
use super::picker::Picker;
use super::{HistoryError, publisher_row};
use crate::told::Time;

/// The latest values are looked for in so many readings.
const LATEST_AMONG: u32 = 1_000;
/// A text is cut after so many characters: it stands in a table or a legend, and the export has it whole.
const TEXT_CHARACTERS: usize = 256;

/// What the values of a field are. A field can have had several; then it is the widest of them, the last one here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// True and false; in charts 1 and 0.
    Boolean,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// Texts.
    Text,
}

/// A field and its latest value.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type; where it has had several, that of the latest value.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Its latest value; null if it is in none of the last 1,000 readings. A text is cut after 256 characters.
    #[schema(required, schema_with = super::readings::any_value)]
    pub latest: Option<Value<'static>>,
    /// The time of the reading that had it.
    #[schema(required)]
    pub latest_at: Option<Time>,
}

impl FieldType {
    /// The type of a value.
    pub fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Integer(_) => Self::Integer,
            Value::Float(_) => Self::Float,
            Value::Boolean(_) => Self::Boolean,
            Value::Text(_) => Self::Text,
        }
    }
}

/// A text as it stands in an answer.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The fields that a publisher's readings have had, in the order in which they first came, each with its widest type.
pub fn known_fields(db: &Connection, publisher: i64) -> Result<Vec<(String, FieldType)>, HistoryError> {
    let mut statement = db.prepare_cached("SELECT name, type FROM fields WHERE publisher = ?1 ORDER BY id")?;
    let mut rows = statement.query([publisher])?;
    let (mut fields, mut places): (Vec<(String, FieldType)>, _) = (Vec::new(), HashMap::new());
    while let Some(row) = rows.next()? {
        let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
        let kind = FieldType::deserialize(de::value::StrDeserializer::<de::value::Error>::new(&kind))
            .map_err(|error| anyhow::anyhow!("field {name:?}: {error}"))?;
        match places.get(&name) {
            None => {
                places.insert(name.clone(), fields.len());
                fields.push((name, kind));
            }
            Some(place) => {
                let known: &mut FieldType = &mut fields[*place].1;
                *known = kind.max(*known);
            }
        }
    }
    Ok(fields)
}

/// A publisher's fields with their latest values; none of one that is not in the store.
pub fn latest(db: &Connection, publisher: &str) -> Result<Vec<Field>, HistoryError> {
    let Some(publisher) = publisher_row(db, publisher)? else { return Ok(Vec::new()) };
    let known = known_fields(db, publisher)?;
    let mut picker = Picker::new(known.iter().map(|(name, _)| name.clone()));
    let field = |(name, kind)| Field { name, kind, latest: None, latest_at: None };
    let fields: Vec<_> = known.into_iter().map(field).collect();
    let mut latest = Latest { missing: fields.len(), fields, at: UtcNanos(0) };
    let mut statement = db.prepare_cached(
        "SELECT time_ns, fields FROM readings WHERE publisher = ?1 ORDER BY time_ns DESC, position DESC LIMIT ?2",
    )?;
    let mut rows = statement.query((publisher, LATEST_AMONG))?;
    while latest.missing > 0
        && let Some(row) = rows.next()?
    {
        picker.pick(UtcNanos(row.get(0)?), row.get_ref(1)?.as_str().map_err(anyhow::Error::from)?, &mut latest)?;
    }
    Ok(latest.fields)
}

struct Latest {
    fields: Vec<Field>,
    /// How many have no value yet.
    missing: usize,
    at: UtcNanos,
}

impl Collect for Latest {
    fn row(&mut self, time: UtcNanos) {
        self.at = time;
    }

    fn value(&mut self, field: usize, value: Value<'_>) {
        let field = &mut self.fields[field];
        if field.latest_at.is_some() {
            return;
        }
        self.missing -= 1;
        (field.kind, field.latest_at) = (FieldType::of(&value), Some(Time(self.at)));
        field.latest = Some(match value {
            Value::Integer(integer) => Value::Integer(integer),
            Value::Float(float) => Value::Float(float),
            Value::Boolean(boolean) => Value::Boolean(boolean),
            Value::Text(text) => Value::Text(shortened(&text).into()),
        });
    }
}
