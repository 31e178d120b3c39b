//! The CSV source: finds out how a file is written, and replays it row by row, for ever or once.

mod calendar;
mod column;
mod dialect;
mod error;
mod file;
mod moment;
mod replay;
mod schema;
mod settings;

pub use column::ColumnType;
pub use error::{BadRow, CsvError, Fault};
pub use moment::{TimeFormat, parse_zone};
pub use replay::CsvSource;
pub use settings::{Header, PointTime, Repeat, Settings, TimeColumn, Untimed};
