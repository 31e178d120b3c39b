//! [`Spool`]: the messages that are still to be sent, in order, and those that may be asked for again: on the disk, so that
//! they outlive this process. Knows no transport.
//!
//! ```text
//!  the log   │ kept: may be asked for again │ on their way │ to be sent, on the disk │ to be sent, in memory, too │
//!            ▲ 10 min, 64 MiB at most       ▲ settled                                ▲ recent
//! ```
//! Where no folder can be had, or the disk takes nothing, messages are held in memory alone.

mod disk;
mod held;
mod index;
mod place;
mod record;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::Path;

use lastbeat_log::{LogError, Position};
use lastbeat_wire::{Monotonic, Now};

use crate::address::Address;

pub use disk::{Disk, Kept};
pub use held::{Bounds, Held, Span};
pub use place::{Place, folder_name};

/// So much of what is to be sent stays in memory, too: a receiver that is slow for a moment needs no disk.
const RECENT_BYTES: usize = 1 << 20;
/// So much is held in memory at most, when there is no disk or it takes nothing.
const MEMORY_BYTES: usize = 64 << 20;
/// So much is read back at once.
const SLICE_BYTES: usize = 256 << 10;
/// How often in a row a disk may refuse to be read; it is asked some 200 times a second.
const READ_TRIES: u32 = 2_000;
/// What a held message takes beside its payload.
const OVERHEAD_BYTES: usize = size_of::<Held>();

/// What is on the disk when a spool is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// Messages that the next process will send.
    pub kept: u64,
    /// Whether all that the spool was given is there.
    pub whole: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Spool {
    disk: Option<Disk>,
    bounds: Bounds,
    /// Read back from the disk; older than all the others.
    slice: VecDeque<Held>,
    /// What is to be read back next …
    read_to: Position,
    /// … and where that ends: behind it, all is in `recent`.
    spilled_to: Position,
    /// The latest messages; the first `appended` of them are in the log.
    recent: VecDeque<Held>,
    recent_bytes: usize,
    appended: usize,
    /// How many messages are to be sent.
    held: u64,
    dropped: u64,
    /// How often in a row the disk refused to be read.
    failures: u32,
}

impl Spool {
    /// In memory only.
    pub fn in_memory(bounds: Bounds) -> Self {
        Self::over(None, bounds)
    }

    /// On the disk. With `again` the last message of the process before this one is to be sent again.
    ///
    /// # Errors
    /// See [`Disk::open`]. What another version wrote is set aside, and a new spool begun.
    pub fn open(folder: &Path, bounds: Bounds, again: bool) -> Result<Self, LogError> {
        let disk = match Disk::open(folder, bounds, again) {
            Err(error @ LogError::Version { .. }) => {
                let aside = place::set_aside(folder).map_err(|_| error)?;
                tracing::warn!("spool {}: another version wrote it; it is now {}", folder.display(), aside.display());
                Disk::open(folder, bounds, again)?
            }
            opened => opened?,
        };
        Ok(Self::over(Some(disk), bounds))
    }

    fn over(disk: Option<Disk>, bounds: Bounds) -> Self {
        let settled = disk.as_ref().map_or(Position::START, Disk::settled);
        let end = disk.as_ref().map_or(Position::START, Disk::end);
        let held = disk.as_ref().map_or(0, Disk::waiting);
        let mut spool = Self {
            disk,
            bounds,
            slice: VecDeque::new(),
            read_to: settled,
            spilled_to: end,
            recent: VecDeque::new(),
            recent_bytes: 0,
            appended: 0,
            held,
            dropped: 0,
            failures: 0,
        };
        spool.drop_oldest();
        spool
    }

    /// Adds a message behind all that are to be sent; makes room for it by dropping the oldest.
    pub fn push(&mut self, address: impl Into<Address>, payload: Vec<u8>) {
        self.held += 1;
        self.recent_bytes += payload.len() + OVERHEAD_BYTES;
        self.recent.push_back(Held { address: address.into(), payload, span: None });
        self.append();
        self.spill();
        self.drop_oldest();
    }

    /// Keeps a message that is on its way already, none being before it: where it stands, if the log has taken it.
    pub fn push_sent(&mut self, address: &Address, payload: &[u8]) -> Option<Span> {
        self.disk.as_mut()?.append(address, payload).ok()
    }

    /// The message that is to be sent next.
    pub fn front(&mut self) -> Option<&Held> {
        if self.refill() { self.slice.front().or_else(|| self.recent.front()) } else { None }
    }

    /// Takes that message out.
    pub fn pop(&mut self) -> Option<Held> {
        if !self.refill() {
            return None;
        }
        let held = self.slice.pop_front().or_else(|| self.pop_recent());
        self.held -= u64::from(held.is_some());
        held
    }

    /// A message that stood there is settled.
    pub fn settle(&mut self, span: Span) {
        if let Some(disk) = &mut self.disk {
            disk.settle(span.to);
        }
    }

    /// Whether nothing is to be sent.
    pub fn is_clear(&self) -> bool {
        self.held == 0
    }

