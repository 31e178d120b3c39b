//! [`Row`]: a publisher at rest, in 112 bytes.
//!
//! What each byte is for (a message of most publishers needs nothing else):
//!
//! | bytes | what |
//! |---|---|
//! | 24 | since when it is in its state, on both clocks; when it was last heard by the wall clock |
//! | 8 | state, cause, marks, its threshold and the links it is heard on (by their place in a [`Palette`]), their window: 6 more |
//! | 8 | when its process was first heard |
//! | 16 | PID, start, the number that is due next and the first |
//! | 32 | how long messages take: two windows of two clocks, and when the present one began |
//! | 19 | messages, readings, duplicates, late and retained ones; how long messages are under way |
//! | 6 | its [origin](crate::origins::Origins); the end of its id |
//!
//! Beside it, in blocks too: its deadline, 8 bytes, from which follows when it was last heard; its id; 4 bytes in the index for
//! each of 8/7 to 10/7 places. What few publishers have is in a [`Rare`](crate::publisher::Rare), at once gone when there is nothing in it.
//! And where a number does not fit, the publisher stays what it is when it is worked with, some 900 bytes: [`Row::pack`] says so. What was packed
//! is unpacked the same, to the last bit. A usual message is taken in where it is ([`calm`]).

use std::time::Duration;

use lastbeat_wire::{Monotonic, ProcessIdentity, UtcNanos};

use crate::delay::{Baseline, Delay};
use crate::links::{HeardOn, LinkSet};
use crate::narrow::Narrow;
use crate::origins::{Origins, Space};
use crate::publisher::{Counts, Ended, Process, Publisher, Rare};
use crate::sequences::{Disorder, Sequences};
use crate::state::{Cause, State};

mod calm;

/// A publisher at rest. It means nothing without what it shares with others, and what is beside it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    flipped_at: Monotonic,
    since: UtcNanos,
    last_heard_utc: UtcNanos,
    first_heard: Monotonic,
    monotonic_present: i64,
    /// What was before, less what is present.
    monotonic_before: i32,
    wall_before: i32,
    origin: u32,
    messages: u32,
    readings: u32,
    /// Nanoseconds.
    under_way: u32,
    marks: Marks,
    late: u16,
    id_end: u16,
    wall_present: Narrow<6>,
    /// When windows began, before the publisher was last heard.
    links_began: Narrow<6>,
    delay_began: Narrow<6>,
    start: Narrow<5>,
    next: Narrow<5>,
    pid: Narrow<3>,
    first: Narrow<3>,
    duplicates: Narrow<3>,
    state: State,
    cause: Cause,
    links: u8,
    threshold: u8,
    retained: u8,
}

const _: () = assert!(size_of::<Row>() == 112);

/// What is yes or no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks(u16);

impl Marks {
    const UNBROKEN: Self = Self(1);
    const EXPECTED: Self = Self(1 << 1);
    const TOUCHED: Self = Self(1 << 2);
    /// There is a deadline.
    const WATCHED: Self = Self(1 << 3);
    /// It was heard.
    const HEARD: Self = Self(1 << 4);
    /// It was heard one threshold before its deadline.
    const SILENT_THEN: Self = Self(1 << 5);
    /// There is a process, it told itself, it has numbers, it spoke live.
    const PROCESS: Self = Self(1 << 6);
    const IDENTITY: Self = Self(1 << 7);
    const SEQUENCES: Self = Self(1 << 8);
    const SPOKE: Self = Self(1 << 9);
    /// There are differences to the clocks.
    const MONOTONIC: Self = Self(1 << 10);
    const MONOTONIC_BEFORE: Self = Self(1 << 11);
    const WALL: Self = Self(1 << 12);
    const WALL_BEFORE: Self = Self(1 << 13);
    /// There is something beside the row.
    const BESIDE: Self = Self(1 << 14);

    fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }

    fn set(&mut self, mark: Self) {
        self.0 |= mark.0;
    }

    fn only_if(self, yes: bool) -> Self {
        Self(self.0 * u16::from(yes))
    }

    /// The same with this one set, or not.
    fn with(self, mark: Self, yes: bool) -> Self {
        Self((self.0 & !mark.0) | mark.only_if(yes).0)
    }
}

/// What many rows share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    pub origins: Origins,
    links: Palette<(LinkSet, LinkSet)>,
    thresholds: Palette<Duration>,
}

/// The few values that there are of something, each by its place.
#[derive(Debug, Clone)]
struct Palette<T>(Vec<T>);

