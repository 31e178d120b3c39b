//! [`Deadlines`]: which publisher is due next.
//!
//! A message moves a publisher's deadline without touching the queue: its entry stays where it is, and is put back with
//! the true deadline when it comes up. So a message costs nothing here, and each publisher comes up at most once a
//! threshold.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lastbeat_wire::Monotonic;

/// A queue of deadlines, soonest first. Entries may be out of date; who takes one out checks it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deadlines {
    queue: BinaryHeap<Reverse<(Monotonic, u32)>>,
}

impl Deadlines {
    pub fn push(&mut self, at: Monotonic, publisher: u32) {
        self.queue.push(Reverse((at, publisher)));
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Drops the entries that are out of date.
    pub fn retain(&mut self, counts: impl Fn(Monotonic, u32) -> bool) {
        self.queue.retain(|Reverse((at, publisher))| counts(*at, *publisher));
    }

    pub fn next(&self) -> Option<Monotonic> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out the soonest entry that is due: a deadline is reached at `>=`.
    pub fn pop_due(&mut self, now: Monotonic) -> Option<(Monotonic, u32)> {
        let Reverse((at, _)) = self.queue.peek()?;
        if *at <= now { self.queue.pop().map(|Reverse(entry)| entry) } else { None }
    }
}
