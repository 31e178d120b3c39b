//! [`Swarm`]: the last result of each pair of agent and target, and what was told of them.

use std::collections::BTreeMap;
use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, Value, field};
use serde::Serialize;

use crate::config::SwarmRules;
use crate::judgement::{AgentJudgement, Judgement, Level, Link, Reach, TargetJudgement};
use crate::judging::{self, AgentStand, Mark, TargetStand, Traits};
use crate::result::{Found, Grade, Seen};

/// So many pairs are judged with each result; of more, results gather for a while.
const FEW: usize = 1_000;
/// For so long for each pair, half a second for a hundred thousand: to judge one takes some 0.4 µs, so that a tenth of a processor at
/// most goes into it.
const FOR_EACH_PAIR: Duration = Duration::from_micros(5);
/// So long after it ceased to count a result is forgotten.
const FORGET: Duration = Duration::from_hours(1);
/// A result may be late by so much beyond two and a half times its span.
const GRACE: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug, Default)]
pub struct Swarm {
    rules: SwarmRules,
    /// By target, then by agent.
    targets: BTreeMap<Box<str>, Watched>,
    agents: BTreeMap<Box<str>, Agent>,
    pairs: usize,
    /// Results of pairs beyond the most that may be.
    beyond: u64,
    judge_at: Option<Monotonic>,
    judged_at: Option<Monotonic>,
}

#[derive(Debug, Default)]
struct Watched {
    found: BTreeMap<Box<str>, Found>,
    told: Option<TargetJudgement>,
}

