//! [`Publishers`]: all publishers, at rest. One is taken out to be worked with ([`Publishers::open`]) and put back
//! ([`Publishers::close`]).
//!
//! What each byte of a publisher is for is said in `row.rs`. A message needs few lines of memory: one or two each of the
//! index, of the row and of the id's text, one of the deadlines; the rest is shared by many, or rare.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use lastbeat_wire::{Monotonic, PublisherId};

use crate::deadlines::Deadlines;
use crate::index::Index;
use crate::publisher::{Publisher, Rare};
use crate::row::{Row, Shared};
use crate::state::State;

/// So many rows grow at once: those that are there stay where they are.
const BLOCK: usize = 256;
const _: () = assert!(BLOCK * PublisherId::MAX_BYTES <= u16::MAX as usize, "an id's place in its block has 16 bits");

/// All publishers, by their number: their place in the order in which they became known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publishers {
    blocks: Vec<Block>,
    index: Index,
    /// Of its own, so that nobody outside can make ids that collide.
    keys: RandomState,
    deadlines: Deadlines,
    shared: Shared,
    /// What the rows have no room for.
    beside: HashMap<u32, Beside, BuildHasherDefault<ByNumber>>,
    /// The room for the next publisher that is taken out, with nothing rare in it.
    spare: Option<Box<Publisher>>,
    /// Who was taken out last.
    last: u32,
}

#[derive(Debug, Clone)]
struct Block {
    rows: Vec<Row>,
    /// Their ids, one after the other.
    ids: String,
}

/// What of a publisher is not in its row.
#[derive(Debug, Clone)]
enum Beside {
    /// Nothing but when it was last heard, as of most that are blind or silent: in 24 bytes instead of some 350.
    Heard(Monotonic),
    Rare(Box<Rare>),
    /// All of it, for there is something so odd in it that the row has no form for it.
    Whole(Box<Publisher>),
}

/// Spreads numbers that we gave ourselves, so that nobody can make ones that collide.
#[derive(Debug, Default)]
struct ByNumber(u64);

