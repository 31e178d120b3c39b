//! [`Gaps`]: the gaps between one publisher's signs of life, in bounded memory: counted to 1.6 %, the longest of them exactly.

use std::collections::BTreeMap;
use std::time::Duration;

use lastbeat_watchdog::{Adaptive, Bounds};

/// So many of the longest gaps are known exactly; a tail is fitted to them.
const TAIL: usize = 16;
/// An octave of lengths is parted into so many, as a power of two.
const PARTS: u32 = 6;

/// The gaps of one publisher.
#[derive(Debug, Clone)]
pub struct Gaps {
    /// How many.
    pub count: u64,
    /// All of them together: how long it was watched, in seconds.
    pub seconds: f64,
    squares: f64,
    /// How many there are of each length; at most 3,700 different ones, of a real publisher some dozens.
    lengths: BTreeMap<u32, u64>,
    /// The longest ones in nanoseconds, shortest first.
    longest: Vec<u64>,
    /// What the watchdog would have learned, and how often its threshold would have been missed.
    pub adaptive: Adaptive,
    /// See `adaptive`.
    pub adaptive_missed: u64,
    /// How long it had been silent when all was over.
    pub silent_at_end: Duration,
}

impl Gaps {
    /// None yet. An adaptive threshold would begin with `fixed`.
    pub fn new(fixed: Duration, bounds: Bounds) -> Self {
        Self {
            count: 0,
            seconds: 0.0,
            squares: 0.0,
            lengths: BTreeMap::new(),
            longest: Vec::with_capacity(TAIL),
            adaptive: Adaptive::new(fixed, bounds),
            adaptive_missed: 0,
            silent_at_end: Duration::ZERO,
        }
    }

    /// Takes a gap.
    pub fn take(&mut self, gap: Duration) {
        let (nanos, seconds) = (u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX), gap.as_secs_f64());
        self.count += 1;
        self.seconds += seconds;
        self.squares += seconds * seconds;
        *self.lengths.entry(place(nanos)).or_default() += 1;
        let at = self.longest.partition_point(|known| *known < nanos);
        self.longest.insert(at, nanos);
        if self.longest.len() > TAIL {
            self.longest.remove(0);
        }
        if gap < self.adaptive.threshold() {
            self.adaptive.learn(gap);
        } else {
            self.adaptive.alarmed(gap);
            self.adaptive_missed += 1;
        }
    }

    /// The length that this share of the gaps does not exceed; none longer than the longest.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = share * exact(self.count);
        let mut sum = 0;
        let found = self.lengths.iter().find(|(_, count)| {
            sum += **count;
            exact(sum) >= wanted
        });
        found.map_or(Duration::ZERO, |(place, _)| Duration::from_nanos(end(*place)).min(self.longest()))
    }

    /// How many gaps were as long or longer; too many rather than too few.
    pub fn exceeding(&self, span: Duration) -> u64 {
        if span > self.longest() {
            return 0;
        }
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.lengths.range(place(nanos)..).map(|(_, count)| *count).sum()
    }

    /// The longest gap.
    pub fn longest(&self) -> Duration {
        self.longest.last().copied().map(Duration::from_nanos).unwrap_or_default()
    }

    /// The usual gap in seconds: the mean one in which an instant falls.
    pub fn usual(&self) -> f64 {
        if self.seconds > 0.0 { self.squares / self.seconds } else { 0.0 }
    }

    /// The mean of the gaps and their standard deviation, in seconds.
    pub fn mean_and_deviation(&self) -> (f64, f64) {
        let count = exact(self.count.max(1));
        let mean = self.seconds / count;
        (mean, (self.squares / count - mean * mean).max(0.0).sqrt())
    }

    /// The exponential tail through the longest gaps: how many there are, in seconds where it begins, and its mean excess. `None`
    /// without two gaps.
    pub fn tail(&self) -> Option<(f64, f64, f64)> {
        let begins = *self.longest.first().filter(|_| self.longest.len() > 1)?;
        let known = exact(self.longest.len() as u64);
        let excess: f64 = self.longest.iter().map(|gap| Duration::from_nanos(gap - begins).as_secs_f64()).sum();
        Some((known, Duration::from_nanos(begins).as_secs_f64(), excess / (known - 1.0)))
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "nobody counts beyond 2^53")]
pub fn exact(count: u64) -> f64 {
    count as f64
}

/// Which part of which octave.
fn place(nanos: u64) -> u32 {
    let Some(octave) = nanos.checked_ilog2().filter(|octave| *octave >= PARTS) else {
        return u32::try_from(nanos).expect("invariant: below 2^PARTS");
    };
    let part = (nanos >> (octave - PARTS)) & ((1 << PARTS) - 1);
    (octave << PARTS) | u32::try_from(part).expect("invariant: below 2^PARTS")
}

/// The longest length there.
fn end(place: u32) -> u64 {
    let (octave, part) = (place >> PARTS, u64::from(place & ((1 << PARTS) - 1)));
    if octave < PARTS {
        return u64::from(place);
    }
    let width = 1u64 << (octave - PARTS);
    ((1u64 << octave) | (part * width)) + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gaps(nanos: &[u64]) -> Gaps {
        let mut gaps = Gaps::new(Duration::from_secs(50), crate::threshold::BOUNDS);
        for nanos in nanos {
            gaps.take(Duration::from_nanos(*nanos));
        }
        gaps
    }

    proptest! {
        #[test]
        fn each_length_is_in_its_place(nanos: u64) {
            prop_assert!(end(place(nanos)) >= nanos);
            prop_assert!(end(place(nanos)) - nanos <= nanos / 64);
            prop_assert!(nanos == 0 || place(nanos) >= place(nanos - 1));
        }

        #[test]
        fn quantiles_and_counts_are_near_those_of_all_gaps(mut nanos in proptest::collection::vec(1..1_000_000_000u64, 1..300)) {
            let known = gaps(&nanos);
            nanos.sort_unstable();
            let half = nanos[(nanos.len() - 1) / 2];
            let median = u64::try_from(known.quantile(0.5).as_nanos()).unwrap();
            prop_assert!(median >= half && median <= half + half / 64 + 1, "{median} {half}");
            prop_assert_eq!(known.longest().as_nanos(), u128::from(*nanos.last().unwrap()));
            prop_assert_eq!(known.exceeding(known.longest() + Duration::from_nanos(1)), 0);
            let at_least = nanos.iter().filter(|nanos| **nanos >= half).count() as u64;
            prop_assert!(known.exceeding(Duration::from_nanos(half)) >= at_least);
        }
    }

    #[test]
    fn of_bursts_the_pause_is_usual() {
        let pattern: Vec<_> =
            (0..1000).map(|place| if place % 100 == 0 { 30_000_000_000 } else { 1_000_000 }).collect();
        let known = gaps(&pattern);
        assert!((29.0..=30.0).contains(&known.usual()), "{}", known.usual());
        assert!(known.quantile(0.5) < Duration::from_millis(2));
        assert_eq!((known.exceeding(Duration::from_secs(30)), known.adaptive_missed), (10, 0));
    }
}
