//! [`CsvSource`]: the rows of a file, one after another, pass after pass. Keeps no pace.

use std::time::Duration;

use csv::{ByteRecord, Reader, ReaderBuilder};
use lastbeat_wire::{Fields, Now, Reading, UtcNanos, Value};

use super::column::Cell;
use super::error::{BadRow, CsvError, Fault, shown};
use super::file::{BrokenOff, FileState, MAX_ROW_BYTES, WatchedFile};
use super::moment::BadTime;
use super::schema::{Role, Schema};
use super::settings::{PointTime, Repeat, Settings, Untimed};
use crate::source::{Source, Step};

/// How long a file that can't be replayed just now is left alone, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Large enough that asking for the file's length at every refill costs nothing beside it.
const BUFFER_BYTES: usize = 128 << 10;

/// A CSV file as a source.
#[derive(Debug)]
pub struct CsvSource {
    settings: Settings,
    schema: Schema,
    state: FileState,
    pass: Pass,
    record: ByteRecord,
    cells: Vec<Cell>,
    row: Row,
    backoff: Duration,
}

/// One way through the file.
#[derive(Debug)]
enum Pass {
    /// The next one is to be opened.
    Ahead,
    Open(Box<Reader<WatchedFile>>),
    /// Its end is reached, and to be dealt with.
    Ended,
    /// There is none any more.
    Over,
}

/// Where in a pass we are.
#[derive(Debug, Default)]
struct Row {
    number: u64,
    time: Option<UtcNanos>,
    /// The last time that was read, of this row or of one before.
    latest: Option<UtcNanos>,
    good: u64,
    bad: u64,
}

impl CsvSource {
    /// Opens a file and finds its schema.
    pub fn open(settings: Settings) -> Result<Self, CsvError> {
        let (mut file, state) = WatchedFile::open(&settings.path)?;
        let schema = Schema::find(&file.start(&settings.path)?, &settings)?;
        tracing::info!("{}: {schema}", settings.path.display());
        let mut source = Self {
            settings,
            schema,
            state,
            pass: Pass::Ahead,
            record: ByteRecord::new(),
            cells: Vec::new(),
            row: Row::default(),
            backoff: BACKOFF.0,
        };
        source.begin(file)?;
        Ok(source)
    }

    /// Opens the file once more for the next pass; a file that was touched since gets its schema anew.
    fn reopen(&mut self) -> Result<(), CsvError> {
        let (mut file, state) = WatchedFile::open(&self.settings.path)?;
        if state != self.state {
            let schema = Schema::find(&file.start(&self.settings.path)?, &self.settings)?;
            tracing::info!("{}: has changed, read anew: {schema}", self.settings.path.display());
            (self.schema, self.state) = (schema, state);
        }
        self.begin(file)
    }

    fn begin(&mut self, file: WatchedFile) -> Result<(), CsvError> {
        let reader = ReaderBuilder::new()
            .delimiter(self.schema.delimiter)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(file);
        self.row = Row::default();
        self.pass = Pass::Open(Box::new(reader));
        if self.schema.header {
            self.next_record().map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Whether there was another record.
    fn next_record(&mut self) -> std::io::Result<bool> {
        let Pass::Open(reader) = &mut self.pass else { return Ok(false) };
        let more = reader.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            // As it is: wrapped once more, the reason within it could not be told any more.
            csv::ErrorKind::Io(error) => error,
            other => std::io::Error::other(format!("{other:?}")),
        })?;
        if more {
            reader.get_mut().row_complete();
            self.row.number += 1;
        }
        Ok(more)
    }

    fn failed(&self, source: std::io::Error) -> CsvError {
        let (path, row) = (self.settings.path.clone(), self.row.number);
        match BrokenOff::within(&source) {
            Some(BrokenOff::Cut { length, read }) => CsvError::Truncated { path, length, read, row },
            _ => CsvError::Read { path, row, source },
        }
    }

