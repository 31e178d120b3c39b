//! [`CsvError`] and [`BadRow`]: what is wrong with a file, and with one row of it.

use std::path::PathBuf;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// It can't be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is a directory, a pipe, a device.
    #[error("{}: is {what}, not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It has not one row.
    #[error("{}: is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It has no row that could be sent.
    #[error("{}: has no row to send ({bad} bad ones)", path.display())]
    NothingToSend {
        /// The file.
        path: PathBuf,
        /// How many rows were bad.
        bad: u64,
    },
    /// It is no text in UTF-8.
    #[error("{}: is in UTF-16; convert it to UTF-8", path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// What was said of it does not fit it.
    #[error("{}: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Reading failed.
    #[error("{} after row {row}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The last row that was read.
        row: u64,
        /// Why.
        source: std::io::Error,
    },
    /// It became shorter than what was read of it.
    #[error("{}: was cut to {length} bytes while it was replayed, {read} were read (row {row})", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length now.
        length: u64,
        /// How far it was read.
        read: u64,
        /// The last row that was read.
        row: u64,
    },
}

/// One row that can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} row {row}: {fault}")]
pub struct BadRow {
    /// The file, as it was named.
    pub path: String,
    /// Which row, as a spreadsheet counts: the first is 1, a header included, blank lines left out.
    pub row: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A cell does not fit its column.
    #[error("column {column:?}: bad {kind} {value:?}")]
    Cell {
        /// The column.
        column: String,
        /// What it should be.
        kind: &'static str,
        /// The cell, cut after 64 characters.
        value: String,
    },
    /// A time of day that the clocks were put forward over.
    #[error("column {column:?}: time {value:?} does not exist in {zone}")]
    Skipped {
        /// The column.
        column: String,
        /// The cell.
        value: String,
        /// The zone.
        zone: &'static str,
    },
    /// Too many cells, or too few.
    #[error("{cells} cells, {columns} columns")]
    Width {
        /// How many there are.
        cells: usize,
        /// How many there should be.
        columns: usize,
    },
    /// Longer than a row can be; an open quote swallows the rest of a file.
    #[error("longer than {limit} bytes; is a quote left open? The rest of the file is left out")]
    Endless {
        /// The longest that is read.
        limit: u64,
    },
}

/// A cell as it is shown in a message.
pub fn shown(cell: &[u8]) -> String {
    String::from_utf8_lossy(&cell[..cell.len().min(256)]).chars().take(64).collect()
}

impl super::settings::Settings {
    pub(super) fn wrong(&self, reason: String) -> CsvError {
        CsvError::Settings { path: self.path.clone(), reason }
    }

    pub(super) fn no_column(&self, option: &str, name: &str, known: &[String]) -> CsvError {
        self.wrong(format!("{option}: no column {name:?}; there are {}", known.join(", ")))
    }
}
