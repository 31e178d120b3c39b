//! [`Overview`]: the figures that the live table shows, taken from the loop now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use lastbeat_watchdog::{State, Status};
use lastbeat_wire::{Monotonic, Now};

use crate::intake::{Intake, Totals};

/// Most publishers it shows, those that need looking at first.
const SHOWN: usize = 200;

/// How all stands at one instant.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// The publishers that need looking at most, at most 200.
    pub publishers: Vec<Status>,
    /// How many there are in each state.
    pub states: BTreeMap<State, usize>,
    /// The links.
    pub links: Vec<LinkView>,
    /// What was counted.
    pub totals: Totals,
    /// Messages per second.
    pub rate: f64,
}

/// How a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// Its URL, without a password.
    pub name: String,
    /// Why it is down; `None` while it is up.
    pub down: Option<String>,
}

/// Messages per second, since the last look.
#[derive(Debug, Clone)]
pub struct Rate {
    at: Monotonic,
    messages: u64,
}

impl LinkView {
    /// A link that was not up yet.
    pub fn down(name: String) -> Self {
        Self { name, down: Some("not connected yet".to_owned()) }
    }
}

impl Overview {
    /// Looks at the loop's state.
    pub fn of(now: Now, intake: &Intake, links: &[LinkView], rate: f64) -> Self {
        let mut states = BTreeMap::new();
        let mut publishers: Vec<Status> = intake.watchdog().statuses(now).collect();
        for status in &publishers {
            *states.entry(status.state).or_default() += 1;
        }
        if publishers.len() > SHOWN {
            publishers.select_nth_unstable_by(SHOWN, |one, other| order(one).cmp(&order(other)));
            publishers.truncate(SHOWN);
        }
        publishers.sort_by(|one, other| order(one).cmp(&order(other)));
        Self { publishers, states, links: links.to_vec(), totals: intake.totals(), rate }
    }
}

/// Trouble first, then by name, so that lines stay where they are.
fn order(status: &Status) -> (u8, &str) {
    let urgency = match status.state {
        State::Dead => 0,
        State::Suspended | State::Silent => 1,
        State::Unknown => 2,
        State::Blind => 3,
        State::Unseen => 4,
        State::Alive | State::Paused | State::Finished => 5,
    };
    (urgency, status.publisher.as_str())
}

impl Rate {
    /// Counts from `now` on.
    pub fn new(now: Monotonic) -> Self {
        Self { at: now, messages: 0 }
    }

    /// The rate since the last call.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    pub fn take(&mut self, now: Monotonic, messages: u64) -> f64 {
        let span = now.since(self.at).max(Duration::from_nanos(1));
        let rate = messages.saturating_sub(self.messages) as f64 / span.as_secs_f64();
        *self = Self { at: now, messages };
        rate
    }
}
