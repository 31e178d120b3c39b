//! [`Index`]: which publisher has an id.
//!
//! A table with open addressing and linear probing, for numbers are never taken out of it: with 7 of 8 places taken one is found at the
//! fifth place, mostly in the same line of the cache. A place has 32 bits: as many as the numbers need, and above them bits of the hash, so that hardly
//! ever another publisher is looked at than the one that is sought.

/// So many places there are at first.
const PLACES: usize = 16;
/// Nobody is there. A number is never that large, nor are all bits set that it may have.
const EMPTY: u32 = u32::MAX;

/// The numbers of publishers, from 0 to one less than there are, by the hash of their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    places: Vec<u32>,
    len: u32,
    /// The bits that are the number's.
    mask: u32,
}

impl Index {
    /// The number with this hash that `is` the one that is sought.
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.first_place(hash);
        loop {
            let there = *self.places.get(place)?;
            if there == EMPTY {
                return None;
            }
            if (there ^ tag(hash)) & !self.mask == 0 && is(there & self.mask) {
                return Some(there & self.mask);
            }
            place = self.after(place);
        }
    }

    /// Adds the next number; `hash_of` tells the hashes of those that are there, which it needs to grow.
    pub fn add(&mut self, hash: u64, hash_of: impl Fn(u32) -> u64) {
        if (self.len as usize + 1) * 8 > self.places.len() * 7 {
            // By a quarter: twice as many would be half empty for long. The old places go first.
            let places = PLACES.max(self.places.len() * 5 / 4);
            self.places = Vec::new();
            self.places = vec![EMPTY; places];
            self.mask = u32::try_from(places.next_power_of_two() - 1).unwrap_or(u32::MAX);
            (0..self.len).for_each(|number| self.put(hash_of(number), number));
        }
        self.put(hash, self.len);
        self.len += 1;
    }

    fn put(&mut self, hash: u64, number: u32) {
        let mut place = self.first_place(hash);
        while self.places[place] != EMPTY {
            place = self.after(place);
        }
        self.places[place] = (tag(hash) & !self.mask) | number;
    }

    /// Where to look first: the upper half of the hash, scaled to the number of places.
    fn first_place(&self, hash: u64) -> usize {
        let place = (u128::from(hash >> 32) * self.places.len() as u128) >> 32;
        usize::try_from(place).expect("invariant: it is less than the number of places")
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 < self.places.len() { place + 1 } else { 0 }
    }
}

/// The lower half of the hash, of which there stands what fits.
fn tag(hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half of it")]
    let tag = hash as u32;
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_is_found_whatever_the_hashes(
            hashes in prop::collection::vec(prop_oneof![any::<u64>(), 0..4u64, (u64::MAX - 3)..=u64::MAX], 0..600),
            other in any::<u64>(),
        ) {
            let mut index = Index::default();
            for (number, hash) in (0u32..).zip(&hashes) {
                prop_assert_eq!(index.find(*hash, |found| found == number), None);
                index.add(*hash, |number| hashes[number as usize]);
            }
            for (number, hash) in (0u32..).zip(&hashes) {
                prop_assert_eq!(index.find(*hash, |found| found == number), Some(number));
            }
            prop_assert_eq!(index.find(other, |_| false), None);
            prop_assert!(hashes.len() < 16 || index.places.len() * 4 <= hashes.len() * 6, "{}", index.places.len());
        }
    }
}
