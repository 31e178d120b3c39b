//! [`Swarm`]: the last result of each pair of agent and target, and when it is looked at. What follows from them is counted in
//! `counting.rs` and told in `telling.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, Value, field};
use serde::Serialize;

use crate::config::SwarmRules;
use crate::counting::{Agent, Counts, Mark, Pair, Watched};
use crate::judgement::{AgentJudgement, Judgement, TargetJudgement};
use crate::result::{Found, Grade, Seen};

/// After a judging that looked at no more than so many pairs the next one is at once; after others, results gather for a while.
const FEW: usize = 1_000;
/// For so long for each pair that was looked at: that takes some 1.5 µs, so that a tenth of a processor at most goes into it.
const FOR_EACH_PAIR: Duration = Duration::from_micros(15);
/// So long after it ceased to count a result is forgotten.
const FORGET: Duration = Duration::from_hours(1);
/// A result may be late by so much beyond two and a half times its span.
const GRACE: Duration = Duration::from_secs(15);

/// Of a target or an agent.
pub(crate) type Name = Arc<str>;

/// See the module.
///
/// Only what may have changed is judged: pairs with a new result, those whose result ceases to count, and whom these concern. Of
/// 100,000 pairs of which 2,500 have a new result that takes a sixteenth of what judging all took (4 of 59 ms).
#[derive(Debug, Default)]
pub struct Swarm {
    pub(crate) rules: SwarmRules,
    /// By target, then by agent.
    pub(crate) targets: BTreeMap<Name, Watched>,
    pub(crate) agents: BTreeMap<Name, Agent>,
    pub(crate) counts: Counts,
    pairs: usize,
    /// Results of pairs beyond the most that may be.
    beyond: u64,
    /// Pairs, as target and agent, with a result that is not counted yet.
    fresh: Vec<(Name, Name)>,
    /// When these are to be counted.
    count_at: Option<Monotonic>,
    /// Results gather until then.
    gather_until: Monotonic,
    /// When a result ceases to count or is forgotten: of which target, by which agent.
    deadlines: BTreeSet<(Monotonic, Name, Name)>,
}

/// One place of the matrix of targets and agents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cell<'a> {
    /// The target.
    pub target: &'a str,
    /// The agent.
    pub agent: &'a str,
    /// The last result.
    #[serde(flatten)]
    pub found: &'a Found,
    /// How it looks by itself; `None` once it no longer counts.
    pub grade: Option<Grade>,
}

impl Swarm {
    /// Nothing seen yet.
    pub fn new(rules: SwarmRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes a result; whether it is the newest of its pair. To be [judged](Self::due) when [`next_deadline`](Self::next_deadline) says.
    pub fn see(&mut self, now: Now, seen: &Seen<'_>) -> bool {
        if !self.hold(now, seen.target, seen.agent, Found::of(seen)) {
            return false;
        }
        let network = seen.fields.iter().find_map(|(name, value)| match value {
            Value::Text(text) if name == field::NETWORK => Some((**text).to_owned()),
            _ => None,
        });
        let traits = &mut self.agents.entry(name_of(&self.agents, seen.agent)).or_default().traits;
        traits.network = network;
        traits.host = seen.host.map(str::to_owned);
        if let Some(broker) = seen.broker {
            traits.broker = Some(broker.to_owned());
        }
        true
    }

    /// Keeps a result if it is the newest of its pair.
    pub(crate) fn hold(&mut self, now: Now, target: &str, agent: &str, found: Found) -> bool {
        if let Some(pair) = self.targets.get_mut(target).and_then(|watched| watched.pairs.get_mut(agent)) {
            if found.at < pair.found.at {
                return false;
            }
            pair.found = found;
            if !std::mem::replace(&mut pair.is_fresh, true) {
                self.fresh.push((name_of(&self.targets, target), name_of(&self.agents, agent)));
            }
        } else {
            if self.pairs >= self.rules.max_pairs {
                self.beyond += 1;
                return false;
            }
            self.pairs += 1;
            let (target, agent) = (name_of(&self.targets, target), name_of(&self.agents, agent));
            let pair = Pair { found, mark: None, deadline: None, is_fresh: true };
            self.targets.entry(Arc::clone(&target)).or_default().pairs.insert(Arc::clone(&agent), pair);
            self.agents.entry(Arc::clone(&agent)).or_default().targets.insert(Arc::clone(&target));
            self.fresh.push((target, agent));
        }
        let at = self.gather_until.max(now.monotonic);
        self.count_at = Some(self.count_at.map_or(at, |due| due.min(at)));
        true
    }

    /// When [`due`](Self::due) is to be called next: results have come, or one ceases to count.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.count_at.into_iter().chain(self.deadlines.first().map(|(at, _, _)| *at)).min()
    }

