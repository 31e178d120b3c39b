//! The swarm as the configuration file sets it and the API tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use lastbeat_swarm::{AgentJudgement, Cell, Grade, Judgement, Limits, Swarm, SwarmRules, TargetJudgement};
use lastbeat_wire::{Now, Target};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::threshold::Span;
use crate::told::Time;

/// The section `[swarm]` of the configuration file.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwarmFile {
    slow_warn: Option<Span>,
    slow_critical: Option<Span>,
    loss_warn: Option<f64>,
    loss_critical: Option<f64>,
    max_pairs: Option<usize>,
    targets: BTreeMap<String, LimitsFile>,
}

/// Limits; those that are missing are those of all.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsFile {
    slow_warn: Option<Span>,
    slow_critical: Option<Span>,
    loss_warn: Option<f64>,
    loss_critical: Option<f64>,
}

/// How targets and agents of a swarm stand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Swarm)]
pub struct SwarmTold {
    /// When this was so.
    now: Time,
    /// The targets, by name.
    targets: Vec<TargetTold>,
    /// The agents, by name.
    agents: Vec<AgentTold>,
    /// The last result of each agent for each target.
    results: Vec<ResultTold>,
    /// Results of pairs beyond the most that may be, of which nothing is judged.
    beyond: u64,
}

/// How a target stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetTold {
    /// Which.
    target: String,
    /// Since when it stands so.
    since: Time,
    /// Who reaches it: `all`, `some`, `none`, `unclear` (the only agent reaches nothing at all), `unknown`.
    reach: &'static str,
    /// `well`, `warn`, `critical`.
    level: &'static str,
    /// How many agents are witnesses.
    witnesses: u32,
    /// How many of these reach it.
    reaching: u32,
    /// How many find it slow or lossy.
    slow: u32,
    /// Those that don't reach it, twenty at most.
    failing: Vec<String>,
    /// Agents left out, for these reach none of their targets.
    own_links: u32,
    /// The same for people.
    text: String,
}

/// How an agent stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub struct AgentTold {
    /// Its name; its publisher is `agent/` and this.
    agent: String,
    /// Since when it stands so.
    since: Time,
    /// Its own link: `well`, `down`, `unclear`, `unknown`.
    link: &'static str,
    /// How many targets it measures.
    targets: u32,
    /// How many of these it does not reach.
    failing: u32,
    /// The same for people.
    text: String,
}

/// A result.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PingResult)]
pub struct ResultTold {
    /// Of what.
    target: String,
    /// By whom.
    agent: String,
    /// When it was measured.
    time: Time,
    /// Loss in percent; null where it could not be measured.
    #[schema(required)]
    loss: Option<f64>,
    /// The mean round trip in ms; null where nothing was answered.
    #[schema(required)]
    avg: Option<f64>,
    /// Why it could not be measured, or what the last probe ended in.
    #[schema(required)]
    error: Option<String>,
    /// How it looks by itself: `well`, `warn`, `critical` where the target is reached, `failed`, `unmeasured`; `stale` once it no
    /// longer counts.
    grade: &'static str,
}

/// What of a swarm has changed: a target or an agent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Judgement)]
pub enum JudgementTold {
    /// How a target stands now.
    Target(TargetTold),
    /// How an agent stands now.
    Agent(AgentTold),
}

impl SwarmFile {
    /// The rules, checked.
    ///
    /// # Errors
    /// When a target is none, or a warning lies beyond what is critical.
    pub fn rules(self) -> anyhow::Result<SwarmRules> {
        let usual = SwarmRules::default();
        let Self { slow_warn, slow_critical, loss_warn, loss_critical, .. } = self;
        let limits = LimitsFile { slow_warn, slow_critical, loss_warn, loss_critical };
        let limits = limits.over(usual.limits).context("[swarm]")?;
        let of_one = |(name, own): (String, LimitsFile)| {
            let place = || format!("[swarm.targets.{name:?}]");
            let target = name.parse::<Target>().with_context(place)?;
            Ok((target, own.over(limits).with_context(place)?))
        };
        let targets = self.targets.into_iter().map(of_one).collect::<anyhow::Result<_>>()?;
        Ok(SwarmRules { limits, targets, max_pairs: self.max_pairs.unwrap_or(usual.max_pairs), ..usual })
    }
}

