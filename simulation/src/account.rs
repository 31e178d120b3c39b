//! [`Account`]: the books on one publisher.

use std::time::Duration;

use lastbeat_watchdog::{Reception, State, Status};
use lastbeat_wire::{Kind, Monotonic, UtcNanos};

/// What one publisher was heard to say, and what was told of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub taken_in: u64,
    pub duplicates: u64,
    pub retained: u64,
    /// The links on which anything came that was not retained.
    pub links: Vec<usize>,
    /// Whether anything did since the watchdog's last start: which links those are may be forgotten in a crash.
    pub heard: bool,
    /// Since when it could be heard without a break.
    pub seen_since: Option<Monotonic>,
    pub will: bool,
    pub goodbye: bool,
    pub failure: bool,
    /// What came last that was taken in.
    pub latest: Option<Kind>,
    /// What was told last, and when that happened.
    pub told: Option<(State, UtcNanos)>,
    pub last_flip_at: Option<Monotonic>,
    /// The threshold since the last live message, or since the watchdog's last start.
    pub threshold: Option<Duration>,
}

impl Account {
    /// Books a message by what it changed in the counts; `None` if it changed nothing that it should have.
    pub fn book(&mut self, kind: Kind, before: Option<&Status>, after: &Status) -> Option<Reception> {
        let before = before.map(|before| before.counts).unwrap_or_default();
        let more = |count: fn(&lastbeat_watchdog::Counts) -> u64| count(&after.counts).checked_sub(count(&before));
        let changes =
            (more(|counts| counts.messages), more(|counts| counts.duplicates), more(|counts| counts.retained));
        let reception = match changes {
            (Some(1), Some(0), Some(0)) => Reception::Live,
            (Some(0), Some(1), Some(0)) => Reception::Duplicate,
            (Some(0), Some(0), Some(1)) => Reception::Retained,
            _ => return None,
        };
        match reception {
            Reception::Duplicate => self.duplicates += 1,
            Reception::Retained => {
                self.retained += 1;
                return Some(reception);
            }
            _ => {
                self.taken_in += 1;
                self.latest = Some(kind);
            }
        }
        self.will |= kind == Kind::Rip;
        self.goodbye |= kind == Kind::Bye;
        self.failure |= kind == Kind::Fail;
        Some(reception)
    }

    /// Books a message that was sent again; `None` if it was neither taken once nor passed over.
    pub fn book_resent(&mut self, kind: Kind, before: Option<&Status>, after: &Status) -> Option<Reception> {
        let before = before.map(|before| before.counts).unwrap_or_default();
        let reception = match after.counts.messages.checked_sub(before.messages) {
            Some(0) => Reception::Duplicate,
            Some(1) => Reception::Late,
            _ => return None,
        };
        self.taken_in += u64::from(reception == Reception::Late);
        self.goodbye |= kind == Kind::Bye;
        self.failure |= kind == Kind::Fail;
        Some(reception)
    }

    /// Notes since when it can be heard, by the times at which the links came up.
    pub fn look(&mut self, links_up: &[Option<Monotonic>]) {
        let own = |link: &usize| self.links.is_empty() || self.links.contains(link);
        let up = (0..links_up.len()).filter(own).filter_map(|link| links_up[link]).min();
        self.seen_since = up.map(|up| self.seen_since.map_or(up, |since| since.min(up)));
    }
}
