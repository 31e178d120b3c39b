//! Judging: a deadline passes, evidence is gathered, a verdict falls.

use std::time::Duration;

use lastbeat_wire::{Kind, LAST_BREATH, Monotonic, Now, ProcessIdentity};

use crate::evidence::{Evidence, Fact, Source};
use crate::flip::Flip;
use crate::output::{Output, Question};
use crate::publisher::{Ended, Phase, Process};
use crate::state::{Cause, State};
use crate::verdict::{Dead, judge};
use crate::watchdog::{Heard, Watchdog};

/// A process that is silent is looked at again no sooner than this, however short its threshold.
const RECHECK_AT_LEAST: Duration = Duration::from_millis(100);

impl Watchdog {
    /// Does what is due. Call it after each event, so that a flood of messages can't starve it.
    pub fn due(&mut self, now: Now) {
        while let Some((queued, number)) = self.deadlines.pop_due(now.monotonic) {
            let index = number as usize;
            let publisher = &mut self.publishers[index];
            if publisher.queued != Some(queued) {
                continue;
            }
            publisher.queued = None;
            match publisher.deadline {
                None => {}
                Some(deadline) if deadline > now.monotonic => self.queue(index, deadline),
                Some(_) if now.monotonic < self.settled_at => self.queue(index, self.settled_at),
                Some(deadline) => self.reached(now, index, deadline),
            }
        }
    }

    /// Takes the answer to a question. It is ignored if the publisher spoke after the question, or the question is
    /// no longer open.
    pub fn answer(&mut self, now: Now, question: &Question, evidence: Evidence) {
        let Some(index) = self.find(question.publisher.as_str()) else { return };
        let Phase::Asked { at, missed } = self.publishers[index].phase else { return };
        if at != question.asked_at || self.publishers[index].identity() != Some(question.process) {
            return;
        }
        if now.monotonic < self.settled_at {
            // Messages are waiting that may tell more; if they don't, it is looked at again.
            self.watch_until(index, missed.unwrap_or(self.settled_at));
        } else {
            self.conclude(now, index, missed, vec![evidence]);
        }
    }

    /// Takes the news that a process of this host has ended. Evidence that does not prove it is no such news.
    pub fn exited(&mut self, now: Now, publisher: &str, process: ProcessIdentity, evidence: Evidence) {
        let Some(index) = self.find(publisher) else { return };
        if Dead::proved_by(std::slice::from_ref(&evidence)).is_none_or(|dead| dead.cause() == Cause::Will) {
            return;
        }
        let sighted = self.links.sees(&self.publishers[index]).is_some();
        let publisher = &mut self.publishers[index];
        let ended = Ended { at: now.monotonic, evidence: evidence.clone() };
        if let Some(previous) = publisher.previous.as_mut().filter(|previous| previous.identity == Some(process)) {
            previous.ended.get_or_insert(ended);
            return;
        }
        let Some(current) = publisher.current.as_mut().filter(|current| current.identity == Some(process)) else {
            return;
        };
        if current.ended.is_some() {
            return;
        }
        current.ended = Some(ended);
        let judged = matches!(publisher.state, State::Finished | State::Failed | State::Dead);
        if judged || publisher.is_paused() {
            return;
        }
        if !sighted {
            self.end_unjudged(index, evidence);
            return;
        }
        if self.hand_back(now, index) {
            return;
        }
        let until = self.goodbye_by(now, index).max(self.settled_at);
        if now.monotonic < until {
            self.watch_until(index, until);
        } else {
            self.conclude(now, index, None, vec![evidence]);
        }
    }

    /// Nobody is judged while blind. That the process has ended is no secret all the same.
    fn end_unjudged(&mut self, index: usize, evidence: Evidence) {
        let publisher = &mut self.publishers[index];
        if publisher.state == State::Blind {
            publisher.evidence.push(evidence);
            self.touch(index);
        }
    }

    /// Until when the goodbye of a process that has just ended may still come: twice as long as its last messages were under
    /// way, less what it lived on after it, at most [`WatchRules::settle`](crate::WatchRules::settle), and never beyond the
    /// instant at which it would be judged by its silence. Now, or earlier, where its link is quicker than the kernel.
    fn goodbye_by(&self, now: Now, index: usize) -> Monotonic {
        let publisher = &self.publishers[index];
        // Who said goodbye to its broker leaves no will.
        let may_come = publisher.will.is_none() && publisher.phase == Phase::Watching;
        match publisher.state {
            State::Alive if may_come => {
                let span = publisher.under_way.saturating_mul(2).saturating_sub(LAST_BREATH).min(self.rules.settle);
                now.monotonic.plus(span).min(publisher.silent_at().unwrap_or(now.monotonic))
            }
            // It was not heard since its link is back. Its goodbye stands where its messages stand: in what the broker kept.
            State::Blind if may_come => self.caught_up_at(index),
            _ => now.monotonic,
        }
    }

