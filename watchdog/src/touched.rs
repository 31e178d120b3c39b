//! What changed since it was last asked, so that whoever shows the publishers need not look at all of them; and all that
//! is known of one.

use lastbeat_wire::{Now, ProcessIdentity, UtcNanos};

use crate::adaptive::Learned;
use crate::evidence::{Evidence, Fact};
use crate::publisher::Publisher;
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
        if self.touched.capacity() > 4 * self.touched.len() + 1024 {
            self.touched.shrink_to(2 * self.touched.len());
        }
        for index in &touched {
            self.publishers.forget_touch(*index);
        }
        touched
    }

    /// Whether the publisher at a place was heard or changed otherwise since this was asked the last time.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn news_of(&mut self, index: u32) -> bool {
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        let changed = self.news.get(word).is_some_and(|bits| bits & bit != 0);
        if changed {
            self.news[word] &= !bit;
        }
        changed
    }

    /// Whether the publisher at a place is alive.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn is_alive(&self, index: u32) -> bool {
        self.publishers.state(index) == State::Alive
    }

    /// How the publisher at a place of [`touched`](Self::touched) stands.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn status_at(&self, now: Now, index: u32) -> Status {
        self.status_of(now, &self.publishers.get(index))
    }

    /// All that is known of one publisher.
    pub fn detail(&self, now: Now, publisher: &str) -> Option<Detail> {
        let index = self.publishers.find(publisher)?;
        let publisher = self.publishers.get(index);
        let paused_until = match publisher.rare.evidence.first().map(|evidence| &evidence.fact) {
            Some(Fact::Maintenance { until }) if publisher.state == State::Paused => *until,
            _ => None,
        };
        Some(Detail {
            index,
            status: self.status_of(now, &publisher),
            process: publisher.identity(),
            paused_until,
            adaptive: publisher.rare.adaptive.as_ref().map(|adaptive| adaptive.learned()),
            evidence: publisher.rare.evidence,
        })
    }

    fn status_of(&self, now: Now, publisher: &Publisher) -> Status {
        Status {
            publisher: self.publishers.publisher_id(publisher.number),
            host: self.publishers.host(publisher).map(str::to_owned),
            at: now.utc,
            state: publisher.state,
            cause: publisher.cause,
            since: publisher.since,
            silence: publisher.silence(now.monotonic),
            threshold: publisher.threshold,
            last_heard: publisher.last_heard_utc,
            pid: publisher.identity().map(|identity| identity.pid),
            counts: publisher.counts,
        }
    }

    /// There is something new of a publisher.
    pub(crate) fn note_news(&mut self, number: u32) {
        let index = number as usize;
        if self.news.len() <= index / 64 {
            self.news.resize(index / 64 + 1, 0);
        }
        self.news[index / 64] |= 1 << (index % 64);
    }

    pub(crate) fn touch(&mut self, publisher: &mut Publisher) {
        self.note_news(publisher.number);
        if !publisher.touched {
            publisher.touched = true;
            self.touched.push(publisher.number);
        }
    }
}
