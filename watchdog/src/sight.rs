//! Sight: when the watchdog itself can't hear, or was away, or is told not to look.

use std::time::Duration;

use lastbeat_wire::{Now, UtcNanos};

use crate::evidence::{Evidence, Fact, Source};
use crate::flip::Flip;
use crate::links::{LinkNumber, LinkSet, Unwatched};
use crate::output::Output;
use crate::publisher::{Ended, Publisher};
use crate::snapshot::{Kept, Snapshot};
use crate::state::{Cause, State};
use crate::watchdog::Watchdog;

impl Watchdog {
    /// A link works: what is silent on it from now on is silent.
    ///
    /// A publisher that was not heard meanwhile may have spoken to the last moment, so its silence begins anew; a verdict
    /// that fell before stands until it is heard.
    pub fn link_up(&mut self, now: Now, link: LinkNumber) {
        let Some(unwatched) = self.links.set_up(now, link) else { return };
        self.outputs.push(Output::Unwatched(unwatched));
        let settled = now.monotonic.plus(self.rules.settle);
        for index in 0..self.publishers.len() {
            let publisher = &mut self.publishers[index];
            if !publisher.links.is_empty() && !publisher.links.contains(link) {
                continue;
            }
            let ended = publisher.current.as_ref().is_some_and(|current| current.ended.is_some());
            let (threshold, watched) = (publisher.threshold, publisher.deadline.is_some());
            let deadline = match publisher.state {
                State::Dead | State::Finished | State::Paused => continue,
                _ if ended => settled,
                State::Blind => {
                    publisher.cause = Cause::LinkBack;
                    now.monotonic.plus(threshold)
                }
                State::Unseen if publisher.expected && !watched => now.monotonic.plus(threshold),
                State::Silent | State::Suspended if !watched => {
                    self.recheck(now, index);
                    continue;
                }
                _ => continue,
            };
            self.watch_until(index, deadline);
        }
    }

    /// A link is lost: whoever is heard on no other becomes blind. Verdicts that fell before stand.
    pub fn link_down(&mut self, now: Now, link: LinkNumber, reason: &str) {
        if !self.links.set_down(now, link, reason) {
            return;
        }
        let reason = format!("{}: {reason}", self.links.name(link));
        for index in 0..self.publishers.len() {
            if self.links.sees(self.publishers[index].links) {
                continue;
            }
            match self.publishers[index].state {
                State::Alive => {
                    let fact = Fact::LinkDown { reason: reason.clone() };
                    let evidence = vec![Evidence { at: now.utc, source: Source::Watchdog, fact }];
                    self.flip(now, index, State::Blind, Cause::LinkDown, now.monotonic, evidence);
                }
                State::Blind => self.publishers[index].cause = Cause::LinkDown,
                State::Paused => continue,
                _ => {}
            }
            self.stop_watching(index);
        }
    }

    /// The watchdog did not run since `from` (its host was overloaded or it was stopped): messages may be waiting that
    /// came in time, so they are taken in before anybody is judged.
    pub fn stalled(&mut self, now: Now, from: UtcNanos) {
        self.settled_at = now.monotonic.plus(self.rules.settle);
        let reason = "the watchdog itself did not run".to_owned();
        self.outputs.push(Output::Unwatched(Unwatched { link: None, from, to: now.utc.max(from), reason }));
    }

    /// Does not watch a publisher, for `span` or until [`resume_watching`](Self::resume_watching). Returns whether there is one.
    pub fn pause(&mut self, now: Now, publisher: &str, span: Option<Duration>) -> bool {
        let Some(index) = self.find(publisher) else { return false };
        if self.publishers[index].state != State::Paused {
            self.flip(now, index, State::Paused, Cause::Maintenance, now.monotonic, Vec::new());
        }
        match span {
            Some(span) => self.watch_until(index, now.monotonic.plus(span)),
            None => self.stop_watching(index),
        }
        true
    }

    /// Watches a publisher again. Returns whether it was paused.
    pub fn resume_watching(&mut self, now: Now, publisher: &str) -> bool {
        let Some(index) = self.find(publisher) else { return false };
        let paused = self.publishers[index].state == State::Paused;
        if paused {
            self.resume(now, index);
        }
        paused
    }

    /// Maintenance is over: it is alive if it was heard within its threshold, and else judged at once.
    pub(crate) fn resume(&mut self, now: Now, index: usize) {
        let publisher = &self.publishers[index];
        let deadline = publisher.last_heard.map(|heard| heard.plus(publisher.threshold));
        let ended = publisher.current.as_ref().is_some_and(|current| current.ended.is_some());
        if !self.links.sees(publisher.links) {
            let fact = Fact::LinkDown { reason: "down when maintenance ended".to_owned() };
            let evidence = vec![Evidence { at: now.utc, source: Source::Watchdog, fact }];
            self.flip(now, index, State::Blind, Cause::LinkDown, now.monotonic, evidence);
            self.stop_watching(index);
        } else if let Some(deadline) = deadline.filter(|deadline| *deadline > now.monotonic && !ended) {
            self.flip(now, index, State::Alive, Cause::Heard, now.monotonic, Vec::new());
            self.watch_until(index, deadline);
        } else {
            self.examine(now, index, None);
        }
    }