    /// When the link that a publisher is heard on will have caught up, unless more comes that had waited: while a broker
    /// delivers what it kept, what is sent now stands behind that.
    fn caught_up_at(&self, index: usize) -> Monotonic {
        let behind_at = self.links.behind_at(&self.publishers[index]);
        behind_at.map_or(Monotonic(0), |at| at.plus(self.rules.settle))
    }

    /// A will was published: a broker lost the publisher's connection. That is evidence, not a verdict.
    pub(crate) fn will(&mut self, now: Now, index: usize, heard: &Heard<'_>) {
        debug_assert_eq!(heard.kind, Kind::Rip);
        let publisher = &mut self.publishers[index];
        publisher.counts.messages += 1;
        publisher.counts.refused += u64::from(!heard.readable);
        if heard.header.process.is_some() && heard.header.process != publisher.identity() {
            return;
        }
        let evidence = Evidence { at: now.utc, source: Source::Message, fact: Fact::Will };
        publisher.will = Some(evidence);
        let watched = publisher.phase == Phase::Watching && self.links.sees(publisher).is_some();
        let (state, process) = (publisher.state, publisher.identity());
        let local = process.is_some_and(|process| self.is_local(process));
        // Once there was a verdict, a broker that waits longer than the threshold says now what nobody could tell then.
        let asks = local && state == State::Alive || matches!(state, State::Silent | State::Suspended | State::Unknown);
        if watched && asks {
            self.watch_until(index, now.monotonic);
        }
    }

    fn reached(&mut self, now: Now, index: usize, deadline: Monotonic) {
        let sighted = self.links.sees(&self.publishers[index]).is_some();
        let publisher = &mut self.publishers[index];
        if publisher.is_paused() {
            self.resume(now, index);
            return;
        }
        if !sighted {
            self.lose_sight(now, index, "nothing it was heard on is up");
            return;
        }
        if let Phase::Asked { missed, .. } = publisher.phase {
            let reason = format!("no answer within {} ms", self.rules.probe_limit.as_millis());
            let fact = Fact::ProbeFailed { reason };
            self.conclude(now, index, missed, vec![Evidence { at: now.utc, source: Source::ProcessTable, fact }]);
            return;
        }
        let state = publisher.state;
        let ended = publisher.has_ended();
        let caught_up_at = self.caught_up_at(index);
        match state {
            State::Alive if ended => self.examine(now, index, Some(deadline)),
            State::Alive | State::Blind | State::Unseen if caught_up_at > now.monotonic => {
                self.watch_until(index, caught_up_at);
            }
            State::Alive | State::Blind | State::Unseen => self.examine(now, index, Some(deadline)),
            State::Silent | State::Suspended | State::Unknown | State::Paused => self.examine(now, index, None),
            State::Dead | State::Failed | State::Finished => self.stop_watching(index),
        }
    }

    /// Gathers evidence: what is known already, else by a question. `missed` is the deadline that calls for it, if one does.
    pub(crate) fn examine(&mut self, now: Now, index: usize, missed: Option<Monotonic>) {
        let publisher = &self.publishers[index];
        let fact = match (&publisher.current, publisher.identity()) {
            (Some(Process { ended: Some(ended), .. }), _) => {
                let (at, evidence) = (ended.at, vec![ended.evidence.clone()]);
                if ended.evidence.fact == Fact::Goodbye {
                    self.flip(now, index, State::Finished, Cause::Goodbye, at, evidence);
                    self.stop_watching(index);
                } else {
                    self.conclude(now, index, missed, evidence);
                }
                return;
            }
            (None, _) => Fact::NeverHeard,
            (Some(_), None) => Fact::NoIdentity,
            (Some(_), Some(process)) if self.is_local(process) => {
                let asked_at = now.monotonic;
                let question = Question { publisher: publisher.id.clone(), process, asked_at };
                self.outputs.push(Output::Ask(question));
                self.watch_until(index, asked_at.plus(self.rules.probe_limit));
                self.publishers[index].phase = Phase::Asked { at: asked_at, missed };
                return;
            }
            (Some(_), Some(process)) => self.elsewhere(index, process),
        };
        let source = if fact == Fact::NeverHeard { Source::Watchdog } else { Source::Identity };
        self.conclude(now, index, missed, vec![Evidence { at: now.utc, source, fact }]);
    }

    /// What can be said of a process that this watchdog can't look at.
    pub(crate) fn elsewhere(&self, index: usize, process: ProcessIdentity) -> Fact {
        let last_heard = self.publishers[index].last_heard_utc;
        match self.rules.host {
            Some(host) if host.process.boot == process.boot => {
                Fact::OtherNamespace { pid_namespace: process.pid_namespace }
            }
            // Hosts cloned with one machine id are told apart by having been heard since this host was started.
            Some(host)
                if host.process.host == process.host && last_heard.is_some_and(|heard| heard < host.booted_at) =>
            {
                Fact::Rebooted { boot: host.process.boot }
            }
            _ => Fact::OtherHost { host: process.host },
        }
    }

