//! [`Sequences`]: which messages of one process have come, which are missing, which came twice.

use serde::{Deserialize, Serialize};

/// How many gaps are remembered. Beyond that the oldest is forgotten: a message that would have filled it is then taken
/// as late without being checked for a duplicate, so that nothing is lost.
const MAX_GAPS: usize = 64;

/// What the sequence number of a message says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It follows all that came, after leaving out this many.
    New {
        /// Messages left out.
        skipped: u64,
    },
    /// It comes after one that was sent later.
    Late {
        /// Whether it had been counted as left out.
        filled: bool,
    },
    /// It has come before.
    Duplicate,
}

/// The sequence numbers of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequences {
    /// The number that is due next.
    next: u64,
    /// Numbers below this may have been forgotten.
    floor: u64,
    /// Gaps as `start..end`, ascending and disjoint.
    gaps: Vec<(u64, u64)>,
    /// The first number heard.
    #[serde(default)]
    first: u64,
    /// What has not come of the numbers before the first one, as `start..end`: no gaps of ours.
    #[serde(default)]
    earlier: Vec<(u64, u64)>,
    /// Of the numbers before the first one, those below this may have been forgotten.
    #[serde(default)]
    earlier_floor: u64,
}

impl Sequences {
    /// Starts with the first number heard. What the process sent before we listened is no gap of ours, but may still come.
    pub fn starting_at(first: u64) -> Self {
        let earlier = if first > 0 { vec![(0, first)] } else { Vec::new() };
        Self { next: first.saturating_add(1), floor: first, gaps: Vec::new(), first, earlier, earlier_floor: 0 }
    }

    /// Takes the number of a message.
    pub fn take(&mut self, number: u64) -> Place {
        if number >= self.next {
            let skipped = number - self.next;
            if skipped > 0 {
                self.remember(self.next, number);
            }
            self.next = number.saturating_add(1);
            return Place::New { skipped };
        }
        let found = self.gaps.iter().position(|&(start, end)| (start..end).contains(&number));
        if let Some(place) = found {
            let (start, end) = self.gaps[place];
            let parts = [(start, number), (number + 1, end)];
            self.gaps.splice(place..=place, parts.into_iter().filter(|(start, end)| start < end));
            self.bound();
            return Place::Late { filled: true };
        }
        if number < self.first {
            return self.take_earlier(number);
        }
        if number < self.floor { Place::Late { filled: false } } else { Place::Duplicate }
    }

    /// Takes a number from before the first one: two brokers may both have kept it while nobody listened.
    fn take_earlier(&mut self, number: u64) -> Place {
        let Some(place) = self.earlier.iter().position(|&(start, end)| (start..end).contains(&number)) else {
            return if number < self.earlier_floor { Place::Late { filled: false } } else { Place::Duplicate };
        };
        let (start, end) = self.earlier[place];
        let parts = [(start, number), (number + 1, end)];
        self.earlier.splice(place..=place, parts.into_iter().filter(|(start, end)| start < end));
        if self.earlier.len() > MAX_GAPS {
            self.earlier_floor = self.earlier.remove(0).1;
        }
        Place::Late { filled: false }
    }

    fn remember(&mut self, start: u64, end: u64) {
        self.gaps.push((start, end));
        self.bound();
    }

    fn bound(&mut self) {
        while self.gaps.len() > MAX_GAPS {
            let (_, end) = self.gaps.remove(0);
            self.floor = self.floor.max(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_gap_is_seen_filled_once_and_then_a_duplicate() {
        let mut sequences = Sequences::starting_at(0);
        assert_eq!(sequences.take(1), Place::New { skipped: 0 });
        assert_eq!(sequences.take(5), Place::New { skipped: 3 });
        assert_eq!(sequences.take(3), Place::Late { filled: true });
        assert_eq!(sequences.take(3), Place::Duplicate);
        assert_eq!(sequences.take(2), Place::Late { filled: true });
        assert_eq!(sequences.take(4), Place::Late { filled: true });
        assert_eq!(sequences.take(4), Place::Duplicate);
        assert_eq!(sequences.take(5), Place::Duplicate);
    }

    #[test]
    fn what_was_sent_before_we_listened_is_late_and_not_missing() {
        let mut sequences = Sequences::starting_at(100);
        assert_eq!(sequences.take(99), Place::Late { filled: false });
        assert_eq!(sequences.take(101), Place::New { skipped: 0 });
    }

    #[test]
    fn what_two_brokers_kept_from_before_we_listened_is_taken_once() {
        let mut sequences = Sequences::starting_at(100);
        for broker in 0..2 {
            for number in [97, 98, 99, 50] {
                let again = if broker == 0 { Place::Late { filled: false } } else { Place::Duplicate };
                assert_eq!(sequences.take(number), again, "{number}");
            }
        }
        assert_eq!(sequences.take(49), Place::Late { filled: false });
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let mut sequences = Sequences::starting_at(u64::MAX);
        assert_eq!(sequences.take(7), Place::Late { filled: false });
        let mut sequences = Sequences::starting_at(0);
        assert_eq!(sequences.take(u64::MAX), Place::New { skipped: u64::MAX - 1 });
        assert_eq!(sequences.take(u64::MAX - 1), Place::Late { filled: true });
    }

    proptest! {
        #[test]
        fn no_number_is_called_a_duplicate_that_is_not(numbers in proptest::collection::vec(0u64..400, 1..600)) {
            let mut sequences = Sequences::starting_at(numbers[0]);
            let mut seen = BTreeSet::from([numbers[0]]);
            for &number in &numbers[1..] {
                let place = sequences.take(number);
                if place == Place::Duplicate {
                    prop_assert!(seen.contains(&number));
                }
                seen.insert(number);
            }
        }

        #[test]
        fn few_gaps_make_it_exact(numbers in proptest::collection::vec(0u64..60, 1..200)) {
            let mut sequences = Sequences::starting_at(0);
            let mut seen = BTreeSet::from([0]);
            for &number in &numbers {
                prop_assert_eq!(sequences.take(number) == Place::Duplicate, !seen.insert(number));
            }
        }
    }
}
