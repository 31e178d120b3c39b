//! [`Queue`]: the blocks of records between the one who appends and the writer.
//!
//! Bounded by the appender, which knows what is written and takes no more than
//! [`pending_bytes`](crate::LogOptions::pending_bytes) beyond it. The appender fills a block of its own and hands it over: the
//! lock is held to move one block in, or to take all out, never for a single record, and never during I/O.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lastbeat_wire::Monotonic;

use crate::segment::Header;

/// A block this long is followed by another, so that readers can follow while much is written.
const BLOCK_BYTES: usize = 1 << 20;
/// Emptied buffers that are kept for the next blocks, so that a flood has no new memory mapped for it.
const SPARES: usize = 16;

/// Whole records, one behind another, of one segment.
#[derive(Debug)]
pub(crate) struct Block {
    /// Of its first byte.
    pub(crate) position: u64,
    /// Set when the block begins a segment; then its first bytes are this header.
    pub(crate) header: Option<Header>,
    pub(crate) bytes: Vec<u8>,
}

impl Block {
    /// An empty one, for what will stand at `position`.
    pub(crate) fn at(position: u64) -> Self {
        Self { position, header: None, bytes: Vec::new() }
    }

    pub(crate) fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }

    /// Whether it is long enough for the writer.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK_BYTES
    }

    fn may_take(&self, next: &Self) -> bool {
        self.end() == next.position && next.header.is_none() && self.bytes.len() + next.bytes.len() <= BLOCK_BYTES
    }
}

/// What the writer has to do next.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) blocks: VecDeque<Block>,
    /// Segments that end at or before this may go.
    pub(crate) remove_before: Option<u64>,
    /// Somebody waits for what was committed to be on the disk.
    pub(crate) sync: bool,
    /// Nothing more will come.
    pub(crate) closing: bool,
}

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Block>,
    spares: Vec<Vec<u8>>,
    remove_before: Option<u64>,
    committed: bool,
    sync: bool,
    /// When the writer gives up what it can't write.
    closing: Option<Monotonic>,
    writer_waits: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

impl Queue {
    /// Lets the writer have a block, and empties it for what comes behind.
    pub(crate) fn commit(&self, block: &mut Block) {
        let end = block.end();
        let mut state = self.lock();
        match state.blocks.back_mut() {
            Some(last) if last.may_take(block) => {
                last.bytes.extend_from_slice(&block.bytes);
                block.bytes.clear();
            }
            _ if block.bytes.is_empty() => {}
            _ => {
                let spare = state.spares.pop().unwrap_or_default();
                let (header, bytes) = (block.header.take(), std::mem::replace(&mut block.bytes, spare));
                state.blocks.push_back(Block { position: block.position, header, bytes });
            }
        }
        block.position = end;
        state.committed = !state.blocks.is_empty();
        self.wake(state);
    }

    /// Lets the writer sync what was committed, as soon as it can.
    pub(crate) fn sync(&self) {
        let mut state = self.lock();
        state.sync = true;
        self.wake(state);
    }

    pub(crate) fn remove_before(&self, position: u64) {
        let mut state = self.lock();
        state.remove_before = state.remove_before.max(Some(position));
        self.wake(state);
    }

    /// What may be removed, for a writer that can't get on.
    pub(crate) fn take_removal(&self) -> Option<u64> {
        self.lock().remove_before.take()
    }

    /// No more will be pushed; what can't be written by `give_up_at` is given up.
    pub(crate) fn close(&self, give_up_at: Monotonic) {
        let mut state = self.lock();
        state.closing = Some(give_up_at);
        state.committed = true;
        self.wake(state);
    }

    /// Waits for work, or for `at_most`; then takes all there is.
    pub(crate) fn take(&self, at_most: Option<Duration>) -> Work {
        let idle = |state: &mut State| {
            let idle = !state.committed && !state.sync && state.remove_before.is_none() && state.closing.is_none();
            state.writer_waits = idle;
            idle
        };
        let state = self.lock();
        let mut state = match at_most {
            None => self.wake.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(span) => self.wake.wait_timeout_while(state, span, idle).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.writer_waits = false;
        state.committed = false;
        Work {
            blocks: std::mem::take(&mut state.blocks),
            remove_before: state.remove_before.take(),
            sync: std::mem::take(&mut state.sync),
            closing: state.closing.is_some(),
        }
    }

    /// Pauses the writer before it tries again. `None` when it shall give up: the log is closing and time is up.
    pub(crate) fn pause(&self, span: Duration, now: impl Fn() -> Monotonic) -> Option<()> {
        let state = self.lock();
        let closing = state.closing;
        let span = closing.map_or(span, |at| span.min(at.since(now())));
        let idle = |state: &mut State| {
            state.writer_waits = state.closing == closing;
            state.writer_waits
        };
        let (mut state, _) = self.wake.wait_timeout_while(state, span, idle).unwrap_or_else(PoisonError::into_inner);
        state.writer_waits = false;
        state.closing.is_none_or(|at| now() < at).then_some(())
    }

    /// Keeps a written block's buffer for another.
    pub(crate) fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.lock();
        if state.spares.len() < SPARES && buffer.capacity() <= 2 * BLOCK_BYTES {
            state.spares.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        let waits = state.writer_waits;
        drop(state);
        if waits {
            self.wake.notify_one();
        }
    }
}
