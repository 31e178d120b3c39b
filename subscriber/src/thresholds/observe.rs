//! [`Observed`]: the gaps of all publishers, as the watchdog would measure them. A watchdog that never judges is told of the
//! messages, and says which of them are signs of life, and how long the silence before each was.

use std::collections::HashMap;
use std::time::Duration;

use lastbeat_watchdog::{Bounds, Heard, LinkNumber, Notice, Output, Reception, State, WatchRules, Watchdog};
use lastbeat_wire::{Kind, Monotonic, Now, PublisherId, Topic, UtcNanos};

use super::gaps::Gaps;
use crate::capture::{Captured, Event, What};

/// Publishers beyond so many are left out, and counted.
const PUBLISHERS: usize = 100_000;
/// Longer than any capture.
const NEVER: Duration = Duration::from_hours(24 * 365 * 100);

/// The gaps of all publishers.
#[derive(Debug)]
pub struct Observed {
    watchdog: Watchdog,
    publishers: HashMap<PublisherId, Publisher>,
    begins_with: (Duration, Bounds),
    only: Option<PublisherId>,
    last: Now,
    /// Messages of publishers beyond the most that may be.
    pub left_out: u64,
}

#[derive(Debug)]
struct Publisher {
    gaps: Gaps,
    /// Whether its next sign of life ends a gap: nothing came between.
    unbroken: bool,
}

impl Observed {
    /// Nothing yet, on links of these names; an adaptive threshold would begin with `fixed`. `only`: nobody else.
    pub fn new(links: &[String], began: UtcNanos, fixed: Duration, bounds: Bounds, only: Option<PublisherId>) -> Self {
        let rules =
            WatchRules { threshold: NEVER, links: links.to_vec(), max_publishers: PUBLISHERS, ..WatchRules::default() };
        let now = Now { monotonic: Monotonic(0), utc: began };
        let watchdog = Watchdog::new(rules, now);
        Self { watchdog, publishers: HashMap::new(), begins_with: (fixed, bounds), only, last: now, left_out: 0 }
    }

    /// Takes what happened next.
    pub fn take(&mut self, event: &Event) {
        self.last = event.now;
        match &event.what {
            What::Message(message) => self.message(event.now, message),
            What::LinkUp(link) => {
                self.watchdog.link_up(event.now, LinkNumber(*link));
                self.interrupt();
            }
            What::LinkDown { link, reason } => {
                self.watchdog.link_down(event.now, LinkNumber(*link), reason);
                self.interrupt();
            }
            What::End => {}
        }
        self.watchdog.outputs();
    }

    /// The gaps of each publisher, by its name.
    pub fn end(self) -> Vec<(PublisherId, Gaps)> {
        let mut all: Vec<_> = self.publishers.into_iter().map(|(id, publisher)| (id, publisher.gaps)).collect();
        for (id, gaps) in &mut all {
            let status = self.watchdog.status(self.last, id.as_str());
            let alive = status.filter(|status| status.state == State::Alive);
            gaps.silent_at_end = alive.and_then(|status| status.silence).unwrap_or_default();
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// A silence over a change of a link is none of the publisher's.
    fn interrupt(&mut self) {
        self.publishers.values_mut().for_each(|publisher| publisher.unbroken = false);
    }

    fn message(&mut self, now: Now, message: &Captured) {
        let Ok(topic) = Topic::parse(message.topic.as_bytes()) else { return };
        if message.resent || self.only.as_ref().is_some_and(|only| only.as_str() != topic.publisher) {
            return;
        }
        let before = self.watchdog.status(now, topic.publisher);
        self.watchdog.outputs();
        let heard = Heard {
            publisher: topic.publisher,
            kind: topic.kind,
            link: Some(LinkNumber(message.link)),
            retained: message.retained,
            resent: false,
            readable: message.readable,
            header: &message.header(),
            log: None,
        };
        let reception = self.watchdog.heard(now, &heard);
        if reception == Reception::TooManyPublishers {
            self.left_out += 1;
        }
        let restarted = |output: &Output| matches!(output, Output::Notice(Notice::Restarted { .. }));
        let restarted = self.watchdog.outputs().iter().any(restarted);
        if reception != Reception::Live || topic.kind == Kind::Rip {
            return;
        }
        let Ok(id) = topic.publisher.parse::<PublisherId>() else { return };
        let (fixed, bounds) = self.begins_with;
        let publisher = self.publishers.entry(id);
        let publisher = publisher.or_insert_with(|| Publisher { gaps: Gaps::new(fixed, bounds), unbroken: false });
        if let Some(before) = before
            && let (true, false, Some(gap)) =
                (publisher.unbroken && before.state == State::Alive, restarted, before.silence)
        {
            publisher.gaps.take(gap);
        }
        publisher.unbroken = topic.kind != Kind::Bye;
    }
}
