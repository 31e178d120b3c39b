//! How the watchdog's program looks at processes in a [`World`], and what the kernel tells it of them.

use lastbeat_watchdog::{Evidence, Fact, Question, Source};
use lastbeat_wire::{ProcessIdentity, PublisherId};

use super::chance::Spans;
use super::world::{Happening, MILLI, World};
use crate::intake::Finding;

/// How long looking at a process takes.
const LOOK: Spans = Spans(&[(0.9, 0.002), (0.99, 0.05), (1.0, 0.4)]);

impl World {
    /// A question is put: the answer takes its time, or does not come.
    pub fn asked(&mut self, question: Question) {
        let never = self.watch.probes_fail > 0 && self.side.yes(0.5);
        let after = self.side.span(LOOK);
        if !never {
            let life = self.watch.life;
            self.later(after, Happening::Answers { life, question });
        }
    }

    /// A probe answers what it finds now.
    pub fn answers(&mut self, life: u64, question: Question) {
        if self.watch.life == life && self.watch.is_running() {
            let fails = self.watch.probes_fail > 0;
            let failed = || Fact::ProbeFailed { reason: "simulated".to_owned() };
            let fact = if fails { failed() } else { self.processes.look(question.process) };
            let evidence = Evidence { at: self.clock().utc, source: Source::ProcessTable, fact };
            self.watch.findings.push_back(Finding::Answer(question, evidence));
            self.wake_up();
        }
    }

    /// The end of a process is waited for, or is told at once.
    pub fn attend(&mut self, publisher: PublisherId, process: ProcessIdentity) {
        if !self.fleet.pidfd {
            return;
        }
        let life = self.watch.life;
        if self.processes.has_ended(process) {
            self.later(MILLI, Happening::Exits { life, publisher, process });
        } else {
            self.watch.attended.insert((publisher, process));
        }
    }

    /// The kernel tells at once that a process has ended, to whom waits for it.
    pub fn tell_exit(&mut self, publisher: usize, process: usize) {
        let of = (self.fleet.publishers[publisher].id.clone(), self.processes.all[process].identity);
        if self.watch.attended.remove(&of) {
            let life = self.watch.life;
            self.later(0, Happening::Exits { life, publisher: of.0, process: of.1 });
        }
    }

    /// The end of a process is told.
    pub fn exits(&mut self, life: u64, publisher: PublisherId, process: ProcessIdentity) {
        if self.watch.life == life && self.watch.is_running() {
            let evidence = Evidence { at: self.clock().utc, source: Source::Pidfd, fact: Fact::Gone };
            self.watch.findings.push_back(Finding::Exited(publisher, process, evidence));
            self.wake_up();
        }
    }
}