    /// What is to outlive a restart.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let kept = |publisher: &Publisher| Kept::of(publisher, self.links.names(publisher.links));
        Snapshot {
            at: now.utc,
            boot: self.rules.host.map(|host| host.process.boot),
            publishers: self.publishers.iter().map(kept).collect(),
        }
    }

    /// Remembers. To be called before anything else; then [`replay`](Self::replay) what the log holds after the snapshot,
    /// then [`begin`](Self::begin).
    pub fn restore(&mut self, now: Now, snapshot: Snapshot) {
        let same_boot = snapshot.boot.is_some() && snapshot.boot == self.rules.host.map(|host| host.process.boot);
        for kept in snapshot.publishers {
            let index = self.find(kept.id.as_str()).unwrap_or_else(|| self.add(kept.id.clone(), now));
            let mut links = LinkSet::default();
            for number in kept.links.iter().filter_map(|name| self.links.number(name)) {
                links.insert(number);
            }
            let publisher = &mut self.publishers[index];
            publisher.host = kept.host;
            publisher.state = kept.state;
            publisher.cause = kept.cause;
            publisher.since = kept.since;
            publisher.evidence = kept.evidence;
            publisher.last_heard_utc = kept.last_heard;
            publisher.last_heard = kept.last_heard.map(|heard| now.monotonic.minus(now.utc.since(heard)));
            publisher.links = links;
            publisher.current = kept.current;
            publisher.previous = kept.previous;
            publisher.will = kept.will;
            publisher.counts = kept.counts;
            if !same_boot {
                for process in publisher.current.iter_mut().chain(&mut publisher.previous) {
                    process.delay.rebooted();
                    process.first_heard = None;
                }
                publisher.will = publisher.will.take().map(|will| Ended { at: now.monotonic, ..will });
            }
        }
    }

    /// A flip that the log holds after the snapshot. Messages after it are given to [`heard`](Self::heard) with the time
    /// at which they came.
    pub fn replay(&mut self, now: Now, flip: &Flip) {
        let index = self.find(flip.publisher.as_str()).unwrap_or_else(|| self.add(flip.publisher.clone(), now));
        let publisher = &mut self.publishers[index];
        publisher.state = flip.to;
        publisher.cause = flip.cause;
        publisher.since = flip.at;
        publisher.evidence.clone_from(&flip.evidence);
        if let (State::Dead | State::Finished, Some(first), Some(current)) =
            (flip.to, flip.evidence.first(), &mut publisher.current)
            && flip.cause != Cause::Will
            && current.identity == flip.process
            && current.identity.is_some()
        {
            current.ended.get_or_insert(Ended { at: now.monotonic, evidence: first.clone() });
        }
        self.stop_watching(index);
    }

    /// Begins to watch after [`restore`](Self::restore) and [`replay`](Self::replay): who was alive is not judged before
    /// it could be heard, who was late is still late, and what this host knows of its processes is asked for.
    pub fn begin(&mut self, now: Now, away_since: Option<UtcNanos>) {
        self.outputs.clear();
        if let Some(from) = away_since {
            let reason = "the watchdog was not running".to_owned();
            self.outputs.push(Output::Unwatched(Unwatched { link: None, from, to: now.utc.max(from), reason }));
        }
        for index in 0..self.publishers.len() {
            self.stop_watching(index);
            if self.publishers[index].state == State::Alive {
                let away = away_since.map_or(now.monotonic, |from| now.monotonic.minus(now.utc.since(from)));
                self.flip(now, index, State::Blind, Cause::WatchdogAway, away, Vec::new());
            }
            let publisher = &mut self.publishers[index];
            if matches!(publisher.state, State::Dead | State::Finished) {
                continue;
            }
            self.attend(index);
            self.note_reboot(now, index);
        }
    }

    /// A process of an earlier boot of this host has ended; that is known without a threshold.
    fn note_reboot(&mut self, now: Now, index: usize) {
        let Some(process) = self.publishers[index].identity() else { return };
        if self.is_local(process) {
            return;
        }
        let fact = self.elsewhere(index, process);
        if let (Fact::Rebooted { .. }, Some(current)) = (&fact, &mut self.publishers[index].current) {
            let evidence = Evidence { at: now.utc, source: Source::Identity, fact };
            current.ended.get_or_insert(Ended { at: now.monotonic, evidence });
        }
    }
}
