//! [`Fault`], [`Who`], [`Case`]: what is done to whom, and in which order. Plain data; does nothing.

use std::fmt;

use crate::hub::Transport;

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; undone by starting it again.
    Kill,
    /// SIGTERM, and its end is waited for; undone by starting it again.
    Term,
    /// SIGSTOP; undone by SIGCONT.
    Freeze,
    /// Its network cable is cut; undone by mending it. Needs root.
    Cut,
    /// The disk that it writes to is filled; undone by making room. Needs root.
    Fill,
    /// Its wall clock is set this many seconds ahead of (or behind) ours; undone by setting it right.
    Clock(i32),
}

impl Fault {
    /// As a word for tables.
    pub fn word(self) -> String {
        match self {
            Self::Kill => "kill".to_owned(),
            Self::Term => "restart".to_owned(),
            Self::Freeze => "freeze".to_owned(),
            Self::Cut => "cut".to_owned(),
            Self::Fill => "disk full".to_owned(),
            Self::Clock(seconds) => format!("clock {:+}h", seconds / 3_600),
        }
    }
}

/// To whom it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// A loaded publisher: 0 or 1.
    Publisher(usize),
    /// lastbeat-broker, or Mosquitto.
    Broker,
    /// The subscriber.
    Subscriber,
    /// `InfluxDB`.
    Influx,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Publisher(0) => "publisher",
            Self::Publisher(_) => "second publisher",
            Self::Broker => "broker",
            Self::Subscriber => "subscriber",
            Self::Influx => "InfluxDB",
        })
    }
}

/// One step of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A fault begins.
    Do(Fault, Who),
    /// It ends.
    Undo(Fault, Who),
    /// So many thresholds pass.
    Wait(f64),
    /// Until what must be told by now has been told, at most for a threshold and some grace.
    Told,
}

/// What may be lost in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Losses {
    /// Nothing: everything that was sent is stored and shipped.
    None,
    /// What the broker held and acknowledged, in memory, when it was killed; and it must be known how much that was.
    Known,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// How it is called: `kill publisher`.
    pub name: String,
    /// How messages travel.
    pub transport: Transport,
    /// What happens, after everything has run well for a while.
    pub steps: Vec<Step>,
    /// What may be lost.
    pub losses: Losses,
    /// Whether it is one of the few that are played with every change.
    pub short: bool,
}

impl Case {
    /// Whether a fault of one sort is done to someone.
    pub fn does(&self, who: Who, sort: fn(Fault) -> bool) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Do(fault, whom) if *whom == who && sort(*fault)))
    }

    /// Whether it takes root's rights.
    pub fn needs_root(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Do(Fault::Cut | Fault::Fill, _)))
    }

    /// Its name with its transport, as `--only` sees it.
    pub fn label(&self) -> String {
        format!("{} {}", self.transport.name(), self.name)
    }
}
