//! [`Kept`]: what outlives a restart: the results with their ages, and what was told of targets and agents.

use std::ops::Bound;
use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::counting::Traits;
use crate::judgement::{Judgement, Level, Link, Reach};
use crate::result::{Found, Instant, Seen};
use crate::swarm::{Name, Swarm, span};
use crate::telling::{StoodAgent, StoodTarget};

/// A part of a swarm at one instant, to be kept and given back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    targets: Vec<KeptTarget>,
    agents: Vec<KeptAgent>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptTarget {
    target: String,
    told: Option<StoodTarget>,
    results: Vec<KeptResult>,
}

/// A result; how old it was, for monotonic clocks differ from boot to boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptResult {
    agent: String,
    age: Duration,
    time: UtcNanos,
    loss: Option<f64>,
    avg: Option<f64>,
    error: Option<Box<str>>,
    every: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptAgent {
    agent: String,
    told: Option<StoodAgent>,
    traits: Traits,
}

/// How far a swarm is kept: all pairs, then all agents.
#[derive(Debug, Clone)]
pub enum KeptTo {
    /// This pair of target and agent.
    Pair(Name, Name),
    /// All pairs.
    Pairs,
    /// This agent.
    Agent(Name),
}

impl Swarm {
    /// At most so many pairs or agents that come after what is kept already; `None` where that is all.
    pub fn kept(&self, now: Monotonic, after: Option<&KeptTo>, most: usize) -> Option<(Kept, KeptTo)> {
        let agents_after = match after {
            None | Some(KeptTo::Pair(..)) => match self.kept_pairs(now, after, most) {
                None => Bound::Unbounded,
                kept => return kept,
            },
            Some(KeptTo::Pairs) => Bound::Unbounded,
            Some(KeptTo::Agent(agent)) => Bound::Excluded(agent),
        };
        let agents = self.agents.range::<Name, _>((agents_after, Bound::Unbounded)).take(most);
        let of = |(name, agent): (&Name, &crate::counting::Agent)| KeptAgent {
            agent: name.to_string(),
            told: agent.told,
            traits: agent.traits.clone(),
        };
        let to = KeptTo::Agent(Name::clone(agents.clone().last()?.0));
        Some((Kept { targets: Vec::new(), agents: agents.map(of).collect() }, to))
    }

    fn kept_pairs(&self, now: Monotonic, after: Option<&KeptTo>, most: usize) -> Option<(Kept, KeptTo)> {
        let after = if let Some(KeptTo::Pair(target, agent)) = after { Some((target, agent)) } else { None };
        let from = after.map_or(Bound::Unbounded, |(target, _)| Bound::Included(target));
        let mut kept = Kept::default();
        let (mut to, mut left) = (None, most);
        for (name, watched) in self.targets.range::<Name, _>((from, Bound::Unbounded)) {
            let agents = after
                .filter(|(target, _)| *target == name)
                .map_or(Bound::Unbounded, |(_, agent)| Bound::Excluded(agent));
            let mut results = Vec::new();
            for (agent, pair) in watched.pairs.range::<Name, _>((agents, Bound::Unbounded)).take(left) {
                results.push(KeptResult::of(now, agent, &pair.found));
                to = Some(KeptTo::Pair(Name::clone(name), Name::clone(agent)));
            }
            left -= results.len();
            if !results.is_empty() {
                kept.targets.push(KeptTarget { target: name.to_string(), told: watched.told, results });
            }
            if left == 0 {
                break;
            }
        }
        Some((kept, to?))
    }

    /// Remembers a part that was kept `at` an instant, which may lie before this host was booted. What follows is judged when it is
    /// [due](Self::due).
    pub fn restore(&mut self, now: Now, at: Instant, kept: Kept) {
        for KeptTarget { target, told, results } in kept.targets {
            for result in results {
                let agent = result.agent.clone();
                self.hold(now, &target, &agent, result.found(at));
            }
            if let Some(watched) = self.targets.get_mut(&*target) {
                watched.told = told;
            }
        }
        for KeptAgent { agent, told, traits } in kept.agents {
            if let Some(agent) = self.agents.get_mut(&*agent) {
                (agent.told, agent.traits) = (told, traits);
            }
        }
    }

    /// A result that the log holds after the snapshot, which came `at` an instant, by the wall clock `utc`.
    ///
    /// # Panics
    /// Never: what was seen is there.
    pub fn replay_result(&mut self, now: Now, at: Instant, utc: UtcNanos, seen: &Seen<'_>) {
        let is_new_target = !self.targets.contains_key(seen.target);
        let is_new_agent = !self.agents.contains_key(seen.agent);
        if !self.see(now, seen) {
            return;
        }
        // What is said of a new one without being told does not stand in the log.
        let watched = self.targets.get_mut(seen.target).expect("invariant: it was seen");
        let found = &watched.pairs[seen.agent].found;
        let counts = at.minus(span(&self.rules, found)) < found.at;
        let is_measured = counts && found.loss.is_some();
        if is_new_target && !is_measured && (found.error.is_none() || !counts) {
            watched.told = Some(StoodTarget { at: utc, reach: Reach::Unknown, level: Level::Well });
        }
        if is_new_agent {
            let link = if is_measured { Link::Well } else { Link::Unknown };
            self.agents.get_mut(seen.agent).expect("invariant: it was seen").told = Some(StoodAgent { at: utc, link });
        }
    }

    /// A judgement that the log holds after the snapshot: it was told.
    pub fn replay(&mut self, judgement: &Judgement) {
        match judgement {
            Judgement::Target(target) => {
                if let Some(watched) = self.targets.get_mut(&*target.target) {
                    watched.told = Some(StoodTarget { at: target.at, reach: target.reach, level: target.level });
                }
            }
            Judgement::Agent(judged) => {
                if let Some(agent) = self.agents.get_mut(&*judged.agent) {
                    agent.told = Some(StoodAgent { at: judged.at, link: judged.link });
                }
            }
        }
    }
}

impl Kept {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.agents.is_empty()
    }
}

impl KeptResult {
    fn of(now: Monotonic, agent: &Name, found: &Found) -> Self {
        let Found { time, loss, avg, ref error, at, every } = *found;
        Self { agent: agent.to_string(), age: at.age(now), time, loss, avg, error: error.clone(), every }
    }

    fn found(self, kept_at: Instant) -> Found {
        let Self { time, loss, avg, error, every, age, .. } = self;
        Found { time, loss, avg, error, at: kept_at.minus(age), every }
    }
}
