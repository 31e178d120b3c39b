//! [`Pace`]: when the next row is asked for, and when it is due. Reads no clock.

use std::str::FromStr;
use std::time::Duration;

use lastbeat_wire::{Monotonic, UtcNanos};

/// How far behind a pace may fall and still catch up; beyond it the pace starts anew, so that a process that was stopped
/// for an hour does not send an hour's rows in a burst.
const CATCH_UP: Duration = Duration::from_secs(1);

/// When rows are due.
#[derive(Debug, Clone)]
pub struct Pace {
    rule: Rule,
    /// When the next row is to be asked for, at the earliest.
    asks_at: Option<Monotonic>,
}

#[derive(Debug, Clone)]
enum Rule {
    /// As fast as rows can be taken.
    Unpaced,
    /// As they come, whether they can be taken or not.
    Live,
    /// One row every so often.
    Every(Duration),
    /// As far apart as the rows' own times, divided by a factor.
    Own { speed: Speed, last: Option<Due>, step: Duration },
}

/// How many times faster than its own times a file is replayed: more than zero, finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

/// When a row of this time was due.
#[derive(Debug, Clone, Copy)]
struct Due {
    row_time: UtcNanos,
    at: Monotonic,
}

impl Pace {
    /// One row every `span`; zero is as fast as can be.
    pub fn every(span: Duration) -> Self {
        let rule = if span.is_zero() { Rule::Unpaced } else { Rule::Every(span) };
        Self { rule, asks_at: None }
    }

    /// As rows come by themselves: they do not wait for one that can't be sent.
    pub fn live() -> Self {
        Self { rule: Rule::Live, asks_at: None }
    }

    /// The rows' own pace, times `speed`.
    pub fn own(speed: Speed) -> Self {
        Self { rule: Rule::Own { speed, last: None, step: Duration::ZERO }, asks_at: None }
    }

    /// Whether rows come as fast as they are taken, and so can wait.
    pub fn is_unpaced(&self) -> bool {
        matches!(self.rule, Rule::Unpaced)
    }

    /// When the next row is to be asked for; `None` for at once.
    pub fn asks_at(&self) -> Option<Monotonic> {
        self.asks_at
    }

    /// Takes note of a row that was given at `now`, and says when it is due.
    ///
    /// A row that is not later than the one before it, because a clock was set back or a file begins anew, follows it as
    /// closely as the last one that was. A row without a time is due with the one before it.
    pub fn row(&mut self, row_time: Option<UtcNanos>, now: Monotonic) -> Monotonic {
        match &mut self.rule {
            Rule::Unpaced | Rule::Live => now,
            Rule::Every(span) => {
                let due = self.asks_at.unwrap_or(now);
                let from = if now.since(due) >= CATCH_UP.max(*span) { now } else { due };
                self.asks_at = Some(from.plus(*span));
                now
            }
            Rule::Own { speed, last, step } => {
                let Some(row_time) = row_time else { return last.map_or(now, |last| last.at) };
                let due = match last {
                    None => now,
                    Some(last) => {
                        if row_time > last.row_time {
                            *step = speed.shorten(row_time.since(last.row_time));
                        }
                        let due = if row_time == last.row_time { last.at } else { last.at.plus(*step) };
                        if now.since(due) >= CATCH_UP { now } else { due }
                    }
                };
                *last = Some(Due { row_time, at: due });
                due
            }
        }
    }
}

impl Speed {
    fn shorten(self, span: Duration) -> Duration {
        // What is too long for a `Duration` is never.
        Duration::try_from_secs_f64(span.as_secs_f64() / self.0).unwrap_or(Duration::MAX)
    }
}

impl FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(Self(speed)),
            _ => Err(format!("speed {text:?} is no number above 0")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(millis * 1_000_000)
    }

    fn row(seconds: i64) -> UtcNanos {
        UtcNanos(seconds * 1_000_000_000)
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

    #[test]
    fn rows_are_as_far_apart_as_their_times_at_the_speed() {
        let mut pace = Pace::own("60".parse().unwrap());
        assert_eq!(pace.row(Some(row(0)), at(7)), at(7));
        assert_eq!(pace.row(Some(row(300)), at(7)), at(5007));
        assert_eq!(pace.row(Some(row(300)), at(5007)), at(5007));
        assert_eq!(pace.row(None, at(5007)), at(5007));
        assert_eq!(pace.row(Some(row(360)), at(5010)), at(6007), "what one row was late, the next is not");
        assert_eq!(pace.asks_at(), None);
    }

    #[test]
    fn a_step_back_in_the_file_neither_stalls_nor_bursts() {
        let mut pace = Pace::own("300".parse().unwrap());
        for (row_time, due) in [(0, 0), (300, 1000), (-3000, 2000), (-2700, 3000), (-2400, 4000)] {
            assert_eq!(pace.row(Some(row(row_time)), at(due)), at(due));
        }
    }

    #[test]
    fn after_a_stop_of_a_second_or_more_rows_go_on_from_now() {
        let mut pace = Pace::own("1".parse().unwrap());
        pace.row(Some(row(0)), at(0));
        assert_eq!(pace.row(Some(row(1)), at(1999)), at(1000));
        assert_eq!(pace.row(Some(row(2)), at(3000)), at(3000));
        assert_eq!(pace.row(Some(row(3)), at(3000)), at(4000));
    }

    #[test]
    fn a_speed_is_above_zero() {
        for wrong in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert!(wrong.parse::<Speed>().unwrap_err().contains(&format!("{wrong:?}")));
        }
        let mut slow = Pace::own("1e-300".parse().unwrap());
        slow.row(Some(row(0)), at(0));
        assert_eq!(slow.row(Some(row(1)), at(0)), Monotonic(u64::MAX));
    }
}
