//! [`Pace`]: spreads the reports on all publishers evenly over their period, so that a hundred thousand of them make no
//! burst.

use std::time::Duration;

use lastbeat_wire::Monotonic;

/// Most reports at once.
const CHUNK: usize = 500;

/// When to report on whom.
#[derive(Debug, Clone)]
pub struct Pace {
    period: Duration,
    next: Monotonic,
    /// The publisher at which the next chunk begins.
    place: usize,
}

impl Pace {
    /// Reports on each publisher once a `period`, first one period from `now`.
    pub fn new(period: Duration, now: Monotonic) -> Self {
        Self { period, next: now.plus(period), place: 0 }
    }

    /// When [`due`](Self::due) has something to do.
    pub fn next(&self) -> Monotonic {
        self.next
    }

    /// The publishers to report on now, as the place of the first and their number.
    pub fn due(&mut self, now: Monotonic, publishers: usize) -> Option<(usize, usize)> {
        if now < self.next {
            return None;
        }
        let chunks = u32::try_from(publishers.div_ceil(CHUNK).max(1)).unwrap_or(u32::MAX);
        // Late by more than a period: go on from here instead of catching up in a burst.
        let planned = self.next.plus(self.period / chunks);
        self.next = if planned <= now { now.plus(self.period / chunks) } else { planned };
        let from = if self.place >= publishers { 0 } else { self.place };
        let count = CHUNK.min(publishers - from);
        self.place = from + count;
        Some((from, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    fn seconds(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000_000)
    }

    #[test]
    fn few_publishers_are_reported_on_together_once_a_period() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        assert_eq!(pace.due(Monotonic(seconds(10).0 - 1), 3), None);
        assert_eq!(pace.due(seconds(10), 3), Some((0, 3)));
        assert_eq!(pace.next(), seconds(20));
        assert_eq!(pace.due(seconds(19), 3), None);
    }

    #[test]
    fn many_are_spread_over_the_period_and_each_comes_once() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        let mut seen = vec![0; 1250];
        for _ in 0..3 {
            let (from, count) = pace.due(pace.next(), seen.len()).unwrap();
            seen[from..from + count].iter_mut().for_each(|seen| *seen += 1);
        }
        assert!(seen.iter().all(|seen| *seen == 1));
        assert!((seconds(19)..=seconds(20)).contains(&pace.next()), "{:?}", pace.next());
    }

    #[test]
    fn a_late_one_does_not_catch_up_in_a_burst() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        assert_eq!(pace.due(seconds(1000), 1), Some((0, 1)));
        assert_eq!(pace.due(seconds(1000), 1), None);
        assert_eq!(pace.next(), seconds(1010));
    }

    #[test]
    fn nobody_to_report_on_is_no_report() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        assert_eq!(pace.due(seconds(10), 0), Some((0, 0)));
    }
}
