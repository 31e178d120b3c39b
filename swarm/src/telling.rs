//! What is told: of a target or an agent whose stand is another one than was told last.

use std::collections::BTreeMap;

use lastbeat_wire::UtcNanos;
use serde::{Deserialize, Serialize};

use crate::counting::{Agent, Traits, Watched};
use crate::judgement::{AgentJudgement, Common, Judgement, Level, Link, NAMED, Reach, TargetJudgement};
use crate::result::Grade;
use crate::swarm::{Name, Swarm};

/// What was told of a target, and since when it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoodTarget {
    pub at: UtcNanos,
    pub reach: Reach,
    pub level: Level,
}

/// What was told of an agent, and since when it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoodAgent {
    pub at: UtcNanos,
    pub link: Link,
}

impl Swarm {
    /// What has changed of those whose results have: agents, then targets. Who has no results left is forgotten.
    pub(crate) fn tell(&mut self, at: UtcNanos) -> Vec<Judgement> {
        self.relink();
        let mut news = Vec::new();
        for name in std::mem::take(&mut self.counts.agents) {
            news.extend(self.tell_agent(&name, at).map(Judgement::Agent));
        }
        for name in std::mem::take(&mut self.counts.targets) {
            news.extend(self.tell_target(&name, at).map(Judgement::Target));
        }
        news
    }

    fn tell_agent(&mut self, name: &Name, at: UtcNanos) -> Option<AgentJudgement> {
        let agent = self.agents.get_mut(name)?;
        if agent.targets.is_empty() {
            self.agents.remove(name);
            return None;
        }
        let stood = StoodAgent { at, link: agent.link };
        // That a new agent is well, or has measured nothing yet, is no news.
        let is_news = match agent.told {
            Some(told) if told.link == stood.link => return None,
            Some(_) => true,
            None => !matches!(stood.link, Link::Well | Link::Unknown),
        };
        agent.told = Some(stood);
        is_news.then(|| agent.judgement(name, stood))
    }

    fn tell_target(&mut self, name: &Name, at: UtcNanos) -> Option<TargetJudgement> {
        let watched = self.targets.get_mut(name)?;
        if watched.pairs.is_empty() {
            self.targets.remove(name);
            return None;
        }
        let reach = watched.tally.reach(self.counts.is_unclear);
        let stood = StoodTarget { at, reach, level: watched.tally.level(reach) };
        let known = watched.told;
        if known.is_some_and(|told| (told.reach, told.level) == (stood.reach, stood.level)) {
            return None;
        }
        watched.told = Some(stood);
        self.counts.looked_at += watched.pairs.len();
        let judgement = self.target_judgement(name, &self.targets[name], stood);
        // Nor that nothing is known of a new target, unless something says why.
        let is_news = known.is_some() || reach != Reach::Unknown || stood.level != Level::Well;
        is_news.then_some(judgement)
    }

    pub(crate) fn target_judgement(&self, name: &Name, watched: &Watched, stood: StoodTarget) -> TargetJudgement {
        let StoodTarget { at, reach, level } = stood;
        let tally = &watched.tally;
        let (mut failing, mut reaching, mut errors) = (Vec::new(), Vec::new(), BTreeMap::<&str, u32>::new());
        let is_of_interest = |mark: Grade| !matches!(mark, Grade::Reached(_)) || reach == Reach::Some;
        let marks = watched.pairs.iter().filter_map(|(agent, pair)| Some((agent, pair, pair.mark?.grade)));
        let has_any = tally.failed + tally.unmeasured > 0;
        for (name, pair, mark) in marks.filter(|(_, _, mark)| has_any && is_of_interest(*mark)) {
            let agent = &self.agents[name];
            match mark {
                Grade::Reached(_) => {
                    reaching.push(&agent.traits);
                    continue;
                }
                Grade::Failed if agent.link == Link::Down => continue,
                Grade::Failed => failing.push((name, &agent.traits)),
                Grade::Unmeasured => {}
            }
            if let Some(error) = &pair.found.error {
                *errors.entry(error).or_default() += 1;
            }
        }
        let traits: Vec<_> = failing.iter().map(|(_, traits)| *traits).collect();
        TargetJudgement {
            at,
            target: name.to_string(),
            reach,
            level,
            witnesses: tally.witnesses(),
            reaching: tally.reaching,
            slow: tally.slow,
            failing: failing.iter().take(NAMED).map(|(agent, _)| agent.to_string()).collect(),
            common: common(&traits, &reaching),
            own_links: tally.own_links,
            error: most_frequent(&errors),
        }
    }
}

impl Agent {
    pub fn judgement(&self, name: &Name, stood: StoodAgent) -> AgentJudgement {
        let (targets, failing) = (self.measured, self.failing);
        AgentJudgement { at: stood.at, agent: name.to_string(), link: stood.link, targets, failing }
    }
}

/// What is said most often, of equals the first by its letters.
fn most_frequent(errors: &BTreeMap<&str, u32>) -> Option<String> {
    let most = errors.iter().max_by(|(one, few), (other, many)| few.cmp(many).then(other.cmp(one)));
    most.map(|(error, _)| (*error).to_owned())
}

/// What all that fail have in common, and none of those that reach the target: at least two must fail, and one reach it.
fn common(failing: &[&Traits], reaching: &[&Traits]) -> Vec<Common> {
    let shared = |of: fn(&Traits) -> Option<&str>| -> Option<String> {
        let first = of(failing.first()?)?;
        let all = failing.iter().all(|traits| of(traits) == Some(first));
        (all && !reaching.iter().any(|traits| of(traits) == Some(first))).then(|| first.to_owned())
    };
    if reaching.is_empty() || failing.len() < 2 {
        return Vec::new();
    }
    let network = shared(|traits| traits.network.as_deref()).map(Common::Network);
    let host = shared(|traits| traits.host.as_deref()).map(Common::Host);
    let broker = shared(|traits| traits.broker.as_deref()).map(Common::Broker);
    network.into_iter().chain(host).chain(broker).collect()
}