impl Hasher for ByNumber {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio, as Knuth has it.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Publishers {
    pub fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.rows.len())
    }

    pub fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.len()).expect("invariant: max_publishers is checked to be below 2^32")
    }

    /// The number of a publisher.
    ///
    /// Who beats at the same pace is heard in the same order again and again, which is that of their numbers: so the next one
    /// is looked at first, which spares a miss of the cache.
    pub fn find(&self, id: &str) -> Option<u32> {
        let next = self.last + 1;
        if (next as usize) < self.len() && self.id(next) == id {
            return Some(next);
        }
        self.index.find(self.keys.hash_one(id), |number| self.id(number) == id)
    }

    /// The id of a publisher.
    pub fn id(&self, number: u32) -> &str {
        let (block, place) = self.place(number);
        let begin = place.checked_sub(1).map_or(0, |before| block.rows[before].id_end());
        &block.ids[begin..block.rows[place].id_end()]
    }

    /// The same, to be told.
    pub fn publisher_id(&self, number: u32) -> PublisherId {
        self.id(number).try_into().expect("invariant: it was one when it was added")
    }

    /// Adds a publisher that is not known yet: its number. It is to be put there ([`close`](Self::close)) before it is taken out.
    pub fn add(&mut self, id: &PublisherId) -> u32 {
        let number = self.numbers().end;
        if self.blocks.last().is_none_or(|block| block.rows.len() == BLOCK) {
            if let Some(full) = self.blocks.last_mut() {
                full.ids.shrink_to_fit();
            }
            self.blocks.push(Block { rows: Vec::with_capacity(BLOCK), ids: String::new() });
        }
        let block = self.blocks.last_mut().expect("invariant: there is one");
        block.ids.push_str(id.as_str());
        block.rows.push(Row::new(block.ids.len()));
        self.deadlines.add();
        let mut index = std::mem::take(&mut self.index);
        index.add(self.keys.hash_one(id.as_str()), |number| self.keys.hash_one(self.id(number)));
        self.index = index;
        number
    }

    /// Takes a publisher out. Its row is not to be looked at until it is put back.
    pub fn open(&mut self, number: u32) -> Box<Publisher> {
        self.last = number;
        let row = &self.blocks[number as usize / BLOCK].rows[number as usize % BLOCK];
        let deadline = self.deadlines.get(number);
        let beside = row.has_beside().then(|| self.beside.remove(&number)).flatten();
        if let Some(Beside::Whole(mut whole)) = beside {
            whole.touched = row.is_touched();
            return whole;
        }
        let mut publisher = self.spare.take().unwrap_or_default();
        match beside {
            Some(Beside::Heard(heard)) => publisher.rare.overflow.last_heard = Some(heard),
            Some(Beside::Rare(rare)) => publisher.rare = rare,
            _ => {}
        }
        row.unpack(number, deadline, &mut publisher, &self.shared);
        publisher
    }

    /// Puts a publisher back.
    pub fn close(&mut self, mut publisher: Box<Publisher>) {
        let number = publisher.number;
        self.deadlines.set(number, publisher.deadline);
        let row = &mut self.blocks[number as usize / BLOCK].rows[number as usize % BLOCK];
        let had_beside = row.has_beside();
        if !row.pack(&mut publisher, &mut self.shared) {
            row.set_beside(true);
            self.beside.insert(number, Beside::Whole(publisher));
            return;
        }
        let heard = publisher.rare.overflow.last_heard.take();
        if let (true, Some(heard)) = (publisher.rare.is_empty(), heard) {
            row.set_beside(true);
            self.beside.insert(number, Beside::Heard(heard));
        } else if !publisher.rare.is_empty() {
            publisher.rare.overflow.last_heard = heard;
            row.set_beside(true);
            self.beside.insert(number, Beside::Rare(std::mem::take(&mut publisher.rare)));
        } else if had_beside && self.beside.len() * 8 < self.beside.capacity() {
            self.beside.shrink_to(self.beside.len() * 2);
        }
        self.spare = Some(publisher);
    }

    /// A copy of a publisher, to be looked at.
    pub fn get(&self, number: u32) -> Publisher {
        let (block, place) = self.place(number);
        let row = &block.rows[place];
        let mut publisher = Publisher::default();
        match row.has_beside().then(|| self.beside.get(&number)).flatten() {
            Some(Beside::Whole(whole)) => return Publisher { touched: row.is_touched(), ..Publisher::clone(whole) },
            Some(Beside::Heard(heard)) => publisher.rare.overflow.last_heard = Some(*heard),
            Some(Beside::Rare(rare)) => publisher.rare.clone_from(rare),
            None => {}
        }
        row.unpack(number, self.deadlines.get(number), &mut publisher, &self.shared);
        publisher
    }

    /// A publisher's row, its deadline, and what rows share.
    pub fn row(&self, number: u32) -> (&Row, Monotonic, &Shared) {
        let (block, place) = self.place(number);
        (&block.rows[place], self.deadlines.get(number), &self.shared)
    }

    /// Puts a publisher's row in place of what it was, with its new deadline.
    pub fn set_row(&mut self, number: u32, row: Row, deadline: Monotonic) {
        self.last = number;
        self.blocks[number as usize / BLOCK].rows[number as usize % BLOCK] = row;
        self.deadlines.set(number, Some(deadline));
    }

    /// Its state.
    pub fn state(&self, number: u32) -> State {
        let (block, place) = self.place(number);
        block.rows[place].state()
    }

    /// Whether a publisher has a deadline.
    pub fn is_watched(&self, number: u32) -> bool {
        let (block, place) = self.place(number);
        block.rows[place].is_watched()
    }

    /// A publisher was told of.
    pub fn forget_touch(&mut self, number: u32) {
        self.blocks[number as usize / BLOCK].rows[number as usize % BLOCK].forget_touch();
    }

    /// The name of a publisher's host, where it told it.
    pub fn host(&self, publisher: &Publisher) -> Option<&str> {
        self.shared.origins.host(publisher.origin)
    }

    pub fn set_host(&mut self, publisher: &mut Publisher, host: Option<&str>) {
        publisher.origin = self.shared.origins.with_host(publisher.origin, host);
    }

    /// Who is due: see [`Deadlines::due`]. Each of them is to be taken out and put back.
    pub fn due(&mut self, now: Monotonic) -> Vec<u32> {
        self.deadlines.due(now)
    }

    /// When somebody is due, at the soonest.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.deadlines.next()
    }

    fn place(&self, number: u32) -> (&Block, usize) {
        (&self.blocks[number as usize / BLOCK], number as usize % BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lastbeat_wire::{BootId, HostId, Now, ProcessIdentity, UtcNanos};
    use proptest::prelude::*;

    use super::*;
    use crate::delay::{Baseline, Delay};
    use crate::evidence::{Evidence, Fact, Source};
    use crate::links::{HeardOn, LinkNumber, LinkSet};
    use crate::publisher::{Ended, Phase, Process};
    use crate::sequences::Sequences;
    use crate::state::Cause;

    const SECOND: u64 = 1_000_000_000;
    const HEARD: Monotonic = Monotonic(5_000_000 * SECOND);

    /// One as most are: it told all of itself and was heard 50 s before its deadline.
    fn usual(number: u32) -> Publisher {
        let now = Now { monotonic: Monotonic(HEARD.0 - 100 * SECOND), utc: UtcNanos(1_700_000_000_000_000_000) };
        let threshold = Duration::from_secs(50);
        let space = ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4242, start: 123_456 };
        let baseline = |present| Baseline { began: HEARD.0 - 30 * SECOND, present, before: present };
        let mut links = LinkSet::default();
        links.insert(LinkNumber(0));
        let process = Process {
            sequences: Some(Sequences::starting_at(17)),
            delay: Delay { monotonic: baseline(Some(1 << 50)), wall: baseline(Some(-70_000)) },
            first_heard: Some(now.monotonic),
            last_heard: Some(HEARD),
            ..Process::new(Some(space))
        };
        Publisher {
            state: State::Alive,
            cause: Cause::Heard,
            last_heard: Some(HEARD),
            last_heard_utc: Some(now.utc),
            links: HeardOn::from_parts((links, links), Monotonic(HEARD.0 - 20 * SECOND)),
            current: Some(process),
            deadline: Some(HEARD.plus(threshold)),
            ..Publisher::new(number, threshold, now)
        }
    }

    /// Numbers at the edges of what fits somewhere, and others.
    fn odd() -> impl Strategy<Value = u64> {
        let edge = (prop::sample::select(vec![7u32, 8, 15, 16, 23, 24, 31, 32, 39, 40, 47, 48, 62, 63]), 0..3u64)
            .prop_map(|(bits, by)| (1u64 << bits) + by - 1);
        prop_oneof![3 => 0..3u64, 2 => 0..1000u64, 6 => edge, 1 => Just(u64::MAX), 2 => any::<u64>()]
    }

    /// Makes one thing of a publisher another.
    fn make_odd(publisher: &mut Publisher, what: u8, odd: u64) {
        let signed = odd.cast_signed();
        let (maybe, span) = (Some(Monotonic(odd)).filter(|_| !odd.is_multiple_of(3)), Duration::from_nanos(odd));
        let evidence = Evidence { at: UtcNanos(signed), source: Source::Pidfd, fact: Fact::Gone };
        let rare = &mut publisher.rare;
        let mut of_nobody = Process::new(None);
        let process = publisher.current.as_mut().unwrap_or(&mut of_nobody);
        let identity = process.identity.as_mut();
        let baseline = if odd.is_multiple_of(2) { &mut process.delay.monotonic } else { &mut process.delay.wall };
        match what {
            0 => publisher.state = State::ALL[usize::try_from(odd % 10).unwrap()],
            1 => publisher.cause = Cause::ALL[usize::try_from(odd % 20).unwrap()],
            2 => publisher.since = UtcNanos(signed),
            3 => publisher.flipped_at = Monotonic(odd),
            4 => publisher.threshold = span.saturating_mul(u32::try_from(odd % 5).unwrap()),
            5 => publisher.unbroken ^= true,
            6 => publisher.last_heard = maybe,
            7 => publisher.last_heard_utc = maybe.map(|_| UtcNanos(signed)),
            8 => publisher.links = HeardOn::from_parts(publisher.links.into_parts().0, Monotonic(odd)),
            9 => publisher.links = LinkSet::default().into(),
            10 => publisher.under_way = span,
            11 => publisher.current = None,
            12 => publisher.expected ^= true,
            13 => publisher.counts.messages = odd,
            14 => publisher.counts.readings = odd,
            15 => publisher.counts.missed = odd,
            16 => publisher.counts.duplicates = odd,
            17 => publisher.counts.late = odd,
            18 => publisher.counts.retained = odd,
            19 => publisher.counts.conflicts = odd,
            20 => publisher.deadline = maybe,
            21 => publisher.touched ^= true,
            22 => rare.evidence.push(evidence),
            23 => rare.silence_before = span,
            24 => rare.previous = publisher.current.clone().map(Box::new),
            25 => rare.will = Some(Box::new(evidence)),
            26 => rare.conflict = maybe,
            27 => rare.phase = Phase::Asked { at: Monotonic(odd), missed: maybe },
            28 => process.identity = None,
            29 => identity.into_iter().for_each(|identity| identity.pid = u32::try_from(odd % (1 << 32)).unwrap()),
            30 => identity.into_iter().for_each(|identity| identity.start = odd),
            31 => identity.into_iter().for_each(|identity| identity.boot = BootId(odd.into())),
            32 => process.sequences = maybe.map(|_| Sequences::starting_at(odd)),
            33 => drop(process.sequences.as_mut().map(|sequences| sequences.take(odd))),
            34 => process.first_heard = maybe,
            35 => process.last_heard = maybe,
            36 => process.ended = Some(Box::new(Ended { at: Monotonic(odd), evidence })),
            37 => baseline.began = odd,
            38 => baseline.present = maybe.map(|_| signed),
            39 => baseline.before = maybe.map(|_| signed),
            _ => *baseline = Baseline::default(),
        }
    }

    /// But for the number of its origin, which the store gives it.
    fn same(one: &Publisher, other: &Publisher) -> bool {
        *one == Publisher { origin: one.origin, ..other.clone() }
    }

    proptest! {
        #[test]
        fn one_that_is_put_back_is_taken_out_the_same(
            told in prop::collection::vec(prop::collection::vec((0..41u8, odd()), 0..4), 1..40),
        ) {
            let mut publishers = Publishers::default();
            let id = PublisherId::try_from("light-1").unwrap();
            let number = publishers.add(&id);
            publishers.close(Box::new(usual(number)));
            for changes in told {
                let mut publisher = publishers.open(number);
                for (what, odd) in &changes {
                    make_odd(&mut publisher, *what, *odd);
                }
                let put_back = publisher.clone();
                publishers.close(publisher);
                let looked_at = publishers.get(number);
                prop_assert!(same(&looked_at, &put_back), "{:#?}\n{:#?}", looked_at, put_back);
                let taken_out = publishers.open(number);
                prop_assert!(same(&taken_out, &put_back), "{:#?}\n{:#?}", taken_out, put_back);
                prop_assert_eq!(publishers.deadlines.get(number), put_back.deadline.unwrap_or(Monotonic(u64::MAX)));
                publishers.close(taken_out);
            }
            // Calm again, it takes no more than its row.
            let mut publisher = publishers.open(number);
            *publisher = Publisher { origin: publisher.origin, ..usual(number) };
            publishers.close(publisher);
            prop_assert!(publishers.beside.is_empty());
        }

        #[test]
        fn ids_are_found_and_nothing_else_is(ids in prop::collection::btree_set("[a-c]{1,4}/[a-c]{1,3}", 1..600)) {
            let mut publishers = Publishers::default();
            let ids: Vec<_> = ids.into_iter().filter_map(|id| PublisherId::try_from(&*id).ok()).collect();
            for (number, id) in (0u32..).zip(&ids) {
                prop_assert_eq!(publishers.find(id.as_str()), None);
                prop_assert_eq!(publishers.add(id), number);
                publishers.close(Box::new(Publisher { number, ..Publisher::default() }));
            }
            for (number, id) in (0u32..).zip(&ids) {
                prop_assert_eq!(publishers.find(id.as_str()), Some(number));
                prop_assert_eq!(publishers.publisher_id(number), id.clone());
            }
        }
    }
}