    /// How many pairs have a result.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Results of pairs beyond [`SwarmRules::max_pairs`], of which nothing is judged.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Judges, if it is time to; what has changed since it was told last.
    pub fn due(&mut self, now: Now) -> Vec<Judgement> {
        if self.next_deadline().is_none_or(|at| now.monotonic < at) {
            return Vec::new();
        }
        self.count_at = None;
        for (target, agent) in std::mem::take(&mut self.fresh) {
            self.count(now.monotonic, &target, &agent);
        }
        while let Some((_, target, agent)) = self.deadlines.first().filter(|(at, _, _)| *at <= now.monotonic).cloned() {
            self.count(now.monotonic, &target, &agent);
        }
        let judgements = self.tell(now.utc);
        let looked_at = std::mem::take(&mut self.counts.looked_at);
        if looked_at > FEW {
            self.gather_until = now.monotonic.plus(FOR_EACH_PAIR * u32::try_from(looked_at).unwrap_or(u32::MAX));
        }
        judgements
    }

    /// Counts a pair's result as it is now, and notes until when it is so.
    fn count(&mut self, now: Monotonic, target: &Name, agent: &Name) {
        let Some(watched) = self.targets.get_mut(target) else { return };
        let Some(pair) = watched.pairs.get_mut(agent) else { return };
        let until = counts_until(&self.rules, &pair.found);
        let mark = (now < until).then(|| Mark {
            grade: pair.found.grade(&self.rules.limits_of(target)),
            has_error: pair.found.error.is_some(),
        });
        let deadline = if mark.is_some() { until } else { until.plus(FORGET) };
        let before = std::mem::replace(&mut pair.mark, mark);
        pair.is_fresh = false;
        let known = pair.deadline.replace(deadline);
        if known != Some(deadline) {
            if let Some(known) = known {
                self.deadlines.remove(&(known, Arc::clone(target), Arc::clone(agent)));
            }
            self.deadlines.insert((deadline, Arc::clone(target), Arc::clone(agent)));
        }
        if deadline <= now {
            self.deadlines.remove(&(deadline, Arc::clone(target), Arc::clone(agent)));
            watched.pairs.remove(agent);
            self.agents.get_mut(agent).expect("invariant: who has a result is an agent").targets.remove(target);
            self.pairs -= 1;
        }
        self.recount(target, agent, before, mark);
    }

    /// The matrix: every pair's last result.
    pub fn cells(&self, now: Monotonic) -> impl Iterator<Item = Cell<'_>> {
        self.targets.iter().flat_map(move |(target, watched)| {
            let limits = self.rules.limits_of(target);
            watched.pairs.iter().map(move |(agent, Pair { found, .. })| {
                let grade = (now < counts_until(&self.rules, found)).then(|| found.grade(&limits));
                Cell { target, agent, found, grade }
            })
        })
    }

    /// How each target stands.
    pub fn targets(&self) -> impl Iterator<Item = TargetJudgement> {
        self.targets.iter().filter_map(|(name, watched)| Some(self.target_judgement(name, watched, watched.told?)))
    }

    /// How each agent stands.
    pub fn agents(&self) -> impl Iterator<Item = AgentJudgement> {
        self.agents.iter().filter_map(|(name, agent)| Some(agent.judgement(name, agent.told?)))
    }
}

/// The name as it is kept already, if it is.
fn name_of<T>(known: &BTreeMap<Name, T>, name: &str) -> Name {
    known.get_key_value(name).map_or_else(|| name.into(), |(name, _)| Arc::clone(name))
}

fn counts_until(rules: &SwarmRules, found: &Found) -> Monotonic {
    found.at.plus(span(rules, found))
}

/// For how long a result counts.
pub(crate) fn span(rules: &SwarmRules, found: &Found) -> Duration {
    found.every.map_or(rules.fresh_for, |every| every.saturating_mul(5) / 2 + GRACE)
}
