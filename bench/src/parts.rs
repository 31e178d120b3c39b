//! The parts alone, each made ready once and then run as often as wanted: timed by criterion, counted in instructions by
//! `scripts/instructions`.

use std::time::Duration;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_log::{Log, LogOptions, Position};
use lastbeat_publisher::source::csv::{self, CsvSource};
use lastbeat_publisher::source::{Source, Step};
use lastbeat_subscriber::measured::{self, Taking};
use lastbeat_swarm::{Seen, Swarm, SwarmRules};
use lastbeat_watchdog::{Heard, LinkNumber, Reception, WatchRules, Watchdog};
use lastbeat_wire::{
    Body, Encoding, Fields, Header, Kind, Message, Monotonic, Now, ProcessIdentity, UtcNanos, Value, decode, encode,
};

use crate::ready::{Ready, elsewhere, reading};

/// The silence that is allowed to those who beat here, five times in it.
const THRESHOLD: Duration = Duration::from_secs(50);
/// Records between two commits of the log: so many that the writer's turns, which are never the same twice, count for little.
const BATCH: u64 = 1 << 16;
/// Records that the store is given at once.
pub const STORED: u64 = 1_000;

/// One part, ready.
pub type Running = Box<dyn FnMut(u64) -> anyhow::Result<Duration>>;

/// A part of the whole.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Whether its instructions are counted, too: not where that takes minutes.
    pub counted: bool,
    make: Make,
}

#[derive(Debug, Clone, Copy)]
enum Make {
    Decode(Encoding),
    Encode(Encoding),
    Beat(u32),
    Shuffled(u32),
    AllDue(u32),
    Judge,
    Line,
    Append,
    Store,
    Row,
}

/// All of them.
pub const ALL: [Part; 15] = [
    part("decode JSON", Make::Decode(Encoding::Json)),
    part("decode MessagePack", Make::Decode(Encoding::MessagePack)),
    part("encode JSON", Make::Encode(Encoding::Json)),
    part("encode MessagePack", Make::Encode(Encoding::MessagePack)),
    part("beat among 10", Make::Beat(10)),
    part("beat among 10,000", Make::Beat(10_000)),
    Part { name: "beat among 1,000,000", counted: false, make: Make::Beat(1_000_000) },
    Part { name: "beat among 1,000,000 in any order", counted: false, make: Make::Shuffled(1_000_000) },
    part("10,000 due at once", Make::AllDue(10_000)),
    Part { name: "1,000,000 due at once", counted: false, make: Make::AllDue(1_000_000) },
    part("judge 250 of 10,000 pairs", Make::Judge),
    part("line protocol", Make::Line),
    part("log append", Make::Append),
    part("store 1,000 readings", Make::Store),
    part("CSV row", Make::Row),
];

const fn part(name: &'static str, make: Make) -> Part {
    Part { name, counted: true, make }
}

impl Part {
    /// Makes it ready: what is returned runs it so many times, and tells how long that took, without what had to be made for it
    /// each time.
    pub fn make(self) -> anyhow::Result<Running> {
        Ok(match self.make {
            Make::Decode(encoding) => {
                let mut payload = Vec::new();
                Ready::reading(encoding, elsewhere(1)).write(&mut payload, 4_711, UtcNanos(1_753_000_000_000_000_000));
                timed(move |_| drop(std::hint::black_box(decode(Kind::Sensor, std::hint::black_box(&payload)))))
            }
            Make::Encode(encoding) => {
                let header = Header {
                    process: Some(elsewhere(1)),
                    sequence: Some(4_711),
                    sent_at: Some(UtcNanos(1_753_000_000_000_000_000)),
                    ..Header::default()
                };
                let message = Message { header, body: Body::Reading(reading()), log: None };
                timed(move |_| drop(std::hint::black_box(encode(std::hint::black_box(&message), encoding))))
            }
            Make::Beat(publishers) => {
                let mut crowd = Crowd::new(publishers);
                timed(move |_| crowd.beat_next())
            }
            Make::Shuffled(publishers) => {
                let mut crowd = Crowd::new(publishers);
                crowd.shuffle();
                timed(move |_| crowd.beat_next())
            }
            Make::AllDue(publishers) => {
                let mut crowd = Crowd::new(publishers);
                Box::new(move |times| Ok((0..times).map(|_| crowd.all_due()).sum()))
            }
            Make::Judge => {
                let mut pinged = Pinged::new();
                timed(move |number| pinged.judge(number))
            }
            Make::Line => {
                let (mut out, header, reading) = (Vec::new(), Header::default(), reading());
                timed(move |number| {
                    out.clear();
                    let time = UtcNanos(1_753_000_000_000_000_000 + number.cast_signed());
                    std::hint::black_box(measured::line(&mut out, "light-1", &header, &reading, time));
                })
            }
            Make::Append => append()?,
            Make::Store => Box::new(store),
            Make::Row => rows()?,
        })
    }
}

