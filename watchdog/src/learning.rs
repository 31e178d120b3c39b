//! Which gaps an adaptive threshold is learned from: only those between two signs of life of one process, with nothing between
//! them that could have kept it from being heard.

use std::time::Duration;

use lastbeat_wire::{Monotonic, Now};

use crate::evidence::{Evidence, Fact, Source};
use crate::publisher::Publisher;
use crate::state::State;

impl Publisher {
    /// A sign of life came, neither in a replay nor out of its order, from the process that is watched; it had waited for so long.
    /// Nothing is learned of a silence that began before `learns_since`.
    ///
    /// Called before the publisher is taken for heard; from here on the new threshold is in force.
    pub(crate) fn learn(&mut self, now: Now, learns_since: Monotonic, waited: Duration) {
        let (Some(adaptive), Some(last)) = (&mut self.rare.adaptive, self.last_heard) else { return };
        if self.current.as_ref().is_none_or(|current| current.last_heard.is_none()) {
            // The first word of a process.
            return;
        }
        let gap = now.monotonic.since(last);
        let unbroken = self.unbroken && last >= learns_since;
        if !unbroken {
            return;
        }
        match self.state {
            State::Alive if gap < self.threshold => adaptive.learn(gap),
            // It was silent for too long, and comes back by itself: that was an alarm, or nearly one.
            State::Alive | State::Silent | State::Unknown => adaptive.alarmed(gap),
            _ => return,
        }
        let threshold = adaptive.threshold();
        // One that the message itself has passed under way is in force from the next one on.
        if threshold > waited {
            self.threshold = threshold;
        }
    }

    /// For a verdict on a missed deadline: what the deadline rests on. A verdict that is looked at again keeps what it had.
    pub(crate) fn adaptive_evidence(&self, now: Now, missed: Option<Monotonic>) -> Option<Evidence> {
        let known = || self.rare.evidence.iter().find(|known| matches!(known.fact, Fact::Adaptive { .. })).cloned();
        let Some(missed) = missed else { return known() };
        let adaptive = self.rare.adaptive.as_ref()?;
        let learned = adaptive.learned();
        let phi_tenths = learned.phi_tenths.and(adaptive.phi_tenths(self.silence(missed)?));
        let fact = Fact::Adaptive { threshold: self.threshold, phi_tenths, learned };
        Some(Evidence { at: now.utc, source: Source::Watchdog, fact })
    }
}
