//! [`Ring`]: the messages of late, in memory, so that what a link lost can be sent again. Bounded in bytes and in age.

use std::collections::VecDeque;
use std::time::Duration;

use lastbeat_wire::{Kind, Monotonic};

/// Messages are kept and let go of in blocks of so many bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// What stands for a message beside its bytes.
const OVERHEAD_BYTES: usize = size_of::<Entry>();
/// Where an envelope's mark stands if its sender put it first; only such a message tells its process and number.
const MARK_WITHIN: usize = 16;

/// Where a message is: its number since the start.
pub type Place = u64;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'a> {
    /// Its topic's bytes.
    pub topic: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

/// The messages of late.
#[derive(Debug)]
pub struct Ring {
    blocks: VecDeque<Block>,
    /// The place of the first message kept.
    first: Place,
    most_bytes: usize,
    longest: Duration,
    /// What the full blocks take.
    bytes: usize,
}

#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    first: Place,
    newest: Monotonic,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    begin: u32,
    topic_end: u32,
    end: u32,
}

impl Block {
    fn at(first: Place) -> Self {
        Self { bytes: Vec::new(), entries: Vec::new(), first, newest: Monotonic(0) }
    }

    /// An emptied one, if its memory is of the usual size.
    fn again(mut self, first: Place) -> Option<Self> {
        self.bytes.clear();
        self.entries.clear();
        let is_usual = self.bytes.capacity() == BLOCK_BYTES && self.entries.capacity() * OVERHEAD_BYTES <= BLOCK_BYTES;
        is_usual.then_some(Self { bytes: self.bytes, entries: self.entries, ..Self::at(first) })
    }

    fn size(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * OVERHEAD_BYTES
    }

    /// Gives back what is not used, if that is worth it.
    fn shrink(&mut self) {
        if self.bytes.capacity() - self.bytes.len() > BLOCK_BYTES / 16 {
            self.bytes.shrink_to_fit();
        }
        self.entries.shrink_to_fit();
    }
}

impl Ring {
    /// Keeps at most so many bytes, its own bookkeeping included, for so long; nothing with 0 bytes.
    pub fn new(most_bytes: usize, longest: Duration) -> Self {
        Self { blocks: VecDeque::new(), first: 0, most_bytes, longest, bytes: 0 }
    }

    /// Whether it keeps anything at all.
    pub fn is_on(&self) -> bool {
        self.most_bytes > 0
    }

    /// Keeps a message, if it is one that can be asked for.
    ///
    /// # Panics
    /// On a message of 4 GiB; no socket takes one.
    pub fn push(&mut self, now: Monotonic, topic: &[u8], payload: &[u8]) {
        let numbered = payload[..payload.len().min(MARK_WITHIN)].windows(8).any(|window| window == b"lastbeat");
        if !numbered || !Kind::ALL.into_iter().any(|kind| topic.starts_with(kind.prefix().as_bytes())) {
            return;
        }
        let length = topic.len() + payload.len();
        let place = self.end();
        let full = |block: &Block| block.bytes.len() + length > BLOCK_BYTES;
        if self.blocks.back().is_none_or(full) {
            self.begin_block(now, place);
        }
        let Some(block) = self.blocks.back_mut() else { return };
        let at = |length: usize| u32::try_from(length).expect("invariant: a block and a message are less than 4 GiB");
        let begin = block.bytes.len();
        block.bytes.extend_from_slice(topic);
        block.bytes.extend_from_slice(payload);
        block.entries.push(Entry { begin: at(begin), topic_end: at(begin + topic.len()), end: at(begin + length) });
        block.newest = now;
    }

    /// The place of the first message kept.
    pub fn first(&self) -> Place {
        self.first
    }

    /// The place of the next message to come.
    pub fn end(&self) -> Place {
        self.blocks.back().map_or(self.first, |block| block.first + block.entries.len() as u64)
    }

