//! [`Plan`]: which target is measured next, and when. Reads no clock, and measures nothing.

use std::time::Duration;

use lastbeat_wire::{Monotonic, Target};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

/// How often the targets are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// Each target once.
    Once,
    /// Again and again, each time in another order.
    Forever,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This target is to be measured now.
    Measure(Target),
    /// Nothing before an instant.
    At(Monotonic),
    /// Nothing until there are targets.
    NoTargets,
    /// Nothing any more.
    Done,
}

/// The targets in the order in which they are measured: each round is shuffled anew, so that agents do not go in step.
#[derive(Debug)]
pub struct Plan {
    /// Sorted, each once.
    targets: Vec<Target>,
    rounds: Rounds,
    /// From the beginning of one target to that of the next.
    slot: Duration,
    /// From the end of one target to the beginning of the next.
    pause: Duration,
    /// What is left of this round; the next one is the last.
    left: Vec<Target>,
    /// The round after it, likewise.
    following: Vec<Target>,
    /// What is being measured.
    current: Option<Target>,
    /// Before this, none.
    due: Monotonic,
    random: ChaCha8Rng,
}

impl Plan {
    /// The first target is due at once.
    pub fn new(targets: Vec<Target>, rounds: Rounds, slot: Duration, pause: Duration, seed: u64) -> Self {
        let mut plan = Self {
            targets: Vec::new(),
            rounds,
            slot,
            pause,
            left: Vec::new(),
            following: Vec::new(),
            current: None,
            due: Monotonic(0),
            random: ChaCha8Rng::seed_from_u64(seed),
        };
        plan.replace(targets);
        plan
    }

    /// These targets take the place of those before, from the next on; the pause since the last one is kept. Of the same list
    /// in whatever order nothing comes.
    pub fn replace(&mut self, mut targets: Vec<Target>) {
        targets.sort_unstable();
        targets.dedup();
        if targets == self.targets {
            return;
        }
        self.targets = targets;
        let current = self.current.take().filter(|current| self.targets.contains(current));
        self.left = self.shuffled();
        self.left.retain(|target| Some(target) != current.as_ref());
        self.current = current;
        self.following = self.shuffled();
    }

    /// What to do now. A target that is to be measured is then the current one until [`finish`](Self::finish).
    pub fn next(&mut self, now: Monotonic) -> Next {
        if self.left.is_empty() {
            match self.rounds {
                Rounds::Once => return Next::Done,
                Rounds::Forever if self.targets.is_empty() => return Next::NoTargets,
                Rounds::Forever => {
                    let following = self.shuffled();
                    self.left = std::mem::replace(&mut self.following, following);
                }
            }
        }
        if now < self.due {
            return Next::At(self.due);
        }
        let Some(target) = self.left.pop() else { return Next::NoTargets };
        self.current = Some(target.clone());
        Next::Measure(target)
    }

    /// What was being measured is, or was left alone.
    pub fn finish(&mut self, now: Monotonic) {
        self.current = None;
        self.due = now.plus(self.pause);
    }

    /// Whether the target that is being measured is still one.
    pub fn is_wanted(&self) -> bool {
        self.current.is_some()
    }

    /// After what time the current target is measured again; `None` if it is not.
    pub fn every(&self) -> Option<Duration> {
        let current = self.current.as_ref().filter(|_| self.rounds == Rounds::Forever)?;
        let place = self.following.iter().rev().position(|target| target == current)?;
        let slots = u32::try_from(self.left.len() + place + 1).unwrap_or(u32::MAX);
        Some(self.slot.saturating_mul(slots))
    }

