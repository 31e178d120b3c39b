//! Times, processes, evidence and flips as the page and the API tell them.

use lastbeat_watchdog::{Cause, Evidence, Flip, Learned, State};
use lastbeat_wire::{ProcessIdentity, UtcNanos};
use serde::{Serialize, Serializer};
use std::time::Duration;
use utoipa::ToSchema;

/// A time as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-31T12:00:00.250Z")]
pub struct Time(pub UtcNanos);

/// Which process on which boot of which host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Process {
    /// The host, 16 hexadecimal digits.
    pub host: String,
    /// The boot of that host, 32 hexadecimal digits.
    pub boot: String,
    /// The PID namespace in which the PID counts; 0 where there are none.
    pub pidns: u64,
    /// Its PID.
    pub pid: u32,
    /// When it started: clock ticks since boot on Linux, else seconds since 1970.
    pub start: u64,
}

/// What was seen, when, and by what means.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Evidence)]
pub struct EvidenceTold {
    /// When it was seen.
    pub at: Time,
    /// By what means: `process_table`, `pidfd`, `identity`, `message`, `watchdog`.
    #[schema(value_type = String)]
    pub source: serde_json::Value,
    /// What was seen: one word, or an object of one word with its details.
    pub fact: serde_json::Value,
    /// The same for people.
    pub text: String,
}

/// What an adaptive threshold is learned from.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Adaptive)]
pub struct AdaptiveTold {
    /// Gaps between signs of life that are remembered.
    pub gaps: u64,
    /// The usual one, in seconds: the mean gap in which an instant falls.
    pub usual_s: f64,
    /// The longest one, in seconds.
    pub longest_s: f64,
    /// One gap in ten to the power of this is longer than the threshold, at most 99.9; null while too little was seen and the
    /// fixed threshold is in force.
    #[schema(required)]
    pub phi: Option<f64>,
}

/// A change of a publisher's state.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Flip)]
pub struct FlipTold {
    /// Whose.
    pub publisher: String,
    /// The name of its host, where it told it.
    #[schema(required)]
    pub host: Option<String>,
    /// The state it was in.
    #[schema(value_type = String)]
    pub from: State,
    /// The state it is in.
    #[schema(value_type = String)]
    pub to: State,
    /// Why, as one word.
    #[schema(value_type = String)]
    pub cause: Cause,
    /// Why, as a phrase.
    pub reason: String,
    /// When it happened.
    pub at: Time,
    /// When the watchdog knew.
    pub noticed_at: Time,
    /// How long it had been silent at `at`, in seconds; null if it was never heard.
    #[schema(required)]
    pub silence_s: Option<f64>,
    /// When it was last heard.
    #[schema(required)]
    pub last_heard: Option<Time>,
    /// Its process, where it told it.
    #[schema(required)]
    pub process: Option<Process>,
    /// What it rests on.
    pub evidence: Vec<EvidenceTold>,
    /// All of it in sentences.
    pub text: String,
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl From<ProcessIdentity> for Process {
    fn from(process: ProcessIdentity) -> Self {
        Self {
            host: process.host.to_string(),
            boot: process.boot.to_string(),
            pidns: process.pid_namespace,
            pid: process.pid,
            start: process.start,
        }
    }
}

impl From<Learned> for AdaptiveTold {
    fn from(learned: Learned) -> Self {
        Self {
            gaps: learned.gaps,
            usual_s: seconds(learned.usual),
            longest_s: seconds(learned.longest),
            phi: learned.phi_tenths.map(|tenths| f64::from(tenths) / 10.0),
        }
    }
}

impl From<&Evidence> for EvidenceTold {
    fn from(evidence: &Evidence) -> Self {
        let json = |value: Result<_, serde_json::Error>| value.expect("invariant: evidence has a JSON form");
        Self {
            at: Time(evidence.at),
            source: json(serde_json::to_value(&evidence.source)),
            fact: json(serde_json::to_value(&evidence.fact)),
            text: evidence.to_string(),
        }
    }
}

impl From<&Flip> for FlipTold {
    fn from(flip: &Flip) -> Self {
        Self {
            publisher: flip.publisher.to_string(),
            host: flip.host.clone(),
            from: flip.from,
            to: flip.to,
            cause: flip.cause,
            reason: flip.cause.to_string(),
            at: Time(flip.at),
            noticed_at: Time(flip.noticed_at),
            silence_s: flip.silence.map(seconds),
            last_heard: flip.last_heard.map(Time),
            process: flip.process.map(Process::from),
            evidence: flip.evidence.iter().map(EvidenceTold::from).collect(),
            text: flip.told(),
        }
    }
}

/// A span in seconds, to the millisecond.
#[expect(clippy::cast_precision_loss, reason = "exact for centuries")]
pub fn seconds(span: Duration) -> f64 {
    span.as_millis() as f64 / 1e3
}

/// A time in seconds since 1970, to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "exact to the microsecond for a century")]
pub fn epoch_seconds(time: UtcNanos) -> f64 {
    (time.0 / 1_000) as f64 / 1e6
}
