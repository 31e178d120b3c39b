//! What follows from the results that count: first which agents are witnesses, then how each target stands. A result that
//! changes is taken out of the counts as it was and put in as it is; whom that concerns is noted, to be told of.

use std::collections::{BTreeMap, BTreeSet};

use lastbeat_wire::Monotonic;
use serde::{Deserialize, Serialize};

use crate::judgement::{Level, Link, Reach};
use crate::result::{Found, Grade};
use crate::swarm::{Name, Swarm};
use crate::telling::{StoodAgent, StoodTarget};

/// A target.
#[derive(Debug, Default)]
pub struct Watched {
    /// By agent.
    pub pairs: BTreeMap<Name, Pair>,
    pub tally: Tally,
    /// What was told of it last.
    pub told: Option<StoodTarget>,
}

/// The last result of an agent for a target.
#[derive(Debug)]
pub struct Pair {
    pub found: Found,
    /// As what it is counted.
    pub mark: Option<Mark>,
    /// When it ceases to count, or is forgotten.
    pub deadline: Option<Monotonic>,
    /// Whether it is not counted yet.
    pub is_fresh: bool,
}

/// As what a result counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub grade: Grade,
    pub has_error: bool,
}

/// The results of a target that count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub reaching: u32,
    /// Of these, and the next ones.
    pub slow: u32,
    pub critical: u32,
    /// Of witnesses and of others.
    pub failed: u32,
    /// Of those who are no witnesses.
    pub own_links: u32,
    /// Could not be measured, and of these how many say why.
    pub unmeasured: u32,
    pub explained: u32,
}

/// An agent.
#[derive(Debug, Default)]
pub struct Agent {
    pub traits: Traits,
    /// Of which it has a result.
    pub targets: BTreeSet<Name>,
    /// How many it has measured, how many of these it does not reach, and how many of those others reach.
    pub measured: u32,
    pub failing: u32,
    pub refuted: u32,
    /// As its results are counted.
    pub link: Link,
    /// What was told of it last.
    pub told: Option<StoodAgent>,
}

/// What agents may have in common.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traits {
    pub broker: Option<String>,
    pub host: Option<String>,
    pub network: Option<String>,
}

/// What is counted over all, and of whom there may be something to tell.
#[derive(Debug, Default)]
pub struct Counts {
    /// Agents that have measured something.
    measuring: usize,
    /// Agents whose link is unclear.
    unclear: usize,
    /// Whether the only agent that has measured something reaches nothing.
    pub is_unclear: bool,
    pub targets: BTreeSet<Name>,
    pub agents: BTreeSet<Name>,
    /// Pairs that were looked at since the last judging.
    pub looked_at: usize,
}

impl Swarm {
    /// A result counts as something else than before. Its pair may be gone by now.
    pub(crate) fn recount(&mut self, target: &Name, agent: &Name, before: Option<Mark>, after: Option<Mark>) {
        let counts = &mut self.counts;
        counts.looked_at += 1;
        counts.targets.insert(Name::clone(target));
        counts.agents.insert(Name::clone(agent));
        if before == after {
            return;
        }
        let watched = self.targets.get_mut(target).expect("invariant: a target is kept until it is told of");
        let one = self.agents.get_mut(agent).expect("invariant: an agent is kept until it is told of");
        let was_reached = watched.tally.reaching > 0;
        watched.tally.count(before, one.link, |count, by| *count -= by);
        watched.tally.count(after, one.link, |count, by| *count += by);
        let is_reached = watched.tally.reaching > 0;
        counts.measuring -= usize::from(one.measured > 0);
        one.count(before, was_reached, |count, by| *count -= by);
        one.count(after, is_reached, |count, by| *count += by);
        counts.measuring += usize::from(one.measured > 0);
        if was_reached == is_reached {
            return;
        }
        for (other, _) in watched.pairs.iter().filter(|(other, pair)| *other != agent && pair.is_failed()) {
            let failing = self.agents.get_mut(other).expect("invariant: who has a result is an agent");
            failing.refuted = if is_reached { failing.refuted + 1 } else { failing.refuted - 1 };
            counts.agents.insert(Name::clone(other));
        }
        counts.looked_at += watched.pairs.len();
    }