    fn shuffled(&mut self) -> Vec<Target> {
        let mut targets = self.targets.clone();
        targets.shuffle(&mut self.random);
        targets
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SLOT: Duration = Duration::from_secs(21);
    const TAKEN: Duration = Duration::from_secs(11);
    const PAUSE: Duration = Duration::from_secs(10);

    fn targets(names: &str) -> Vec<Target> {
        Target::list(names).0
    }

    fn plan(names: &str, rounds: Rounds) -> Plan {
        Plan::new(targets(names), rounds, SLOT, PAUSE, 7)
    }

    /// Measures the next target, which takes no time; when it was due, and what it was.
    fn step(plan: &mut Plan, now: &mut Monotonic) -> Target {
        loop {
            match plan.next(*now) {
                Next::Measure(target) => {
                    plan.finish(*now);
                    return target;
                }
                Next::At(due) => *now = due,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_pause_is_kept_to_the_nanosecond_from_the_end_of_one_target_on() {
        let mut plan = plan("a b", Rounds::Forever);
        let start = Monotonic(5);
        assert!(matches!(plan.next(start), Next::Measure(_)));
        let end = start.plus(Duration::from_secs(9));
        plan.finish(end);
        let due = end.plus(PAUSE);
        assert_eq!(plan.next(Monotonic(due.0 - 1)), Next::At(due));
        assert!(matches!(plan.next(due), Next::Measure(_)));
    }

    #[test]
    fn each_round_has_every_target_once_and_another_order() {
        let names = "a b c d e f g h";
        let (mut plan, mut now) = (plan(names, Rounds::Forever), Monotonic(0));
        let mut rounds = BTreeSet::new();
        for _ in 0..5 {
            let round: Vec<_> = (0..8).map(|_| step(&mut plan, &mut now)).collect();
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, targets(names));
            rounds.insert(round);
        }
        assert_eq!(rounds.len(), 5, "eight targets have 40,320 orders");
        assert_eq!(now, Monotonic(0).plus(PAUSE * 39));
    }

    #[test]
    fn two_agents_go_in_different_orders() {
        let order = |seed| Plan::new(targets("a b c d e f g h"), Rounds::Once, SLOT, PAUSE, seed).left;
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn once_is_each_target_once_and_then_the_end() {
        let twice = [targets("a b"), targets("b")].concat();
        let (mut plan, mut now) = (Plan::new(twice, Rounds::Once, SLOT, PAUSE, 7), Monotonic(0));
        let seen: BTreeSet<_> = (0..2).map(|_| step(&mut plan, &mut now)).collect();
        assert_eq!(seen.len(), 2);
        assert_eq!(plan.next(now), Next::Done);
        assert_eq!(self::plan("", Rounds::Once).next(now), Next::Done);
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one_at_once_but_the_pause_is_kept() {
        let mut plan = plan("a b c", Rounds::Forever);
        let now = Monotonic(100);
        assert!(matches!(plan.next(now), Next::Measure(_)));
        plan.replace(targets("x"));
        assert!(!plan.is_wanted(), "what is being measured is no target any more");
        plan.finish(now);
        assert_eq!(plan.next(now), Next::At(now.plus(PAUSE)));
        assert_eq!(plan.next(now.plus(PAUSE)), Next::Measure(targets("x").remove(0)));
        plan.replace(Vec::new());
        plan.finish(now);
        assert_eq!(plan.next(now), Next::NoTargets);
        plan.replace(targets("y"));
        assert_eq!(plan.next(now.plus(PAUSE)), Next::Measure(targets("y").remove(0)));
    }

    #[test]
    fn what_is_being_measured_goes_on_if_it_is_in_the_new_list_and_has_had_its_turn() {
        let mut plan = plan("a", Rounds::Forever);
        let now = Monotonic(0);
        assert_eq!(plan.next(now), Next::Measure(targets("a").remove(0)));
        plan.replace(targets("b a"));
        assert!(plan.is_wanted());
        plan.finish(now);
        assert_eq!(plan.next(now.plus(PAUSE)), Next::Measure(targets("b").remove(0)));
    }

    #[test]
    fn the_same_list_once_more_changes_nothing() {
        let mut plan = plan("a b c d", Rounds::Forever);
        let mut now = Monotonic(0);
        let first = step(&mut plan, &mut now);
        let left = plan.left.clone();
        plan.replace(targets("d c b a"));
        assert_eq!(plan.left, left, "a broker says it again whenever the link is back");
        assert!(!left.contains(&first));
    }

    proptest! {
        #[test]
        fn a_target_comes_again_after_exactly_the_time_that_was_told(count in 1..9_usize, seed in 0..100_u64) {
            let names: Vec<_> = (0..count).map(|number| format!("t{number}")).collect();
            // Each takes as long as a slot has.
            let mut plan = Plan::new(targets(&names.join(" ")), Rounds::Forever, SLOT, PAUSE, seed);
            let (mut now, mut again) = (Monotonic(0), std::collections::BTreeMap::new());
            for _ in 0..4 * count {
                let target = loop {
                    match plan.next(now) {
                        Next::Measure(target) => break target,
                        Next::At(due) => now = due,
                        other => panic!("{other:?}"),
                    }
                };
                let every = plan.every().unwrap();
                if let Some(told) = again.insert(target, now.plus(every)) {
                    prop_assert_eq!(told, now);
                }
                plan.finish(now.plus(TAKEN));
            }
        }
    }
}
