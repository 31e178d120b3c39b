//! [`Gate`]: stands before the delivery, and says what of a batch is shipped, what is passed over and what waits.

use std::sync::Arc;

use lastbeat_log::{Batch, Position};

use crate::record::Record;
use crate::standby::{Part, Standing, Turn};

/// What this subscriber's part allows.
#[derive(Debug)]
pub struct Gate {
    /// The part.
    pub standing: Standing,
    /// Whether the next record has to wait, as far as is known.
    pub waits: bool,
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

    /// What becomes of the first records of a batch, and where those begin of which something else becomes.
    pub fn stretch(&self, batch: &Batch<'_>) -> (Turn, Position) {
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
