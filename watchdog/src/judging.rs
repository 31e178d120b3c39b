//! Judging: a deadline passes, evidence is gathered, a verdict falls.

use lastbeat_wire::{Kind, LAST_BREATH, Monotonic, Now, ProcessIdentity};

use crate::evidence::{Evidence, Fact, Source};
use crate::flip::Flip;
use crate::output::{Output, Question};
use crate::publisher::{Ended, Phase, Process, Publisher};
use crate::state::{Cause, State};
use crate::verdict::{Dead, judge};
use crate::watchdog::{Heard, Watchdog};

impl Watchdog {
    /// Does what is due. Call it after each event, so that a flood of messages can't starve it.
    pub fn due(&mut self, now: Now) {
        if now.monotonic < self.settled_at {
            return;
        }
        loop {
            let mut none = true;
            for number in self.publishers.due(now.monotonic) {
                let mut publisher = self.publishers.open(number);
                if let Some(deadline) = publisher.deadline {
                    none = false;
                    self.reached(now, &mut publisher, deadline);
                }
                self.publishers.close(publisher);
            }
            if none {
                return;
            }
        }
    }

    /// Takes the answer to a question. It is ignored if the publisher spoke after the question, or the question is
    /// no longer open.
    pub fn answer(&mut self, now: Now, question: &Question, evidence: Evidence) {
        let Some(number) = self.publishers.find(question.publisher.as_str()) else { return };
        let mut publisher = self.publishers.open(number);
        self.answered(now, &mut publisher, question, evidence);
        self.publishers.close(publisher);
    }

    fn answered(&mut self, now: Now, publisher: &mut Publisher, question: &Question, evidence: Evidence) {
        let Phase::Asked { at, missed } = publisher.rare.phase else { return };
        if at != question.asked_at || publisher.identity() != Some(question.process) {
            return;
        }
        if now.monotonic < self.settled_at {
            // Messages are waiting that may tell more; if they don't, it is looked at again.
            publisher.watch_until(missed.unwrap_or(self.settled_at));
        } else {
            self.conclude(now, publisher, missed, vec![evidence]);
        }
    }

    /// Takes the news that a process of this host has ended. Evidence that does not prove it is no such news.
    pub fn exited(&mut self, now: Now, publisher: &str, process: ProcessIdentity, evidence: Evidence) {
        let Some(number) = self.publishers.find(publisher) else { return };
        if Dead::proved_by(std::slice::from_ref(&evidence)).is_none_or(|dead| dead.cause() == Cause::Will) {
            return;
        }
        let mut publisher = self.publishers.open(number);
        self.ended(now, &mut publisher, process, evidence);
        self.publishers.close(publisher);
    }

    fn ended(&mut self, now: Now, publisher: &mut Publisher, process: ProcessIdentity, evidence: Evidence) {
        let sighted = self.links.sees(publisher).is_some();
        let ended = Box::new(Ended { at: now.monotonic, evidence: evidence.clone() });
        if let Some(previous) = publisher.rare.previous.as_mut().filter(|previous| previous.identity == Some(process)) {
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
            self.end_unjudged(publisher, evidence);
            return;
        }
        if self.hand_back(now, publisher) {
            return;
        }
        let until = self.goodbye_by(now, publisher).max(self.settled_at);
        if now.monotonic < until {
            publisher.watch_until(until);
        } else {
            self.conclude(now, publisher, None, vec![evidence]);
        }
    }

    /// Nobody is judged while blind. That the process has ended is no secret all the same.
    fn end_unjudged(&mut self, publisher: &mut Publisher, evidence: Evidence) {
        if publisher.state == State::Blind {
            publisher.rare.evidence.push(evidence);
            self.touch(publisher);
        }
    }