/// Times so many calls; each is given its number.
fn timed(mut once: impl FnMut(u64) + 'static) -> Running {
    Box::new(move |times| {
        let began = Clock.now().monotonic;
        (0..times).for_each(&mut once);
        Ok(Clock.now().monotonic.since(began))
    })
}

fn append() -> anyhow::Result<Running> {
    let folder = tempfile::tempdir()?;
    // Nothing is turned away: it is the loop's share that is measured, not the disk's.
    let options = LogOptions { pending_bytes: 1 << 40, ..LogOptions::default() };
    let (mut log, _) = Log::open(folder.path(), options)?;
    let body = [b'x'; 250];
    Ok(timed(move |number| {
        let _folder = &folder;
        log.append(1, &[&body]).expect("invariant: there is room");
        if number % BATCH == 0 {
            log.commit();
        }
    }))
}

/// Each time, [`STORED`] readings go from a log into a new store.
fn store(times: u64) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let (mut log, _) =
        Log::open(&folder.path().join("log"), LogOptions { pending_bytes: 1 << 40, ..LogOptions::default() })?;
    let (ready, mut payload) = (Ready::reading(Encoding::Json, elsewhere(1)), Vec::new());
    for number in 0..times * STORED {
        let time = UtcNanos(1_753_000_000_000_000_000 + number.cast_signed());
        ready.write(&mut payload, number, time);
        let (kind, body) = measured::record(time, b"sensor/light-1", &payload);
        log.append(kind, &[&body])?;
    }
    let handle = log.handle().clone();
    log.close(Duration::from_mins(1));
    let mut store = Taking::open(&folder.path().join("lastbeat.db"))?;
    let mut reader = handle.reader(Position::START)?;
    let (began, mut taken) = (Clock.now().monotonic, 0);
    while taken < times * STORED {
        taken += store.take(&mut reader)?;
    }
    Ok(Clock.now().monotonic.since(began))
}

fn rows() -> anyhow::Result<Running> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rows.csv");
    let mut text = "time,celsius,humidity,lux,pascal,volt\n".to_owned();
    for row in 0..1_000 {
        text += &format!("2026-01-01T00:{:02}:{:02}Z,21.{row},48.25,318.5,101325.125,3.296\n", row / 60, row % 60);
    }
    std::fs::write(&path, text).context("write a CSV file")?;
    let mut source = CsvSource::open(csv::Settings {
        path,
        delimiter: None,
        header: csv::Header::Present,
        columns: None,
        types: Vec::new(),
        time_column: csv::TimeColumn::Detect,
        time_format: None,
        zone: chrono_tz::UTC,
        point_time: csv::PointTime::Sent,
        untimed: csv::Untimed::Allowed,
        repeat: csv::Repeat::Forever,
    })?;
    let now = Clock.now();
    Ok(timed(move |_| {
        let _folder = &folder;
        match source.advance(now) {
            Ok(Step::Reading { .. }) => drop(std::hint::black_box(source.reading())),
            Ok(Step::Later(_)) => {}
            other => panic!("a row of a good file: {other:?}"),
        }
    }))
}