    /// The verdict falls.
    fn conclude(&mut self, now: Now, index: usize, mut missed: Option<Monotonic>, mut evidence: Vec<Evidence>) {
        let publisher = &mut self.publishers[index];
        evidence.extend(publisher.will.clone());
        let verdict = judge(&evidence);
        let ended = verdict.state() == State::Dead && verdict.cause() != Cause::Will;
        if publisher.state == State::Alive {
            let deadline = publisher.silent_at().unwrap_or_else(|| now.monotonic.plus(publisher.threshold));
            missed = Some(deadline).filter(|deadline| *deadline <= now.monotonic);
            if missed.is_none() && !ended {
                // Looked at for another reason than a missed deadline, and its process has not ended: go on watching.
                self.watch_until(index, deadline);
                return;
            }
        }
        let mut at = missed.unwrap_or(now.monotonic);
        if let (true, Some(current)) = (ended, &mut publisher.current) {
            match &current.ended {
                Some(ended) => at = ended.at,
                None => current.ended = Some(Ended { at: now.monotonic, evidence: evidence[0].clone() }),
            }
        }
        let (state, cause) = (verdict.state(), verdict.cause());
        let no_answer = state == State::Unknown && cause == Cause::ProbeFailed;
        evidence.extend(publisher.adaptive_evidence(now, missed));
        if publisher.state != state && !(no_answer && matches!(publisher.state, State::Silent | State::Suspended)) {
            self.flip(now, index, state, cause, at, evidence);
        } else if publisher.state == state {
            publisher.cause = cause;
            publisher.evidence = evidence;
            self.touch(index);
        }
        let publisher = &self.publishers[index];
        match publisher.state {
            State::Silent | State::Suspended => self.recheck(now, index),
            State::Unknown if publisher.cause == Cause::ProbeFailed => self.recheck(now, index),
            _ => self.stop_watching(index),
        }
    }

    /// Looks again after a fifth of the threshold.
    pub(crate) fn recheck(&mut self, now: Now, index: usize) {
        let at = now.monotonic.plus((self.publishers[index].threshold / 5).max(RECHECK_AT_LEAST));
        if at > now.monotonic {
            self.watch_until(index, at);
        } else {
            // The clock has come to its end.
            self.stop_watching(index);
        }
    }

    /// Changes a publisher's state and tells of it.
    pub(crate) fn flip(
        &mut self,
        now: Now,
        index: usize,
        to: State,
        cause: Cause,
        at: Monotonic,
        evidence: Vec<Evidence>,
    ) {
        self.touch(index);
        let publisher = &mut self.publishers[index];
        let at = at.max(publisher.flipped_at).min(now.monotonic);
        let from = std::mem::replace(&mut publisher.state, to);
        // A silence stays one, judged or not. That a process was stopped, or ended, is no question of pace.
        publisher.unbroken &= matches!(to, State::Silent | State::Unknown);
        publisher.flipped_at = at;
        publisher.cause = cause;
        publisher.since = now.utc_at(at);
        publisher.evidence.clone_from(&evidence);
        self.outputs.push(Output::Flip(Flip {
            publisher: publisher.id.clone(),
            host: publisher.host.as_deref().map(str::to_owned),
            from,
            to,
            cause,
            at: publisher.since,
            noticed_at: now.utc,
            silence: publisher.silence(at),
            last_heard: publisher.last_heard_utc,
            process: publisher.identity(),
            evidence,
        }));
    }

    pub(crate) fn is_local(&self, process: ProcessIdentity) -> bool {
        self.rules.host.is_some_and(|host| {
            host.process.boot == process.boot && host.process.pid_namespace == process.pid_namespace
        })
    }

    /// Nothing is asked of it any more; it is due at `deadline`.
    pub(crate) fn watch_until(&mut self, index: usize, deadline: Monotonic) {
        let publisher = &mut self.publishers[index];
        publisher.phase = Phase::Watching;
        publisher.deadline = Some(deadline);
        if publisher.queued.is_none_or(|queued| queued > deadline) {
            self.queue(index, deadline);
        }
    }

    pub(crate) fn stop_watching(&mut self, index: usize) {
        let publisher = &mut self.publishers[index];
        publisher.phase = Phase::Watching;
        publisher.deadline = None;
    }

    fn queue(&mut self, index: usize, at: Monotonic) {
        self.publishers[index].queued = Some(at);
        let number = u32::try_from(index).expect("invariant: max_publishers is checked to be below 2^32");
        self.deadlines.push(at, number);
        if self.deadlines.len() > 2 * self.publishers.len() + 64 {
            let publishers = &self.publishers;
            self.deadlines.retain(|at, number| publishers[number as usize].queued == Some(at));
        }
    }
}
