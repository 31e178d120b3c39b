//! Sight: when the watchdog itself can't hear, or was away, or is told not to look.

use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, UtcNanos};

use crate::evidence::{Evidence, Fact, Source};
use crate::flip::Flip;
use crate::links::{LinkNumber, LinkSet, Unwatched};
use crate::output::Output;
use crate::publisher::{Ended, Publisher};
use crate::snapshot::{Kept, Snapshot};
use crate::state::{Cause, State};
use crate::timing::Timing;
use crate::watchdog::Watchdog;

impl Watchdog {
    /// A link works: what is silent on it from now on is silent.
    ///
    /// A publisher that was not heard meanwhile may have spoken to the last moment, so its silence begins anew; a verdict
    /// that fell before stands until it is heard.
    pub fn link_up(&mut self, now: Now, link: LinkNumber) {
        let Some(unwatched) = self.links.set_up(now, link) else { return };
        if unwatched.from < unwatched.to {
            self.outputs.push(Output::Unwatched(unwatched));
        }
        for index in 0..self.publishers.len() {
            self.regain_sight(now, index);
        }
    }

    /// Watches a publisher that can be heard, if nobody does: a link of its own came up, or it is heard on another one that is up.
    /// Who is watched already is not put off.
    pub(crate) fn regain_sight(&mut self, now: Now, index: usize) {
        let publisher = &mut self.publishers[index];
        if publisher.deadline.is_some() || publisher.is_paused() || self.links.sees(publisher).is_none() {
            return;
        }
        match publisher.state {
            State::Dead | State::Failed | State::Finished => {}
            _ if publisher.has_ended() => self.watch_until(index, now.monotonic.plus(self.rules.settle)),
            State::Blind => {
                publisher.cause = Cause::LinkBack;
                let deadline = now.monotonic.plus(publisher.threshold);
                self.touch(index);
                self.watch_until(index, deadline);
            }
            State::Unseen if publisher.expected => {
                let deadline = now.monotonic.plus(publisher.threshold);
                self.watch_until(index, deadline);
            }
            State::Silent | State::Suspended => self.recheck(now, index),
            State::Unknown if publisher.cause == Cause::ProbeFailed => self.recheck(now, index),
            _ => {}
        }
    }

    /// A link is lost: whoever is heard on no other becomes blind. Verdicts that fell before stand.
    pub fn link_down(&mut self, now: Now, link: LinkNumber, reason: &str) {
        if !self.links.set_down(now, link, reason) {
            return;
        }
        let reason = format!("{}: {reason}", self.links.name(link));
        for index in 0..self.publishers.len() {
            // What is heard on another link, too, may have been said on this one.
            self.publishers[index].unbroken &= !self.publishers[index].links.all().contains(link);
            if self.links.sees(&self.publishers[index]).is_some() {
                continue;
            }
            if self.publishers[index].is_paused() {
                continue;
            }
            self.lose_sight(now, index, &reason);
        }
    }

    /// Nobody judges a publisher that can't be heard: who was alive, or was about to be looked at, is blind.
    pub(crate) fn lose_sight(&mut self, now: Now, index: usize, reason: &str) {
        let publisher = &mut self.publishers[index];
        match publisher.state {
            State::Blind => {
                publisher.cause = Cause::LinkDown;
                self.touch(index);
                self.stop_watching(index);
            }
            State::Alive | State::Paused => self.blind(now, index, reason),
            _ => self.stop_watching(index),
        }
    }

    pub(crate) fn blind(&mut self, now: Now, index: usize, reason: &str) {
        let down = Fact::LinkDown { reason: reason.to_owned() };
        let mut evidence = vec![Evidence { at: now.utc, source: Source::Watchdog, fact: down }];
        let ended = self.publishers[index].current.as_ref().and_then(|current| current.ended.as_ref());
        evidence.extend(ended.map(|ended| ended.evidence.clone()).filter(|ended| ended.fact != Fact::Goodbye));
        self.flip(now, index, State::Blind, Cause::LinkDown, now.monotonic, evidence);
        self.stop_watching(index);
    }