    /// The message at a place, if it is kept.
    pub fn get(&self, place: Place) -> Option<Kept<'_>> {
        let behind = self.blocks.partition_point(|block| block.first <= place);
        let block = self.blocks.get(behind.checked_sub(1)?)?;
        let entry = block.entries.get(usize::try_from(place - block.first).ok()?)?;
        let [begin, topic_end, end] = [entry.begin, entry.topic_end, entry.end].map(|place| place as usize);
        Some(Kept { topic: &block.bytes[begin..topic_end], payload: &block.bytes[topic_end..end] })
    }

    /// Lets go of what is too old.
    pub fn forget(&mut self, now: Monotonic) {
        while self.blocks.front().is_some_and(|block| now.since(block.newest) > self.longest) {
            self.drop_block();
        }
    }

    /// The blocks before are full: their size is what it will be.
    fn begin_block(&mut self, now: Monotonic, place: Place) {
        if let Some(full) = self.blocks.back_mut() {
            full.shrink();
            self.bytes += full.size();
        }
        self.forget(now);
        // The block that is filled next takes twice its bytes at most: it is as large as the one before, or grows to be.
        let mut oldest = None;
        while self.bytes + 2 * BLOCK_BYTES > self.most_bytes && !self.blocks.is_empty() {
            oldest = self.drop_block();
        }
        if self.most_bytes > 0 {
            // In its place, rather than in memory that the kernel would have to find and to clear for each block.
            let block = oldest.and_then(|block| block.again(place)).unwrap_or_else(|| {
                let mut block = Block::at(place);
                block.bytes.reserve_exact(BLOCK_BYTES);
                block
            });
            self.blocks.push_back(block);
        }
    }

    fn drop_block(&mut self) -> Option<Block> {
        let block = self.blocks.pop_front()?;
        // The last one, which is not full, was not counted.
        if !self.blocks.is_empty() || self.bytes > 0 {
            self.bytes = self.bytes.saturating_sub(block.size());
        }
        self.first = block.first + block.entries.len() as u64;
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn payload(number: usize) -> Vec<u8> {
        format!("{{\"lastbeat\":1,\"seq\":{number},\"x\":\"{}\"}}", "x".repeat(200)).into_bytes()
    }

    #[test]
    fn keeps_in_order_what_can_be_asked_for() {
        let mut ring = Ring::new(16 << 20, HOUR);
        ring.push(Monotonic(1), b"sensor/a", &payload(0));
        ring.push(Monotonic(1), b"sensor/a", b"21.5");
        ring.push(Monotonic(1), b"resend/9f86d081884c7d65/sensor/a", &payload(0));
        ring.push(Monotonic(1), b"beat/b", &payload(1));
        assert_eq!((ring.first(), ring.end()), (0, 2));
        assert_eq!(ring.get(0), Some(Kept { topic: b"sensor/a", payload: &payload(0) }));
        assert_eq!(ring.get(1), Some(Kept { topic: b"beat/b", payload: &payload(1) }));
        assert_eq!(ring.get(2), None);
    }

    #[test]
    fn the_oldest_make_room_and_the_bytes_stay_within_the_bound() {
        let most = 4 << 20;
        let mut ring = Ring::new(most, HOUR);
        let count = 100_000;
        for number in 0..count {
            ring.push(Monotonic(1), b"sensor/a", &payload(number));
            let held: usize = ring.blocks.iter().map(Block::size).sum();
            assert!(held <= most, "{held} bytes");
        }
        assert_eq!(ring.end(), count as u64);
        assert!(ring.first() > 0 && ring.end() - ring.first() > 9_000, "{} are kept", ring.end() - ring.first());
        for place in ring.first()..ring.end() {
            let number = usize::try_from(place).unwrap();
            assert_eq!(ring.get(place).unwrap().payload, payload(number));
        }
        assert_eq!(ring.get(ring.first() - 1), None);
    }

    #[test]
    fn what_is_old_is_let_go_of() {
        let mut ring = Ring::new(4 << 20, Duration::from_secs(10));
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        for number in 0..2_000 {
            ring.push(at(1), b"sensor/a", &payload(number));
        }
        ring.forget(at(11));
        assert_eq!(ring.first(), 0);
        ring.push(at(11), b"sensor/a", &payload(2_000));
        ring.forget(at(12));
        assert!(ring.first() > 0 && ring.end() == 2_001);
        ring.forget(at(22));
        assert_eq!((ring.first(), ring.end(), ring.get(2_000)), (2_001, 2_001, None));
        ring.push(at(22), b"sensor/a", &payload(2_001));
        assert_eq!(ring.get(2_001).map(|kept| kept.payload.to_vec()), Some(payload(2_001)));
    }

    #[test]
    fn nothing_is_kept_where_nothing_may_be() {
        let mut ring = Ring::new(0, HOUR);
        ring.push(Monotonic(1), b"sensor/a", &payload(0));
        assert!(!ring.is_on() && ring.get(0).is_none() && ring.end() == 0);
    }
}
