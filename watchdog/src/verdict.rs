//! [`judge`]: from evidence to a verdict. "Dead" without evidence of death can't be constructed.

use crate::evidence::{Evidence, Fact};
use crate::state::{Cause, State};

/// What the evidence says of a publisher that is past its threshold, or whose process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is evidence of its death.
    Dead(Dead),
    /// Its process is stopped.
    Suspended,
    /// Its process runs.
    Silent,
    /// Nothing tells; the cause says why.
    Unknown(Cause),
}

/// Proof of death. Only [`Dead::proved_by`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead {
    cause: Cause,
}

impl Dead {
    /// The proof that the evidence holds, if it does.
    ///
    /// A will says that a connection was lost. It proves death only if nothing shows that the process runs, and there was
    /// no process to look at: where looking failed, the host has other troubles that lose connections.
    pub fn proved_by(evidence: &[Evidence]) -> Option<Self> {
        let cause = evidence.iter().find_map(|evidence| match evidence.fact {
            Fact::Gone => Some(Cause::ProcessGone),
            Fact::Zombie => Some(Cause::ProcessZombie),
            Fact::Reused { .. } => Some(Cause::PidReused),
            Fact::Rebooted { .. } => Some(Cause::HostRebooted),
            _ => None,
        });
        let has = |wanted: fn(&Fact) -> bool| evidence.iter().any(|evidence| wanted(&evidence.fact));
        let may_run = has(|fact| {
            matches!(fact, Fact::Runs { .. } | Fact::NotPermitted | Fact::Stopped | Fact::ProbeFailed { .. })
        });
        let will = has(|fact| matches!(fact, Fact::Will));
        cause.or((will && !may_run).then_some(Cause::Will)).map(|cause| Self { cause })
    }

    /// What it died of, as far as that is known.
    pub fn cause(self) -> Cause {
        self.cause
    }
}

/// Weighs the evidence: proof of death, else that the process is stopped, else that it runs, else what keeps us from
/// knowing.
pub fn judge(evidence: &[Evidence]) -> Verdict {
    if let Some(dead) = Dead::proved_by(evidence) {
        return Verdict::Dead(dead);
    }
    let facts = || evidence.iter().map(|evidence| &evidence.fact);
    if facts().any(|fact| matches!(fact, Fact::Stopped)) {
        return Verdict::Suspended;
    }
    if facts().any(|fact| matches!(fact, Fact::Runs { .. } | Fact::NotPermitted)) {
        return Verdict::Silent;
    }
    let cause = facts().find_map(|fact| match fact {
        Fact::OtherHost { .. } => Some(Cause::OtherHost),
        Fact::OtherNamespace { .. } => Some(Cause::OtherNamespace),
        Fact::NoIdentity => Some(Cause::NoIdentity),
        Fact::NeverHeard => Some(Cause::NeverHeard),
        _ => None,
    });
    Verdict::Unknown(cause.unwrap_or(Cause::ProbeFailed))
}

impl Verdict {
    /// The state it puts a publisher in.
    pub fn state(self) -> State {
        match self {
            Self::Dead(_) => State::Dead,
            Self::Suspended => State::Suspended,
            Self::Silent => State::Silent,
            Self::Unknown(_) => State::Unknown,
        }
    }

    /// Its cause.
    pub fn cause(self) -> Cause {
        match self {
            Self::Dead(dead) => dead.cause(),
            Self::Suspended => Cause::ProcessStopped,
            Self::Silent => Cause::ProcessRuns,
            Self::Unknown(cause) => cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Source;
    use lastbeat_wire::{HostId, UtcNanos};

    fn verdict(facts: &[Fact]) -> (State, Cause) {
        let evidence: Vec<_> = facts
            .iter()
            .map(|fact| Evidence { at: UtcNanos(0), source: Source::ProcessTable, fact: fact.clone() })
            .collect();
        let verdict = judge(&evidence);
        (verdict.state(), verdict.cause())
    }

    #[test]
    fn each_fact_has_its_verdict() {
        let runs = Fact::Runs { detail: "sleeping".into() };
        let elsewhere = Fact::OtherHost { host: HostId(1) };
        assert_eq!(verdict(&[Fact::Gone]), (State::Dead, Cause::ProcessGone));
        assert_eq!(verdict(&[Fact::Zombie]), (State::Dead, Cause::ProcessZombie));
        assert_eq!(verdict(&[Fact::Reused { start: 1 }]), (State::Dead, Cause::PidReused));
        assert_eq!(verdict(&[Fact::Stopped]), (State::Suspended, Cause::ProcessStopped));
        assert_eq!(verdict(std::slice::from_ref(&runs)), (State::Silent, Cause::ProcessRuns));
        assert_eq!(verdict(&[Fact::NotPermitted]), (State::Silent, Cause::ProcessRuns));
        assert_eq!(verdict(std::slice::from_ref(&elsewhere)), (State::Unknown, Cause::OtherHost));
        assert_eq!(verdict(&[]), (State::Unknown, Cause::ProbeFailed));
        assert_eq!(verdict(&[elsewhere, Fact::Will]), (State::Dead, Cause::Will));
        assert_eq!(verdict(&[runs, Fact::Will]), (State::Silent, Cause::ProcessRuns));
        assert_eq!(verdict(&[Fact::Stopped, Fact::Will]), (State::Suspended, Cause::ProcessStopped));
        let failed = Fact::ProbeFailed { reason: "no answer".into() };
        assert_eq!(verdict(&[failed, Fact::Will]), (State::Unknown, Cause::ProbeFailed));
    }
}
