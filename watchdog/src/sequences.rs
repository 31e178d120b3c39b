//! [`Sequences`]: which messages of one process have come, which are missing, which came twice.

use serde::{Deserialize, Serialize};

/// How many gaps are remembered, in 16 bytes each. Beyond that the oldest is forgotten: a message that would have filled it
/// is then taken as late without being checked for a duplicate, so that nothing is lost; sent again it is not taken.
const MAX_GAPS: usize = 1024;
/// How many of a process that is unlikely to be heard again.
const FEW_GAPS: usize = 32;

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
#[serde(from = "Kept", into = "Kept")]
pub struct Sequences {
    /// The number that is due next.
    pub(crate) next: u64,
    /// The first number heard.
    pub(crate) first: u64,
    /// `None` while all came in their order.
    pub(crate) disorder: Option<Box<Disorder>>,
}

/// What is remembered of numbers that did not come in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disorder {
    /// Numbers below this may have been forgotten.
    floor: u64,
    /// Gaps as `start..end`, ascending and disjoint.
    gaps: Vec<(u64, u64)>,
    /// What has not come of the numbers before the first one, as `start..end`: no gaps of ours.
    earlier: Vec<(u64, u64)>,
    /// Of the numbers before the first one, those below this may have been forgotten.
    earlier_floor: u64,
}

/// The form in a snapshot.
#[derive(Serialize, Deserialize)]
struct Kept {
    next: u64,
    floor: u64,
    gaps: Vec<(u64, u64)>,
    #[serde(default)]
    first: u64,
    #[serde(default)]
    earlier: Vec<(u64, u64)>,
    #[serde(default)]
    earlier_floor: u64,
}

impl Disorder {
    /// None yet, of a process that was first heard with this number. What it sent before we listened may still come.
    fn none(first: u64) -> Self {
        let earlier = if first > 0 { vec![(0, first)] } else { Vec::new() };
        Self { floor: first, gaps: Vec::new(), earlier, earlier_floor: 0 }
    }

    fn is_none(&self, first: u64) -> bool {
        let all_earlier = if first > 0 { self.earlier == [(0, first)] } else { self.earlier.is_empty() };
        self.floor == first && self.gaps.is_empty() && all_earlier && self.earlier_floor == 0
    }

    fn gap_of(&self, number: u64) -> Option<usize> {
        let place = self.gaps.partition_point(|&(_, end)| end <= number);
        self.gaps.get(place).is_some_and(|&(start, _)| start <= number).then_some(place)
    }

    fn fill(&mut self, place: usize, number: u64) {
        let (start, end) = self.gaps[place];
        let parts = [(start, number), (number + 1, end)];
        self.gaps.splice(place..=place, parts.into_iter().filter(|(start, end)| start < end));
        self.bound_to(MAX_GAPS);
        if self.gaps.is_empty() {
            self.gaps = Vec::new();
        }
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

    fn bound_to(&mut self, gaps: usize) {
        while self.gaps.len() > gaps {
            let (_, end) = self.gaps.remove(0);
            self.floor = self.floor.max(end);
        }
    }
}

impl Sequences {
    /// Starts with the first number heard. What the process sent before we listened is no gap of ours, but may still come.
    pub fn starting_at(first: u64) -> Self {
        Self { next: first.saturating_add(1), first, disorder: None }
    }

    /// Starts with a process of which nothing was heard although it began: all that comes before the first number heard is
    /// missing.
    pub fn from_the_beginning() -> Self {
        Self::default()
    }

    /// Takes the number of a message that was sent again: only one that is known to be missing, or newer than all.
    pub fn take_missing(&mut self, number: u64) -> Place {
        let is_missing = self.disorder.as_ref().is_some_and(|disorder| disorder.gap_of(number).is_some());
        if number >= self.next || is_missing { self.take(number) } else { Place::Duplicate }
    }

    /// The first range that is missing at `from` or after it, its end exclusive.
    pub fn missing_from(&self, from: u64) -> Option<(u64, u64)> {
        let gaps = &self.disorder.as_ref()?.gaps;
        let place = gaps.partition_point(|&(_, end)| end <= from);
        gaps.get(place).map(|&(start, end)| (start.max(from), end))
    }

