//! [`Board`]: the live figures that the table in the terminal and the page in the browser show.
//!
//! ```text
//!   loop ──Update (one at a time, never waited for)──▶ thread "board": Figures ──▶ terminal table (200 in trouble first)
//!                                                                  │          └──▶ HTTP: all rows, on request
//!                                                                  └─Frame (each encoded once)──▶ every event stream
//! ```

mod figures;
mod handover;
pub mod json;
mod question;
mod rate;
mod row;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use lastbeat_watchdog::{State, Status};
use lastbeat_wire::{Monotonic, Now};
use tokio::sync::{broadcast, mpsc, watch};

use crate::follower::Lag;
use crate::intake::Totals;
use crate::metrics::Metrics;
pub use figures::{Changes, Figures};
pub use handover::{Handover, Update};
use json::{FollowerTold, Overview, RowTold, Summary};
pub use question::{Found, Question, Sort};
pub use rate::Rate;
pub use row::Row;

/// Frames that wait for a reader of the event stream: six seconds of them and more. Who is slower than that has to begin anew.
const FRAMES: usize = 128;
/// The longest time without a frame: whoever gets none for longer knows that the stream is cut.
const QUIET: Duration = Duration::from_secs(5);
/// Of more publishers than this an update tells numbers only, and who shows them asks for those in sight.
const ALL_TOLD: usize = 20_000;
/// Most publishers in a [`Glance`].
const SHOWN: usize = 200;

/// The live figures. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Board(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Another one with each start of the program: places and revisions mean nothing beyond it.
    instance: String,
    /// Written by the board's own thread only, read by whoever shows them.
    figures: RwLock<Figures>,
    followers: Vec<(&'static str, watch::Receiver<Lag>)>,
    frames: broadcast::Sender<Frame>,
}

/// What was told last.
#[derive(Debug)]
struct Told {
    at: Monotonic,
    followers: Vec<FollowerTold>,
}

/// A piece of the event stream as it is sent; cloning shares it.
pub type Frame = Bytes;

/// How a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// Its URL, without a password.
    pub name: String,
    /// Why it is down; `None` while it is up.
    pub down: Option<String>,
    /// How long a message of our own took through its broker and back, the last one.
    pub round_trip: Option<Duration>,
}

/// What there is room for on a terminal.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// The publishers that need looking at most, at most 200.
    pub publishers: Vec<Status>,
    /// How many there are in each state.
    pub states: BTreeMap<State, usize>,
    /// The links.
    pub links: Vec<LinkView>,
    /// What was counted.
    pub totals: Totals,
    /// Messages in hundredths per second.
    pub rate: u64,
}

impl LinkView {
    /// A link that was not up yet.
    pub fn down(name: String) -> Self {
        Self { name, down: Some("not connected yet".to_owned()), round_trip: None }
    }

    /// A link that is up.
    pub fn up(name: String) -> Self {
        Self { name, down: None, round_trip: None }
    }
}

