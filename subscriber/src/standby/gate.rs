//! [`Gate`]: stands before a delivery: reads the log, and says what of it is shipped, what is passed over and what waits.

use std::sync::Arc;

use lastbeat_log::{Batch, LogError, Position, Reader};

use super::{Part, Standing, Turn};
use crate::record::Record;

/// So much of the log is read at a time: it stays in the processor's cache until its lines or documents are made.
const READ_BYTES: u64 = 256 << 10;

/// What this subscriber's part allows.
#[derive(Debug)]
pub struct Gate {
    /// The part.
    pub standing: Standing,
    /// Whether the next record has to wait, as far as is known.
    pub waits: bool,
}

/// Whether more can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// More can.
    Room,
    /// It is time to send it off.
    Full,
}

impl Gate {
    /// Nothing waits yet.
    pub fn new(standing: Standing) -> Self {
        Self { standing, waits: false }
    }

    /// The part is another one, or allows more. Why nothing is shipped, if that is so.
    pub fn changed(&mut self) -> Option<Arc<str>> {
        let stand = self.standing.borrow_and_update();
        self.waits = false;
        (stand.part == Part::Holding).then(|| Arc::clone(&stand.why))
    }

    /// Reads what the log has next, as much of it as has one turn, up to some `bytes` or until `take` is full; nothing of what
    /// has to wait. `take` is given what was read and where that ends which it may take.
    ///
    /// # Errors
    /// When nothing could be read.
    pub fn read(
        &self,
        reader: &mut Reader,
        bytes: u64,
        mut take: impl FnMut(&Batch<'_>, Position) -> Fill,
    ) -> Result<Turn, LogError> {
        let (mut turn, mut left) = (None, bytes);
        while left > 0 {
            let batch = match reader.next_batch(usize::try_from(READ_BYTES.min(left)).unwrap_or(usize::MAX)) {
                Ok(batch) => batch,
                // It will be met again.
                Err(_) if turn.is_some() => break,
                Err(error) => return Err(error),
            };
            for damage in &batch.damage {
                tracing::warn!("{damage}");
            }
            let begin = Position(batch.end().0 - batch.bytes());
            let (its_turn, end) = self.stretch(&batch);
            if *turn.get_or_insert(its_turn) != its_turn || its_turn == Turn::Wait {
                reader.seek(begin);
                break;
            }
            let fill = take(&batch, end);
            if batch.is_empty() || end < batch.end() {
                reader.seek(end);
                break;
            }
            left = left.saturating_sub(begin.bytes_to(end));
            if fill == Fill::Full {
                break;
            }
        }
        Ok(turn.unwrap_or(Turn::Ship))
    }

    /// What becomes of the first records of a batch, and where those begin of which something else becomes.
    fn stretch(&self, batch: &Batch<'_>) -> (Turn, Position) {
        let permit = self.standing.borrow().permit;
        if permit.is_all() {
            return (Turn::Ship, batch.end());
        }
        let mut first = None;
        for record in batch.iter() {
            // What can't be read, or has no time, goes with what is before it.
            let Some(time) = Record::decode(record.kind, record.body).ok().and_then(|record| record.time()) else {
                continue;
            };
            let turn = permit.turn(time);
            if *first.get_or_insert(turn) != turn {
                return (*first.get_or_insert(turn), record.position);
            }
        }
        (first.unwrap_or(Turn::Ship), batch.end())
    }
}