/// A swarm of 100 agents with 100 targets each, all well but for one agent's link and one target.
struct Pinged {
    swarm: Swarm,
    names: Vec<String>,
    now: Now,
}

impl Pinged {
    const AGENTS: usize = 100;

    /// All pairs are judged.
    fn new() -> Self {
        let now = Now { monotonic: Monotonic(1 << 40), utc: UtcNanos(1_753_000_000_000_000_000) };
        let names = (0..Self::AGENTS).map(|number| format!("city-{number}")).collect();
        let mut pinged = Self { swarm: Swarm::new(SwarmRules::default()), names, now };
        (0..Self::AGENTS * Self::AGENTS).for_each(|pair| pinged.see(pair));
        pinged.due();
        pinged
    }

    fn see(&mut self, pair: usize) {
        let (agent, target) = (pair % Self::AGENTS, pair / Self::AGENTS);
        let mut fields = Fields::new();
        fields.push("loss", Value::Float(if agent == 0 || target == 0 { 100.0 } else { 0.0 }));
        fields.push("avg", Value::Float(12.5));
        let seen = Seen {
            agent: &self.names[agent],
            target: &self.names[target],
            at: self.now.monotonic.into(),
            time: self.now.utc,
            broker: Some("bench"),
            host: None,
            fields: &fields,
        };
        self.swarm.see(self.now, &seen);
    }

    fn due(&mut self) {
        let due = self.swarm.next_deadline().expect("invariant: results have come");
        self.now.monotonic = self.now.monotonic.max(due);
        drop(std::hint::black_box(self.swarm.due(self.now)));
    }

    /// Has 250 new results, of pairs far from each other, and is judged; the agent's link and the target are as they were.
    fn judge(&mut self, number: u64) {
        self.now.monotonic = self.now.monotonic.plus(Duration::from_millis(1));
        let pairs = Self::AGENTS * Self::AGENTS;
        (0..250).for_each(|place| self.see((place * 40 + number as usize * 7) % pairs));
        self.due();
    }
}

/// A watchdog with its publishers, who beat in turn, five times a threshold each, in simulated time.
pub struct Crowd {
    watchdog: Watchdog,
    ids: Vec<String>,
    process: ProcessIdentity,
    now: Now,
    step: Duration,
    next: usize,
    number: u64,
}

impl Crowd {
    /// The ids of so many.
    pub fn ids(publishers: u32) -> Vec<String> {
        (0..publishers).map(|number| format!("light-{number}")).collect()
    }

    /// So many, all heard once.
    pub fn new(publishers: u32) -> Self {
        Self::of(Self::ids(publishers))
    }

    /// The same with ids that are there already.
    pub fn of(ids: Vec<String>) -> Self {
        let now = Now { monotonic: Monotonic(1 << 40), utc: UtcNanos(1_753_000_000_000_000_000) };
        let rules = WatchRules { links: vec!["bench".to_owned()], threshold: THRESHOLD, ..WatchRules::default() };
        let mut watchdog = Watchdog::new(rules, now);
        watchdog.begin(now, Some(now.utc));
        watchdog.link_up(now, LinkNumber(0));
        let step = THRESHOLD / 5 / ids.len() as u32;
        let mut crowd = Self { watchdog, ids, process: elsewhere(1), now, step, next: 0, number: 0 };
        for _ in 0..crowd.ids.len() {
            crowd.beat_next();
        }
        crowd
    }

    /// Has them beat in another order than that in which they became known, so that none is found beside the one before.
    pub fn shuffle(&mut self) {
        let count = self.ids.len();
        // With no common divisor, about the golden ratio of them: all of them once, and far from each other.
        let divides =
            |one: usize, other: usize| (2..=other).any(|by| one.is_multiple_of(by) && other.is_multiple_of(by));
        let stride = (count * 618 / 1000..count).find(|stride| !divides(count, *stride)).unwrap_or(1);
        // Made anew, so that they lie in the memory in the order in which they beat.
        self.ids = (0..count).map(|place| self.ids[place * stride % count].as_str().into()).collect();
    }