    /// The watchdog did not run since `from` (its host was overloaded or it was stopped): messages may be waiting that
    /// came in time, so they are taken in before anybody is judged.
    pub fn stalled(&mut self, now: Now, from: UtcNanos) {
        self.settled_at = now.monotonic.plus(self.rules.settle);
        self.learns_since = now.monotonic;
        let reason = "the watchdog itself did not run".to_owned();
        self.outputs.push(Output::Unwatched(Unwatched { link: None, from, to: now.utc.max(from), reason }));
    }

    /// Does not watch a publisher, for `span` or until [`resume_watching`](Self::resume_watching). Returns whether there is
    /// one. A pause in place of another is no flip; it outlives a restart if a snapshot is taken after it.
    pub fn pause(&mut self, now: Now, publisher: &str, span: Option<Duration>) -> bool {
        let Some(index) = self.find(publisher) else { return false };
        let fact = Fact::Maintenance { until: span.map(|span| now.utc.plus(span)) };
        let evidence = vec![Evidence { at: now.utc, source: Source::Watchdog, fact }];
        if self.publishers[index].state == State::Paused {
            self.publishers[index].evidence = evidence;
        } else {
            self.flip(now, index, State::Paused, Cause::Maintenance, now.monotonic, evidence);
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
        let paused = self.publishers[index].is_paused();
        if paused {
            self.watch_until(index, now.monotonic);
            self.due(now);
        }
        paused
    }

    /// Maintenance is over: it has failed if that is what it said last; it is alive if it was heard within its threshold, and else judged at once, if it could have
    /// been heard that long.
    pub(crate) fn resume(&mut self, now: Now, index: usize) {
        let publisher = &self.publishers[index];
        let threshold = publisher.threshold;
        let anew = now.monotonic.plus(threshold);
        if let Some(failure) = publisher.failure.clone() {
            self.flip(now, index, State::Failed, Cause::Reported, now.monotonic, vec![failure]);
            self.stop_watching(index);
            return;
        }
        let Some(seen_since) = self.links.sees(publisher) else {
            self.blind(now, index, "down when maintenance ended");
            return;
        };
        match publisher.silence(now.monotonic) {
            _ if publisher.has_ended() => self.examine(now, index, None),
            None => {
                let expected = publisher.expected;
                self.flip(now, index, State::Unseen, Cause::NotHeardYet, now.monotonic, Vec::new());
                if expected { self.watch_until(index, anew) } else { self.stop_watching(index) }
            }
            Some(silence) if silence < threshold => {
                self.flip(now, index, State::Alive, Cause::Heard, now.monotonic, Vec::new());
                self.watch_until(index, now.monotonic.plus(threshold.saturating_sub(silence)));
            }
            Some(_) if seen_since.plus(threshold) > now.monotonic => {
                self.flip(now, index, State::Blind, Cause::LinkBack, now.monotonic, Vec::new());
                self.watch_until(index, seen_since.plus(threshold));
            }
            Some(_) => self.examine(now, index, None),
        }
    }

    /// What is to outlive a restart.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let kept = |publisher: &Publisher| Kept::of(publisher, self.links.names(publisher.links.all()));
        Snapshot {
            at: now.utc,
            at_monotonic: Some(now.monotonic),
            boot: self.boot(),
            publishers: self.publishers.iter().map(kept).collect(),
        }
    }

