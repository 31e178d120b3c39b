//! What changed since it was last asked, so that whoever shows the publishers need not look at all of them; and all that
//! is known of one.

use lastbeat_wire::{Now, ProcessIdentity, UtcNanos};

use crate::adaptive::Learned;
use crate::evidence::{Evidence, Fact};
use crate::state::State;
use crate::status::Status;
use crate::watchdog::Watchdog;

/// All that is known of one publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Its place in the order in which publishers became known.
    pub index: u32,
    /// How it stands.
    pub status: Status,
    /// Its process, where it told it.
    pub process: Option<ProcessIdentity>,
    /// Until when it is paused; `None` where it is not, or until it is resumed.
    pub paused_until: Option<UtcNanos>,
    /// What its threshold rests on, where it is adaptive.
    pub adaptive: Option<Learned>,
    /// What its present state rests on.
    pub evidence: Vec<Evidence>,
}

impl Watchdog {
    /// At most `most` of the publishers that were heard or changed otherwise since they were told last, those first that
    /// changed first. Each is told once, as its place in the order in which publishers became known. Not asked for, they
    /// take four bytes a publisher and no more.
    pub fn touched(&mut self, most: usize) -> Vec<u32> {
        let most = most.min(self.touched.len());
        let touched: Vec<u32> = self.touched.drain(..most).collect();
        for index in &touched {
            self.publishers[*index as usize].touched = false;
        }
        touched
    }

    /// How the publisher at a place of [`touched`](Self::touched) stands.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn status_at(&self, now: Now, index: u32) -> Status {
        self.publishers[index as usize].status(now)
    }

    /// All that is known of one publisher.
    pub fn detail(&self, now: Now, publisher: &str) -> Option<Detail> {
        let index = *self.names.get(publisher)?;
        let publisher = &self.publishers[index as usize];
        let paused_until = match publisher.evidence.first().map(|evidence| &evidence.fact) {
            Some(Fact::Maintenance { until }) if publisher.state == State::Paused => *until,
            _ => None,
        };
        Some(Detail {
            index,
            status: publisher.status(now),
            process: publisher.identity(),
            paused_until,
            adaptive: publisher.adaptive.as_ref().map(|adaptive| adaptive.learned()),
            evidence: publisher.evidence.clone(),
        })
    }

    pub(crate) fn touch(&mut self, index: usize) {
        let publisher = &mut self.publishers[index];
        if !publisher.touched {
            publisher.touched = true;
            self.touched.push(u32::try_from(index).expect("invariant: max_publishers is checked to be below 2^32"));
        }
    }
}