/// What of a publisher's row does not fit into it, and is not so odd that the whole publisher is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overflow {
    /// Where the deadline does not tell.
    pub last_heard: Option<Monotonic>,
    /// When the process was last heard, where that is not when the publisher was.
    spoke_last: Option<Monotonic>,
    /// Where it is learned, or there are too many.
    threshold: Option<Duration>,
    under_way: Duration,
    disorder: Option<Box<Disorder>>,
    ended: Option<Box<Ended>>,
    /// All of them, where one does not fit.
    counts: Option<Counts>,
}

impl Row {
    /// Of a publisher whose id ends there in the block; the rest comes when it is put there.
    pub fn new(id_end: usize) -> Self {
        Self {
            flipped_at: Monotonic(0),
            since: UtcNanos(0),
            last_heard_utc: UtcNanos(0),
            first_heard: Monotonic(0),
            monotonic_present: 0,
            monotonic_before: 0,
            wall_before: 0,
            origin: 0,
            messages: 0,
            readings: 0,
            under_way: 0,
            marks: Marks::default(),
            late: 0,
            id_end: u16::try_from(id_end).expect("invariant: the ids of a block have at most 65,535 bytes"),
            wall_present: Narrow::ZERO,
            links_began: Narrow::ZERO,
            delay_began: Narrow::ZERO,
            start: Narrow::ZERO,
            next: Narrow::ZERO,
            pid: Narrow::ZERO,
            first: Narrow::ZERO,
            duplicates: Narrow::ZERO,
            state: State::Unseen,
            cause: Cause::NotHeardYet,
            links: 0,
            threshold: 0,
            retained: 0,
        }
    }

