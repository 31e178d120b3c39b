//! [`Judgement`]: what is told of a target or an agent, with its counts.

use std::fmt;

use lastbeat_wire::UtcNanos;
use serde::{Deserialize, Serialize};

/// Most agents that a judgement names.
pub const NAMED: usize = 20;

/// What is judged, when it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// A target.
    Target(TargetJudgement),
    /// An agent's own link.
    Agent(AgentJudgement),
}

/// Who reaches a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Every witness.
    All,
    /// Some of them.
    Some,
    /// None of them: it is the target.
    None,
    /// The only agent there is reaches nothing at all: the targets or its own link, nobody can tell.
    Unclear,
    /// There is no witness: no result that still counts, or only of agents with trouble of their own.
    Unknown,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    #[default]
    Well,
    /// Slow, lossy, or not reached by some.
    Warn,
    /// Very slow for half of its witnesses, or not reached by any.
    Critical,
}

/// How a target stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetJudgement {
    /// When it became so.
    pub at: UtcNanos,
    /// Which.
    pub target: String,
    /// Who reaches it.
    pub reach: Reach,
    /// How bad it is.
    pub level: Level,
    /// How many agents are witnesses.
    pub witnesses: u32,
    /// How many of them reach it.
    pub reaching: u32,
    /// How many of those find it slow or lossy.
    pub slow: u32,
    /// Those that don't reach it, by name, twenty at most.
    pub failing: Vec<String>,
    /// What all of these have in common, and none of those that reach it.
    pub common: Vec<Common>,
    /// How many agents' results don't count, for these reach none of their targets.
    pub own_links: u32,
    /// What most of those that fail, or can't measure it, say.
    pub error: Option<String>,
}

/// What agents have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Common {
    /// The broker by which they are heard.
    Broker(String),
    /// The host on which they run.
    Host(String),
    /// The network that they say they are in.
    Network(String),
}

/// How an agent's own link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// It reaches something.
    Well,
    /// It reaches none of its targets, and others reach some of these.
    Down,
    /// It reaches none of its targets, and nobody else tells whether it is them.
    Unclear,
    /// None of its results counts any more.
    #[default]
    Unknown,
}

/// How an agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentJudgement {
    /// When it became so.
    pub at: UtcNanos,
    /// Its name.
    pub agent: String,
    /// Its own link.
    pub link: Link,
    /// How many targets it has measured.
    pub targets: u32,
    /// How many of these it does not reach.
    pub failing: u32,
}

impl Reach {
    /// As one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Some => "some",
            Self::None => "none",
            Self::Unclear => "unclear",
            Self::Unknown => "unknown",
        }
    }
}

impl Level {
    /// As one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Warn => "warn",
            Self::Critical => "critical",
        }
    }
}

impl Link {
    /// As one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Down => "down",
            Self::Unclear => "unclear",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(broker) => write!(f, "the broker {broker}"),
            Self::Host(host) => write!(f, "the host {host}"),
            Self::Network(network) => write!(f, "the network {network}"),
        }
    }
}

/// In words: `a.example: not reached by 2 of 5 agents (paris-1, paris-2), which share the network paris`.
impl fmt::Display for TargetJudgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, witnesses, reaching, .. } = self;
        write!(f, "{target}: ")?;
        match self.reach {
            Reach::All if self.level == Level::Well => write!(f, "reached by all of {witnesses}")?,
            Reach::All => write!(f, "reached by all of {witnesses}, slow or lossy for {}", self.slow)?,
            Reach::Some => write!(f, "not reached by {} of {witnesses}", witnesses - reaching)?,
            Reach::None => write!(f, "reached by none of {witnesses}")?,
            Reach::Unclear => f.write_str("the only agent reaches none of its targets: it, or all of them")?,
            Reach::Unknown if self.error.is_some() => f.write_str("could not be measured")?,
            Reach::Unknown => f.write_str("no result that counts")?,
        }
        if self.reach == Reach::Some {
            write!(f, " ({}", self.failing.join(", "))?;
            let more = (witnesses - reaching) as usize - self.failing.len();
            if more > 0 {
                write!(f, " and {more} more")?;
            }
            f.write_str(")")?;
        }
        for (place, common) in self.common.iter().enumerate() {
            write!(f, "{} {common}", if place == 0 { ", which share" } else { " and" })?;
        }
        if self.own_links > 0 {
            write!(f, "; {} with trouble of their own left out", self.own_links)?;
        }
        self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

/// In words: `paris-1: reaches none of its 4 targets, others do: its own link`.
impl fmt::Display for AgentJudgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, targets, failing, .. } = self;
        match self.link {
            Link::Well => write!(f, "{agent}: reaches {} of its {targets} targets", targets - failing),
            Link::Down => write!(f, "{agent}: reaches none of its {targets} targets, others do: its own link"),
            Link::Unclear => write!(f, "{agent}: reaches none of its {targets} targets, nor does anybody else"),
            Link::Unknown => write!(f, "{agent}: no result that counts"),
        }
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(target) => target.fmt(f),
            Self::Agent(agent) => agent.fmt(f),
        }
    }
}
