//! What a publisher says of its own work: that it is done, or that it failed.

use lastbeat_wire::{Monotonic, Now};

use crate::evidence::{Evidence, Fact, Source};
use crate::publisher::{Ended, Publisher};
use crate::speaker::Speaker;
use crate::state::{Cause, State};
use crate::watchdog::{Heard, Watchdog};

/// So many characters of a report become evidence.
const REASON_CHARACTERS: usize = 200;

impl Watchdog {
    pub(crate) fn goodbye(
        &mut self,
        now: Now,
        publisher: &mut Publisher,
        speaker: Speaker,
        heard: &Heard<'_>,
        said_at: Monotonic,
    ) {
        let evidence = Evidence { at: now.utc, source: Source::Message, fact: Fact::Goodbye };
        publisher.process(speaker).ended = Some(Box::new(Ended { at: said_at, evidence: evidence.clone() }));
        if speaker == Speaker::Previous || self.hand_back(now, publisher) {
            return;
        }
        publisher.rare.will = None;
        publisher.rare.failure = None;
        if heard.link.is_none() {
            publisher.hear(now, said_at);
            return;
        }
        let paused = publisher.is_paused();
        if publisher.state != State::Finished && !paused {
            self.flip(now, publisher, State::Finished, Cause::Goodbye, said_at, vec![evidence]);
        }
        publisher.hear(now, said_at);
        if !paused {
            publisher.stop_watching();
        }
    }

    /// Its work failed, it says: that stands, whatever becomes of its process, until it is heard to work again.
    pub(crate) fn failed(&mut self, now: Now, publisher: &mut Publisher, heard: &Heard<'_>, said_at: Monotonic) {
        let reason = beginning(heard.log.unwrap_or_default());
        let evidence = Evidence { at: now.utc, source: Source::Message, fact: Fact::Failed { reason } };
        publisher.rare.failure = Some(Box::new(evidence.clone()));
        if heard.link.is_some() && !publisher.is_paused() {
            if publisher.state == State::Failed {
                publisher.rare.evidence = vec![evidence];
            } else {
                self.flip(now, publisher, State::Failed, Cause::Reported, said_at, vec![evidence]);
            }
            publisher.stop_watching();
        }
        publisher.hear(now, said_at);
    }
}

/// The beginning of a report, in one line: what controls a terminal is left out.
fn beginning(log: &str) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    log.trim().chars().take(REASON_CHARACTERS).map(plain).collect()
}
