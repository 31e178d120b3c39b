//! [`Sets`]: sets of names that many publishers share, each kept once. A fleet of a million alike has one.
//!
//! Names are remembered by a keyed hash of 64 bits, which nobody outside can make collide.

use std::collections::HashMap;

/// Sequences of names that a set is known to hold are remembered for the latest so many.
const SEQUENCES: usize = 4;

/// One of the sets; zero is the empty one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetId(u32);

/// Sets of names, each with the number of those who have it.
#[derive(Debug)]
pub struct Sets {
    all: Vec<Set>,
    /// Where each set stands, by all that it holds.
    places: HashMap<u64, SetId>,
    /// Places that nobody has.
    free: Vec<SetId>,
}

#[derive(Debug, Default)]
struct Set {
    /// In ascending order.
    names: Box<[u64]>,
    users: u32,
    sequences: [u64; SEQUENCES],
}

impl Default for Sets {
    fn default() -> Self {
        Self { all: vec![Set::default()], places: HashMap::new(), free: Vec::new() }
    }
}

impl Sets {
    /// Whether a set holds a name.
    pub fn contains(&self, set: SetId, name: u64) -> bool {
        self.of(set).names.binary_search(&name).is_ok()
    }

    /// How many names it holds.
    pub fn len(&self, set: SetId) -> usize {
        self.of(set).names.len()
    }

    /// Whether a set is known to hold all of a sequence of names, given as one hash.
    pub fn covers(&self, set: SetId, sequence: u64) -> bool {
        self.of(set).sequences.contains(&sequence)
    }

    /// Takes note that a set holds all of a sequence.
    pub fn note_covered(&mut self, set: SetId, sequence: u64) {
        let sequences = &mut self.all[set.0 as usize].sequences;
        if !sequences.contains(&sequence) {
            sequences.rotate_right(1);
            sequences[0] = sequence;
        }
    }

    /// Somebody who had one set has these names more: the set it has now.
    pub fn grow(&mut self, set: SetId, more: impl IntoIterator<Item = u64>) -> SetId {
        let mut names = self.of(set).names.to_vec();
        names.extend(more);
        names.sort_unstable();
        names.dedup();
        if names.len() == self.len(set) {
            return set;
        }
        self.leave(set);
        let key = key(&names);
        if let Some(known) = self.places.get(&key) {
            self.all[known.0 as usize].users += 1;
            return *known;
        }
        let fresh = self.free.pop().unwrap_or_else(|| {
            self.all.push(Set::default());
            SetId(u32::try_from(self.all.len() - 1).expect("invariant: there are fewer publishers than 2^32"))
        });
        self.all[fresh.0 as usize] = Set { names: names.into(), users: 1, sequences: [0; SEQUENCES] };
        self.places.insert(key, fresh);
        fresh
    }

    fn leave(&mut self, id: SetId) {
        if id == SetId::default() {
            return;
        }
        let set = &mut self.all[id.0 as usize];
        set.users -= 1;
        if set.users == 0 {
            self.places.remove(&key(&set.names));
            *set = Set::default();
            self.free.push(id);
        }
    }

    fn of(&self, set: SetId) -> &Set {
        &self.all[set.0 as usize]
    }

    /// How many names all sets hold.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.all.iter().map(|set| set.names.len()).sum()
    }
}

/// A set by one number: its names are keyed hashes, so their sum, spread by each one's product, is one, too.
fn key(names: &[u64]) -> u64 {
    names.iter().fold(0, |key, name| (key ^ name).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_have_the_same_names_share_one_set_whatever_the_order() {
        let mut sets = Sets::default();
        let first = sets.grow(SetId::default(), [3, 1, 2]);
        let step = sets.grow(SetId::default(), [2]);
        let second = sets.grow(step, [1, 3, 1]);
        assert_eq!(first, second);
        assert_eq!((sets.len(first), sets.held()), (3, 3), "nobody has the step between any more");
        assert!(sets.contains(first, 2) && !sets.contains(first, 4) && !sets.contains(SetId::default(), 2));
    }

    #[test]
    fn one_that_makes_up_names_holds_its_own_and_changes_nobody_elses() {
        let mut sets = Sets::default();
        let shared = sets.grow(SetId::default(), [1, 2]);
        let mut its = sets.grow(SetId::default(), [1, 2]);
        for name in 3..1000 {
            its = sets.grow(its, [name]);
        }
        assert_eq!((sets.len(its), sets.len(shared)), (999, 2));
        assert!(sets.all.len() < 5, "{}", sets.all.len());
    }

    #[test]
    fn the_latest_sequences_that_a_set_covers_are_remembered_and_no_others() {
        let mut sets = Sets::default();
        let set = sets.grow(SetId::default(), [1, 2]);
        assert!(!sets.covers(set, 12));
        for sequence in [12, 21, 11, 22] {
            sets.note_covered(set, sequence);
        }
        assert!(sets.covers(set, 12));
        sets.note_covered(set, 1);
        assert!(!sets.covers(set, 12) && sets.covers(set, 21));
        let grown = sets.grow(set, [3]);
        assert!(!sets.covers(grown, 21));
    }
}