    /// Reads the cells of the record; whether any of them holds a value.
    fn read_cells(&mut self) -> Result<bool, Fault> {
        let (record, columns) = (&self.record, &mut self.schema.columns);
        if record.len() != columns.len() {
            return Err(Fault::Width { cells: record.len(), columns: columns.len() });
        }
        self.cells.clear();
        self.row.time = None;
        let mut some = false;
        for (role, bytes) in columns.iter_mut().zip(record) {
            let cell = match role {
                Role::Field(column) => column.read(bytes).map_err(|kind| bad_cell(&column.name, kind.name(), bytes))?,
                Role::Time { .. } if bytes.trim_ascii().is_empty() && self.settings.untimed == Untimed::Allowed => {
                    Cell::Absent
                }
                Role::Time { name, format } => {
                    let zone = self.settings.zone;
                    let text = std::str::from_utf8(bytes).ok();
                    let time = text.ok_or(BadTime::Form).and_then(|text| format.parse(text, zone, self.row.latest));
                    let time = time.map_err(|bad| match bad {
                        BadTime::Form => bad_cell(name, "time", bytes),
                        BadTime::Skipped => {
                            Fault::Skipped { column: name.clone(), value: shown(bytes), zone: zone.name() }
                        }
                    })?;
                    (self.row.time, self.row.latest) = (Some(time), Some(time));
                    Cell::Absent
                }
            };
            some |= cell != Cell::Absent;
            self.cells.push(cell);
        }
        Ok(some)
    }

    fn step(&mut self) -> Step {
        match self.read_cells() {
            Ok(true) => {
                self.row.good += 1;
                self.backoff = BACKOFF.0;
                Step::Reading { row_time: self.row.time }
            }
            Ok(false) => Step::Nothing,
            Err(fault) => self.bad(fault),
        }
    }

    fn bad(&mut self, fault: Fault) -> Step {
        self.row.bad += 1;
        let path = self.settings.path.display().to_string();
        Step::Bad(Box::new(BadRow { path, row: self.row.number, fault }))
    }

    /// The end of a pass: of the last one, or of one that another follows.
    fn end_of_pass(&mut self) -> Result<Option<Step>, CsvError> {
        self.pass = if self.settings.repeat == Repeat::Once { Pass::Over } else { Pass::Ahead };
        if self.row.good == 0 {
            return Err(CsvError::NothingToSend { path: self.settings.path.clone(), bad: self.row.bad });
        }
        Ok((self.settings.repeat == Repeat::Once).then_some(Step::End))
    }

    /// One attempt at a step; `None` when a pass ended and another follows.
    fn attempt(&mut self) -> Result<Option<Step>, CsvError> {
        match self.pass {
            Pass::Over => return Ok(Some(Step::End)),
            Pass::Ended => return self.end_of_pass(),
            Pass::Ahead => self.reopen()?,
            Pass::Open(_) => {}
        }
        match self.next_record() {
            Ok(true) => Ok(Some(self.step())),
            Ok(false) => self.end_of_pass(),
            Err(error) if BrokenOff::within(&error) == Some(BrokenOff::Endless) => {
                self.row.number += 1;
                let bad = self.bad(Fault::Endless { limit: MAX_ROW_BYTES });
                // What can't be parted into rows is as good as the end of the file.
                self.pass = Pass::Ended;
                Ok(Some(bad))
            }
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl Source for CsvSource {
    fn advance(&mut self, _now: Now) -> anyhow::Result<Step> {
        loop {
            match self.attempt() {
                Ok(Some(step)) => return Ok(step),
                // A pass that ended without a reading is an error, so this ends.
                Ok(None) => {}
                Err(error) if self.settings.repeat == Repeat::Once => return Err(error.into()),
                Err(error) => {
                    let wait = self.backoff;
                    tracing::warn!("{error}; starting over in {}", humantime::format_duration(wait));
                    self.pass = Pass::Ahead;
                    self.backoff = (wait * 2).min(BACKOFF.1);
                    return Ok(Step::Later(wait));
                }
            }
        }
    }

    fn reading(&self) -> Reading<'_> {
        let mut fields = Fields::with_capacity(self.cells.len());
        for ((role, cell), bytes) in self.schema.columns.iter().zip(&self.cells).zip(&self.record) {
            let Role::Field(column) = role else { continue };
            let value = match *cell {
                Cell::Absent => continue,
                Cell::Integer(value) => Value::Integer(value),
                Cell::Float(value) => Value::Float(value),
                Cell::Boolean(value) => Value::Boolean(value),
                Cell::Text => {
                    Value::Text(std::str::from_utf8(bytes).expect("invariant: checked when the cell was read").into())
                }
            };
            fields.push(column.name.as_str(), value);
        }
        let (time, row_time) = match self.settings.point_time {
            PointTime::Sent => (None, self.row.time),
            PointTime::Row => (self.row.time, None),
        };
        Reading { time, row_time, fields }
    }

    fn place(&self) -> String {
        format!("{} row {}", self.settings.path.display(), self.row.number)
    }
}

fn bad_cell(column: &str, kind: &'static str, bytes: &[u8]) -> Fault {
    Fault::Cell { column: column.to_owned(), kind, value: shown(bytes) }
}