    /// How many messages are to be sent.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// How many messages were given up for want of room, or were lost with a damaged disk.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where what was sent ends: behind it, messages wait for their turn.
    pub fn sent_to(&self) -> Position {
        let first = self.slice.front().map(|held| held.span.map(|span| span.from));
        let first = first.or_else(|| (self.read_to < self.spilled_to).then_some(Some(self.read_to)));
        let first = first.or_else(|| self.recent.front().map(|held| held.span.map(|span| span.from)));
        first.flatten().or_else(|| self.disk.as_ref().map(Disk::end)).unwrap_or_default()
    }

    /// What is on the disk, if there is one.
    pub fn disk(&mut self) -> Option<&mut Disk> {
        self.disk.as_mut()
    }

    /// Gives the disk what it has not taken yet, and has it tidied up. To be called after each burst, and when [`due`](Self::due).
    pub fn tend(&mut self, now: Now) {
        self.append();
        if let Some(disk) = &mut self.disk {
            disk.tend(now);
        }
        self.spill();
    }

    /// When to tend to it though nothing happens.
    pub fn due(&self) -> Option<Monotonic> {
        self.disk.as_ref()?.due()
    }

    /// Writes all there is to the disk; what of it is there for the next process, of what is to be sent and of what was
    /// `in_flight`, sent and not settled.
    pub fn close(mut self, in_flight: impl IntoIterator<Item = Span>) -> Closed {
        self.append();
        let Some(disk) = self.disk else { return Closed::default() };
        let end = disk.end();
        let written = disk.close();
        let in_memory = self.recent.iter().map(|held| held.span);
        // What is no longer in memory was written when it was let go.
        let let_go = self.held.saturating_sub(self.recent.len() as u64);
        let there = in_memory.chain(in_flight.into_iter().map(Some)).flatten().filter(|span| span.to <= written);
        Closed { kept: let_go + there.count() as u64, whole: written >= end && self.appended == self.recent.len() }
    }

    /// Appends what the log has not taken yet, in order.
    fn append(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        while let Some(held) = self.recent.get_mut(self.appended) {
            let Ok(span) = disk.append(&held.address, &held.payload) else { return };
            held.span = Some(span);
            self.appended += 1;
        }
    }

    /// Lets go from memory what can be read back.
    fn spill(&mut self) {
        while self.recent_bytes > RECENT_BYTES
            && let (Some(disk), Some(Held { span: Some(span), .. })) = (&self.disk, self.recent.front())
            && disk.is_written(span.to)
        {
            let span = *span;
            if self.slice.is_empty() && self.read_to >= self.spilled_to {
                self.read_to = span.from;
            }
            self.spilled_to = span.to;
            self.pop_recent();
        }
    }

    /// Reads back what is to be sent next; `false` if it can't be read now.
    fn refill(&mut self) -> bool {
        while self.slice.is_empty() && self.read_to < self.spilled_to {
            let Some(disk) = &mut self.disk else { return false };
            match disk.read(self.read_to, self.spilled_to, SLICE_BYTES) {
                Ok((read, end)) => {
                    self.slice.extend(read);
                    self.read_to = end;
                    self.failures = 0;
                }
                Err(error) => {
                    self.failures += 1;
                    if self.failures == 1 {
                        tracing::warn!("spool: {error}; trying again");
                    }
                    if self.failures < READ_TRIES {
                        return false;
                    }
                    tracing::error!("spool: {error}; the messages there are given up");
                    self.read_to = self.spilled_to;
                }
            }
        }
        if self.slice.is_empty() {
            self.recount();
        }
        true
    }

    /// All that is left is in memory: what the disk did not give back is lost.
    fn recount(&mut self) {
        let lost = self.held.saturating_sub(self.recent.len() as u64);
        self.held -= lost;
        self.dropped += lost;
        if let Some(disk) = &mut self.disk {
            disk.lost(lost);
        }
    }

    fn drop_oldest(&mut self) {
        while self.is_too_much()
            && let Some(held) = self.pop()
        {
            self.dropped += 1;
            if let Some(span) = held.span {
                self.settle(span);
            }
        }
        // The disk takes nothing: what waits for it in memory is bounded, too.
        while self.recent_bytes > MEMORY_BYTES
            && let Some(oldest) = self.recent.remove(self.appended.min(self.recent.len().saturating_sub(1)))
        {
            self.recent_bytes -= oldest.payload.len() + OVERHEAD_BYTES;
            self.appended = self.appended.min(self.recent.len());
            self.held -= 1;
            self.dropped += 1;
        }
    }

    fn is_too_much(&self) -> bool {
        match &self.disk {
            Some(disk) => disk.unsettled_bytes() > self.bounds.unsent,
            None => self.recent_bytes as u64 > self.bounds.unsent.min(MEMORY_BYTES as u64),
        }
    }

    fn pop_recent(&mut self) -> Option<Held> {
        let held = self.recent.pop_front()?;
        self.recent_bytes -= held.payload.len() + OVERHEAD_BYTES;
        self.appended = self.appended.saturating_sub(1);
        Some(held)
    }
}
