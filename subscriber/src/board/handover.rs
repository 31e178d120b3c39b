//! [`Handover`]: how the loop passes on what changed: never waiting, at a cost that is that of what changed.

use std::time::Duration;

use lastbeat_swarm::Judgement;
use lastbeat_watchdog::{Flip, Status};
use lastbeat_wire::{Monotonic, Now};
use tokio::sync::{broadcast, mpsc};

use super::{ALL_TOLD, Frame, LinkView, json};
use crate::intake::{Intake, Totals};
use crate::metrics::Metrics;

/// How often fresh figures are passed on while nobody reads the event stream, and at the latest while somebody does.
const EVERY: Duration = Duration::from_millis(500);
/// Flips are passed on at once, but no two updates come closer together than this. What else is new waits for as long, so
/// that what comes with it is in the same update.
const AT_LEAST: Duration = Duration::from_millis(20);
/// Between two updates with what is no flip, while somebody reads the event stream: half of it is how long a message is under
/// way to the page.
const READ_EVERY: Duration = Duration::from_millis(50);
/// So much longer for each publisher in the update before: it takes some 2 µs to hand over, take in and encode, so that
/// a twentieth of a processor at most goes into it.
const FOR_EACH_PUBLISHER: Duration = Duration::from_micros(50);
/// So much longer for each reader: a frame takes some 10 µs to send.
const FOR_EACH_READER: Duration = Duration::from_micros(200);
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
    /// Who reads the event stream.
    frames: broadcast::Sender<Frame>,
    last: Option<Monotonic>,
    /// What is neither flip nor new comes so long after the last.
    pause: Duration,
    /// Since when there is something new.
    news: Option<Monotonic>,
    flips: Vec<Flip>,
    flips_left_out: bool,
    /// Whether the last update could not hold all.
    more: bool,
}

impl Handover {
    pub(super) fn new(updates: mpsc::Sender<Update>, metrics: Metrics, frames: broadcast::Sender<Frame>) -> Self {
        let (flips, flips_left_out, more) = (Vec::new(), false, false);
        Self { updates, metrics, frames, last: None, pause: EVERY, news: None, flips, flips_left_out, more }
    }

    /// Something came: there may be something to pass on.
    pub fn came(&mut self, now: Monotonic) {
        self.news.get_or_insert(now);
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

    /// Tells how a target or an agent of a swarm stands.
    pub fn judged(&self, judgement: &Judgement) {
        // Nobody may be reading.
        drop(self.frames.send(json::judgement(judgement).into()));
    }

    /// The loop did not run for so long.
    pub fn stalled(&self, by: Duration) {
        self.metrics.stalled(by);
    }

    /// When [`due`](Self::due) has something to do; `None`: it has not been called yet.
    pub fn next(&self) -> Option<Monotonic> {
        let last = self.last?;
        if self.more || !self.flips.is_empty() {
            return Some(last.plus(AT_LEAST));
        }
        let news = self.news.map(|since| since.plus(AT_LEAST).max(last.plus(self.pause)));
        Some(last.plus(EVERY).min(news.unwrap_or(Monotonic(u64::MAX))))
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
        self.news = None;
        self.pause = pause(self.frames.receiver_count(), changed.len(), intake.watchdog().len());
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

/// After an update with so many publishers, of so many in all: no two come closer together than this, flips apart. Nobody
/// reads what more often than now and then would be told, or all there is to read are numbers: then as seldom as can be.
fn pause(readers: usize, changed: usize, publishers: usize) -> Duration {
    if readers == 0 || publishers > ALL_TOLD {
        return EVERY;
    }
    let of = |each: Duration, number: usize| each.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
    READ_EVERY.max(of(FOR_EACH_PUBLISHER, changed).saturating_add(of(FOR_EACH_READER, readers))).min(EVERY)
}