    /// Makes up for what has become of the links of those agents whose results have changed.
    pub(crate) fn relink(&mut self) {
        let counts = &mut self.counts;
        for name in &counts.agents {
            let agent = self.agents.get_mut(name).expect("invariant: an agent is kept until it is told of");
            let (before, after) = (agent.link, agent.link_by_counts());
            agent.link = after;
            counts.unclear -= usize::from(before == Link::Unclear);
            counts.unclear += usize::from(after == Link::Unclear);
            if (before == Link::Down) == (after == Link::Down) {
                continue;
            }
            counts.looked_at += agent.targets.len();
            for target in &agent.targets {
                let watched = self.targets.get_mut(target).expect("invariant: a target has the results of its agents");
                if watched.pairs.get(name).is_some_and(Pair::is_failed) {
                    let own_links = &mut watched.tally.own_links;
                    *own_links = if after == Link::Down { *own_links + 1 } else { *own_links - 1 };
                    counts.targets.insert(Name::clone(target));
                }
            }
        }
        let is_unclear = counts.measuring == 1 && counts.unclear == 1;
        if std::mem::replace(&mut counts.is_unclear, is_unclear) != is_unclear {
            counts.looked_at += self.targets.len();
            counts.targets.extend(self.targets.keys().cloned());
        }
    }
}

impl Pair {
    fn is_failed(&self) -> bool {
        self.mark.is_some_and(|mark| mark.grade == Grade::Failed)
    }
}

impl Agent {
    fn count(&mut self, mark: Option<Mark>, is_reached: bool, change: impl Fn(&mut u32, u32)) {
        match mark.map(|mark| mark.grade) {
            Some(Grade::Reached(_)) => change(&mut self.measured, 1),
            Some(Grade::Failed) => {
                change(&mut self.measured, 1);
                change(&mut self.failing, 1);
                change(&mut self.refuted, u32::from(is_reached));
            }
            Some(Grade::Unmeasured) | None => {}
        }
    }

    /// Who fails everywhere reaches nothing itself: whatever is reached is reached by others.
    fn link_by_counts(&self) -> Link {
        match self.measured {
            0 => Link::Unknown,
            // One target alone does not tell the agent's link from the target.
            measured if self.failing < measured || measured == 1 => Link::Well,
            _ if self.refuted > 0 => Link::Down,
            _ => Link::Unclear,
        }
    }
}

impl Tally {
    fn count(&mut self, mark: Option<Mark>, link: Link, change: impl Fn(&mut u32, u32)) {
        let Some(Mark { grade, has_error }) = mark else { return };
        match grade {
            Grade::Reached(level) => {
                change(&mut self.reaching, 1);
                change(&mut self.slow, u32::from(level >= Level::Warn));
                change(&mut self.critical, u32::from(level == Level::Critical));
            }
            Grade::Failed => {
                change(&mut self.failed, 1);
                change(&mut self.own_links, u32::from(link == Link::Down));
            }
            Grade::Unmeasured => {
                change(&mut self.unmeasured, 1);
                change(&mut self.explained, u32::from(has_error));
            }
        }
    }

    /// Witnesses that don't reach it.
    fn failing(&self) -> u32 {
        self.failed - self.own_links
    }

    pub fn witnesses(&self) -> u32 {
        self.reaching + self.failing()
    }

    /// Who reaches it; `is_unclear`: the only agent there is reaches nothing.
    pub fn reach(&self, is_unclear: bool) -> Reach {
        match (self.reaching, self.failing()) {
            (0, 0) => Reach::Unknown,
            (_, 0) => Reach::All,
            (0, _) if is_unclear => Reach::Unclear,
            (0, _) => Reach::None,
            (_, _) => Reach::Some,
        }
    }

    pub fn level(&self, reach: Reach) -> Level {
        let is_half = |count: u32| count * 2 >= self.reaching && count > 0;
        let slow = if is_half(self.critical) {
            Level::Critical
        } else if is_half(self.slow) {
            Level::Warn
        } else {
            Level::Well
        };
        match reach {
            Reach::All => slow,
            Reach::Some => slow.max(Level::Warn),
            Reach::None => Level::Critical,
            Reach::Unclear => Level::Warn,
            // That a target can't be measured is not known to be its fault, but that it is not watched must be seen.
            Reach::Unknown if self.explained > 0 => Level::Warn,
            Reach::Unknown => Level::Well,
        }
    }
}
