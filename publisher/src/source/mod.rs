//! [`Source`]: where readings come from. Each source is one file or folder here; none of them sends, and none keeps a pace.

pub mod csv;
pub mod host;
pub mod ping;

use std::time::Duration;

use lastbeat_transport::Told;
use lastbeat_wire::{Now, Reading, Target, UtcNanos};

/// Where readings come from.
pub trait Source: Send {
    /// Moves on to the next reading, which [`reading`](Self::reading) then gives. Never waits.
    ///
    /// # Errors
    /// What ends the source for good.
    fn advance(&mut self, now: Now) -> anyhow::Result<Step>;

    /// The reading that the last [`Step::Reading`] came to.
    fn reading(&self) -> Reading<'_>;

    /// How that reading is sent.
    fn form(&self) -> Form {
        Form::Own
    }

    /// Where that reading stands, for people: `light.csv row 17`.
    fn place(&self) -> String;

    /// Hears what the broker says on a topic that is listened to.
    fn told(&mut self, _told: &Told) {}
}

/// How a reading is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// On the publisher's own topic, in our envelope.
    Own,
    /// On the topic of a target, in our envelope.
    Ping(Target),
    /// On the topic of a target, as these bytes, which bear no number.
    Foreign(Target, Vec<u8>),
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