    /// Until when the goodbye of a process that has just ended may still come: twice as long as its last messages were under
    /// way, less what it lived on after it, at most [`WatchRules::settle`](crate::WatchRules::settle), and never beyond the
    /// instant at which it would be judged by its silence. Now, or earlier, where its link is quicker than the kernel.
    fn goodbye_by(&self, now: Now, publisher: &Publisher) -> Monotonic {
        // Who said goodbye to its broker leaves no will.
        let may_come = publisher.rare.will.is_none() && publisher.rare.phase == Phase::Watching;
        match publisher.state {
            State::Alive if may_come => {
                let span = publisher.under_way.saturating_mul(2).saturating_sub(LAST_BREATH).min(self.rules.settle);
                now.monotonic.plus(span).min(publisher.silent_at().unwrap_or(now.monotonic))
            }
            // It was not heard since its link is back. Its goodbye stands where its messages stand: in what the broker kept.
            State::Blind if may_come => self.caught_up_at(publisher),
            _ => now.monotonic,
        }
    }

    /// When the link that a publisher is heard on will have caught up, unless more comes that had waited: while a broker
    /// delivers what it kept, what is sent now stands behind that.
    fn caught_up_at(&self, publisher: &Publisher) -> Monotonic {
        let behind_at = self.links.behind_at(publisher);
        behind_at.map_or(Monotonic(0), |at| at.plus(self.rules.settle))
    }

    /// A will was published: a broker lost the publisher's connection. That is evidence, not a verdict.
    pub(crate) fn will(&mut self, now: Now, publisher: &mut Publisher, heard: &Heard<'_>) {
        debug_assert_eq!(heard.kind, Kind::Rip);
        publisher.counts.messages += 1;
        publisher.counts.refused += u64::from(!heard.readable);
        if heard.header.process.is_some() && heard.header.process != publisher.identity() {
            return;
        }
        let evidence = Evidence { at: now.utc, source: Source::Message, fact: Fact::Will };
        publisher.rare.will = Some(Box::new(evidence));
        let watched = publisher.rare.phase == Phase::Watching && self.links.sees(publisher).is_some();
        let (state, process) = (publisher.state, publisher.identity());
        let local = process.is_some_and(|process| self.is_local(process));
        // Once there was a verdict, a broker that waits longer than the threshold says now what nobody could tell then.
        let asks = local && state == State::Alive || matches!(state, State::Silent | State::Suspended | State::Unknown);
        if watched && asks {
            publisher.watch_until(now.monotonic);
        }
    }

    fn reached(&mut self, now: Now, publisher: &mut Publisher, deadline: Monotonic) {
        let sighted = self.links.sees(publisher).is_some();
        if publisher.is_paused() {
            self.resume(now, publisher);
            return;
        }
        if !sighted {
            self.lose_sight(now, publisher, "nothing it was heard on is up");
            return;
        }
        if let Phase::Asked { missed, .. } = publisher.rare.phase {
            let reason = format!("no answer within {} ms", self.rules.probe_limit.as_millis());
            let fact = Fact::ProbeFailed { reason };
            self.conclude(now, publisher, missed, vec![Evidence { at: now.utc, source: Source::ProcessTable, fact }]);
            return;
        }
        let state = publisher.state;
        let ended = publisher.has_ended();
        let caught_up_at = self.caught_up_at(publisher);
        match state {
            State::Alive if ended => self.examine(now, publisher, Some(deadline)),
            State::Alive | State::Blind | State::Unseen if caught_up_at > now.monotonic => {
                publisher.watch_until(caught_up_at);
            }
            State::Alive | State::Blind | State::Unseen => self.examine(now, publisher, Some(deadline)),
            State::Silent | State::Suspended | State::Unknown | State::Paused => self.examine(now, publisher, None),
            State::Dead | State::Failed | State::Finished => publisher.stop_watching(),
        }
    }

