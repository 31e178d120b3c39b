//! [`Position`]: where in the log a record stands.

use std::fmt;

/// A byte offset in the whole log, over all its segments. It grows with each record and is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// Before everything: a reader from here begins with the oldest record that is still kept.
    pub const START: Self = Self(0);

    /// The bytes from `self` to a later position; 0 when that is not later.
    pub fn bytes_to(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
