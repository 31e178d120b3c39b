//! From InfluxDB: one query, whose answer comes in pieces and is written piece by piece.
//!
//! Not through the `influxdb` crate: it holds the whole answer in memory, and takes every answer that has `"error"` in it
//! for a failure, be that the name of a field.

use anyhow::{Context, bail};
use lastbeat_wire::{UtcNanos, Value};
use serde::Deserialize;

use super::table::{RowHead, Table};
use super::{Measurement, Wanted};
use crate::influx::{InfluxConfig, Server, stored_tag};

/// The name of the row's own time among the fields.
const ROW_TIME: &str = crate::influx::ROW_TIME;

/// A piece of the answer.
#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    results: Vec<QueryResult>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct QueryResult {
    #[serde(default)]
    series: Vec<Series>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    columns: Vec<String>,
    #[serde(default)]
    values: Vec<Vec<serde_json::Value>>,
}

/// Writes the wanted rows.
pub fn export(config: InfluxConfig, wanted: &Wanted, table: &mut Table) -> anyhow::Result<()> {
    let target = config.target();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(stream(config, wanted, table)).with_context(|| format!("InfluxDB {target}"))
}

async fn stream(config: InfluxConfig, wanted: &Wanted, table: &mut Table) -> anyhow::Result<()> {
    let mut response = Server::new(config)?.query(&statement(wanted)).await?;
    let (mut buffer, mut columns) = (Vec::new(), None);
    while let Some(bytes) = response.chunk().await? {
        buffer.extend_from_slice(&bytes);
        // Each piece is one line.
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            piece(&buffer[..end], table, &mut columns)?;
            buffer.drain(..=end);
        }
    }
    if !buffer.is_empty() {
        piece(&buffer, table, &mut columns)?;
    }
    if columns.is_none() {
        table.columns([], false)?;
    }
    Ok(())
}

fn statement(wanted: &Wanted) -> String {
    let measurement = match wanted.measurement {
        Measurement::Sensor => "sensor",
        Measurement::Heartbeat => "heartbeat",
    };
    let quote = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let publishers: Vec<_> = wanted
        .publishers
        .iter()
        .map(|publisher| format!("\"publisher\" = {}", quote(&stored_tag(publisher.as_str()))))
        .collect();
    // The times that InfluxDB can hold are those of i64 but for the last few.
    let (since, until) = (wanted.since.0.max(i64::MIN + 2), wanted.until.0.min(i64::MAX - 1));
    let only = if publishers.is_empty() { String::new() } else { format!(" AND ({})", publishers.join(" OR ")) };
    format!("SELECT * FROM \"{measurement}\" WHERE time >= {since} AND time < {until}{only}")
}

fn piece(line: &[u8], table: &mut Table, columns: &mut Option<Vec<String>>) -> anyhow::Result<()> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let piece: Piece = serde_json::from_slice(line).context("an answer that is no JSON")?;
    if let Some(error) = piece.error {
        bail!("{error}");
    }
    for result in piece.results {
        if let Some(error) = result.error {
            bail!("{error}");
        }
        for series in result.series {
            if columns.is_none() {
                let is_field = |name: &&String| !["time", "publisher", "host", ROW_TIME].contains(&name.as_str());
                let fields = series.columns.iter().filter(is_field).cloned();
                table.columns(fields, series.columns.iter().any(|name| name == ROW_TIME))?;
                *columns = Some(series.columns.clone());
            }
            for values in &series.values {
                row(&series.columns, values, table)?;
            }
        }
    }
    Ok(())
}

fn row(columns: &[String], values: &[serde_json::Value], table: &mut Table) -> anyhow::Result<()> {
    let mut head = RowHead { time: UtcNanos(0), publisher: "", host: None, row_time: None };
    let mut fields = Vec::with_capacity(columns.len());
    for (name, value) in columns.iter().zip(values) {
        match name.as_str() {
            "time" => head.time = UtcNanos(value.as_i64().with_context(|| format!("time {value}"))?),
            "publisher" => head.publisher = value.as_str().unwrap_or_default(),
            "host" => head.host = value.as_str(),
            ROW_TIME => head.row_time = value.as_i64().map(UtcNanos),
            _ => fields.extend(value_of(value).map(|value| (name.as_str(), value))),
        }
    }
    table.row(head, fields.iter().map(|(name, value)| (*name, value)))
}

fn value_of(value: &serde_json::Value) -> Option<Value<'_>> {
    match value {
        serde_json::Value::Bool(boolean) => Some(Value::Boolean(*boolean)),
        serde_json::Value::Number(number) => {
            number.as_i64().map(Value::Integer).or_else(|| number.as_f64().map(Value::Float))
        }
        serde_json::Value::String(text) => Some(Value::Text(text.as_str().into())),
        _ => None,
    }
}
