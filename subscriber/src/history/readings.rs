//! A publisher's readings as series for a chart: exact when they are few, else the least, the greatest and the mean of
//! each bucket, so that no peak is lost.

use std::collections::HashSet;
use std::time::Duration;

use lastbeat_wire::{UtcNanos, Value};
use rusqlite::{Connection, params};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Array, ObjectBuilder, Schema, SchemaType, Type};

use super::buckets::{Buckets, Collect, Points};
use super::fields::{FieldType, known_fields};
use super::parameters::{Parameters, Range};
use super::picker::Picker;
use super::{HistoryError, known_publisher};
use crate::told::Time;

/// Most values in an answer: points times fields.
const MOST_VALUES: usize = 1_000_000;
const DEFAULT_POINTS: usize = 600;
const MOST_POINTS: usize = 5_000;

/// Which readings are asked for.
#[derive(Debug, Clone)]
pub struct ReadingsQuestion {
    publisher: String,
    range: Range,
    points: usize,
    /// All when empty.
    fields: Vec<String>,
}

/// A publisher's readings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Readings {
    /// Whose.
    pub publisher: String,
    /// From this time on.
    pub from: Time,
    /// Before this time.
    pub to: Time,
    /// How many readings there are in this time.
    pub rows: u64,
    /// The length of a bucket; null when each reading is told.
    #[schema(required)]
    pub bucket_s: Option<f64>,
    /// The time of each reading, or the start of each bucket that has readings; seconds since 1970.
    pub time: Vec<f64>,
    /// A series for each field, in the order in which the fields first came.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::BTreeMap<String, Series>)]
    pub fields: Vec<(String, Series)>,
}

/// One field's values, as many as there are times.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Series {
    /// Each reading's value.
    Exact {
        /// The widest type among the values, or that of the field if there are none.
        #[serde(rename = "type")]
        kind: FieldType,
        /// Null where a reading has no such field. Booleans are 0 and 1; a text is cut after 256 characters.
        #[schema(schema_with = any_values)]
        values: Vec<Option<Value<'static>>>,
    },
    /// Of each bucket three figures, null where none of its readings has a number in this field.
    Buckets {
        /// The widest type among the numbers, or that of the field if there are none.
        #[serde(rename = "type")]
        kind: FieldType,
        /// The least.
        min: Vec<Option<f64>>,
        /// The greatest.
        max: Vec<Option<f64>>,
        /// The mean.
        mean: Vec<Option<f64>>,
    },
}

/// A number, a text, true, false or null.
pub fn any_value() -> Schema {
    let types = [Type::Number, Type::String, Type::Boolean, Type::Null];
    ObjectBuilder::new().schema_type(SchemaType::from_iter(types)).build().into()
}

fn any_values() -> Schema {
    Array::new(RefOr::T(any_value())).into()
}

fn as_map<S: Serializer>(fields: &[(String, Series)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    for (name, series) in fields {
        map.serialize_entry(name, series)?;
    }
    map.end()
}

impl ReadingsQuestion {
    /// From a request's parameters.
    pub fn parse(publisher: String, query: Option<&str>, now: UtcNanos) -> Result<Self, HistoryError> {
        let parameters = Parameters::parse(query, &["since", "until", "points", "field"])?;
        let mut seen = HashSet::new();
        Ok(Self {
            publisher,
            range: parameters.range(now, Duration::from_hours(1))?,
            points: parameters.number("points", DEFAULT_POINTS, 1..=MOST_POINTS)?,
            fields: parameters.all("field").filter(|field| seen.insert(*field)).map(str::to_owned).collect(),
        })
    }

    /// The answer.
    pub fn answer(self, db: &Connection) -> Result<Readings, HistoryError> {
        let Self { publisher: name, range, points, fields } = self;
        let publisher = known_publisher(db, &name)?;
        let fields = wanted(known_fields(db, publisher)?, &fields, &name)?;
        if points * fields.len() > MOST_VALUES {
            let reason = format!(
                "of {} fields that makes more than {MOST_VALUES} values; ask for fewer points, or name fields",
                fields.len()
            );
            return Err(HistoryError::parameter("points", &points.to_string(), reason));
        }
        let rows = count(db, publisher, range)?;
        let (bucket_s, time, fields) = if rows <= points as u64 {
            let mut exact = Points::new(fields.len());
            collect(db, publisher, range, &fields, &mut exact)?;
            let series = exact.columns.into_iter().zip(fields).map(|(column, (name, kind))| {
                (name, Series::Exact { kind: column.kind.unwrap_or(kind), values: column.values })
            });
            (None, exact.time, series.collect())
        } else {
            let mut buckets = Buckets::new(range, points, fields.len());
            let width_s = buckets.width_s();
            collect(db, publisher, range, &fields, &mut buckets)?;
            let series = buckets.columns.into_iter().zip(fields).filter_map(|(column, (name, kind))| {
                let kind = column.kind.or((kind != FieldType::Text).then_some(kind))?;
                let each = |of: fn(&super::buckets::Figures) -> f64| {
                    column.figures.iter().map(|figures| figures.as_ref().map(of)).collect()
                };
                let (min, max, mean) = (each(|of| of.min), each(|of| of.max), each(|of| of.mean));
                Some((name, Series::Buckets { kind, min, max, mean }))
            });
            (Some(width_s), buckets.time, series.collect())
        };
        Ok(Readings { publisher: name, from: Time(range.from), to: Time(range.to), rows, bucket_s, time, fields })
    }
}

/// The fields that are asked for, all of them when none is named.
fn wanted(
    known: Vec<(String, FieldType)>,
    named: &[String],
    publisher: &str,
) -> Result<Vec<(String, FieldType)>, HistoryError> {
    if named.is_empty() {
        return Ok(known);
    }
    let find = |name: &String| {
        let found = known.iter().find(|(known, _)| known == name).cloned();
        found.ok_or_else(|| {
            HistoryError::parameter("field", name, format!("publisher {publisher:?} never sent a field of this name"))
        })
    };
    named.iter().map(find).collect()
}

fn count(db: &Connection, publisher: i64, range: Range) -> Result<u64, HistoryError> {
    let mut statement =
        db.prepare_cached("SELECT count(*) FROM readings WHERE publisher = ?1 AND time_ns >= ?2 AND time_ns < ?3")?;
    let rows: i64 = statement.query_row(params![publisher, range.from.0, range.to.0], |row| row.get(0))?;
    Ok(rows.unsigned_abs())
}

fn collect(
    db: &Connection,
    publisher: i64,
    range: Range,
    fields: &[(String, FieldType)],
    into: &mut impl Collect,
) -> Result<(), HistoryError> {
    let mut picker = Picker::new(fields.iter().map(|(name, _)| name.clone()));
    let mut statement = db.prepare_cached(
        "SELECT time_ns, fields FROM readings WHERE publisher = ?1 AND time_ns >= ?2 AND time_ns < ?3
         ORDER BY time_ns, position",
    )?;
    let mut rows = statement.query(params![publisher, range.from.0, range.to.0])?;
    while let Some(row) = rows.next()? {
        picker.pick(UtcNanos(row.get(0)?), row.get_ref(1)?.as_str().map_err(anyhow::Error::from)?, into)?;
    }
    Ok(())
}
