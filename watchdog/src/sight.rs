//! Sight: when the watchdog itself can't hear, or was away, or is told not to look.

use std::ops::Range;
use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, UtcNanos};

use crate::evidence::{Evidence, Fact, Source};
use crate::flip::Flip;
use crate::links::{LinkNumber, LinkSet, Unwatched};
use crate::output::{Notice, Output};
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
        for number in self.publishers.numbers() {
            if !self.publishers.is_watched(number) {
                let mut publisher = self.publishers.open(number);
                self.regain_sight(now, &mut publisher);
                self.publishers.close(publisher);
            }
        }
    }

    /// Watches a publisher that can be heard, if nobody does: a link of its own came up, or it is heard on another one that is up.
    /// Who is watched already is not put off.
    pub(crate) fn regain_sight(&mut self, now: Now, publisher: &mut Publisher) {
        if publisher.deadline.is_some() || publisher.is_paused() || self.links.sees(publisher).is_none() {
            return;
        }
        match publisher.state {
            State::Dead | State::Failed | State::Finished => {}
            _ if publisher.has_ended() => publisher.watch_until(now.monotonic.plus(self.rules.settle)),
            State::Blind => {
                publisher.cause = Cause::LinkBack;
                let deadline = now.monotonic.plus(publisher.threshold);
                self.touch(publisher);
                publisher.watch_until(deadline);
            }
            State::Unseen if publisher.expected => {
                let deadline = now.monotonic.plus(publisher.threshold);
                publisher.watch_until(deadline);
            }
            State::Silent | State::Suspended => publisher.look_again_from(now),
            State::Unknown if publisher.cause == Cause::ProbeFailed => publisher.look_again_from(now),
            _ => {}
        }
    }

    /// A link is lost: whoever is heard on no other becomes blind. Verdicts that fell before stand.
    pub fn link_down(&mut self, now: Now, link: LinkNumber, reason: &str) {
        if !self.links.set_down(now, link, reason) {
            return;
        }
        let reason = format!("{}: {reason}", self.links.name(link));
        for number in self.publishers.numbers() {
            let mut publisher = self.publishers.open(number);
            // What is heard on another link, too, may have been said on this one.
            publisher.unbroken &= !publisher.links.all().contains(link);
            if self.links.sees(&publisher).is_none() && !publisher.is_paused() {
                self.lose_sight(now, &mut publisher, &reason);
            }
            self.publishers.close(publisher);
        }
    }

    /// Nobody judges a publisher that can't be heard: who was alive, or was about to be looked at, is blind.
    pub(crate) fn lose_sight(&mut self, now: Now, publisher: &mut Publisher, reason: &str) {
        match publisher.state {
            State::Blind => {
                publisher.cause = Cause::LinkDown;
                self.touch(publisher);
                publisher.stop_watching();
            }
            State::Alive | State::Paused => self.blind(now, publisher, reason),
            _ => publisher.stop_watching(),
        }
    }

    pub(crate) fn blind(&mut self, now: Now, publisher: &mut Publisher, reason: &str) {
        let down = Fact::LinkDown { reason: reason.to_owned() };
        let mut evidence = vec![Evidence { at: now.utc, source: Source::Watchdog, fact: down }];
        let ended = publisher.current.as_ref().and_then(|current| current.ended.as_ref());
        evidence.extend(ended.map(|ended| ended.evidence.clone()).filter(|ended| ended.fact != Fact::Goodbye));
        self.flip(now, publisher, State::Blind, Cause::LinkDown, now.monotonic, evidence);
        publisher.stop_watching();
    }

    /// The watchdog took nothing in since `from` (its host was overloaded, or it was stopped, or its disk was slow): messages
    /// may be waiting that came in time, so they are taken in before anybody is judged. The reason is for people.
    pub fn stalled(&mut self, now: Now, from: UtcNanos, reason: &str) {
        self.settled_at = now.monotonic.plus(self.rules.settle);
        self.learns_since = now.monotonic;
        let reason = reason.to_owned();
        self.outputs.push(Output::Unwatched(Unwatched { link: None, from, to: now.utc.max(from), reason }));
    }

    /// Does not watch a publisher, for `span` or until [`resume_watching`](Self::resume_watching). Returns whether there is
    /// one. A pause in place of another is no flip; a [`Notice`] tells of it.
    pub fn pause(&mut self, now: Now, publisher: &str, span: Option<Duration>) -> bool {
        let Some(number) = self.publishers.find(publisher) else { return false };
        let mut publisher = self.publishers.open(number);
        let until = span.map(|span| now.utc.plus(span));
        let evidence = maintenance(now.utc, until);
        if publisher.state == State::Paused {
            publisher.rare.evidence = evidence;
            self.note_maintenance(now, &mut publisher, until);
        } else {
            self.flip(now, &mut publisher, State::Paused, Cause::Maintenance, now.monotonic, evidence);
        }
        match span {
            Some(span) => publisher.watch_until(now.monotonic.plus(span)),
            None => publisher.stop_watching(),
        }
        self.publishers.close(publisher);
        true
    }

    /// Watches a publisher again. Returns whether it was paused.
    pub fn resume_watching(&mut self, now: Now, publisher: &str) -> bool {
        let Some(number) = self.publishers.find(publisher) else { return false };
        let mut publisher = self.publishers.open(number);
        let paused = publisher.is_paused();
        if paused {
            publisher.watch_until(now.monotonic);
        }
        self.publishers.close(publisher);
        if paused {
            self.due(now);
            let mut publisher = self.publishers.open(number);
            if publisher.state == State::Paused {
                // Its process is looked at first: until that is known a restart must not pause it anew.
                self.note_maintenance(now, &mut publisher, Some(now.utc));
            }
            self.publishers.close(publisher);
        }
        paused
    }

    fn note_maintenance(&mut self, now: Now, publisher: &mut Publisher, until: Option<UtcNanos>) {
        self.touch(publisher);
        let publisher = self.publishers.publisher_id(publisher.number);
        self.outputs.push(Output::Notice(Notice::Maintenance { publisher, at: now.utc, until }));
    }

    /// Maintenance is over: it has failed if that is what it said last; it is alive if it was heard within its threshold, and else judged at once, if it could have
    /// been heard that long.
    pub(crate) fn resume(&mut self, now: Now, publisher: &mut Publisher) {
        let threshold = publisher.threshold;
        let anew = now.monotonic.plus(threshold);
        if let Some(failure) = publisher.rare.failure.as_deref().cloned() {
            self.flip(now, publisher, State::Failed, Cause::Reported, now.monotonic, vec![failure]);
            publisher.stop_watching();
            return;
        }
        let Some(seen_since) = self.links.sees(publisher) else {
            self.blind(now, publisher, "down when maintenance ended");
            return;
        };
        match publisher.silence(now.monotonic) {
            _ if publisher.has_ended() => self.examine(now, publisher, None),
            None => {
                let expected = publisher.expected;
                self.flip(now, publisher, State::Unseen, Cause::NotHeardYet, now.monotonic, Vec::new());
                if expected { publisher.watch_until(anew) } else { publisher.stop_watching() }
            }
            Some(silence) if silence < threshold => {
                self.flip(now, publisher, State::Alive, Cause::Heard, now.monotonic, Vec::new());
                publisher.watch_until(now.monotonic.plus(threshold.saturating_sub(silence)));
            }
            Some(_) if seen_since.plus(threshold) > now.monotonic => {
                self.flip(now, publisher, State::Blind, Cause::LinkBack, now.monotonic, Vec::new());
                publisher.watch_until(seen_since.plus(threshold));
            }
            Some(_) => self.examine(now, publisher, None),
        }
    }

    /// What is to outlive a restart.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        self.snapshot_of(now, 0..self.publishers.len())
    }

    /// The same of some publishers only, by their places in the order in which they became known; those that there are.
    ///
    /// # Panics
    /// Never: there are fewer publishers than 2^32.
    pub fn snapshot_of(&self, now: Now, places: Range<usize>) -> Snapshot {
        let kept = |place: usize| {
            let number = u32::try_from(place).expect("invariant: max_publishers is checked to be below 2^32");
            let publisher = self.publishers.get(number);
            let (id, host) = (self.publishers.publisher_id(number), self.publishers.host(&publisher));
            let links = self.links.names(publisher.links.all());
            Kept::of(id, host, publisher, links)
        };
        let end = places.end.min(self.publishers.len());
        Snapshot {
            at: now.utc,
            at_monotonic: Some(now.monotonic),
            boot: self.boot(),
            publishers: (places.start.min(end)..end).map(kept).collect(),
        }
    }

    /// Remembers. To be called before anything else; then [`replay`](Self::replay) what the log holds after the snapshot,
    /// then [`begin`](Self::begin).
    ///
    /// Returns how what the log holds is to be timed.
    pub fn restore(&mut self, now: Now, snapshot: Snapshot) -> Timing {
        let timing = self.timing(now, &snapshot);
        self.restore_part(now, &timing, snapshot);
        timing
    }

    /// How what the log holds after a snapshot is to be timed; of one in parts the last part tells it best.
    pub fn timing(&self, now: Now, snapshot: &Snapshot) -> Timing {
        Timing::new(now, self.boot()).since((snapshot.at, snapshot.at_monotonic), snapshot.boot)
    }

    /// Remembers some of the publishers, as [`restore`](Self::restore) does all. Returns their places in the order in which
    /// publishers became known.
    ///
    /// # Panics
    /// Never: there are fewer publishers than 2^32.
    pub fn restore_part(&mut self, now: Now, timing: &Timing, snapshot: Snapshot) -> Vec<u32> {
        let same_boot = snapshot.boot.is_some() && snapshot.boot == self.boot();
        let mut places = Vec::with_capacity(snapshot.publishers.len());
        for kept in snapshot.publishers {
            let mut publisher = self.open_or_add(&kept.id, now);
            self.publishers.set_host(&mut publisher, kept.host.as_deref());
            let mut links = LinkSet::default();
            for number in kept.links.iter().filter_map(|name| self.links.number(name)) {
                links.insert(number);
            }
            publisher.state = kept.state;
            publisher.cause = kept.cause;
            publisher.since = kept.since;
            publisher.rare.evidence = kept.evidence;
            publisher.flipped_at = now.monotonic.minus(now.utc.since(kept.since));
            publisher.last_heard_utc = kept.last_heard;
            publisher.last_heard = kept.last_heard_monotonic;
            publisher.rare.silence_before = kept.silence_before;
            publisher.links = links.into();
            publisher.current = kept.current;
            publisher.rare.previous = kept.previous;
            publisher.rare.earlier = kept.earlier;
            publisher.rare.will = kept.will;
            publisher.rare.failure = kept.failure;
            publisher.rare.conflict = kept.conflict;
            publisher.counts = kept.counts;
            if let (Some(adaptive), Some(learned)) = (&mut publisher.rare.adaptive, kept.learned) {
                adaptive.restore(*learned);
                publisher.threshold = adaptive.threshold();
            }
            if !same_boot {
                publisher.rebooted(now, timing.shift());
            }
            self.touch(&mut publisher);
            places.push(publisher.number);
            self.publishers.close(publisher);
        }
        places
    }

    /// A flip that the log holds after the snapshot. Messages after it are given to [`heard`](Self::heard) with the time
    /// at which they came ([`Timing::of`]).
    pub fn replay(&mut self, now: Now, flip: &Flip) {
        let mut publisher = self.open_or_add(&flip.publisher, now);
        publisher.state = flip.to;
        publisher.cause = flip.cause;
        publisher.since = flip.at;
        publisher.flipped_at = now.monotonic.minus(now.utc.since(flip.at));
        publisher.rare.evidence.clone_from(&flip.evidence);
        match flip.to {
            State::Failed => publisher.rare.failure = flip.evidence.first().cloned().map(Box::new),
            State::Paused => {}
            _ => publisher.rare.failure = None,
        }
        let current = publisher.current.as_mut().filter(|current| current.identity == flip.process);
        match (flip.to, flip.evidence.first(), current) {
            (State::Alive, _, Some(current)) => current.ended = None,
            (State::Dead | State::Finished, Some(first), Some(current)) if flip.cause != Cause::Will => {
                let at = now.monotonic.minus(now.utc.since(flip.noticed_at));
                current.ended.get_or_insert_with(|| Box::new(Ended { at, evidence: first.clone() }));
            }
            _ => {}
        }
        self.touch(&mut publisher);
        publisher.stop_watching();
        self.publishers.close(publisher);
    }

    /// A notice that the log holds after the snapshot.
    pub fn replay_notice(&mut self, notice: &Notice) {
        let Notice::Maintenance { publisher, at, until } = notice else { return };
        let Some(number) = self.publishers.find(publisher.as_str()) else { return };
        let mut publisher = self.publishers.open(number);
        if publisher.state == State::Paused {
            publisher.rare.evidence = maintenance(*at, *until);
        }
        self.publishers.close(publisher);
    }

    /// Begins to watch after [`restore`](Self::restore) and [`replay`](Self::replay): who was alive is not judged before
    /// it could be heard, who was late is still late, and what this host knows of its processes is asked for.
    pub fn begin(&mut self, now: Now, away_since: Option<UtcNanos>) {
        self.outputs.clear();
        // What came back is no news: it was told before. Who was never heard may not have been.
        self.news.clear();
        let unseen = |number: &u32| self.publishers.state(*number) == State::Unseen;
        for number in self.publishers.numbers().filter(unseen).collect::<Vec<_>>() {
            self.note_news(number);
        }
        if let Some(from) = away_since {
            let reason = "the watchdog was not running".to_owned();
            self.outputs.push(Output::Unwatched(Unwatched { link: None, from, to: now.utc.max(from), reason }));
        }
        for number in self.publishers.numbers() {
            let mut publisher = self.publishers.open(number);
            self.begin_with(now, &mut publisher, away_since);
            self.publishers.close(publisher);
        }
    }

    fn begin_with(&mut self, now: Now, publisher: &mut Publisher, away_since: Option<UtcNanos>) {
        publisher.stop_watching();
        publisher.note_silence_before(now);
        // A flip may be missing where the log was cut off.
        let heard = publisher.state == State::Unseen && publisher.last_heard.is_some();
        if publisher.state == State::Alive || heard {
            self.was_away(now, publisher, away_since.unwrap_or(now.utc));
        }
        if matches!(publisher.state, State::Dead | State::Finished) {
            return;
        }
        if let (State::Paused, Some(Fact::Maintenance { until: Some(until) })) =
            (publisher.state, publisher.rare.evidence.first().map(|evidence| &evidence.fact))
        {
            let left = until.since(now.utc);
            publisher.watch_until(now.monotonic.plus(left));
        }
        self.attend(publisher);
        self.note_reboot(now, publisher);
    }

    /// It was watched until `from`, perhaps on an earlier boot.
    fn was_away(&mut self, now: Now, publisher: &mut Publisher, from: UtcNanos) {
        let from = from.min(now.utc);
        let then = Now { monotonic: now.monotonic.minus(now.utc.since(from)), utc: from };
        self.flip(then, publisher, State::Blind, Cause::WatchdogAway, then.monotonic, Vec::new());
        if let Some(Output::Flip(flip)) = self.outputs.last_mut() {
            flip.noticed_at = now.utc;
        }
    }

    /// A process of an earlier boot of this host has ended; that is known without a threshold.
    fn note_reboot(&mut self, now: Now, publisher: &mut Publisher) {
        let Some(process) = publisher.identity() else { return };
        if self.is_local(process) {
            return;
        }
        let fact = self.elsewhere(publisher, process);
        if let (Fact::Rebooted { .. }, Some(current)) = (&fact, &mut publisher.current) {
            let evidence = Evidence { at: now.utc, source: Source::Identity, fact };
            current.ended.get_or_insert_with(|| Box::new(Ended { at: now.monotonic, evidence }));
        }
    }
}

