//! [`Tally`] and [`Outcome`]: what a simulation counted, and what comes of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use lastbeat_watchdog::{Flip, State};
use lastbeat_wire::PublisherId;
use serde::Serialize;

use super::blame::Blame;
use super::faults::Fault;
use super::fleet::Fleet;
use super::truth::Fate;
use super::world::{SECOND, World};

/// What is counted while a world runs.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    places: HashMap<PublisherId, usize>,
    pub events: u64,
    pub faults: BTreeMap<Fault, u64>,
    found: BTreeMap<Way, Found>,
    alarms: BTreeMap<(State, Blame), u64>,
    pub over_unnoticed: u64,
}

/// By what means trouble was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The end of a process of this host was seen.
    LocalEnd,
    /// A process of this host is stopped.
    LocalStop,
    /// A process of this host runs and says nothing.
    LocalHang,
    /// Elsewhere, by its silence.
    Silence,
    /// Elsewhere, by its silence and its will.
    Will,
}

/// Nanoseconds that finding trouble took: since it could be known, and since it began.
#[derive(Debug, Clone, Default)]
struct Found {
    after_known: Vec<u64>,
    after_begin: Vec<u64>,
}

/// What came of one or more worlds. Spans are in seconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    /// The first seed, and how many.
    pub seed: u64,
    pub seeds: u64,
    /// Simulated time, over all worlds, and publishers in each.
    pub simulated_s: f64,
    pub publishers: usize,
    pub publisher_months: f64,
    pub threshold_s: f64,
    pub events: u64,
    pub messages: Messages,
    /// What went wrong, how often.
    pub faults: BTreeMap<&'static str, u64>,
    pub detections: Vec<Detection>,
    /// Trouble that was over before anybody could know.
    pub over_unnoticed: u64,
    pub false_alarms: Vec<Alarms>,
    #[serde(skip)]
    found: BTreeMap<Way, Found>,
    #[serde(skip)]
    alarms: BTreeMap<(State, Blame), u64>,
}

/// What became of messages.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Messages {
    pub sent: u64,
    /// In the log, once each.
    pub stored: u64,
    /// Of these: later than ten seconds after they were sent, from what publishers and brokers had kept.
    pub recovered: u64,
    /// In no log, by who lost them.
    pub lost: BTreeMap<&'static str, u64>,
    /// Acknowledged and taken by a loss of power, where each message is not synced before it is acknowledged.
    pub lost_with_power: u64,
}

/// How long finding one kind of trouble took.
#[derive(Debug, Clone, Serialize)]
pub struct Detection {
    pub way: &'static str,
    pub found: usize,
    pub after_known: Quantiles,
    pub after_begin: Quantiles,
}

/// Of many spans in seconds the middle one, that which one in a hundred exceeds, and the longest.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the JSON says the unit")]
pub struct Quantiles {
    pub median_s: f64,
    pub p99_s: f64,
    pub worst_s: f64,
}

/// False alarms of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct Alarms {
    pub state: &'static str,
    pub cause: &'static str,
    pub count: u64,
    pub per_publisher_month: f64,
}

impl Tally {
    /// Nothing is counted yet.
    pub fn new(fleet: &Fleet) -> Self {
        let places = fleet.publishers.iter().enumerate().map(|(place, member)| (member.id.clone(), place));
        Self { places: places.collect(), ..Self::default() }
    }

    /// The place of a publisher in the fleet.
    pub fn place(&self, id: &PublisherId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// Trouble was found.
    pub fn found(&mut self, way: Way, after_known: u64, after_begin: u64) {
        let found = self.found.entry(way).or_default();
        found.after_known.push(after_known);
        found.after_begin.push(after_begin);
    }

    /// A publisher that lives and speaks was called something else.
    pub fn false_alarm(&mut self, flip: &Flip, blame: Blame) {
        *self.alarms.entry((flip.to, blame)).or_default() += 1;
    }
}

impl Outcome {
    /// What came of a world.
    pub fn of(seed: u64, world: &World) -> Self {
        let (stored, recovered, lost) = world.truth.census();
        let publishers = world.publishers.len();
        let faults = world.tally.faults.iter().map(|(fault, count)| (fault.word(), *count));
        let lost = lost.into_iter().map(|(by, count): (Fate, u64)| (by.words(), count));
        let mut outcome = Self {
            seed,
            seeds: 1,
            simulated_s: span(world.now),
            publishers,
            publisher_months: span(world.now) * count(publishers as u64) / (30.0 * 86_400.0),
            threshold_s: world.fleet.threshold.as_secs_f64(),
            events: world.tally.events,
            messages: Messages {
                sent: world.truth.messages(),
                stored,
                recovered,
                lost: lost.collect(),
                lost_with_power: world.truth.lost_with_power,
            },
            faults: faults.collect(),
            over_unnoticed: world.tally.over_unnoticed,
            found: world.tally.found.clone(),
            alarms: world.tally.alarms.clone(),
            ..Self::default()
        };
        outcome.sum_up();
        outcome
    }

