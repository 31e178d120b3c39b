//! The fields of a publisher's readings: which there are, of which type, and their values picked from the stored JSON.

use std::collections::HashMap;
use std::fmt;

use lastbeat_wire::{UtcNanos, Value};
use rusqlite::Connection;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::buckets::Collect;
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
    let picker = Picker::new(known.iter().map(|(name, _)| name.clone()));
    let fields = known.into_iter().map(|(name, kind)| Field { name, kind, latest: None, latest_at: None }).collect();
    let mut latest = Latest { missing: picker.names.len(), fields, at: UtcNanos(0) };
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

/// Picks the wanted fields from a reading's JSON; of the others nothing is kept or copied.
#[derive(Debug)]
pub struct Picker {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Picker {
    /// For fields of these names, each of them once.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        let places = names.iter().cloned().zip(0..).collect();
        Self { names, places }
    }

    /// Hands on a row: its time, then the values that are wanted.
    pub fn pick(&self, time: UtcNanos, json: &str, into: &mut impl Collect) -> Result<(), HistoryError> {
        into.row(time);
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let row = Row { picker: self, into };
        row.deserialize(&mut deserializer).map_err(|error| {
            let start: String = json.chars().take(100).collect();
            HistoryError::Failed(anyhow::anyhow!("the fields of the reading at {time}: {error}: {start}"))
        })
    }

    /// The place of a name; `next` is where it is found if the names come in their usual order.
    fn place(&self, name: &str, next: usize) -> Option<usize> {
        if self.names.get(next).is_some_and(|usual| usual == name) {
            return Some(next);
        }
        // The most frequent question has one name, and no need to hash.
        if self.names.len() == 1 { (self.names[0] == name).then_some(0) } else { self.places.get(name).copied() }
    }
}

struct Row<'p, C> {
    picker: &'p Picker,
    into: &'p mut C,
}

impl<'de, C: Collect> DeserializeSeed<'de> for Row<'_, C> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, C: Collect> Visitor<'de> for Row<'_, C> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(place) = map.next_key_seed(Name { picker: self.picker, next })? {
            match place {
                Some(place) => {
                    next = place + 1;
                    map.next_value_seed(Cell { place, into: &mut *self.into })?;
                }
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

/// A field's name, which is looked up and not kept.
struct Name<'p> {
    picker: &'p Picker,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.picker.place(name, self.next))
    }
}

struct Cell<'p, C> {
    place: usize,
    into: &'p mut C,
}

impl<'de, C: Collect> DeserializeSeed<'de> for Cell<'_, C> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<C: Collect> Visitor<'_> for Cell<'_, C> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, a text, true or false")
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.into.value(self.place, Value::Boolean(value));
        Ok(())
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.into.value(self.place, Value::Integer(value));
        Ok(())
    }
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^63 a float is the nearest thing every database has")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let value = i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer);
        self.into.value(self.place, value);
        Ok(())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.into.value(self.place, Value::Float(value));
        Ok(())
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.into.value(self.place, Value::Text(value.into()));
        Ok(())
    }
}