    /// Remembers. To be called before anything else; then [`replay`](Self::replay) what the log holds after the snapshot,
    /// then [`begin`](Self::begin).
    ///
    /// Returns how what the log holds is to be timed.
    pub fn restore(&mut self, now: Now, snapshot: Snapshot) -> Timing {
        let same_boot = snapshot.boot.is_some() && snapshot.boot == self.boot();
        let timing = Timing::new(now, self.boot()).since((snapshot.at, snapshot.at_monotonic), snapshot.boot);
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
            publisher.flipped_at = now.monotonic.minus(now.utc.since(kept.since));
            publisher.last_heard_utc = kept.last_heard;
            publisher.last_heard = kept.last_heard_monotonic;
            publisher.silence_before = kept.silence_before;
            publisher.links = links.into();
            publisher.current = kept.current;
            publisher.previous = kept.previous;
            publisher.earlier = kept.earlier;
            publisher.will = kept.will;
            publisher.failure = kept.failure;
            publisher.conflict = kept.conflict;
            publisher.counts = kept.counts;
            if let (Some(adaptive), Some(learned)) = (&mut publisher.adaptive, kept.learned) {
                adaptive.restore(*learned);
                publisher.threshold = adaptive.threshold();
            }
            if !same_boot {
                publisher.rebooted(now, timing.shift());
            }
            self.touch(index);
        }
        timing
    }

    /// A flip that the log holds after the snapshot. Messages after it are given to [`heard`](Self::heard) with the time
    /// at which they came ([`Timing::of`]).
    pub fn replay(&mut self, now: Now, flip: &Flip) {
        let index = self.find(flip.publisher.as_str()).unwrap_or_else(|| self.add(flip.publisher.clone(), now));
        let publisher = &mut self.publishers[index];
        publisher.state = flip.to;
        publisher.cause = flip.cause;
        publisher.since = flip.at;
        publisher.flipped_at = now.monotonic.minus(now.utc.since(flip.at));
        publisher.evidence.clone_from(&flip.evidence);
        match flip.to {
            State::Failed => publisher.failure = flip.evidence.first().cloned(),
            State::Paused => {}
            _ => publisher.failure = None,
        }
        let current = publisher.current.as_mut().filter(|current| current.identity == flip.process);
        match (flip.to, flip.evidence.first(), current) {
            (State::Alive, _, Some(current)) => current.ended = None,
            (State::Dead | State::Finished, Some(first), Some(current)) if flip.cause != Cause::Will => {
                let at = now.monotonic.minus(now.utc.since(flip.noticed_at));
                current.ended.get_or_insert(Ended { at, evidence: first.clone() });
            }
            _ => {}
        }
        self.touch(index);
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
            self.publishers[index].note_silence_before(now);
            let publisher = &self.publishers[index];
            // A flip may be missing where the log was cut off.
            let heard = publisher.state == State::Unseen && publisher.last_heard.is_some();
            if publisher.state == State::Alive || heard {
                self.was_away(now, index, away_since.unwrap_or(now.utc));
            }
            let publisher = &self.publishers[index];
            if matches!(publisher.state, State::Dead | State::Finished) {
                continue;
            }
            if let (State::Paused, Some(Fact::Maintenance { until: Some(until) })) =
                (publisher.state, publisher.evidence.first().map(|evidence| &evidence.fact))
            {
                let left = until.since(now.utc);
                self.watch_until(index, now.monotonic.plus(left));
            }
            self.attend(index);
            self.note_reboot(now, index);
        }
    }

    /// It was watched until `from`, perhaps on an earlier boot.
    fn was_away(&mut self, now: Now, index: usize, from: UtcNanos) {
        let from = from.min(now.utc);
        let then = Now { monotonic: now.monotonic.minus(now.utc.since(from)), utc: from };
        self.flip(then, index, State::Blind, Cause::WatchdogAway, then.monotonic, Vec::new());
        if let Some(Output::Flip(flip)) = self.outputs.last_mut() {
            flip.noticed_at = now.utc;
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

impl Publisher {
    /// What of its silence lies before the monotonic clock's start is told by the wall clock.
    fn note_silence_before(&mut self, now: Now) {
        if let (Some(Monotonic(0)), Some(heard)) = (self.last_heard, self.last_heard_utc) {
            self.silence_before = now.utc.since(heard).saturating_sub(now.monotonic.since(Monotonic(0)));
        }
    }

    /// What it bears of an earlier boot's monotonic clock is told in this one's, which is ahead of that by so many nanoseconds.
    fn rebooted(&mut self, now: Now, shift: Option<i64>) {
        self.last_heard = self.last_heard_utc.map(|heard| now.monotonic.minus(now.utc.since(heard)));
        self.silence_before = Duration::ZERO;
        self.note_silence_before(now);
        self.conflict = None;
        for process in self.processes() {
            process.delay.rebooted(shift);
            process.first_heard = None;
            process.last_heard = None;
        }
        for ended in self.processes().filter_map(|process| process.ended.as_mut()) {
            ended.at = now.monotonic;
        }
    }
}