    /// One beats, and what is due is done.
    pub fn beat_next(&mut self) {
        self.hear_next();
        self.watchdog.due(self.now);
        std::hint::black_box(self.watchdog.next_deadline());
        drop(self.watchdog.outputs());
    }

    fn hear_next(&mut self) {
        self.now = Now { monotonic: self.now.monotonic.plus(self.step), utc: self.now.utc.plus(self.step) };
        self.hear(self.next);
        self.next += 1;
        if self.next == self.ids.len() {
            (self.next, self.number) = (0, self.number + 1);
            // Whoever looks takes what has changed, time and again.
            drop(self.watchdog.touched(usize::MAX));
        }
    }

    fn hear(&mut self, index: usize) {
        let header = Header {
            process: Some(self.process),
            sequence: Some(self.number),
            sent_at: Some(self.now.utc),
            ..Header::default()
        };
        let reception = self.watchdog.heard(
            self.now,
            &Heard {
                publisher: &self.ids[index],
                kind: Kind::Beat,
                link: Some(LinkNumber(0)),
                retained: false,
                resent: false,
                readable: true,
                header: &header,
                log: None,
            },
        );
        debug_assert_eq!(reception, Reception::Live);
    }

    /// All beat at one instant, and then none does: how long it takes to judge them all at their one deadline.
    ///
    /// # Panics
    /// If not all are judged.
    pub fn all_due(&mut self) -> Duration {
        self.number += 1;
        self.now = Now { monotonic: self.now.monotonic.plus(THRESHOLD * 2), utc: self.now.utc.plus(THRESHOLD * 2) };
        // Whoever was silent before is judged before.
        self.watchdog.due(self.now);
        for index in 0..self.ids.len() {
            self.hear(index);
        }
        drop((self.watchdog.outputs(), self.watchdog.touched(usize::MAX)));
        self.now = Now { monotonic: self.now.monotonic.plus(THRESHOLD), utc: self.now.utc.plus(THRESHOLD) };
        let began = Clock.now().monotonic;
        self.watchdog.due(self.now);
        let span = Clock.now().monotonic.since(began);
        let outputs = self.watchdog.outputs();
        assert!(outputs.len() >= self.ids.len(), "{} outputs of {}", outputs.len(), self.ids.len());
        span
    }

    /// What a beat costs more, in nanoseconds, for doing after each what is due: over five beats of each, so that every entry
    /// comes up.
    pub fn deadlines_share(publishers: u32) -> f64 {
        let beats = u64::from(publishers) * 6;
        let measure = |what: fn(&mut Self)| {
            let mut crowd = Self::new(publishers);
            let began = Clock.now().monotonic;
            (0..beats).for_each(|_| what(&mut crowd));
            Clock.now().monotonic.since(began).as_nanos() as f64 / beats as f64
        };
        let with = measure(Self::beat_next);
        let without = measure(|crowd| {
            crowd.hear_next();
            drop(crowd.watchdog.outputs());
        });
        (with - without).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_is_counted_runs() {
        for part in ALL.iter().filter(|part| part.counted) {
            part.make().and_then(|mut run| run(2)).unwrap_or_else(|error| panic!("{}: {error:#}", part.name));
        }
    }

    #[test]
    fn a_crowd_that_beats_is_never_silent() {
        let mut crowd = Crowd::new(10);
        for beat in 0..200 {
            if beat == 100 {
                crowd.shuffle();
            }
            crowd.hear_next();
            crowd.watchdog.due(crowd.now);
            assert!(crowd.number == 1 || crowd.watchdog.outputs().is_empty());
        }
        assert!(crowd.watchdog.statuses(crowd.now).all(|status| status.state.alive() == Some(true)));
    }
}
