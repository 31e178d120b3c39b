//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};

use crate::position::Position;

/// Why a log could not be opened or read.
///
/// [`Io`](Self::Io) may pass; the others stay until somebody does something about them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system refused.
    #[error("log: cannot {doing} {}: {source}", path.display())]
    Io {
        /// The verb: open, read, …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another log in this one, has the directory open.
    #[error("log {}: another process is writing it", dir.display())]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },
    /// A segment was written by a version of this program that this one does not know.
    #[error("log segment {}: version {version}, only 1 is known", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A reader was asked to begin behind the end, where records yet to come would be skipped.
    #[error("log: position {from} is behind the end, {end}; open the log with not_before")]
    BehindEnd {
        /// The reader's position.
        from: Position,
        /// The log's end.
        end: Position,
    },
    /// An option that can't be.
    #[error("log option {option}: {value} is not in {allowed}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: u64,
        /// What would do.
        allowed: &'static str,
    },
}

impl LogError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}

/// Why a record was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// As much as may be is waiting for a disk that is slow or failing; see [`LogHealth`](crate::LogHealth).
    #[error("log: {pending_bytes} bytes are waiting to be written, more are not taken")]
    Full {
        /// Bytes that wait.
        pending_bytes: u64,
    },
    /// The record is longer than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES).
    #[error("log: a record of {bytes} bytes, at most {} are taken", crate::MAX_RECORD_BYTES)]
    TooLarge {
        /// Length of its body.
        bytes: usize,
    },
}
