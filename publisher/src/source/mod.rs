//! [`Source`]: where readings come from. Each source is one file or folder here; none of them sends, and none keeps a pace.

pub mod csv;
pub mod host;

use std::time::Duration;

use lastbeat_wire::{Now, Reading, UtcNanos};

/// Where readings come from.
pub trait Source: Send {
    /// Moves on to the next reading, which [`reading`](Self::reading) then gives. Never waits.
    ///
    /// # Errors
    /// What ends the source for good.
    fn advance(&mut self, now: Now) -> anyhow::Result<Step>;

    /// The reading that the last [`Step::Reading`] came to.
    fn reading(&self) -> Reading<'_>;

    /// Where that reading stands, for people: `light.csv row 17`.
    fn place(&self) -> String;
}

/// What became of moving on.
#[derive(Debug)]
pub enum Step {
    /// There is a reading.
    Reading {
        /// The time that it bears itself, for keeping the pace of a file.
        row_time: Option<UtcNanos>,
    },
    /// There is a row, but all of it is absent; the next one may follow at once.
    Nothing,
    /// There is a row that can't be read; the next one may follow at once.
    Bad(Box<dyn std::error::Error + Send + Sync>),
    /// There is nothing now; it is to be asked again after this span.
    Later(Duration),
    /// There is nothing more.
    End,
}
