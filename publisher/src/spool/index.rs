//! [`Index`]: where in the spool the messages of which process are, one entry for every so many bytes. Reads no files.

use std::collections::VecDeque;

use lastbeat_log::Position;
use lastbeat_wire::{Kind, ProcessIdentity, UtcNanos, decode};

use super::record::Entry;

/// One mark for so many bytes: what a look-up reads too much at most, and 1 GiB has 16,000 of them.
const STRIDE: u64 = 64 << 10;
/// Of so many processes the last message is known.
const PROCESSES: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Index {
    marks: VecDeque<Mark>,
    lasts: VecDeque<Last>,
    /// The next message is another process's than the one before it.
    begins: bool,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    position: Position,
    process: ProcessIdentity,
    sequence: u64,
    sent_at: UtcNanos,
}

/// The last message of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Which process.
    pub process: ProcessIdentity,
    /// Where the message is.
    pub position: Position,
}

impl Index {
    /// Takes note of what stands at a position, in the order of the log.
    pub fn note(&mut self, position: Position, entry: &Entry<'_>) {
        match entry {
            Entry::Began => self.begins = true,
            Entry::Settled { .. } => {}
            Entry::Message { address, payload } => self.note_message(position, address.kind(), payload),
        }
    }

    /// Takes note of a message at a position.
    pub fn note_message(&mut self, position: Position, kind: Kind, payload: &[u8]) {
        let far = self.marks.back().is_none_or(|mark| mark.position.bytes_to(position) >= STRIDE);
        if self.begins || far {
            self.begins = false;
            let header = decode(kind, payload).map(|message| message.header).unwrap_or_default();
            if let (Some(process), Some(sequence)) = (header.process, header.sequence) {
                let sent_at = header.sent_at.unwrap_or(UtcNanos(i64::MAX));
                self.marks.push_back(Mark { position, process, sequence, sent_at });
            }
        }
        let Some(process) = self.marks.back().map(|mark| mark.process) else { return };
        match self.lasts.back_mut().filter(|last| last.process == process) {
            Some(last) => last.position = position,
            None => self.lasts.push_back(Last { process, position }),
        }
        if self.lasts.len() > PROCESSES {
            self.lasts.pop_front();
        }
    }

    /// Where to begin looking for a message, if there is any of its process.
    pub fn find(&self, process: ProcessIdentity, sequence: u64) -> Option<Position> {
        let mut of_process = self.marks.iter().filter(|mark| mark.process == process).peekable();
        let first = of_process.peek().map(|mark| mark.position)?;
        Some(of_process.take_while(|mark| mark.sequence <= sequence).last().map_or(first, |mark| mark.position))
    }

    /// The last message of each process, the latest process last.
    pub fn lasts(&self) -> impl DoubleEndedIterator<Item = Last> {
        self.lasts.iter().copied()
    }

    /// Behind what was sent before `time`, as far as that is known.
    pub fn behind(&self, time: UtcNanos) -> Position {
        let later = self.marks.iter().find(|mark| mark.sent_at >= time);
        later.or(self.marks.back()).map_or(Position::START, |mark| mark.position)
    }

    /// Forgets what is before a position.
    pub fn forget_before(&mut self, position: Position) {
        while self.marks.get(1).is_some_and(|second| second.position <= position) {
            self.marks.pop_front();
        }
        self.lasts.retain(|last| last.position >= position);
    }
}

#[cfg(test)]
mod tests {
    use lastbeat_wire::{BootId, Encoding, Header, HostId, Message, encode};

    use super::*;

    fn process(pid: u32) -> ProcessIdentity {
        ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid, start: 5 }
    }

    /// Messages of two processes, each so many bytes behind the one before it, sent a second apart.
    fn index(bytes: u64) -> Index {
        let mut index = Index::default();
        for number in 0..20u32 {
            let (pid, sequence) = (number / 10, u64::from(number % 10));
            let position = Position(u64::from(number) * bytes);
            let header = Header {
                process: Some(process(pid)),
                sequence: Some(sequence),
                sent_at: Some(UtcNanos(i64::from(number))),
                ..Header::default()
            };
            let payload = encode(&Message { header, ..Message::default() }, Encoding::Json);
            if sequence == 0 {
                index.note(position, &Entry::Began);
            }
            index.note(position, &Entry::Message { address: Kind::Beat.into(), payload: &payload });
        }
        index
    }

    #[test]
    fn a_message_is_found_at_most_a_stride_before_it() {
        let index = index(STRIDE / 2);
        for (pid, sequence, expected) in [(0, 0, 0), (0, 1, 0), (0, 5, 4), (1, 0, 10), (1, 9, 18), (1, 99, 18)] {
            assert_eq!(index.find(process(pid), sequence), Some(Position(expected * STRIDE / 2)), "{pid} {sequence}");
        }
        assert_eq!(index.find(process(7), 0), None);
    }

    #[test]
    fn the_last_of_each_process_is_known() {
        let index = index(STRIDE / 2);
        let lasts: Vec<_> = index.lasts().map(|last| (last.process.pid, last.position.0 / (STRIDE / 2))).collect();
        assert_eq!(lasts, [(0, 9), (1, 19)]);
    }

    #[test]
    fn what_is_forgotten_is_not_found_and_the_rest_is() {
        let mut index = index(STRIDE);
        index.forget_before(Position(12 * STRIDE));
        assert_eq!(index.find(process(0), 3), None);
        assert_eq!(index.find(process(1), 0), Some(Position(12 * STRIDE)), "the first there is");
        assert_eq!(index.lasts().count(), 1);
    }

    #[test]
    fn what_is_old_is_told_by_the_times_of_sending() {
        let index = index(STRIDE);
        assert_eq!(index.behind(UtcNanos(7)), Position(7 * STRIDE));
        assert_eq!(index.behind(UtcNanos(-5)), Position(0));
        assert_eq!(index.behind(UtcNanos(99)), Position(19 * STRIDE), "the last is kept");
    }
}
