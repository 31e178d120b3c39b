//! What follows from the results that count at one instant: first which agents are witnesses, then how each target stands.

use std::collections::BTreeMap;

use crate::judgement::{Common, Level, Link, NAMED, Reach};
use crate::result::Grade;

/// One result that counts.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    pub target: usize,
    pub agent: usize,
    pub grade: Grade,
    pub error: Option<&'a str>,
}

/// What agents may have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traits {
    pub broker: String,
    pub host: Option<String>,
    pub network: Option<String>,
}

/// How an agent stands, but for its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentStand {
    pub link: Link,
    pub targets: u32,
    pub failing: u32,
}

/// How a target stands, but for its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetStand<'a> {
    pub reaching: u32,
    pub slow: u32,
    pub critical: u32,
    pub failing: Vec<usize>,
    pub own_links: u32,
    /// Whether each of those that fail is the only agent there is, and fails everywhere.
    pub unclear: bool,
    pub errors: BTreeMap<&'a str, u32>,
}

/// How the agents stand, of `agents` many, given all marks.
pub fn agents(marks: &[Mark<'_>], agents: usize, targets: usize) -> Vec<AgentStand> {
    let mut counts = vec![(0u32, 0u32); agents];
    let mut is_reached = vec![false; targets];
    for mark in marks {
        let (measured, failing) = &mut counts[mark.agent];
        match mark.grade {
            Grade::Reached(_) => {
                *measured += 1;
                is_reached[mark.target] = true;
            }
            Grade::Failed => (*measured, *failing) = (*measured + 1, *failing + 1),
            Grade::Unmeasured => {}
        }
    }
    // Who fails everywhere reaches nothing itself: whatever is reached is reached by others.
    let mut others_reach = vec![false; agents];
    for mark in marks {
        others_reach[mark.agent] |= mark.grade == Grade::Failed && is_reached[mark.target];
    }
    let stand = |(agent, (targets, failing)): (usize, (u32, u32))| AgentStand {
        targets,
        failing,
        link: match targets {
            0 => Link::Unknown,
            // One target alone does not tell the agent's link from the target.
            _ if failing < targets || targets == 1 => Link::Well,
            _ if others_reach[agent] => Link::Down,
            _ => Link::Unclear,
        },
    };
    counts.into_iter().enumerate().map(stand).collect()
}

/// How the targets stand, of `targets` many.
pub fn targets<'a>(marks: &[Mark<'a>], agents: &[AgentStand], targets: usize) -> Vec<TargetStand<'a>> {
    let mut stands = vec![TargetStand::default(); targets];
    let is_alone = agents.iter().filter(|agent| agent.targets > 0).count() == 1;
    for mark in marks {
        let stand = &mut stands[mark.target];
        match mark.grade {
            Grade::Failed if agents[mark.agent].link == Link::Down => {
                stand.own_links += 1;
                continue;
            }
            Grade::Reached(level) => {
                stand.reaching += 1;
                stand.slow += u32::from(level >= Level::Warn);
                stand.critical += u32::from(level == Level::Critical);
                continue;
            }
            Grade::Failed => {
                stand.failing.push(mark.agent);
                stand.unclear = is_alone && agents[mark.agent].link == Link::Unclear;
            }
            Grade::Unmeasured => {}
        }
        if let Some(error) = mark.error {
            *stand.errors.entry(error).or_default() += 1;
        }
    }
    stands
}

impl TargetStand<'_> {
    pub fn witnesses(&self) -> u32 {
        self.reaching + u32::try_from(self.failing.len()).unwrap_or(u32::MAX)
    }

    pub fn reach(&self) -> Reach {
        match (self.reaching, self.failing.len()) {
            (0, 0) => Reach::Unknown,
            (_, 0) => Reach::All,
            (0, _) if self.unclear => Reach::Unclear,
            (0, _) => Reach::None,
            (_, _) => Reach::Some,
        }
    }

    pub fn level(&self) -> Level {
        let is_half = |count: u32| count * 2 >= self.reaching && count > 0;
        let slow = if is_half(self.critical) {
            Level::Critical
        } else if is_half(self.slow) {
            Level::Warn
        } else {
            Level::Well
        };
        match self.reach() {
            Reach::All => slow,
            Reach::Some => slow.max(Level::Warn),
            Reach::None => Level::Critical,
            Reach::Unclear => Level::Warn,
            // That a target can't be measured is not known to be its fault, but that it is not watched must be seen.
            Reach::Unknown if !self.errors.is_empty() => Level::Warn,
            Reach::Unknown => Level::Well,
        }
    }

    /// What is said most often, of equals the first by its letters.
    pub fn error(&self) -> Option<String> {
        let most = self.errors.iter().max_by(|(one, few), (other, many)| few.cmp(many).then(other.cmp(one)));
        most.map(|(error, _)| (*error).to_owned())
    }

    /// The first of those that fail.
    pub fn named<'n>(&self, name: impl Fn(usize) -> &'n str) -> Vec<String> {
        let mut names: Vec<_> = self.failing.iter().map(|agent| name(*agent)).collect();
        names.sort_unstable();
        names.into_iter().take(NAMED).map(str::to_owned).collect()
    }
}

/// What all that fail have in common, and none of those that reach the target: at least two must fail, and one reach it.
pub fn common<'a>(
    failing: impl Fn() -> Box<dyn Iterator<Item = &'a Traits> + 'a>,
    reaching: &[&Traits],
) -> Vec<Common> {
    let shared = |of: fn(&Traits) -> Option<&str>| -> Option<String> {
        let mut values = failing().map(of);
        let first = values.next()??;
        let all = values.all(|value| value == Some(first));
        (all && !reaching.iter().any(|traits| of(traits) == Some(first))).then(|| first.to_owned())
    };
    if reaching.is_empty() || failing().nth(1).is_none() {
        return Vec::new();
    }
    let network = shared(|traits| traits.network.as_deref()).map(Common::Network);
    let host = shared(|traits| traits.host.as_deref()).map(Common::Host);
    let broker = shared(|traits| Some(&traits.broker)).map(Common::Broker);
    network.into_iter().chain(host).chain(broker).collect()
}