/// What a pause rests on.
fn maintenance(at: UtcNanos, until: Option<UtcNanos>) -> Vec<Evidence> {
    vec![Evidence { at, source: Source::Watchdog, fact: Fact::Maintenance { until } }]
}

impl Publisher {
    /// What of its silence lies before the monotonic clock's start is told by the wall clock.
    fn note_silence_before(&mut self, now: Now) {
        if let (Some(Monotonic(0)), Some(heard)) = (self.last_heard, self.last_heard_utc) {
            self.rare.silence_before = now.utc.since(heard).saturating_sub(now.monotonic.since(Monotonic(0)));
        }
    }

    /// What it bears of an earlier boot's monotonic clock is told in this one's, which is ahead of that by so many nanoseconds.
    fn rebooted(&mut self, now: Now, shift: Option<i64>) {
        self.last_heard = self.last_heard_utc.map(|heard| now.monotonic.minus(now.utc.since(heard)));
        self.rare.silence_before = Duration::ZERO;
        self.note_silence_before(now);
        self.rare.conflict = None;
        for process in self.processes_mut() {
            process.delay.rebooted(shift);
            process.first_heard = None;
            process.last_heard = None;
        }
        for ended in self.processes_mut().filter_map(|process| process.ended.as_mut()) {
            ended.at = now.monotonic;
        }
    }
}