    pub fn id_end(&self) -> usize {
        usize::from(self.id_end)
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn is_watched(&self) -> bool {
        self.marks.has(Marks::WATCHED)
    }

    pub fn is_touched(&self) -> bool {
        self.marks.has(Marks::TOUCHED)
    }

    pub fn forget_touch(&mut self) {
        self.marks = self.marks.with(Marks::TOUCHED, false);
    }

    pub fn has_beside(&self) -> bool {
        self.marks.has(Marks::BESIDE)
    }

    pub fn set_beside(&mut self, yes: bool) {
        self.marks = self.marks.with(Marks::BESIDE, yes);
    }

    /// Puts a publisher there, but for its deadline and for what is rare, to which it adds what does not fit. Whether it can: if not,
    /// the publisher is to be kept as it is.
    pub fn pack(&mut self, publisher: &mut Publisher, shared: &mut Shared) -> bool {
        // What is asked of the row itself is there in any case.
        self.state = publisher.state;
        self.marks = Marks::TOUCHED.only_if(publisher.touched).with(Marks::WATCHED, publisher.deadline.is_some());
        let fits = self.try_pack(publisher, shared).is_some();
        if !fits {
            publisher.rare.overflow = Overflow::default();
        }
        fits
    }

    fn try_pack(&mut self, publisher: &mut Publisher, shared: &mut Shared) -> Option<()> {
        self.cause = publisher.cause;
        (self.flipped_at, self.since) = (publisher.flipped_at, publisher.since);
        self.marks = self.marks.with(Marks::UNBROKEN, publisher.unbroken).with(Marks::EXPECTED, publisher.expected);
        self.pack_threshold(publisher, &mut shared.thresholds);
        self.pack_heard(publisher)?;
        let reference = publisher.last_heard.unwrap_or(publisher.flipped_at);
        let (sets, began) = publisher.links.into_parts();
        self.links = shared.links.place(sets, self.links)?;
        self.links_began = before(reference, began)?;
        self.pack_counts(publisher);
        self.pack_origin(publisher, &mut shared.origins)?;
        if let Some(process) = &mut publisher.current {
            self.marks.set(Marks::PROCESS);
            self.pack_delay(&process.delay, reference)?;
            // The last, for it takes out of the process what does not fit.
            self.pack_process(process, publisher.last_heard, &mut publisher.rare.overflow)?;
        }
        Some(())
    }

    fn pack_threshold(&mut self, publisher: &mut Publisher, thresholds: &mut Palette<Duration>) {
        let is_fixed = publisher.rare.adaptive.is_none();
        match is_fixed.then(|| thresholds.place(publisher.threshold, self.threshold)).flatten() {
            Some(place) => self.threshold = place,
            None => publisher.rare.overflow.threshold = Some(publisher.threshold),
        }
    }

    fn pack_heard(&mut self, publisher: &mut Publisher) -> Option<()> {
        let (heard, heard_utc) = match (publisher.last_heard, publisher.last_heard_utc) {
            (None, None) => return Some(()),
            (heard, heard_utc) => (heard?, heard_utc?),
        };
        self.marks.set(Marks::HEARD);
        self.last_heard_utc = heard_utc;
        let allowed = allowed(publisher.threshold, &publisher.rare);
        if publisher.deadline.is_some_and(|deadline| deadline.0.checked_sub(allowed) == Some(heard.0)) {
            self.marks.set(Marks::SILENT_THEN);
        } else {
            publisher.rare.overflow.last_heard = Some(heard);
        }
        Some(())
    }

    fn pack_counts(&mut self, publisher: &mut Publisher) {
        let overflow = &mut publisher.rare.overflow;
        self.under_way = u32::try_from(publisher.under_way.as_nanos()).unwrap_or_else(|_| {
            overflow.under_way = publisher.under_way;
            0
        });
        if self.try_counts(&publisher.counts).is_none() {
            overflow.counts = Some(publisher.counts);
        }
    }

    fn try_counts(&mut self, counts: &Counts) -> Option<()> {
        let Counts { messages, readings, refused, missed, duplicates, late, retained, restarts, conflicts } = *counts;
        if refused | missed | restarts | conflicts != 0 {
            return None;
        }
        (self.messages, self.readings) = (messages.try_into().ok()?, readings.try_into().ok()?);
        self.duplicates = Narrow::of_unsigned(duplicates)?;
        (self.late, self.retained) = (late.try_into().ok()?, retained.try_into().ok()?);
        Some(())
    }

    fn pack_origin(&mut self, publisher: &mut Publisher, origins: &mut Origins) -> Option<()> {
        let identity = publisher.identity();
        let space = identity.map(Space::from);
        if origins.space(publisher.origin) != space {
            publisher.origin = origins.with_space(publisher.origin, space);
        }
        self.origin = publisher.origin;
        if let Some(identity) = identity {
            self.marks.set(Marks::IDENTITY);
            self.pid = Narrow::of_unsigned(identity.pid)?;
            self.start = Narrow::of_unsigned(identity.start)?;
        }
        Some(())
    }

    fn pack_delay(&mut self, delay: &Delay, reference: Monotonic) -> Option<()> {
        let Delay { monotonic, wall } = delay;
        let mut began = None;
        for baseline in [monotonic, wall] {
            match baseline.present {
                None if *baseline == Baseline::default() => {}
                Some(_) if began.is_none_or(|began| began == baseline.began) => began = Some(baseline.began),
                _ => return None,
            }
        }
        self.delay_began = before(reference, Monotonic(began.unwrap_or_default()))?;
        self.marks = self.marks.with(Marks::MONOTONIC_BEFORE, monotonic.before.is_some());
        self.marks = self.marks.with(Marks::WALL_BEFORE, wall.before.is_some());
        if let Some(present) = monotonic.present {
            self.marks.set(Marks::MONOTONIC);
            self.monotonic_present = present;
            self.monotonic_before = less(monotonic.before, present)?;
        }
        if let Some(present) = wall.present {
            self.marks.set(Marks::WALL);
            self.wall_present = Narrow::of(present)?;
            self.wall_before = less(wall.before, present)?;
        }
        Some(())
    }

    fn pack_process(
        &mut self,
        process: &mut Process,
        last_heard: Option<Monotonic>,
        overflow: &mut Overflow,
    ) -> Option<()> {
        match (process.first_heard, process.last_heard) {
            (None, None) => {}
            (first, last) => {
                self.marks.set(Marks::SPOKE);
                self.first_heard = first?;
                last?;
                if last != last_heard {
                    overflow.spoke_last = last;
                }
            }
        }
        if let Some(sequences) = &mut process.sequences {
            self.marks.set(Marks::SEQUENCES);
            self.next = Narrow::of_unsigned(sequences.next)?;
            self.first = Narrow::of_unsigned(sequences.first)?;
            overflow.disorder = sequences.disorder.take();
        }
        overflow.ended = process.ended.take();
        Some(())
    }

    /// The publisher, as it was packed, in place of another one, of which only what is rare is still there: that of this one.
    pub fn unpack(&self, number: u32, deadline: Monotonic, publisher: &mut Publisher, shared: &Shared) {
        let has = |mark| self.marks.has(mark);
        let rare = &mut *publisher.rare;
        let overflow = if self.has_beside() { std::mem::take(&mut rare.overflow) } else { Overflow::default() };
        let threshold = overflow.threshold.unwrap_or_else(|| shared.thresholds.0[usize::from(self.threshold)]);
        let last_heard = has(Marks::HEARD).then(|| match overflow.last_heard {
            Some(heard) => heard,
            None => Monotonic(deadline.0 - allowed(threshold, rare)),
        });
        let reference = last_heard.unwrap_or(self.flipped_at);
        publisher.number = number;
        publisher.origin = self.origin;
        (publisher.state, publisher.cause) = (self.state, self.cause);
        (publisher.since, publisher.flipped_at) = (self.since, self.flipped_at);
        publisher.threshold = threshold;
        publisher.unbroken = has(Marks::UNBROKEN);
        publisher.last_heard = last_heard;
        publisher.last_heard_utc = has(Marks::HEARD).then_some(self.last_heard_utc);
        publisher.links = self.links(reference, shared);
        publisher.under_way = overflow.under_way.max(Duration::from_nanos(self.under_way.into()));
        publisher.expected = has(Marks::EXPECTED);
        publisher.counts = overflow.counts.unwrap_or_else(|| self.counts());
        publisher.deadline = has(Marks::WATCHED).then_some(deadline);
        publisher.touched = has(Marks::TOUCHED);
        if !has(Marks::PROCESS) {
            publisher.current = None;
            return;
        }
        let process = publisher.current.get_or_insert_with(|| Process::new(None));
        let spoke = has(Marks::SPOKE);
        process.identity = self.identity(shared);
        process.sequences = has(Marks::SEQUENCES).then(|| Sequences {
            next: self.next.get_unsigned(),
            first: self.first.get_unsigned(),
            disorder: overflow.disorder,
        });
        process.delay = self.delay(reference);
        process.first_heard = spoke.then_some(self.first_heard);
        process.last_heard = if spoke { overflow.spoke_last.or(last_heard) } else { None };
        process.ended = overflow.ended;
    }

    /// The links it is heard on; the reference is when it was last heard, or else flipped.
    fn links(&self, reference: Monotonic, shared: &Shared) -> HeardOn {
        HeardOn::from_parts(shared.links.0[usize::from(self.links)], after(self.links_began, reference))
    }

    fn identity(&self, shared: &Shared) -> Option<ProcessIdentity> {
        let space = shared.origins.space(self.origin).filter(|_| self.marks.has(Marks::IDENTITY))?;
        Some(ProcessIdentity {
            host: space.host,
            boot: space.boot,
            pid_namespace: space.pid_namespace,
            pid: u32::try_from(self.pid.get_unsigned()).expect("invariant: it was a PID"),
            start: self.start.get_unsigned(),
        })
    }

    fn delay(&self, reference: Monotonic) -> Delay {
        let began = after(self.delay_began, reference).0;
        let has = |mark| self.marks.has(mark);
        let baseline = |present: i64, (is_known, has_before): (bool, bool), less: i32| {
            if !is_known {
                return Baseline::default();
            }
            Baseline { began, present: Some(present), before: Some(present + i64::from(less)).filter(|_| has_before) }
        };
        let monotonic = (has(Marks::MONOTONIC), has(Marks::MONOTONIC_BEFORE));
        let wall = (has(Marks::WALL), has(Marks::WALL_BEFORE));
        Delay {
            monotonic: baseline(self.monotonic_present, monotonic, self.monotonic_before),
            wall: baseline(self.wall_present.get(), wall, self.wall_before),
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            messages: self.messages.into(),
            readings: self.readings.into(),
            duplicates: self.duplicates.get_unsigned(),
            late: self.late.into(),
            retained: self.retained.into(),
            ..Counts::default()
        }
    }
}

impl<T> Default for Palette<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + PartialEq> Palette<T> {
    /// The place of a value, which is usually there; `None` if there are too many.
    fn place(&mut self, value: T, usual: u8) -> Option<u8> {
        self.known(value, usual).or_else(|| {
            let place = u8::try_from(self.0.len()).ok()?;
            self.0.push(value);
            Some(place)
        })
    }

