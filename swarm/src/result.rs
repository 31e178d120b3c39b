//! [`Seen`]: one result of one agent; [`Found`]: what is kept of it.

use std::time::Duration;

use lastbeat_wire::{Fields, Monotonic, UtcNanos, Value, field};
use serde::Serialize;

use crate::config::Limits;
use crate::judgement::Level;

/// Nanoseconds since this host was booted, as [`Monotonic`]; of a result that was measured before that, below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

/// What an agent found out about a target, as it is taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// The target.
    pub target: &'a str,
    /// When it was measured, on our clock: a result that waited is as old as it is.
    pub at: Instant,
    /// When it was measured, for people.
    pub time: UtcNanos,
    /// The link by which it came: its broker; `None` where that is not known, as the log does not: then it stays what it was.
    pub broker: Option<&'a str>,
    /// The agent's host.
    pub host: Option<&'a str>,
    /// The figures.
    pub fields: &'a Fields<'a>,
}

/// What is kept of a pair's last result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// When it was measured.
    pub time: UtcNanos,
    /// Loss in percent; `None`: it could not be measured.
    pub loss: Option<f64>,
    /// The mean round trip in ms; `None` if nothing was answered.
    pub avg: Option<f64>,
    /// Why it could not be measured, or what the last probe ended in.
    pub error: Option<Box<str>>,
    #[serde(skip)]
    pub(crate) at: Instant,
    #[serde(skip)]
    pub(crate) every: Option<Duration>,
}

/// How one result looks by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It is reached.
    Reached(Level),
    /// It is not.
    Failed,
    /// It could not be measured: that says nothing of the target.
    Unmeasured,
}

impl Instant {
    /// The instant `span` before this one.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time from here to an instant; zero when it is not later.
    pub(crate) fn age(self, now: Monotonic) -> Duration {
        u64::try_from(Self::from(now).0.saturating_sub(self.0)).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// The instant `span` later, at least the clock's start.
    pub(crate) fn plus(self, span: Duration) -> Monotonic {
        let nanos = self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX));
        Monotonic(u64::try_from(nanos).unwrap_or_default())
    }
}

impl From<Monotonic> for Instant {
    fn from(at: Monotonic) -> Self {
        Self(i64::try_from(at.0).unwrap_or(i64::MAX))
    }
}

impl Found {
    pub(crate) fn of(seen: &Seen<'_>) -> Self {
        let mut found = Self { time: seen.time, loss: None, avg: None, error: None, at: seen.at, every: None };
        for (name, value) in seen.fields.iter() {
            match (name, value) {
                (field::LOSS, value) => found.loss = number(value).map(|loss| loss.clamp(0.0, 100.0)),
                (field::AVG, value) => found.avg = number(value).filter(|avg| *avg >= 0.0),
                (field::ERROR, Value::Text(text)) => found.error = Some(text.chars().take(200).collect()),
                (field::EVERY, value) => {
                    found.every = number(value).and_then(|span| Duration::try_from_secs_f64(span).ok());
                }
                _ => {}
            }
        }
        found
    }

    /// How it looks by these limits.
    pub fn grade(&self, limits: &Limits) -> Grade {
        let Some(loss) = self.loss else { return Grade::Unmeasured };
        if loss >= limits.loss.1 || self.avg.is_none() && loss >= 100.0 {
            return Grade::Failed;
        }
        let level = |slow: Duration| self.avg.is_some_and(|avg| avg >= slow.as_secs_f64() * 1e3);
        Grade::Reached(if level(limits.slow.1) {
            Level::Critical
        } else if level(limits.slow.0) || loss >= limits.loss.0 {
            Level::Warn
        } else {
            Level::Well
        })
    }
}

/// A number that a field holds, whole or not.
fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        #[expect(clippy::cast_precision_loss, reason = "no figure of a result is that large")]
        Value::Integer(value) => Some(*value as f64),
        Value::Boolean(_) | Value::Text(_) => None,
    }
}
