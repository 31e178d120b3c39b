//! What was lost on a link and is sent again: it is taken in once, tells what was, and revives nobody.

use lastbeat_wire::{Header, Kind, Monotonic, Now, ProcessIdentity, PublisherId};

use crate::links::LinkNumber;
use crate::output::{Notice, Output};
use crate::publisher::{Process, Publisher};
use crate::sequences::Place;
use crate::speaker::Speaker;
use crate::state::State;
use crate::watchdog::{Heard, Reception, Watchdog};

/// Messages of one process that did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Who sent them.
    pub publisher: PublisherId,
    /// Which process of it.
    pub process: ProcessIdentity,
    /// A link on which it is heard.
    pub link: LinkNumber,
    /// The first number.
    pub from: u64,
    /// One more than the last.
    pub to: u64,
}

impl Watchdog {
    /// The first range of numbers that are missing of a process, from `from` on; the end is exclusive.
    pub fn missing_from(&self, publisher: &str, process: ProcessIdentity, from: u64) -> Option<(u64, u64)> {
        let publisher = self.publishers.get(self.publishers.find(publisher)?);
        publisher.processes().find(|known| known.identity == Some(process))?.sequences.as_ref()?.missing_from(from)
    }

    /// The first range that is missing of each process of one publisher, on each link on which it is heard.
    pub fn missing_of(&self, publisher: &str) -> Vec<Missing> {
        self.publishers.find(publisher).map(|number| self.missing_at(number)).unwrap_or_default()
    }

    /// The same of all publishers.
    pub fn missing(&self) -> impl Iterator<Item = Missing> {
        self.publishers.numbers().flat_map(|number| self.missing_at(number))
    }

    fn missing_at(&self, number: u32) -> Vec<Missing> {
        let publisher = self.publishers.get(number);
        let first = |process: &Process| Some((process.identity?, process.sequences.as_ref()?.missing_from(0)?));
        let on_each_link = |(process, (from, to))| {
            let missing =
                move |link| Missing { publisher: self.publishers.publisher_id(number), process, link, from, to };
            self.links.where_heard(publisher.links.all()).map(missing)
        };
        publisher.processes().filter_map(first).flat_map(on_each_link).collect()
    }

    /// Tells of a gap that has opened.
    pub(crate) fn tell_missing(
        &mut self,
        publisher: &mut Publisher,
        speaker: Speaker,
        heard: &Heard<'_>,
        place: Place,
    ) {
        let (Some(link), Some(to), Place::New { skipped: skipped @ 1.. }) = (heard.link, heard.header.sequence, place)
        else {
            return;
        };
        if let Some(process) = publisher.process(speaker).identity {
            let publisher = self.publishers.publisher_id(publisher.number);
            self.outputs.push(Output::Missing(Missing { publisher, process, link, from: to - skipped, to }));
        }
    }

    /// Takes a message that was sent again. It must be known to be missing: who was never heard has lost nothing here, and
    /// of a process that was forgotten nobody can tell what came.
    pub(crate) fn resent(&mut self, now: Now, heard: &Heard<'_>) -> Reception {
        let Some(number) = self.publishers.find(heard.publisher) else { return Reception::Duplicate };
        let mut publisher = self.publishers.open(number);
        let reception = self.resent_from(now, &mut publisher, heard);
        self.publishers.close(publisher);
        reception
    }

    fn resent_from(&mut self, now: Now, publisher: &mut Publisher, heard: &Heard<'_>) -> Reception {
        let (Some(process), Some(number)) = (heard.header.process, heard.header.sequence) else {
            return Reception::Duplicate;
        };
        let in_log = heard.link.is_none();
        let Some(speaker) = self.resent_speaker(now, publisher, process, heard.header) else {
            return Reception::Duplicate;
        };
        let process = publisher.process(speaker);
        let place = match process.sequences.as_mut().map(|sequences| sequences.take_missing(number)) {
            // What stands in the log was taken in.
            None | Some(Place::Duplicate) if in_log => Place::New { skipped: 0 },
            None | Some(Place::Duplicate) => return Reception::Duplicate,
            Some(place) => place,
        };
        self.touch(publisher);
        self.tell_missing(publisher, speaker, heard, place);
        let said_at = publisher.said_at(now, speaker, heard.header);
        publisher.count(heard, place, true);
        self.recall(now, publisher, speaker, heard, place, said_at);
        Reception::Late
    }

