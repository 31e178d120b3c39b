//! [`Handover`]: how the loop passes on what changed: never waiting, at a cost that is that of what changed.

use std::time::Duration;

use lastbeat_watchdog::{Flip, Status};
use lastbeat_wire::{Monotonic, Now};
use tokio::sync::mpsc;

use super::LinkView;
use crate::intake::{Intake, Totals};
use crate::metrics::Metrics;

/// How often fresh figures are passed on.
const EVERY: Duration = Duration::from_millis(500);
/// Flips are passed on at once, but no two updates come closer together than this.
const AT_LEAST: Duration = Duration::from_millis(20);
/// Most publishers in one update; the rest comes with the next, so that no update holds the loop up.
const PUBLISHERS: usize = 10_000;
/// Most flips that wait to be passed on; of more only the states they led to are.
const FLIPS: usize = 1_000;

/// What changed since the update before.
#[derive(Debug)]
pub struct Update {
    /// When this was so.
    pub now: Now,
    /// How those that changed stand, each with its place.
    pub changed: Vec<(u32, Status)>,
    /// What flipped, in order; at most a thousand.
    pub flips: Vec<Flip>,
    /// Whether there were more flips than that.
    pub flips_left_out: bool,
    /// The links, all of them.
    pub links: Vec<LinkView>,
    /// What was counted.
    pub totals: Totals,
}

/// The loop's end of the way to the board.
#[derive(Debug)]
pub struct Handover {
    /// Holds one update: while it is full what changed stays where it is until the next time.
    updates: mpsc::Sender<Update>,
    metrics: Metrics,
    last: Option<Monotonic>,
    flips: Vec<Flip>,
    flips_left_out: bool,
    /// Whether the last update could not hold all.
    more: bool,
}

impl Handover {
    pub(super) fn new(updates: mpsc::Sender<Update>, metrics: Metrics) -> Self {
        Self { updates, metrics, last: None, flips: Vec::new(), flips_left_out: false, more: false }
    }

    /// Counts a flip, and takes note of it, to be passed on at once.
    pub fn flipped(&mut self, flip: &Flip) {
        self.metrics.flipped(flip);
        if self.flips.len() < FLIPS {
            self.flips.push(flip.clone());
        } else {
            self.flips_left_out = true;
        }
    }

    /// The loop did not run for so long.
    pub fn stalled(&self, by: Duration) {
        self.metrics.stalled(by);
    }

    /// When [`due`](Self::due) has something to do; `None`: it has not been called yet.
    pub fn next(&self) -> Option<Monotonic> {
        let soon = self.more || !self.flips.is_empty();
        self.last.map(|last| last.plus(if soon { AT_LEAST } else { EVERY }))
    }

    /// Passes on what changed, if it is time for it and the board has taken what it got before.
    pub fn due(&mut self, now: Now, intake: &mut Intake, links: &[LinkView]) {
        if self.next().is_some_and(|next| now.monotonic < next) {
            return;
        }
        self.last = Some(now.monotonic);
        let Ok(permit) = self.updates.try_reserve() else { return };
        let changed = intake.touched(now, PUBLISHERS);
        self.more = changed.len() == PUBLISHERS;
        permit.send(Update {
            now,
            changed,
            flips: std::mem::take(&mut self.flips),
            flips_left_out: std::mem::take(&mut self.flips_left_out),
            links: links.to_vec(),
            totals: intake.totals(),
        });
    }
}
