//! [`Script`]: a scenario file. `scenarios/README.md` tells how one is written.

use std::collections::BTreeMap;

use lastbeat_simulation::Place;
use serde::{Deserialize, Deserializer, de};

use super::event::Event;
use super::span;

/// A scenario file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What it shows, in a sentence or two.
    pub about: String,
    #[serde(default)]
    pub watchdog: Rules,
    /// Who publishes.
    #[serde(default)]
    pub publisher: BTreeMap<String, Traits>,
    /// What happens and what is expected, in order of time.
    pub step: Vec<Step>,
    /// Everything the watchdog tells, in order; nothing else may be told.
    pub story: Vec<String>,
}

/// How the watchdog watches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    pub threshold: Span,
    pub adaptive: Option<Within>,
    pub settle: Span,
    pub probe_limit: Span,
    pub links: Vec<String>,
    /// Links whose broker keeps what the watchdog can't take: an MQTT broker with a persistent session.
    pub persistent: Vec<String>,
    pub pidfd: bool,
    pub max_publishers: usize,
}

/// A publisher.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traits {
    /// Where its processes run.
    pub runs: Place,
    /// How often it beats; absent: only as steps say.
    pub beats: Option<Span>,
    /// What its messages say of their sender: any of process, seq, uptime, sent.
    pub tells: Vec<String>,
    /// The links it publishes on; all of them if empty.
    pub links: Vec<String>,
    /// Its own threshold.
    pub threshold: Option<Span>,
    /// Between which bounds its threshold is learned.
    pub adaptive: Option<Within>,
    /// Whether it is missed when never heard.
    pub expected: bool,
}

/// The bounds of an adaptive threshold.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    pub at_least: Span,
    pub at_most: Span,
}

/// One instant: first the events, then what is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub at: Span,
    #[serde(default)]
    pub event: Sentences,
    #[serde(default)]
    pub expect: BTreeMap<String, toml::Table>,
}

/// A length of time, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub i64);

/// One sentence, or a list of them.
#[derive(Debug, Default)]
pub struct Sentences(pub Vec<Event>);

impl Span {
    /// As the watchdog takes it.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.unsigned_abs())
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            threshold: Span(50_000_000_000),
            adaptive: None,
            settle: Span(1_000_000_000),
            probe_limit: Span(1_000_000_000),
            links: vec!["broker".to_owned()],
            persistent: Vec::new(),
            pidfd: false,
            max_publishers: 1000,
        }
    }
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            runs: Place::Here,
            beats: None,
            tells: ["process", "seq", "uptime", "sent"].map(str::to_owned).to_vec(),
            links: Vec::new(),
            threshold: None,
            adaptive: None,
            expected: false,
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wanted = "a span like 50s, 1m10s or 50s-1ns";
        span::parse(&text).map(Self).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &wanted))
    }
}

impl<'de> Deserialize<'de> for Sentences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        let sentences = match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(sentence) => vec![sentence],
            OneOrMany::Many(sentences) => sentences,
        };
        let wanted = "an event of scenarios/README.md";
        let event = |sentence: &String| {
            Event::parse(sentence).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(sentence), &wanted))
        };
        sentences.iter().map(event).collect::<Result<_, _>>().map(Self)
    }
}
