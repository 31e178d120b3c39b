//! [`Window`]: the gaps between signs of life over about a day, in few numbers.

use serde::{Deserialize, Serialize};

/// So many of the longest gaps are remembered one by one.
pub(crate) const TAIL: usize = 16;
/// A window is full with a day of gaps, and at least so many of them.
const FULL_GAPS: u64 = 1000;
const FULL_NANOS: u64 = 24 * 3600 * 1_000_000_000;

/// Gaps that were seen one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// How many.
    pub gaps: u64,
    /// All of them together, in nanoseconds.
    pub total: u64,
    /// Their squares together, in square milliseconds; saturates at a gap of 49 days.
    pub squares: u64,
    /// The longest ones in nanoseconds, shortest first; 0 where there are fewer.
    pub longest: [u64; TAIL],
    /// A gap beyond the threshold that may be a habit, not among these; 0 without one.
    pub doubtful: u64,
}

impl Window {
    /// Takes a gap in nanoseconds; whether it is one of the longest.
    pub fn take(&mut self, gap: u64) -> bool {
        self.gaps += 1;
        self.total = self.total.saturating_add(gap);
        let millis = gap / 1_000_000;
        self.squares = self.squares.saturating_add(millis.saturating_mul(millis));
        let longest = gap > self.longest[0];
        if longest {
            self.longest[0] = gap;
            let place = self.longest[1..].partition_point(|known| *known < gap);
            self.longest[..=place].rotate_left(1);
        }
        longest
    }

    /// Whether the next gap belongs to another window.
    pub fn is_full(&self) -> bool {
        self.gaps >= FULL_GAPS && self.total >= FULL_NANOS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_longest_are_the_longest(gaps in proptest::collection::vec(0..100u64, 0..200)) {
            let mut window = Window::default();
            for gap in &gaps {
                window.take(*gap);
            }
            let mut sorted = gaps.clone();
            sorted.sort_unstable();
            let tail: Vec<_> = sorted.iter().rev().take(TAIL).rev().copied().collect();
            let known: Vec<_> = window.longest[TAIL - tail.len()..].to_vec();
            prop_assert_eq!(known, tail);
            prop_assert_eq!(window.total, gaps.iter().sum::<u64>());
        }
    }
}
