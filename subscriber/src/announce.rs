//! [`Announcer`]: tells flips on stdout, as JSON for machines or a line for people; the rest on stderr.

use std::time::Duration;

use chrono::SecondsFormat;
use lastbeat_swarm::Judgement;
use lastbeat_watchdog::{Flip, Notice, Unwatched};
use lastbeat_wire::UtcNanos;
use serde::Serialize;

use crate::outlet::Outlet;

/// How flips are told on stdout. Nobody waits for whoever reads it.
#[derive(Debug, Clone)]
pub enum Announcer {
    /// One JSON object a line.
    Json(Outlet),
    /// One line for people.
    Text(Outlet),
    /// Not on stdout, where the live table is, but in the log.
    Quiet,
}

impl Announcer {
    /// Tells a change of state.
    pub fn flip(&self, flip: &Flip) {
        match self {
            Self::Json(stdout) => {
                let told = Told { flip, alive: flip.to.alive() };
                let mut line = serde_json::to_vec(&told).expect("invariant: a flip has only string keys");
                line.push(b'\n');
                stdout.put(line);
            }
            Self::Text(stdout) => stdout.put(format!("{}  {}\n", shown(flip.at), sentence(flip)).into_bytes()),
            Self::Quiet => tracing::info!("{}", sentence(flip)),
        }
    }

    /// Tells how a target or an agent of a swarm stands.
    pub fn judgement(&self, judgement: &Judgement) {
        let at = match judgement {
            Judgement::Target(target) => target.at,
            Judgement::Agent(agent) => agent.at,
        };
        match self {
            Self::Json(stdout) => {
                let mut line = serde_json::to_vec(judgement).expect("invariant: a judgement has only string keys");
                line.push(b'\n');
                stdout.put(line);
            }
            Self::Text(stdout) => stdout.put(format!("{}  {judgement}\n", shown(at)).into_bytes()),
            Self::Quiet => tracing::info!("{judgement}"),
        }
    }
}

/// Tells something that changes no state.
pub fn notice(notice: &Notice) {
    match notice {
        Notice::Restarted { publisher, old, new, .. } => {
            tracing::info!(%publisher, "restarted: PID {} instead of {}", new.pid, old.pid);
        }
        Notice::Conflict { publisher, first, second, .. } => {
            tracing::warn!(%publisher, "two processes publish under this id: {first} and {second}");
        }
        Notice::Contradiction { publisher, process, .. } => {
            tracing::warn!(%publisher, "{process} was thought to have ended, and speaks");
        }
        Notice::Maintenance { publisher, until: Some(until), .. } => {
            tracing::info!(%publisher, "maintenance is to end at {until}");
        }
        Notice::Maintenance { publisher, until: None, .. } => {
            tracing::info!(%publisher, "maintenance is to last until it is resumed");
        }
    }
}

/// Tells that nobody watched for a while.
pub fn unwatched(span: &Unwatched) {
    let length = humantime::format_duration(rounded(span.to.since(span.from)));
    let link = span.link.as_deref().unwrap_or("all links");
    tracing::info!("not watched for {length} ({link}): {}", span.reason);
}

/// A flip for machines: with the yes or no, `null` where nothing is claimed.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    flip: &'a Flip,
    alive: Option<bool>,
}

/// A flip for people: what, why, and on what evidence.
pub fn sentence(flip: &Flip) -> String {
    let Flip { publisher, from, to, cause, .. } = flip;
    let mut text = format!("{publisher}  {from} → {to}: {cause}");
    if let Some(silence) = flip.silence {
        text.push_str(&format!("; silent for {}", humantime::format_duration(rounded(silence))));
    }
    for evidence in &flip.evidence {
        text.push_str(&format!("; {} ({}, {})", evidence.fact, evidence.source, shown(evidence.at)));
    }
    text
}

/// A time for people, to the millisecond.
pub fn shown(time: UtcNanos) -> String {
    time.to_chrono().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Milliseconds are as fine as anybody wants to read.
pub fn rounded(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
