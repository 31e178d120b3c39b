//! [`Pace`]: when the next row is asked for, and when it is due. Reads no clock.

use std::time::Duration;

use lastbeat_wire::{Monotonic, UtcNanos};

/// How far behind a pace may fall and still catch up; beyond it the pace starts anew, so that a process that was stopped
/// for an hour does not send an hour's rows in a burst.
const CATCH_UP: Duration = Duration::from_secs(1);

/// When rows are due.
#[derive(Debug, Clone)]
pub struct Pace {
    rule: Rule,
    next: Option<Monotonic>,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    /// As fast as rows can be taken.
    Unpaced,
    /// One row every so often.
    Every(Duration),
}

impl Pace {
    /// One row every `span`; zero is as fast as can be.
    pub fn every(span: Duration) -> Self {
        let rule = if span.is_zero() { Rule::Unpaced } else { Rule::Every(span) };
        Self { rule, next: None }
    }

    /// When the next row is to be asked for; `None` for at once.
    pub fn asks_at(&self) -> Option<Monotonic> {
        self.next
    }

    /// Takes note of a row that was given at `now`, and says when it is due.
    pub fn row(&mut self, _row_time: Option<UtcNanos>, now: Monotonic) -> Monotonic {
        match self.rule {
            Rule::Unpaced => now,
            Rule::Every(span) => {
                let due = self.next.unwrap_or(now);
                let from = if now.since(due) >= CATCH_UP.max(span) { now } else { due };
                self.next = Some(from.plus(span));
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(millis * 1_000_000)
    }

    #[test]
    fn a_fixed_pace_is_kept_on_average_though_each_row_is_a_little_late() {
        let mut pace = Pace::every(Duration::from_secs(1));
        assert_eq!(pace.asks_at(), None);
        assert_eq!(pace.row(None, at(500)), at(500));
        assert_eq!(pace.asks_at(), Some(at(1500)));
        pace.row(None, at(1510));
        assert_eq!(pace.asks_at(), Some(at(2500)));
    }

    #[test]
    fn a_fixed_pace_starts_anew_after_a_whole_period_was_missed() {
        let mut pace = Pace::every(Duration::from_secs(1));
        pace.row(None, at(0));
        pace.row(None, at(1999));
        assert_eq!(pace.asks_at(), Some(at(2000)));
        pace.row(None, at(3000));
        assert_eq!(pace.asks_at(), Some(at(4000)));
    }
}