#[derive(Debug, Default)]
struct Agent {
    traits: Traits,
    told: Option<AgentJudgement>,
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
        let known = self.targets.get(seen.target).and_then(|target| target.found.get(seen.agent));
        if known.is_some_and(|known| seen.at < known.at) {
            return false;
        }
        if known.is_none() {
            if self.pairs >= self.rules.max_pairs {
                self.beyond += 1;
                return false;
            }
            self.pairs += 1;
        }
        let target = self.targets.entry(seen.target.into()).or_default();
        target.found.insert(seen.agent.into(), Found::of(seen));
        let network = seen.fields.iter().find_map(|(name, value)| match value {
            Value::Text(text) if name == field::NETWORK => Some((**text).to_owned()),
            _ => None,
        });
        let host = seen.host.map(str::to_owned);
        self.agents.entry(seen.agent.into()).or_default().traits =
            Traits { broker: seen.broker.to_owned(), host, network };
        let pairs = u32::try_from(self.pairs).unwrap_or(u32::MAX);
        let gathered = self.judged_at.filter(|_| self.pairs > FEW);
        let gathered = gathered.map_or(now.monotonic, |at| at.plus(FOR_EACH_PAIR * pairs));
        let at = gathered.max(now.monotonic);
        self.judge_at = Some(self.judge_at.map_or(at, |due| due.min(at)));
        true
    }

    /// When [`due`](Self::due) is to be called next: results have come, or one ceases to count.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.judge_at
    }

    /// Results of pairs beyond [`SwarmRules::max_pairs`], of which nothing is judged.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Judges, if it is time to; what has changed since it was told last.
    pub fn due(&mut self, now: Now) -> Vec<Judgement> {
        if self.judge_at.is_none_or(|at| now.monotonic < at) {
            return Vec::new();
        }
        self.judged_at = Some(now.monotonic);
        self.forget(now.monotonic);
        let judgements = self.judge(now);
        self.judge_at = self.founds().map(|(_, _, found)| self.next_change(found, now.monotonic)).min();
        judgements
    }

    /// The matrix: every pair's last result.
    pub fn cells(&self, now: Monotonic) -> impl Iterator<Item = Cell<'_>> {
        self.founds().map(move |(target, agent, found)| {
            let grade = (now < self.counts_until(found)).then(|| found.grade(&self.rules.limits_of(target)));
            Cell { target, agent, found, grade }
        })
    }

    /// How each target stands.
    pub fn targets(&self) -> impl Iterator<Item = &TargetJudgement> {
        self.targets.values().filter_map(|target| target.told.as_ref())
    }

    /// How each agent stands.
    pub fn agents(&self) -> impl Iterator<Item = &AgentJudgement> {
        self.agents.values().filter_map(|agent| agent.told.as_ref())
    }

    fn founds(&self) -> impl Iterator<Item = (&str, &str, &Found)> {
        self.targets
            .iter()
            .flat_map(|(target, watched)| watched.found.iter().map(move |(agent, found)| (&**target, &**agent, found)))
    }

    fn counts_until(&self, found: &Found) -> Monotonic {
        let span = found.every.map_or(self.rules.fresh_for, |every| every.saturating_mul(5) / 2 + GRACE);
        found.at.plus(span)
    }

    /// When a result ceases to count, or is forgotten.
    fn next_change(&self, found: &Found, now: Monotonic) -> Monotonic {
        let until = self.counts_until(found);
        if now < until { until } else { until.plus(FORGET) }
    }

    fn forget(&mut self, now: Monotonic) {
        let mut targets = std::mem::take(&mut self.targets);
        for target in targets.values_mut() {
            target.found.retain(|_, found| now < self.counts_until(found).plus(FORGET));
        }
        targets.retain(|_, target| !target.found.is_empty());
        self.targets = targets;
        self.pairs = self.targets.values().map(|target| target.found.len()).sum();
        let mut measured: Vec<&str> =
            self.targets.values().flat_map(|target| target.found.keys().map(|agent| &**agent)).collect();
        measured.sort_unstable();
        self.agents.retain(|agent, _| measured.binary_search(&&**agent).is_ok());
    }

    fn judge(&mut self, now: Now) -> Vec<Judgement> {
        let names: Vec<Box<str>> = self.agents.keys().cloned().collect();
        let traits: Vec<Traits> = self.agents.values().map(|agent| agent.traits.clone()).collect();
        let mut marks = Vec::with_capacity(self.pairs);
        for (target, (name, watched)) in self.targets.iter().enumerate() {
            let limits = self.rules.limits_of(name);
            for (agent, found) in &watched.found {
                let agent = names.binary_search(agent).expect("invariant: who has a result is an agent");
                if now.monotonic < self.counts_until(found) {
                    marks.push(Mark { target, agent, grade: found.grade(&limits), error: found.error.as_deref() });
                }
            }
        }
        let agents = judging::agents(&marks, names.len(), self.targets.len());
        let stands = judging::targets(&marks, &agents, self.targets.len());
        let mut reaching = vec![Vec::new(); stands.len()];
        for mark in &marks {
            if matches!(mark.grade, Grade::Reached(_)) && stands[mark.target].reach() == Reach::Some {
                reaching[mark.target].push(&traits[mark.agent]);
            }
        }
        let target_names: Vec<Box<str>> = self.targets.keys().cloned().collect();
        let told = |(place, stand): (usize, &TargetStand<'_>)| {
            let failing =
                || -> Box<dyn Iterator<Item = &Traits>> { Box::new(stand.failing.iter().map(|agent| &traits[*agent])) };
            TargetJudgement {
                at: now.utc,
                target: target_names[place].to_string(),
                reach: stand.reach(),
                level: stand.level(),
                witnesses: stand.witnesses(),
                reaching: stand.reaching,
                slow: stand.slow,
                failing: stand.named(|agent| &names[agent]),
                common: judging::common(failing, &reaching[place]),
                own_links: stand.own_links,
                error: stand.error(),
            }
        };
        let stand_of_targets: Vec<_> = stands.iter().enumerate().map(told).collect();
        let of_agents = self.tell_agents(now, &agents);
        let of_targets = self.tell_targets(stand_of_targets);
        of_agents.into_iter().chain(of_targets).collect()
    }

    fn tell_agents(&mut self, now: Now, stands: &[AgentStand]) -> Vec<Judgement> {
        let mut news = Vec::new();
        for ((name, agent), stand) in self.agents.iter_mut().zip(stands) {
            let before = agent.told.as_ref().map(|told| (told.link, told.at));
            let AgentStand { link, targets, failing } = *stand;
            let at = before.filter(|(known, _)| *known == link).map_or(now.utc, |(_, at)| at);
            let told = AgentJudgement { at, agent: name.to_string(), link, targets, failing };
            // That a new agent is well, or has measured nothing yet, is no news.
            let is_new = before.map_or(!matches!(link, Link::Well | Link::Unknown), |(known, _)| known != link);
            if is_new {
                news.push(Judgement::Agent(told.clone()));
            }
            agent.told = Some(told);
        }
        news
    }

    fn tell_targets(&mut self, stands: Vec<TargetJudgement>) -> Vec<Judgement> {
        let mut news = Vec::new();
        for (target, mut stand) in self.targets.values_mut().zip(stands) {
            let same = |told: &&TargetJudgement| (told.reach, told.level) == (stand.reach, stand.level);
            match target.told.as_ref().filter(same) {
                Some(told) => stand.at = told.at,
                None if target.told.is_none()
                    && stand.reach == Reach::Unknown
                    && stand.level == Level::Well
                    && stand.error.is_none() => {}
                None => news.push(Judgement::Target(stand.clone())),
            }
            target.told = Some(stand);
        }
        news
    }
}
