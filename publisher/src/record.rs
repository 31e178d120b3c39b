//! [`record`]: writes this machine's sensors to a CSV file, a row at a time. Sends nothing.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chrono::SecondsFormat;
use lastbeat_host::Clock;
use lastbeat_wire::{Now, Value};

use crate::pace::Pace;
use crate::sensors::{Measurement, Sensors};
use crate::stop::Stop;

/// What to record, and for how long.
#[derive(Debug, Clone)]
pub struct Recording<'a> {
    /// A file that does not exist yet.
    pub out: &'a Path,
    /// A row every so often.
    pub every: Duration,
    /// How long; `None` until stopped.
    pub span: Option<Duration>,
}

/// Records until the span is over or `stop` is wished; the number of rows.
pub fn record(recording: &Recording<'_>, stop: &Stop) -> anyhow::Result<u64> {
    let out = || recording.out.display().to_string();
    let file = File::create_new(recording.out).with_context(|| format!("{}: can't be created", out()))?;
    let mut table = Table { writer: csv::Writer::from_writer(file), columns: Vec::new() };

    let opened = Clock.now().monotonic;
    let mut sensors = Sensors::open(opened)?;
    let mut pace = Pace::every(recording.every);
    let mut due = opened.plus(Sensors::SHORTEST_INTERVAL.max(recording.every.min(Duration::from_secs(1))));
    let end = recording.span.map(|span| due.plus(span));
    let mut rows = 0;
    loop {
        if stop.wait(due.since(Clock.now().monotonic)) {
            return Ok(rows);
        }
        let now = Clock.now();
        if end.is_some_and(|end| now.monotonic >= end) {
            return Ok(rows);
        }
        table.write(now, &sensors.sample(now.monotonic)).with_context(out)?;
        rows += 1;
        pace.row(None, now.monotonic);
        due = pace.asks_at().unwrap_or(now.monotonic).max(now.monotonic.plus(Sensors::SHORTEST_INTERVAL));
    }
}

/// A CSV file whose columns are those of the first row.
struct Table<W: std::io::Write> {
    writer: csv::Writer<W>,
    columns: Vec<String>,
}

impl<W: std::io::Write> Table<W> {
    /// Writes a row and flushes it. A sensor that came later has no column; one that went leaves its cell empty.
    fn write(&mut self, now: Now, sample: &[Measurement]) -> csv::Result<()> {
        if self.columns.is_empty() {
            self.columns = sample.iter().map(|measurement| measurement.name.clone()).collect();
            self.writer.write_field("time")?;
            self.writer.write_record(&self.columns)?;
        }
        self.writer.write_field(now.utc.to_chrono().to_rfc3339_opts(SecondsFormat::Millis, true))?;
        for column in &self.columns {
            let found = sample.iter().find(|measurement| measurement.name == *column);
            self.writer.write_field(found.map_or_else(String::new, |measurement| cell(&measurement.value)))?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        self.writer.flush()?;
        Ok(())
    }
}

fn cell(value: &Value<'_>) -> String {
    match value {
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Text(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use lastbeat_wire::{Monotonic, UtcNanos};

    use super::*;

    fn sample(values: &[(&str, i64)]) -> Vec<Measurement> {
        values.iter().map(|(name, value)| Measurement { name: (*name).into(), value: Value::Integer(*value) }).collect()
    }

    #[test]
    fn columns_stay_those_of_the_first_row() {
        let mut table = Table { writer: csv::Writer::from_writer(Vec::new()), columns: Vec::new() };
        let now = |seconds: i64| Now { monotonic: Monotonic(0), utc: UtcNanos(seconds * 1_000_000_000) };
        table.write(now(0), &sample(&[("a", 1), ("b", 2)])).unwrap();
        table.write(now(1), &sample(&[("new", 9), ("b", 3)])).unwrap();
        assert_eq!(
            String::from_utf8(table.writer.into_inner().unwrap()).unwrap(),
            "time,a,b\n1970-01-01T00:00:00.000Z,1,2\n1970-01-01T00:00:01.000Z,,3\n"
        );
    }
}
