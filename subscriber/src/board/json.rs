//! The live figures as JSON: rows, the overview, and the frames of the event stream.

use std::collections::BTreeMap;

use lastbeat_swarm::Judgement;
use lastbeat_watchdog::{Cause, Counts, Flip, State, Status};
use lastbeat_wire::Now;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ALL_TOLD, Changes, Figures, LinkView, Row};
use crate::follower::Lag;
use crate::intake::Totals;
use crate::swarm::JudgementTold;
use crate::told::{FlipTold, Time, epoch_seconds, seconds};

/// A publisher in the overview.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Row)]
pub struct RowTold {
    /// Its place in the order in which publishers became known; stable while `instance` is the same.
    pub index: u32,
    /// Who it is.
    pub id: String,
    /// The name of its host, where it told it.
    #[schema(required)]
    pub host: Option<String>,
    /// What is known of it.
    #[schema(value_type = String)]
    pub state: State,
    /// Why, as one word.
    #[schema(value_type = String)]
    pub cause: Cause,
    /// Why, as a phrase.
    pub reason: String,
    /// The yes or no; null where nothing is claimed.
    #[schema(required)]
    pub alive: Option<bool>,
    /// Since when it is in that state.
    pub since: Time,
    /// When it was last heard.
    #[schema(required)]
    pub last_heard: Option<Time>,
    /// How long it has been silent, in seconds; null if it was never heard.
    #[schema(required)]
    pub silence_s: Option<f64>,
    /// The silence it is allowed, in seconds.
    pub threshold_s: f64,
    /// Its PID, where it told it.
    #[schema(required)]
    pub pid: Option<u32>,
    /// Messages per second over the last minute.
    pub rate: f64,
    /// Messages of any kind that were taken in.
    pub messages: u64,
    /// Readings among them.
    pub readings: u64,
    /// Numbers left out in the sequence and not come since.
    pub missed: u64,
    /// Messages that had come before.
    pub duplicates: u64,
    /// Messages that came late.
    pub late: u64,
    /// Messages that could not be read.
    pub refused: u64,
    /// Messages a broker had kept.
    pub retained: u64,
    /// New processes that took over the id.
    pub restarts: u64,
    /// Times two processes were found under the id.
    pub conflicts: u64,
}

/// How a link stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkTold {
    /// Its URL without a password; `http` is this server.
    pub name: String,
    /// Whether messages on it would be heard.
    pub up: bool,
    /// Why it is down.
    #[schema(required)]
    pub reason: Option<String>,
    /// How long a message of this subscriber's took through the broker and back, in seconds; null where none is sent, or none came yet.
    #[schema(required)]
    pub round_trip_s: Option<f64>,
}

/// How far a follower of the log has come.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Follower)]
pub struct FollowerTold {
    /// `store`, `influxdb` or `index`.
    #[schema(value_type = String)]
    pub name: &'static str,
    /// What is in the log and not in its target yet.
    pub behind_bytes: u64,
    /// Why its target takes nothing; null while it does.
    #[schema(required)]
    pub trouble: Option<String>,
    /// Points that its target refused, which are set aside.
    pub set_aside: u64,
    /// Why it ships nothing though all is well: it stands by for another subscriber that does; else null.
    #[schema(required)]
    pub held: Option<String>,
}

/// What was counted since the start.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Totals)]
pub struct TotalsTold {
    /// Messages that came.
    pub messages: u64,
    /// Messages that could not be read.
    pub refused: u64,
    /// Messages that had come before.
    pub duplicates: u64,
    /// Messages of publishers beyond the most that may be.
    pub unknown: u64,
    /// Messages that the log had no room for.
    pub not_kept: u64,
}

/// What is told of all publishers together.
#[derive(Debug, Serialize, ToSchema)]
pub struct Summary {
    /// One more with each change that was told.
    pub revision: u64,
    /// When this was so.
    pub now: Time,
    /// How many publishers there are in each state that occurs.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub states: BTreeMap<State, usize>,
    /// What was counted.
    pub totals: TotalsTold,
    /// Messages per second, over the last seconds.
    pub rate: f64,
    /// The links.
    pub links: Vec<LinkTold>,
    /// The followers of the log.
    pub followers: Vec<FollowerTold>,
    /// Whether updates tell of each publisher that changed; beyond 20,000 publishers they do not.
    pub all_told: bool,
}

/// How all stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// Another one with each start of the program: `index` and `revision` mean nothing beyond it.
    pub instance: String,
    /// All publishers together, also with a filter.
    #[serde(flatten)]
    pub summary: Summary,
    /// How many publishers match the filter, whatever the limit and the offset.
    pub matching: usize,
    /// The publishers asked for, in the order that was asked for.
    pub publishers: Vec<RowTold>,
}

/// The first event of a stream, `hello`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hello<'a> {
    /// Another one with each start of the program.
    pub instance: &'a str,
    /// The newest change.
    pub revision: u64,
    /// When this was so.
    pub now: Time,
    /// Whether updates tell of each publisher that changed.
    pub all_told: bool,
}