    /// What it says of the time at which it was said.
    fn recall(
        &mut self,
        now: Now,
        publisher: &mut Publisher,
        speaker: Speaker,
        heard: &Heard<'_>,
        place: Place,
        said_at: Option<Monotonic>,
    ) {
        let Some(said_at) = said_at else { return };
        let latest = !matches!(place, Place::Late { .. });
        let outdated = !latest || publisher.last_heard.is_some_and(|last| said_at < last);
        match heard.kind {
            Kind::Bye if latest => self.goodbye(now, publisher, speaker, heard, said_at),
            Kind::Fail if !outdated && speaker == Speaker::Current => self.failed(now, publisher, heard, said_at),
            _ if publisher.process(speaker).ended.is_some() => {}
            // A verdict stands until it is heard: what it said since its deadline came too late to prevent it.
            _ if matches!(publisher.state, State::Silent | State::Suspended | State::Unknown | State::Finished) => {}
            _ => publisher.hear(now, said_at),
        }
    }

    /// Which process it is of. One that was never heard is told by its start: it began after all that were.
    fn resent_speaker(
        &mut self,
        now: Now,
        publisher: &mut Publisher,
        identity: ProcessIdentity,
        header: &Header<'_>,
    ) -> Option<Speaker> {
        let known = publisher.current.as_ref()?.identity?;
        if known == identity {
            return Some(Speaker::Current);
        }
        let is_previous = publisher.previous_identity() == Some(identity);
        if is_previous || publisher.recall_earlier(identity) {
            return Some(Speaker::Previous);
        }
        let previous = publisher.rare.previous.as_ref();
        let comes_after = |one: ProcessIdentity, other: ProcessIdentity| {
            one.boot == other.boot && one.pid_namespace == other.pid_namespace && one.start > other.start
        };
        if comes_after(identity, known) {
            let begun = publisher.began_since_last(now, header);
            let before = publisher.current.replace(Process::begun(identity, begun));
            publisher.set_previous(before);
            publisher.counts.restarts += 1;
            let id = self.publishers.publisher_id(publisher.number);
            self.outputs.push(Output::Notice(Notice::Restarted {
                publisher: id,
                at: now.utc,
                old: known,
                new: identity,
            }));
            self.attend(publisher);
            return Some(Speaker::Current);
        }
        // It came and went between the two that are known. The first of them makes room once nothing of it is missing.
        let has_room = previous.is_some_and(|previous| {
            let complete = previous.sequences.as_ref().is_none_or(|sequences| sequences.missing_from(0).is_none());
            complete && previous.identity.is_some_and(|before| comes_after(identity, before))
        });
        if !(has_room && comes_after(known, identity)) {
            return None;
        }
        publisher.set_previous(Some(Process::begun(identity, true)));
        Some(Speaker::Previous)
    }
}

impl Publisher {
    /// When it was said, at the latest; `None` if nothing tells. It teaches nothing of its sender's clocks.
    fn said_at(&mut self, now: Now, speaker: Speaker, header: &Header<'_>) -> Option<Monotonic> {
        let process = self.process(speaker);
        if let Some(waited) = process.delay.known(now, header) {
            let span = if waited.surely.is_zero() { waited.possibly } else { waited.surely };
            return Some(now.monotonic.minus(span));
        }
        header.sent_at.map(|sent_at| now.monotonic.minus(now.utc.since(sent_at)))
    }

    /// Whether a process that is new here began after all that was heard of this publisher: then what it sent before its
    /// first message here was lost. One that was only forgotten may have told all of it.
    pub(crate) fn began_since_last(&self, now: Now, header: &Header<'_>) -> bool {
        let began = header.uptime.map(|uptime| now.monotonic.minus(std::time::Duration::from_nanos(uptime)));
        began.zip(self.last_heard).is_some_and(|(began, last)| began > last)
    }
}