    /// Takes the number of a message.
    pub fn take(&mut self, number: u64) -> Place {
        if number >= self.next {
            let skipped = number - self.next;
            if skipped > 0 {
                let gap = (self.next, number);
                self.disordered(|disorder| {
                    disorder.gaps.push(gap);
                    disorder.bound_to(MAX_GAPS);
                });
            }
            self.next = number.saturating_add(1);
            return Place::New { skipped };
        }
        let first = self.first;
        if self.disorder.is_none() && number >= first {
            return Place::Duplicate;
        }
        self.disordered(|disorder| match disorder.gap_of(number) {
            Some(place) => {
                disorder.fill(place, number);
                Place::Late { filled: true }
            }
            None if number < first => disorder.take_earlier(number),
            None if number < disorder.floor => Place::Late { filled: false },
            None => Place::Duplicate,
        })
    }

    /// Forgets all but the latest gaps, for a process that is unlikely to be heard again.
    pub fn shrink(&mut self) {
        if self.disorder.is_some() {
            self.disordered(|disorder| disorder.bound_to(FEW_GAPS));
        }
    }

    /// Changes what is remembered of the disorder; once there is none, it takes no place.
    fn disordered<R>(&mut self, change: impl FnOnce(&mut Disorder) -> R) -> R {
        let first = self.first;
        let disorder = self.disorder.get_or_insert_with(|| Box::new(Disorder::none(first)));
        let result = change(disorder);
        self.disorder.take_if(|disorder| disorder.is_none(first));
        result
    }
}

impl From<Kept> for Sequences {
    fn from(kept: Kept) -> Self {
        let Kept { next, floor, gaps, first, earlier, earlier_floor } = kept;
        let disorder = Disorder { floor, gaps, earlier, earlier_floor };
        Self { next, first, disorder: (!disorder.is_none(first)).then(|| Box::new(disorder)) }
    }
}

impl From<Sequences> for Kept {
    fn from(Sequences { next, first, disorder }: Sequences) -> Self {
        let Disorder { floor, gaps, earlier, earlier_floor } = disorder.map_or_else(|| Disorder::none(first), |it| *it);
        Self { next, floor, gaps, first, earlier, earlier_floor }
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

    #[test]
    fn what_is_sent_again_is_taken_only_if_it_is_known_to_be_missing() {
        let mut sequences = Sequences::starting_at(100);
        assert_eq!(sequences.take_missing(99), Place::Duplicate);
        assert_eq!(sequences.take_missing(104), Place::New { skipped: 3 });
        assert_eq!(sequences.missing_from(0), Some((101, 104)));
        assert_eq!(sequences.take_missing(102), Place::Late { filled: true });
        assert_eq!(sequences.take_missing(102), Place::Duplicate);
        assert_eq!(sequences.missing_from(102), Some((103, 104)));
        assert_eq!(sequences.missing_from(104), None);
    }

    #[test]
    fn a_process_that_began_unheard_misses_all_before_its_first() {
        let mut sequences = Sequences::from_the_beginning();
        assert_eq!(sequences.take(3), Place::New { skipped: 3 });
        assert_eq!(sequences.missing_from(0), Some((0, 3)));
    }

    proptest! {
        /// Losses without end and everything lost sent again, some of it several times, in any order.
        #[test]
        fn what_is_sent_again_is_taken_once_and_all_of_it_that_is_remembered(
            heard in proptest::collection::btree_set(0u64..4_000, 1..1_500),
            again in proptest::collection::vec(0u64..4_100, 0..3_000)
        ) {
            let mut sequences = Sequences::starting_at(*heard.first().unwrap());
            let mut taken = BTreeSet::new();
            for &number in &heard {
                sequences.take(number);
                taken.insert(number);
            }
            for number in again {
                let missing = sequences.missing_from(number).is_some_and(|(from, _)| from == number);
                let newer = number > *taken.last().unwrap();
                let accepted = sequences.take_missing(number) != Place::Duplicate;
                prop_assert_eq!(accepted, missing || newer);
                prop_assert!(!accepted || taken.insert(number), "{} was taken twice", number);
            }
            let gaps = sequences.disorder.as_ref().map_or(0, |disorder| disorder.gaps.len());
            prop_assert!(gaps <= MAX_GAPS);
        }

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
