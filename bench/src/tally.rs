//! [`Tally`]: what a role has done so far, told as a JSON line to the one who started it.

use std::io::Write;

use lastbeat_host::Clock;
use serde::{Deserialize, Serialize};

/// How many messages or points, and when. Times are of the monotonic clock, which all processes of a host share, in
/// nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// When the first of them came or went; 0 before.
    pub first: u64,
    /// When the last one did.
    pub last: u64,
    /// Whether this is the end.
    pub done: bool,
}

impl Tally {
    /// Now many more.
    pub fn add(&mut self, count: u64) {
        if count > 0 {
            self.last = Clock.now().monotonic.0;
            if self.first == 0 {
                self.first = self.last;
            }
            self.count += count;
        }
    }

    /// Tells it.
    pub fn tell(&self) -> anyhow::Result<()> {
        let line = serde_json::to_string(self)?;
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}")?;
        Ok(stdout.flush()?)
    }

    /// From the first to the last, in seconds.
    pub fn seconds(&self) -> f64 {
        self.last.saturating_sub(self.first) as f64 / 1e9
    }

    /// A second.
    pub fn rate(&self) -> f64 {
        if self.last > self.first { self.count as f64 / self.seconds() } else { 0.0 }
    }
}
