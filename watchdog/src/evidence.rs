//! [`Evidence`]: a fact about a publisher, with its time and its source.

use std::fmt;
use std::time::Duration;

use lastbeat_wire::{BootId, HostId, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::adaptive::Learned;
use crate::told::span;

/// What was seen, when, and by what means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was seen.
    pub at: UtcNanos,
    /// By what means.
    pub source: Source,
    /// What was seen.
    pub fact: Fact,
}

/// By what means a fact was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The process table, asked for the PID (sysinfo, and `/proc` on Linux).
    ProcessTable,
    /// A pidfd, which the kernel makes readable when the process ends (`pidfd_open(2)`).
    Pidfd,
    /// What the publisher's messages said of its process, compared with this host.
    Identity,
    /// A message.
    Message,
    /// The watchdog's own record of what it heard.
    Watchdog,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The process runs; with the state and name the process table shows.
    Runs {
        /// For people: `sleeping, "lastbeat-publis"`.
        detail: String,
    },
    /// The process is there, and may not be looked at (EPERM): it runs.
    NotPermitted,
    /// The process is stopped.
    Stopped,
    /// No such process.
    Gone,
    /// Ended, not yet reaped.
    Zombie,
    /// The PID belongs to a process with another start time.
    Reused {
        /// The start time found, in the unit of `ProcessIdentity::start`.
        start: u64,
    },
    /// The host is on another boot than the process.
    Rebooted {
        /// The boot now.
        boot: BootId,
    },
    /// The process is on another host.
    OtherHost {
        /// That host.
        host: HostId,
    },
    /// The process is in another PID namespace.
    OtherNamespace {
        /// That namespace.
        pid_namespace: u64,
    },
    /// No message told the process.
    NoIdentity,
    /// A broker published the will.
    Will,
    /// It said goodbye.
    Goodbye,
    /// It reported that its work failed.
    Failed {
        /// The beginning of its report, in one line; may be empty.
        reason: String,
    },
    /// Looking failed.
    ProbeFailed {
        /// Why.
        reason: String,
    },
    /// A link went down.
    LinkDown {
        /// Which, and what was seen on it.
        reason: String,
    },
    /// Expected, and never heard.
    NeverHeard,
    /// The threshold it missed was learned from its own gaps.
    Adaptive {
        /// The threshold that was in force.
        threshold: Duration,
        /// How unlikely its silence was, by its gaps: one in 10^(phi/10), in tenths, at most 999; `None` while too little was
        /// seen and the fixed threshold was in force.
        phi_tenths: Option<u32>,
        /// What the threshold rests on.
        learned: Learned,
    },
    /// Somebody said that it is not to be watched.
    Maintenance {
        /// Until when; `None`: until somebody says so.
        until: Option<UtcNanos>,
    },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (seen {}, {})", self.fact, self.at, self.source)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProcessTable => "in the process table",
            Self::Pidfd => "by pidfd",
            Self::Identity => "from what its messages say",
            Self::Message => "by message",
            Self::Watchdog => "by the watchdog",
        })
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs { detail } => write!(f, "process runs: {detail}"),
            Self::NotPermitted => f.write_str("process runs, it may not be looked at (EPERM)"),
            Self::Stopped => f.write_str("process is stopped"),
            Self::Gone => f.write_str("no such process"),
            Self::Zombie => f.write_str("process has ended, a zombie"),
            Self::Reused { start } => write!(f, "PID belongs to another process, started {start}"),
            Self::Rebooted { boot } => write!(f, "host is on another boot, {boot}"),
            Self::OtherHost { host } => write!(f, "process is on another host, {host}"),
            Self::OtherNamespace { pid_namespace } => write!(f, "process is in PID namespace {pid_namespace}"),
            Self::NoIdentity => f.write_str("no message told its process"),
            Self::Will => f.write_str("its will was published"),
            Self::Goodbye => f.write_str("it said goodbye"),
            Self::Failed { reason } if reason.is_empty() => f.write_str("it reported a failure"),
            Self::Failed { reason } => write!(f, "it reported a failure: {reason}"),
            Self::ProbeFailed { reason } => write!(f, "looking at its process failed: {reason}"),
            Self::LinkDown { reason } => write!(f, "link down: {reason}"),
            Self::NeverHeard => f.write_str("no message since it is expected"),
            Self::Adaptive { threshold, phi_tenths: Some(phi), learned: Learned { gaps, usual, longest, .. } } => {
                write!(
                    f,
                    "adaptive threshold {}, of {gaps} gaps of usually {} and at most {}; phi {}.{}",
                    span(*threshold),
                    span(*usual),
                    span(*longest),
                    phi / 10,
                    phi % 10,
                )
            }
            Self::Adaptive { threshold, phi_tenths: None, learned } => {
                write!(f, "adaptive threshold, still {}: only {} gaps were seen", span(*threshold), learned.gaps)
            }
            Self::Maintenance { until: Some(until) } => write!(f, "maintenance until {until}"),
            Self::Maintenance { until: None } => f.write_str("maintenance until it is resumed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_reads_as_a_sentence_with_its_time_and_its_source() {
        let shown = |fact, source| Evidence { at: UtcNanos(1_500_000_000), source, fact }.to_string();
        let seen = "seen 1970-01-01T00:00:01.500Z";
        let until = Some(UtcNanos(0));
        let millis = Duration::from_millis;
        let learned = Learned { gaps: 5000, usual: millis(1370), longest: millis(2000), phi_tenths: Some(80) };
        let adaptive = |phi_tenths| Fact::Adaptive { threshold: millis(4100), phi_tenths, learned };
        for (fact, source, text) in [
            (Fact::Runs { detail: "sleeping".into() }, Source::ProcessTable, "process runs: sleeping"),
            (Fact::NotPermitted, Source::ProcessTable, "process runs, it may not be looked at (EPERM)"),
            (Fact::Stopped, Source::ProcessTable, "process is stopped"),
            (Fact::Zombie, Source::ProcessTable, "process has ended, a zombie"),
            (Fact::Reused { start: 7 }, Source::ProcessTable, "PID belongs to another process, started 7"),
            (Fact::ProbeFailed { reason: "EIO".into() }, Source::ProcessTable, "looking at its process failed: EIO"),
            (Fact::OtherHost { host: HostId(7) }, Source::Identity, "process is on another host, 0000000000000007"),
            (Fact::OtherNamespace { pid_namespace: 7 }, Source::Identity, "process is in PID namespace 7"),
            (Fact::NoIdentity, Source::Identity, "no message told its process"),
            (Fact::Goodbye, Source::Message, "it said goodbye"),
            (Fact::Failed { reason: "disk full".into() }, Source::Message, "it reported a failure: disk full"),
            (Fact::Failed { reason: String::new() }, Source::Message, "it reported a failure"),
            (Fact::LinkDown { reason: "lab: reset".into() }, Source::Watchdog, "link down: lab: reset"),
            (
                adaptive(Some(83)),
                Source::Watchdog,
                "adaptive threshold 4.1 s, of 5000 gaps of usually 1.3 s and at most 2 s; phi 8.3",
            ),
            (adaptive(None), Source::Watchdog, "adaptive threshold, still 4.1 s: only 5000 gaps were seen"),
            (Fact::NeverHeard, Source::Watchdog, "no message since it is expected"),
            (Fact::Maintenance { until }, Source::Watchdog, "maintenance until 1970-01-01T00:00:00Z"),
            (Fact::Maintenance { until: None }, Source::Watchdog, "maintenance until it is resumed"),
        ] {
            assert_eq!(shown(fact, source.clone()), format!("{text} ({seen}, {source})"));
        }
        assert_eq!(shown(Fact::Gone, Source::Pidfd), format!("no such process ({seen}, by pidfd)"));
        assert_eq!(shown(Fact::Will, Source::Message), format!("its will was published ({seen}, by message)"));
        let boot = shown(Fact::Rebooted { boot: BootId(7) }, Source::Identity);
        assert!(boot.starts_with("host is on another boot, 00000000000000000000000000000007"), "{boot}");
    }
}