    /// Gathers evidence: what is known already, else by a question. `missed` is the deadline that calls for it, if one does.
    pub(crate) fn examine(&mut self, now: Now, publisher: &mut Publisher, missed: Option<Monotonic>) {
        let fact = match (&publisher.current, publisher.identity()) {
            (Some(Process { ended: Some(ended), .. }), _) => {
                let (at, evidence) = (ended.at, vec![ended.evidence.clone()]);
                if ended.evidence.fact == Fact::Goodbye {
                    self.flip(now, publisher, State::Finished, Cause::Goodbye, at, evidence);
                    publisher.stop_watching();
                } else {
                    self.conclude(now, publisher, missed, evidence);
                }
                return;
            }
            (None, _) => Fact::NeverHeard,
            (Some(_), None) => Fact::NoIdentity,
            (Some(_), Some(process)) if self.is_local(process) => {
                let asked_at = now.monotonic;
                let question =
                    Question { publisher: self.publishers.publisher_id(publisher.number), process, asked_at };
                self.outputs.push(Output::Ask(question));
                publisher.watch_until(asked_at.plus(self.rules.probe_limit));
                publisher.rare.phase = Phase::Asked { at: asked_at, missed };
                return;
            }
            (Some(_), Some(process)) => self.elsewhere(publisher, process),
        };
        let source = if fact == Fact::NeverHeard { Source::Watchdog } else { Source::Identity };
        self.conclude(now, publisher, missed, vec![Evidence { at: now.utc, source, fact }]);
    }

    /// What can be said of a process that this watchdog can't look at.
    pub(crate) fn elsewhere(&self, publisher: &Publisher, process: ProcessIdentity) -> Fact {
        let last_heard = publisher.last_heard_utc;
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
    fn conclude(
        &mut self,
        now: Now,
        publisher: &mut Publisher,
        mut missed: Option<Monotonic>,
        mut evidence: Vec<Evidence>,
    ) {
        evidence.extend(publisher.rare.will.as_deref().cloned());
        let verdict = judge(&evidence);
        let ended = verdict.state() == State::Dead && verdict.cause() != Cause::Will;
        if publisher.state == State::Alive {
            let deadline = publisher.silent_at().unwrap_or_else(|| now.monotonic.plus(publisher.threshold));
            missed = Some(deadline).filter(|deadline| *deadline <= now.monotonic);
            if missed.is_none() && !ended {
                // Looked at for another reason than a missed deadline, and its process has not ended: go on watching.
                publisher.watch_until(deadline);
                return;
            }
        }
        let mut at = missed.unwrap_or(now.monotonic);
        if let (true, Some(current)) = (ended, &mut publisher.current) {
            match &current.ended {
                Some(ended) => at = ended.at,
                None => {
                    current.ended = Some(Box::new(Ended { at: now.monotonic, evidence: evidence[0].clone() }));
                }
            }
        }
        let (state, cause) = (verdict.state(), verdict.cause());
        let no_answer = state == State::Unknown && cause == Cause::ProbeFailed;
        evidence.extend(publisher.adaptive_evidence(now, missed));
        if publisher.state != state && !(no_answer && matches!(publisher.state, State::Silent | State::Suspended)) {
            self.flip(now, publisher, state, cause, at, evidence);
        } else if publisher.state == state {
            publisher.cause = cause;
            publisher.rare.evidence = evidence;
            self.touch(publisher);
        }
        match publisher.state {
            State::Silent | State::Suspended => publisher.look_again_from(now),
            State::Unknown if publisher.cause == Cause::ProbeFailed => publisher.look_again_from(now),
            _ => publisher.stop_watching(),
        }
    }

    /// Changes a publisher's state and tells of it.
    pub(crate) fn flip(
        &mut self,
        now: Now,
        publisher: &mut Publisher,
        to: State,
        cause: Cause,
        at: Monotonic,
        evidence: Vec<Evidence>,
    ) {
        self.touch(publisher);
        let at = at.max(publisher.flipped_at).min(now.monotonic);
        let from = std::mem::replace(&mut publisher.state, to);
        // A silence stays one, judged or not. That a process was stopped, or ended, is no question of pace.
        publisher.unbroken &= matches!(to, State::Silent | State::Unknown);
        publisher.flipped_at = at;
        publisher.cause = cause;
        publisher.since = now.utc_at(at);
        // In exactly the room it takes.
        publisher.rare.evidence = evidence.as_slice().to_vec();
        self.outputs.push(Output::Flip(Flip {
            publisher: self.publishers.publisher_id(publisher.number),
            host: self.publishers.host(publisher).map(str::to_owned),
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
}
