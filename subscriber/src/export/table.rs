//! [`Table`]: rows with a time, a publisher and named values, written as CSV or as JSON lines.

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use lastbeat_wire::{UtcNanos, Value};
use serde::ser::{SerializeMap, Serializer};

use super::Format;

/// The columns that every row has, and the one of a replayed file's rows.
const TIME: &str = "time";
const PUBLISHER: &str = "publisher";
const HOST: &str = "host";
const ROW_TIME: &str = "row_time";

/// A table on its way out.
pub struct Table {
    output: Output,
    /// Where each field's value goes in `cells`.
    places: HashMap<String, usize>,
    cells: Vec<String>,
    has_row_time: bool,
    rows: u64,
}

enum Output {
    Csv(Box<csv::Writer<Box<dyn Write>>>),
    JsonLines(BufWriter<Box<dyn Write>>),
}

/// What every row has.
#[derive(Debug, Clone, Copy)]
pub struct RowHead<'a> {
    /// The point's time.
    pub time: UtcNanos,
    /// Whose.
    pub publisher: &'a str,
    /// The name of its host.
    pub host: Option<&'a str>,
    /// The row's own time in a replayed file.
    pub row_time: Option<UtcNanos>,
}

impl Table {
    /// Nothing is written yet.
    pub fn new(format: Format, out: Box<dyn Write>) -> Self {
        let output = match format {
            Format::Csv => Output::Csv(Box::new(csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(out))),
            Format::Jsonl => Output::JsonLines(BufWriter::with_capacity(1 << 16, out)),
        };
        Self { output, places: HashMap::new(), cells: Vec::new(), has_row_time: false, rows: 0 }
    }

    /// Fixes the columns; once, before the first row.
    pub fn columns(&mut self, fields: impl IntoIterator<Item = String>, has_row_time: bool) -> anyhow::Result<()> {
        self.has_row_time = has_row_time;
        let mut header = vec![TIME.to_owned(), PUBLISHER.to_owned(), HOST.to_owned()];
        header.extend(has_row_time.then(|| ROW_TIME.to_owned()));
        for field in fields {
            self.places.entry(field).or_insert_with_key(|field| {
                header.push(column(field));
                header.len() - 1
            });
        }
        self.cells = vec![String::new(); header.len()];
        if let Output::Csv(csv) = &mut self.output {
            csv.write_record(&header)?;
        }
        Ok(())
    }

    /// Writes a row. A field that is no column is left out.
    pub fn row<'v>(
        &mut self,
        head: RowHead<'_>,
        fields: impl Iterator<Item = (&'v str, &'v Value<'v>)>,
    ) -> anyhow::Result<()> {
        self.rows += 1;
        match &mut self.output {
            Output::Csv(csv) => {
                use std::fmt::Write;
                self.cells.iter_mut().for_each(String::clear);
                write!(self.cells[0], "{}", head.time)?;
                self.cells[1].push_str(head.publisher);
                self.cells[2].push_str(head.host.unwrap_or_default());
                if let Some(row_time) = head.row_time.filter(|_| self.has_row_time) {
                    write!(self.cells[3], "{row_time}")?;
                }
                for (name, value) in fields {
                    let Some(place) = self.places.get(name) else { continue };
                    let cell = &mut self.cells[*place];
                    cell.clear();
                    match value {
                        Value::Integer(integer) => write!(cell, "{integer}")?,
                        Value::Float(float) => cell.push_str(&serde_json::to_string(float)?),
                        Value::Boolean(boolean) => write!(cell, "{boolean}")?,
                        Value::Text(text) => cell.push_str(text),
                    }
                }
                csv.write_record(&self.cells)?;
            }
            Output::JsonLines(out) => {
                let mut serializer = serde_json::Serializer::new(&mut *out);
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry(TIME, &head.time.to_string())?;
                map.serialize_entry(PUBLISHER, head.publisher)?;
                if let Some(host) = head.host {
                    map.serialize_entry(HOST, host)?;
                }
                if let Some(row_time) = head.row_time {
                    map.serialize_entry(ROW_TIME, &row_time.to_string())?;
                }
                for (name, value) in fields {
                    map.serialize_entry(&column(name), value)?;
                }
                map.end()?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Writes out what is buffered, and says how many rows there were.
    pub fn finish(mut self) -> anyhow::Result<u64> {
        match &mut self.output {
            Output::Csv(csv) => csv.flush()?,
            Output::JsonLines(out) => out.flush()?,
        }
        Ok(self.rows)
    }
}

/// A field's column: its own name, unless that is one of those that every row has.
fn column(field: &str) -> String {
    if matches!(field, TIME | PUBLISHER | HOST | ROW_TIME) { format!("{field}_") } else { field.to_owned() }
}