impl LimitsFile {
    fn over(self, usual: Limits) -> anyhow::Result<Limits> {
        let span = |own: Option<Span>, usual: Duration| own.map_or(usual, |span| span.0);
        let slow = (span(self.slow_warn, usual.slow.0), span(self.slow_critical, usual.slow.1));
        let loss = (self.loss_warn.unwrap_or(usual.loss.0), self.loss_critical.unwrap_or(usual.loss.1));
        ensure!(slow.0 <= slow.1, "slow_warn ({:?}) is beyond slow_critical ({:?})", slow.0, slow.1);
        ensure!(loss.0 <= loss.1, "loss_warn ({}) is beyond loss_critical ({})", loss.0, loss.1);
        ensure!((0.0..=100.0).contains(&loss.0), "loss_warn = {}, it is a percentage from 0 to 100", loss.0);
        ensure!(loss.1 > 0.0 && loss.1 <= 100.0, "loss_critical = {}, it is a percentage above 0, up to 100", loss.1);
        Ok(Limits { slow, loss })
    }
}

impl SwarmTold {
    /// All of it.
    pub fn of(swarm: &Swarm, now: Now) -> Self {
        Self {
            now: Time(now.utc),
            targets: swarm.targets().map(TargetTold::from).collect(),
            agents: swarm.agents().map(AgentTold::from).collect(),
            results: swarm.cells(now.monotonic).map(ResultTold::from).collect(),
            beyond: swarm.beyond(),
        }
    }
}

impl From<TargetJudgement> for TargetTold {
    fn from(judged: TargetJudgement) -> Self {
        let text = judged.to_string();
        let TargetJudgement { at, target, witnesses, reaching, slow, failing, own_links, .. } = judged;
        let (reach, level) = (judged.reach.word(), judged.level.word());
        Self { target, since: Time(at), reach, level, witnesses, reaching, slow, failing, own_links, text }
    }
}

impl From<AgentJudgement> for AgentTold {
    fn from(judged: AgentJudgement) -> Self {
        let text = judged.to_string();
        let AgentJudgement { at, agent, link, targets, failing } = judged;
        Self { agent, since: Time(at), link: link.word(), targets, failing, text }
    }
}

impl From<Cell<'_>> for ResultTold {
    fn from(cell: Cell<'_>) -> Self {
        Self {
            target: cell.target.to_owned(),
            agent: cell.agent.to_owned(),
            time: Time(cell.found.time),
            loss: cell.found.loss,
            avg: cell.found.avg,
            error: cell.found.error.as_deref().map(str::to_owned),
            grade: match cell.grade {
                Some(Grade::Reached(level)) => level.word(),
                Some(Grade::Failed) => "failed",
                Some(Grade::Unmeasured) => "unmeasured",
                None => "stale",
            },
        }
    }
}

impl From<&Judgement> for JudgementTold {
    fn from(judgement: &Judgement) -> Self {
        match judgement {
            Judgement::Target(target) => Self::Target(target.clone().into()),
            Judgement::Agent(agent) => Self::Agent(agent.clone().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str) -> Result<SwarmRules, String> {
        let file: SwarmFile = toml::from_str(toml).map_err(|error| error.to_string())?;
        file.rules().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_target_has_its_own_limits_where_it_says_so_and_those_of_all_elsewhere() {
        let rules =
            rules("slow_warn = '100ms'\n[targets.'a.example']\nloss_critical = 80.0\nslow_critical = '2s'").unwrap();
        let millis = Duration::from_millis;
        assert_eq!(rules.limits, Limits { slow: (millis(100), millis(1000)), loss: (10.0, 50.0) });
        assert_eq!(rules.limits_of("a.example"), Limits { slow: (millis(100), millis(2000)), loss: (10.0, 80.0) });
        assert_eq!(rules.limits_of("b.example"), rules.limits);
    }

    #[test]
    fn errors_name_the_target_and_the_value() {
        for (toml, words) in [
            ("[targets.'-c']", "\"-c\""),
            ("slow_warn = '3s'", "slow_warn (3s) is beyond slow_critical (1s)"),
            ("loss_warn = -1.0", "loss_warn = -1"),
            ("loss_critical = 101.0", "loss_critical = 101"),
            ("[targets.'a.example']\nloss_warn = 60.0", "[swarm.targets.\"a.example\"]: loss_warn (60)"),
        ] {
            let error = rules(toml).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