/// The event `update`: what changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Update)]
pub struct UpdateTold {
    /// All publishers together.
    #[serde(flatten)]
    pub summary: Summary,
    /// Where `all_told`: publishers that are new, or whose state, cause, host, PID or another rare thing changed.
    pub rows: Vec<RowTold>,
    /// Others that changed, each as `[index, last heard in seconds since 1970, silence in seconds, rate, messages, missed,
    /// duplicates, late]`.
    #[schema(value_type = Vec<Vec<Option<f64>>>)]
    pub heard: Vec<Heard>,
}

/// A publisher that was merely heard, in few bytes.
pub type Heard = (u32, Option<f64>, Option<f64>, f64, u64, u64, u64, u64);

impl RowTold {
    /// A publisher at a place, with its rate in hundredths.
    pub fn new(index: u32, status: &Status, rate: u64) -> Self {
        let counts = status.counts;
        Self {
            index,
            id: status.publisher.to_string(),
            host: status.host.clone(),
            state: status.state,
            cause: status.cause,
            reason: status.cause.to_string(),
            alive: status.state.alive(),
            since: Time(status.since),
            last_heard: status.last_heard.map(Time),
            silence_s: status.silence.map(seconds),
            threshold_s: seconds(status.threshold),
            pid: status.pid,
            rate: per_second(rate),
            messages: counts.messages,
            readings: counts.readings,
            missed: counts.missed,
            duplicates: counts.duplicates,
            late: counts.late,
            refused: counts.refused,
            retained: counts.retained,
            restarts: counts.restarts,
            conflicts: counts.conflicts,
        }
    }

    /// A row at an instant.
    pub fn of(index: u32, row: &Row, figures: &Figures, at: Now) -> Self {
        Self::new(index, &row.status(at, figures.host(row)), row.rate())
    }
}

impl From<&LinkView> for LinkTold {
    fn from(link: &LinkView) -> Self {
        Self {
            name: link.name.clone(),
            up: link.down.is_none(),
            reason: link.down.clone(),
            round_trip_s: link.round_trip.map(seconds),
        }
    }
}

impl FollowerTold {
    /// A follower with its name.
    pub fn of(name: &'static str, lag: &Lag) -> Self {
        let trouble = lag.trouble.as_ref().map(|trouble| trouble.error.to_string());
        let held = lag.held.as_ref().map(ToString::to_string);
        Self { name, behind_bytes: lag.behind_bytes, trouble, set_aside: lag.set_aside, held }
    }
}

impl From<Totals> for TotalsTold {
    fn from(totals: Totals) -> Self {
        let Totals { messages, refused, refused_by: _, duplicates, unknown, not_kept, recovery: _ } = totals;
        Self { messages, refused, duplicates, unknown, not_kept }
    }
}

impl Summary {
    /// What the figures say of all publishers together.
    pub fn of(figures: &Figures, followers: Vec<FollowerTold>, now: Now) -> Self {
        Self {
            revision: figures.revision,
            now: Time(now.utc),
            states: figures.states.clone(),
            totals: figures.totals.into(),
            rate: per_second(figures.rate),
            links: figures.links.iter().map(LinkTold::from).collect(),
            followers,
            all_told: figures.rows.len() <= ALL_TOLD,
        }
    }
}

/// A rate that is given in hundredths.
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
pub fn per_second(hundredths: u64) -> f64 {
    hundredths as f64 / 100.0
}

/// The first frame of a stream.
pub fn hello(instance: &str, revision: u64, all_told: bool, now: Now) -> String {
    event("hello", &Hello { instance, revision, now: Time(now.utc), all_told })
}

/// The frame of a judgement.
pub fn judgement(judgement: &Judgement) -> String {
    event("judgement", &JudgementTold::from(judgement))
}

/// The frame that says that some were left out: what is known is to be asked for anew.
pub fn resync() -> String {
    event("resync", &serde_json::json!({}))
}

/// The frame of an update, its flips in it.
pub fn frame(
    figures: &Figures,
    followers: Vec<FollowerTold>,
    now: Now,
    changes: &Changes,
    flips: &[Flip],
    flips_left_out: bool,
) -> String {
    let heard = |index: &u32| {
        let row = &figures.rows[*index as usize];
        let silence = row.silence(now.monotonic).map(seconds);
        let last_heard = row.last_heard.map(epoch_seconds);
        let Counts { messages, missed, duplicates, late, .. } = row.counts();
        (*index, last_heard, silence, per_second(row.rate()), messages, missed, duplicates, late)
    };
    let summary = Summary::of(figures, followers, now);
    let nothing = Changes::default();
    let changes = if summary.all_told { changes } else { &nothing };
    let update = UpdateTold {
        summary,
        rows: changes
            .rows
            .iter()
            .map(|index| RowTold::of(*index, &figures.rows[*index as usize], figures, now))
            .collect(),
        heard: changes.heard.iter().map(heard).collect(),
    };
    let mut frame = event("update", &update);
    for flip in flips {
        frame.push_str(&event("flip", &FlipTold::from(flip)));
    }
    if flips_left_out {
        frame.push_str(&resync());
    }
    frame
}

/// One event as the HTML standard has it (server-sent events, section 9.2).
fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).expect("invariant: what is told has only string keys");
    format!("event: {name}\ndata: {data}\n\n")
}