impl Board {
    /// Makes a board of which `restored` publishers were known before, and the loop's way to it, by which flips are
    /// counted, too. Its thread ends when the
    /// loop's end is dropped.
    pub fn start(
        now: Monotonic,
        restored: usize,
        followers: Vec<(&'static str, watch::Receiver<Lag>)>,
        metrics: Metrics,
    ) -> anyhow::Result<(Self, Handover)> {
        let board = Self::new(now, restored, followers);
        // One update is under way at a time; what it can't hold waits in the watchdog.
        let (sender, mut updates) = mpsc::channel(1);
        let keeper = board.clone();
        let run = move || {
            let mut told = Told { at: now, followers: Vec::new() };
            while let Some(update) = updates.blocking_recv() {
                keeper.take(update, &mut told);
            }
        };
        std::thread::Builder::new().name("board".to_owned()).spawn(run).context("start a thread")?;
        let handover = Handover::new(sender, metrics, board.0.frames.clone());
        Ok((board, handover))
    }

    fn new(now: Monotonic, restored: usize, followers: Vec<(&'static str, watch::Receiver<Lag>)>) -> Self {
        Self(Arc::new(Shared {
            instance: format!("{:016x}", rand::random::<u64>()),
            figures: RwLock::new(Figures::new(now, restored)),
            followers,
            frames: broadcast::Sender::new(FRAMES),
        }))
    }

    /// Takes an update in and tells those who read along, if there is something to tell.
    fn take(&self, mut update: Update, told: &mut Told) {
        let now = update.now;
        let followers = self.followers();
        let flips = std::mem::take(&mut update.flips);
        let flips_left_out = update.flips_left_out;
        let changes = {
            let mut figures = self.0.figures.write().unwrap_or_else(PoisonError::into_inner);
            let changes = figures.apply(update);
            let as_told = changes.is_empty() && flips.is_empty() && followers == told.followers;
            if as_told && now.monotonic.since(told.at) < QUIET {
                return;
            }
            figures.revision += 1;
            told.at = now.monotonic;
            changes
        };
        if self.0.frames.receiver_count() > 0 {
            let frame = json::frame(&self.figures(), self.followers(), now, &changes, &flips, flips_left_out);
            // Nobody may read along any more.
            let _ = self.0.frames.send(frame.into());
        }
        told.followers = followers;
    }

    /// All figures. While they are held nothing new is taken in, so hold them shortly.
    pub fn figures(&self) -> RwLockReadGuard<'_, Figures> {
        self.0.figures.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far each follower of the log has come.
    pub fn followers(&self) -> Vec<FollowerTold> {
        self.0.followers.iter().map(|(name, lag)| FollowerTold::of(name, &lag.borrow())).collect()
    }

    /// How far the follower of this name has come, if there is one.
    pub fn lag(&self, name: &str) -> Option<Lag> {
        self.0.followers.iter().find(|(one, _)| *one == name).map(|(_, lag)| lag.borrow().clone())
    }

    /// How much each follower of the log had kept of what was refused, and dropped for what came after it.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        self.0.followers.iter().map(|(name, lag)| (*name, lag.borrow().dropped)).collect()
    }

    /// The event stream from now on.
    pub fn frames(&self) -> broadcast::Receiver<Frame> {
        self.0.frames.subscribe()
    }

    /// The first frame of a stream.
    pub fn hello(&self, now: Now) -> String {
        let figures = self.figures();
        json::hello(&self.0.instance, figures.revision, figures.rows.len() <= ALL_TOLD, now)
    }

    /// How all stands, and which publishers are asked for; these are told by [`rows`](Self::rows).
    pub fn overview(&self, now: Now, question: &Question) -> (Overview, Found) {
        let followers = self.followers();
        let figures = self.figures();
        let found = question.answer(&figures, now.monotonic);
        let overview = Overview {
            instance: self.0.instance.clone(),
            summary: Summary::of(&figures, followers, now),
            matching: found.matching,
            publishers: Vec::new(),
        };
        (overview, found)
    }

    /// The publishers at these places.
    pub fn rows(&self, now: Now, places: &[u32]) -> Vec<RowTold> {
        let figures = self.figures();
        let row = |place: &u32| figures.rows.get(*place as usize).map(|row| RowTold::of(*place, row, &figures, now));
        places.iter().filter_map(row).collect()
    }

    /// What came from the publisher at a place over the last minute, in hundredths of a message per second.
    pub fn rate(&self, index: u32) -> u64 {
        self.figures().rows.get(index as usize).map_or(0, Row::rate)
    }

    /// Looks at all of it, those first who need looking at.
    pub fn glance(&self, now: Now) -> Glance {
        let figures = self.figures();
        let mut rows: Vec<&Row> = figures.rows.iter().collect();
        if rows.len() > SHOWN {
            rows.select_nth_unstable_by(SHOWN, |one, other| order(one).cmp(&order(other)));
            rows.truncate(SHOWN);
        }
        rows.sort_by(|one, other| order(one).cmp(&order(other)));
        Glance {
            publishers: rows.into_iter().map(|row| row.status(now, figures.host(row))).collect(),
            states: figures.states.clone(),
            links: figures.links.clone(),
            totals: figures.totals,
            rate: figures.rate,
        }
    }
}

/// Trouble first, then by name, so that lines stay where they are.
fn order(row: &Row) -> (u8, &str) {
    let urgency = match row.state {
        State::Dead | State::Failed => 0,
        State::Suspended | State::Silent => 1,
        State::Unknown => 2,
        State::Blind => 3,
        State::Unseen => 4,
        State::Alive | State::Paused | State::Finished => 5,
    };
    (urgency, &*row.id)
}
