//! [`Deadlines`]: who is due next.
//!
//! The deadlines stand side by side in the order of the publishers, in blocks, and of each block it is known before when none
//! in it is due. A message moves a deadline later by writing it down: that costs nothing else, and a block is looked through
//! only when the soonest deadline it ever had is reached, about once a threshold. Nothing is ordered but those that are due.

use lastbeat_wire::Monotonic;

/// So many deadlines are looked through at once: 2 KiB, some 100 ns.
const BLOCK: usize = 256;
/// Of one who is not watched.
const NEVER: Monotonic = Monotonic(u64::MAX);

/// The deadline of each publisher, by its number.
#[derive(Debug, Clone)]
pub(crate) struct Deadlines {
    blocks: Vec<Vec<Monotonic>>,
    /// No deadline in the block is sooner than this.
    soonest_of: Vec<Monotonic>,
    /// None at all is sooner; [`NEVER`] without any.
    soonest: Monotonic,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { blocks: Vec::new(), soonest_of: Vec::new(), soonest: NEVER }
    }
}

impl Deadlines {
    /// Makes room for one more publisher, who is not watched yet.
    pub fn add(&mut self) {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
            self.soonest_of.push(NEVER);
        }
        self.blocks.last_mut().expect("invariant: there is one").push(NEVER);
    }

    /// The deadline of a publisher that is watched.
    pub fn get(&self, publisher: u32) -> Monotonic {
        let (block, place) = place(publisher);
        self.blocks[block][place]
    }

    /// Sets the deadline of a publisher; `None`: it is not watched.
    pub fn set(&mut self, publisher: u32, deadline: Option<Monotonic>) {
        let (block, place) = place(publisher);
        self.blocks[block][place] = deadline.unwrap_or(NEVER);
        let Some(deadline) = deadline else { return };
        if deadline < self.soonest_of[block] {
            self.soonest_of[block] = deadline;
            self.soonest = self.soonest.min(deadline);
        }
    }

    /// When somebody is due, at the soonest; never later than somebody is.
    pub fn next(&self) -> Option<Monotonic> {
        Some(self.soonest).filter(|soonest| *soonest < NEVER)
    }

    /// Who is due, the soonest deadline first, among equal ones in the order of the publishers: a deadline is reached at `>=`.
    /// At the end of time there may be some among them who are not watched. The deadlines of all of them are to be set anew.
    pub fn due(&mut self, now: Monotonic) -> Vec<u32> {
        let mut due = Vec::new();
        if self.soonest > now {
            return due;
        }
        for (number, (block, soonest)) in self.blocks.iter().zip(&mut self.soonest_of).enumerate() {
            if *soonest > now {
                continue;
            }
            *soonest = NEVER;
            for (publisher, deadline) in (number * BLOCK..).zip(block) {
                if *deadline <= now {
                    due.push(u32::try_from(publisher).expect("invariant: max_publishers is checked to be below 2^32"));
                } else {
                    *soonest = (*soonest).min(*deadline);
                }
            }
        }
        self.soonest = self.soonest_of.iter().copied().min().unwrap_or(NEVER);
        due.sort_unstable_by_key(|publisher| (self.get(*publisher), *publisher));
        due
    }
}

/// In which block a publisher is, and where in it.
fn place(publisher: u32) -> (usize, usize) {
    let publisher = publisher as usize;
    (publisher / BLOCK, publisher % BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against a queue in which every deadline has its place.
        #[test]
        fn who_is_due_is_due_at_its_instant_in_order(
            steps in prop::collection::vec((0..600u32, prop::option::of(0..500u64), 0..4u64), 1..600),
        ) {
            let mut deadlines = Deadlines::default();
            (0..600).for_each(|_| deadlines.add());
            let mut model = BTreeMap::new();
            let mut now = 0;
            for (publisher, deadline, passes) in steps {
                let deadline = deadline.map(|span| Monotonic(now + span));
                deadlines.set(publisher, deadline);
                model.insert(publisher, deadline);
                now += passes;
                let soonest = model.values().flatten().min().copied();
                prop_assert!(deadlines.next() <= soonest || soonest.is_none(), "{:?} {:?}", deadlines.next(), soonest);
                let mut due: Vec<_> = model
                    .iter()
                    .filter_map(|(publisher, deadline)| deadline.filter(|it| it.0 <= now).map(|it| (it, *publisher)))
                    .collect();
                due.sort_unstable();
                let found = deadlines.due(Monotonic(now));
                prop_assert_eq!(&found, &due.iter().map(|(_, publisher)| *publisher).collect::<Vec<_>>());
                for publisher in found {
                    deadlines.set(publisher, None);
                    model.insert(publisher, None);
                }
                prop_assert!(deadlines.next().is_none_or(|next| next.0 > now), "it does not spin");
            }
        }
    }
}
