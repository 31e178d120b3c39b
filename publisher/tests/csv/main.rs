//! What the CSV source makes of files: their forms, their faults, and what happens to them while they are read.

#![allow(missing_docs, reason = "the names of tests are sentences")]

mod changes;
mod faults;
mod forms;
mod properties;

use std::path::{Path, PathBuf};

use lastbeat_publisher::source::csv::{CsvError, CsvSource, Repeat, Settings};
use lastbeat_publisher::source::{Source, Step};
use lastbeat_wire::{Monotonic, Now, UtcNanos, Value};

/// A file in a folder of its own, gone with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("a.csv")
    }

    fn write(&self, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.file(), content).unwrap();
        self
    }

    fn once(&self) -> Settings {
        Settings { repeat: Repeat::Once, ..Settings::new(self.file()) }
    }

    fn forever(&self) -> Settings {
        Settings::new(self.file())
    }
}

/// What a step came to, to be compared.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Row(String),
    Nothing,
    Bad(String),
    Later,
    End,
    Failed(String),
}

fn now() -> Now {
    Now { monotonic: Monotonic(0), utc: UtcNanos(0) }
}

fn see(source: &mut CsvSource) -> Seen {
    match source.advance(now()) {
        Ok(Step::Reading { .. }) => Seen::Row(shown(source)),
        Ok(Step::Nothing) => Seen::Nothing,
        Ok(Step::Bad(fault)) => Seen::Bad(without_folder(&fault.to_string())),
        Ok(Step::Later(_)) => Seen::Later,
        Ok(Step::End) => Seen::End,
        Err(error) => Seen::Failed(without_folder(&error.to_string())),
    }
}

/// The next `count` steps.
fn steps(source: &mut CsvSource, count: usize) -> Vec<Seen> {
    (0..count).map(|_| see(source)).collect()
}

/// Every step of a file that is read once.
fn all(settings: Settings) -> Vec<Seen> {
    let mut source = CsvSource::open(settings).unwrap();
    let mut seen = Vec::new();
    loop {
        let step = see(&mut source);
        let last = matches!(step, Seen::End | Seen::Failed(_));
        seen.push(step);
        if last {
            return seen;
        }
    }
}

/// Every row of a file that has only good ones.
fn rows(content: &str) -> Vec<String> {
    rows_with(content, |settings| settings)
}

fn rows_with(content: &str, set: impl Fn(Settings) -> Settings) -> Vec<String> {
    let folder = Folder::new();
    let mut seen = all(set(folder.write(content).once()));
    assert_eq!(seen.pop(), Some(Seen::End));
    seen.into_iter().map(|step| if let Seen::Row(row) = step { row } else { panic!("{step:?}") }).collect()
}

fn failure(settings: Settings) -> String {
    without_folder(&CsvSource::open(settings).unwrap_err().to_string())
}

/// A reading in one line: its time, if any, and its fields with their types.
fn shown(source: &CsvSource) -> String {
    let reading = source.reading();
    let mut line = match (reading.row_time, reading.time) {
        (Some(time), None) => format!("{time}:"),
        (None, Some(time)) => format!("point at {time}:"),
        (None, None) => String::new(),
        both => panic!("{both:?}"),
    };
    for (name, value) in reading.fields.iter() {
        let value = match value {
            Value::Integer(value) => format!("{value}i"),
            Value::Float(value) => format!("{value}"),
            Value::Boolean(value) => format!("{value}"),
            Value::Text(value) => format!("{value:?}"),
        };
        line = format!("{line}{}{name}={value}", if line.is_empty() { "" } else { " " });
    }
    line
}

fn without_folder(text: &str) -> String {
    text.split_whitespace()
        .map(|word| if Path::new(word).is_absolute() { word.rsplit('/').next().unwrap() } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The error behind a failed step.
fn csv_error(source: &mut CsvSource) -> CsvError {
    source.advance(now()).unwrap_err().downcast().unwrap()
}
