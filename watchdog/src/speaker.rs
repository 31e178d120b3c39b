//! [`Speaker`]: which of a publisher's processes a message is from; restarts, and two processes under one id.

use lastbeat_wire::{Header, Monotonic, Now};

use crate::evidence::Fact;
use crate::output::{Notice, Output};
use crate::publisher::{Process, Publisher};
use crate::sequences::{Place, Sequences};
use crate::state::State;
use crate::watchdog::{Heard, Watchdog};

/// Which process of a publisher speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Current,
    Previous,
}

impl Watchdog {
    /// Finds out which process speaks, and takes note of a new one.
    pub(crate) fn speaker(&mut self, now: Now, publisher: &mut Publisher, header: &Header<'_>) -> Speaker {
        if publisher.current.is_none() {
            publisher.current = Some(Process::new(header.process));
            self.attend(publisher);
            return Speaker::Current;
        }
        let Some(identity) = header.process else { return Speaker::Current };
        if publisher.previous_identity() == Some(identity) {
            return Speaker::Previous;
        }
        let Some(known) = publisher.identity() else {
            // It told its process only now: from here on its numbers and its end count.
            publisher.current = Some(Process::new(Some(identity)));
            self.attend(publisher);
            return Speaker::Current;
        };
        if known == identity {
            return Speaker::Current;
        }
        let same_kernel = known.boot == identity.boot && known.pid_namespace == identity.pid_namespace;
        if publisher.recall_earlier(identity) {
            return Speaker::Previous;
        }
        // What an earlier boot of this host left behind in a broker is older than a process of this boot.
        let before_boot = self.rules.host.is_some_and(|own| {
            let own = own.process;
            known.boot == own.boot && identity.host == own.host && identity.boot != own.boot
        });
        if before_boot {
            publisher.set_previous(Some(Process::new(Some(identity))));
            return Speaker::Previous;
        }
        if same_kernel && identity.start < known.start {
            // What it left behind is sent by its successor: that it waited is told by the clock they share.
            let delay = publisher.process(Speaker::Current).delay.of_another_process();
            publisher.set_previous(Some(Process { delay, ..Process::new(Some(identity)) }));
            return Speaker::Previous;
        }
        let began = publisher.began_since_last(now, header);
        let before = publisher.current.replace(Process::begun(identity, began));
        publisher.set_previous(before);
        publisher.unbroken = false;
        publisher.counts.restarts += 1;
        let id = self.publishers.publisher_id(publisher.number);
        self.outputs.push(Output::Notice(Notice::Restarted { publisher: id, at: now.utc, old: known, new: identity }));
        self.attend(publisher);
        Speaker::Current
    }

    /// A live message of a process that was thought to have ended: it has not.
    pub(crate) fn revive(&mut self, now: Now, publisher: &mut Publisher, speaker: &mut Speaker, heard: &Heard<'_>) {
        let ended = publisher.process(*speaker).ended.take();
        if publisher.state == State::Blind {
            publisher.rare.evidence.retain(|evidence| ended.as_ref().is_none_or(|ended| ended.evidence != *evidence));
        }
        let said_goodbye = ended.as_ref().is_some_and(|ended| ended.evidence.fact == Fact::Goodbye);
        let current_is_over = publisher.current.as_ref().is_some_and(|current| {
            let silent = current.last_heard.is_none_or(|heard| now.monotonic.since(heard) >= publisher.threshold);
            current.ended.is_some() || silent
        });
        if *speaker == Speaker::Previous && current_is_over {
            self.swap_processes(publisher);
            *speaker = Speaker::Current;
        }
        // Who does not tell its process shows that something speaks, not that this process does.
        if let (Some(_), false, Some(process)) = (ended, said_goodbye, heard.header.process) {
            let id = self.publishers.publisher_id(publisher.number);
            self.outputs.push(Output::Notice(Notice::Contradiction { publisher: id, at: now.utc, process }));
        }
    }

    /// One of two processes under an id has ended, and the other was heard within its threshold: that one is watched on.
    pub(crate) fn hand_back(&mut self, now: Now, publisher: &mut Publisher) -> bool {
        let speaks = publisher.rare.conflict.is_some_and(|at| now.monotonic.since(at) < publisher.threshold);
        let lives = publisher.rare.previous.as_ref().is_some_and(|previous| previous.ended.is_none());
        let hands_back = publisher.state == State::Alive && speaks && lives;
        if hands_back {
            self.swap_processes(publisher);
        }
        hands_back
    }

    fn swap_processes(&mut self, publisher: &mut Publisher) {
        publisher.swap_processes();
        publisher.unbroken = false;
        self.attend(publisher);
    }

    /// The previous process speaks although the current one had begun: two of them use the id.
    pub(crate) fn detect_conflict(
        &mut self,
        now: Now,
        publisher: &mut Publisher,
        speaker: Speaker,
        heard_at: Monotonic,
    ) {
        let settle = self.rules.settle;
        let process = publisher.process(speaker);
        process.first_heard.get_or_insert(heard_at);
        process.last_heard = process.last_heard.max(Some(heard_at));
        let (Speaker::Previous, Some(current)) = (speaker, &publisher.current) else { return };
        let overlaps = current.first_heard.is_some_and(|began| heard_at > began.plus(settle));
        let (Some(first), Some(second)) = (publisher.previous_identity(), current.identity) else {
            return;
        };
        if !overlaps {
            return;
        }
        let known = publisher.rare.conflict.replace(heard_at);
        if known.is_none_or(|known| heard_at.since(known) >= publisher.threshold) {
            publisher.counts.conflicts += 1;
            let publisher = self.publishers.publisher_id(publisher.number);
            self.outputs.push(Output::Notice(Notice::Conflict { publisher, at: now.utc, first, second }));
        }
    }
}

impl Process {
    /// A number counts within a process; without one, a publisher that counts from 0 at each start would repeat itself.
    pub(crate) fn place(&mut self, number: Option<u64>) -> Place {
        match (&mut self.sequences, number.filter(|_| self.identity.is_some())) {
            (_, None) => Place::New { skipped: 0 },
            (Some(sequences), Some(number)) => sequences.take(number),
            (none, Some(number)) => {
                *none = Some(Sequences::starting_at(number));
                Place::New { skipped: 0 }
            }
        }
    }
}

impl Publisher {
    pub(crate) fn process(&mut self, speaker: Speaker) -> &mut Process {
        let process = match speaker {
            Speaker::Current => self.current.as_mut(),
            Speaker::Previous => self.rare.previous.as_deref_mut(),
        };
        process.expect("invariant: a speaker is known before it is asked for")
    }
}