    /// Adds what came of another world.
    pub fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.simulated_s += other.simulated_s;
        self.publisher_months += other.publisher_months;
        self.events += other.events;
        self.over_unnoticed += other.over_unnoticed;
        self.messages.sent += other.messages.sent;
        self.messages.stored += other.messages.stored;
        self.messages.recovered += other.messages.recovered;
        self.messages.lost_with_power += other.messages.lost_with_power;
        other.messages.lost.into_iter().for_each(|(by, count)| *self.messages.lost.entry(by).or_default() += count);
        other.faults.into_iter().for_each(|(fault, count)| *self.faults.entry(fault).or_default() += count);
        other.alarms.into_iter().for_each(|(which, count)| *self.alarms.entry(which).or_default() += count);
        for (way, found) in other.found {
            let all = self.found.entry(way).or_default();
            all.after_known.extend(found.after_known);
            all.after_begin.extend(found.after_begin);
        }
        self.sum_up();
    }

    fn sum_up(&mut self) {
        let months = self.publisher_months;
        self.detections = self.found.iter().map(|(way, found)| Detection::of(*way, found)).collect();
        let alarms = self.alarms.iter().map(|((state, blame), number)| Alarms {
            state: state.word(),
            cause: blame.words(),
            count: *number,
            per_publisher_month: rate(*number, months),
        });
        self.false_alarms = alarms.collect();
    }

    /// False alarms per publisher and month, and those among them that said dead.
    pub fn alarm_rates(&self) -> (f64, f64) {
        let sum = |dead: bool| {
            let which = self.alarms.iter().filter(|((state, _), _)| !dead || *state == State::Dead);
            rate(which.map(|(_, count)| count).sum(), self.publisher_months)
        };
        (sum(false), sum(true))
    }

    /// How long it took since trouble began, of what only silence tells: a threshold makes no difference to the rest.
    pub fn by_silence(&self) -> (usize, Quantiles) {
        let silent = self.found.iter().filter(|(way, _)| **way != Way::LocalEnd);
        let spans: Vec<u64> = silent.flat_map(|(_, found)| found.after_begin.iter().copied()).collect();
        (spans.len(), Quantiles::of(&spans))
    }
}

impl Detection {
    fn of(way: Way, found: &Found) -> Self {
        Self {
            way: way.words(),
            found: found.after_begin.len(),
            after_known: Quantiles::of(&found.after_known),
            after_begin: Quantiles::of(&found.after_begin),
        }
    }
}

impl Way {
    fn words(self) -> &'static str {
        match self {
            Self::LocalEnd => "end of a local process",
            Self::LocalStop => "local process stopped",
            Self::LocalHang => "local process hung",
            Self::Silence => "silence from elsewhere",
            Self::Will => "will",
        }
    }
}

impl Quantiles {
    /// Of nanoseconds; all 0 of none.
    pub fn of(spans: &[u64]) -> Self {
        let mut sorted = spans.to_vec();
        sorted.sort_unstable();
        let at = |hundredths: usize| {
            let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
            sorted.get(place).copied().map(span).unwrap_or_default()
        };
        Self { median_s: at(50), p99_s: at(99), worst_s: at(100) }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} {:>9.3} {:>9.3}", self.median_s, self.p99_s, self.worst_s)
    }
}

fn rate(number: u64, months: f64) -> f64 {
    if months > 0.0 { count(number) / months } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}

/// Nanoseconds in seconds, to the millisecond.
pub fn span(nanos: u64) -> f64 {
    count(nanos / 1_000_000) / 1e3
}

/// Nanoseconds for people.
pub fn seconds(nanos: u64) -> String {
    format!("{}.{:06} s", nanos / SECOND, nanos % SECOND / 1000)
}
