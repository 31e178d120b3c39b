//! [`Settings`]: what the user says of a CSV file; all of it has an answer that is found when nothing is said.

use std::path::PathBuf;

use chrono_tz::Tz;

use super::column::ColumnType;
use super::moment::TimeFormat;

/// What is said of a file.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// The byte between cells; `None` to find it.
    pub delimiter: Option<u8>,
    /// Whether the first row is names.
    pub header: Header,
    /// The names of all columns, the time's included, instead of those that the file says.
    pub columns: Option<Vec<String>>,
    /// Types of columns, by name, instead of those that are found.
    pub types: Vec<(String, ColumnType)>,
    /// Where the time of a row stands.
    pub time_column: TimeColumn,
    /// How it is written; `None` to find it.
    pub time_format: Option<TimeFormat>,
    /// The zone of times that don't say theirs.
    pub zone: Tz,
    /// What becomes the point's time.
    pub point_time: PointTime,
    /// Whether a row without a time is of use.
    pub untimed: Untimed,
    /// What follows the last row.
    pub repeat: Repeat,
}

/// Whether the first row is names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// To be found.
    #[default]
    Detect,
    /// It is.
    Present,
    /// It is a row like the others.
    Absent,
}

/// Where the time of a row stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TimeColumn {
    /// To be found.
    #[default]
    Detect,
    /// Nowhere: a column that looks like a time is a field like the others.
    Nowhere,
    /// In the column of this name, or of this number, counted from 1.
    Named(String),
}

/// What becomes the point's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PointTime {
    /// The time at which the row is sent.
    #[default]
    Sent,
    /// The row's own.
    Row,
}

/// Whether a row without a time is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Untimed {
    /// It is.
    #[default]
    Allowed,
    /// The pace or the point's time needs one.
    Refused,
}

/// What follows the last row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// The first one.
    #[default]
    Forever,
    /// The end.
    Once,
}

impl Settings {
    /// Finds everything by itself, and replays for ever.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            delimiter: None,
            header: Header::default(),
            columns: None,
            types: Vec::new(),
            time_column: TimeColumn::default(),
            time_format: None,
            zone: Tz::UTC,
            point_time: PointTime::default(),
            untimed: Untimed::default(),
            repeat: Repeat::default(),
        }
    }
}
