//! [`WatchedFile`]: a file that others may cut, empty or replace while it is read. Knows nothing of CSV.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::time::SystemTime;

use super::error::CsvError;

/// The longest row that is read: twice what a message may hold. An open quote else has the rest of a file in memory.
pub const MAX_ROW_BYTES: u64 = 2 << 20;
/// What of a file is looked at to find its schema.
const START_BYTES: u64 = 1 << 20;

/// An open file that notices when it is cut.
#[derive(Debug)]
pub struct WatchedFile {
    file: File,
    read: u64,
    since_row: u64,
}

/// Tells whether a path still leads to the same content; equal for a file that nobody touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    length: u64,
    modified: Option<SystemTime>,
    place: (u64, u64),
}

/// Why reading was broken off, as the inner error of an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenOff {
    /// The file became shorter than what was read.
    #[error("cut to {length} bytes, {read} were read")]
    Cut {
        /// Its length now.
        length: u64,
        /// How far it was read.
        read: u64,
    },
    /// A row is longer than [`MAX_ROW_BYTES`].
    #[error("a row is longer than {MAX_ROW_BYTES} bytes")]
    Endless,
}

impl BrokenOff {
    /// Finds it again in the error that it was wrapped in.
    pub fn within(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}

impl WatchedFile {
    /// Opens a regular file at its start.
    pub fn open(path: &Path) -> Result<(Self, FileState), CsvError> {
        let failed = |source| CsvError::Open { path: path.to_owned(), source };
        // Asked before opening: to open a pipe would wait for a writer.
        let kind = std::fs::metadata(path).map_err(failed)?.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() { "a directory" } else { "a pipe or device" };
            return Err(CsvError::NotAFile { path: path.to_owned(), what });
        }
        let file = File::open(path).map_err(failed)?;
        let state = FileState::of(&file.metadata().map_err(failed)?);
        if state.length == 0 {
            return Err(CsvError::Empty { path: path.to_owned() });
        }
        Ok((Self { file, read: 0, since_row: 0 }, state))
    }

    /// The whole rows that the file starts with, and goes back to its start. A row longer than a megabyte is not whole.
    pub fn start(&mut self, path: &Path) -> Result<Vec<u8>, CsvError> {
        let failed = |source| CsvError::Open { path: path.to_owned(), source };
        let mut start = Vec::new();
        self.file.by_ref().take(START_BYTES).read_to_end(&mut start).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(CsvError::Utf16 { path: path.to_owned() });
        }
        if start.len() as u64 == START_BYTES
            && let Some(end) = start.iter().rposition(|byte| *byte == b'\n')
        {
            start.truncate(end + 1);
        }
        Ok(start)
    }

    /// A row was complete; the next one is counted from here.
    pub fn row_complete(&mut self) {
        self.since_row = 0;
    }
}

impl Read for WatchedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        self.since_row += count as u64;
        let length = self.file.metadata()?.len();
        if length < self.read {
            return Err(io::Error::other(BrokenOff::Cut { length, read: self.read }));
        }
        if self.since_row > MAX_ROW_BYTES {
            return Err(io::Error::other(BrokenOff::Endless));
        }
        Ok(count)
    }
}

impl FileState {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let place = (metadata.dev(), metadata.ino());
        Self { length: metadata.len(), modified: metadata.modified().ok(), place }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok(), place: (0, 0) }
    }
}