    /// The place of a value that has one.
    fn known(&self, value: T, usual: u8) -> Option<u8> {
        if self.0.get(usize::from(usual)) == Some(&value) {
            return Some(usual);
        }
        u8::try_from(self.0.iter().position(|known| *known == value)?).ok()
    }
}

/// The silence it is allowed since the monotonic clock's start, in nanoseconds.
fn allowed(threshold: Duration, rare: &Rare) -> u64 {
    nanos(threshold.saturating_sub(rare.silence_before))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock's start, which is where windows begin that never did.
const START: i64 = -1 << 47;

/// How long before a reference an instant was; `None` if it does not fit.
fn before(reference: Monotonic, instant: Monotonic) -> Option<Narrow<6>> {
    if instant == Monotonic(0) {
        return Narrow::of(START);
    }
    let (reference, instant) = (i64::try_from(reference.0).ok()?, i64::try_from(instant.0).ok()?);
    Narrow::of(reference - instant).filter(|span| span.get() != START)
}

/// The opposite of [`before`].
fn after(span: Narrow<6>, reference: Monotonic) -> Monotonic {
    match span.get() {
        START => Monotonic(0),
        span => Monotonic(reference.0.wrapping_add_signed(-span)),
    }
}

/// What was before, less what is present; 0 where nothing was.
fn less(before: Option<i64>, present: i64) -> Option<i32> {
    before.map_or(Some(0), |before| i32::try_from(before.checked_sub(present)?).ok())
}
