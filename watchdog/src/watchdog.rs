//! [`Watchdog`]: the machine itself, and what it does with a message. Who speaks is in `speaker.rs`, judging in
//! `judging.rs`, links and restarts of the watchdog in `sight.rs`.

use std::time::Duration;

use lastbeat_wire::{BootId, Header, Kind, Monotonic, Now, PublisherId};

use crate::adaptive::Adaptive;
use crate::config::WatchRules;
use crate::delay::Waited;
use crate::links::{LinkNumber, Links};
use crate::output::{Attend, Output};
use crate::publisher::{Process, Publisher};
use crate::publishers::Publishers;
use crate::sequences::Place;
use crate::speaker::Speaker;
use crate::state::{Cause, State};
use crate::status::Status;

/// A process of this host shares our clocks: a shift between its and ours is believed only if it lasts this long. A broker's
/// backlog that is taken in for longer passes for fresh.
const LOCAL_WINDOW: Duration = Duration::from_mins(10);

/// The liveness of all publishers.
///
/// After each event take the [`outputs`](Self::outputs); call [`due`](Self::due) after each event and at
/// [`next_deadline`](Self::next_deadline).
#[derive(Debug, Clone)]
pub struct Watchdog {
    pub(crate) rules: WatchRules,
    pub(crate) links: Links,
    pub(crate) publishers: Publishers,
    /// Nobody is judged before this: messages that wait since a stall come first.
    pub(crate) settled_at: Monotonic,
    /// No silence that began before this is learned: the watchdog did not run meanwhile.
    pub(crate) learns_since: Monotonic,
    pub(crate) outputs: Vec<Output>,
    pub(crate) touched: Vec<u32>,
    /// Of each publisher one bit: whether there is [news](Self::news_of) of it.
    pub(crate) news: Vec<u64>,
}

/// A message as far as the watchdog needs it.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Who it is from; a valid publisher id.
    pub publisher: &'a str,
    /// What it is.
    pub kind: Kind,
    /// By which link it came; `None` in a replay: then it is counted and remembered, and the flips that stand in the log
    /// tell what became of states.
    pub link: Option<LinkNumber>,
    /// Whether a broker kept it from earlier.
    pub retained: bool,
    /// Whether it was asked for and sent again: it tells what was, and never that somebody is alive now.
    pub resent: bool,
    /// Whether its payload could be read.
    pub readable: bool,
    /// What it says of its sender; empty where it could not be read.
    pub header: &'a Header<'a>,
    /// Its report, for people; of a failure the beginning becomes evidence.
    pub log: Option<&'a str>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// It is new, and a sign of life.
    Live,
    /// It is new, but no sign of life now: it was under way too long, or its process had ended.
    Late,
    /// It had come before, or was sent again and nobody knows that it was missing; drop it.
    Duplicate,
    /// A broker had kept it: history.
    Retained,
    /// There are as many publishers as may be: this one is not watched.
    TooManyPublishers,
}

impl Watchdog {
    /// Watches from `now` on. All links are down until [`link_up`](Self::link_up).
    ///
    /// # Panics
    /// With more than 64 links.
    pub fn new(rules: WatchRules, now: Now) -> Self {
        let links = Links::all_down(&rules.links, rules.own_link, now.utc);
        let mut expected: Vec<_> =
            rules.publishers.iter().filter(|(_, rules)| rules.expected).map(|(id, _)| id.clone()).collect();
        expected.sort();
        let mut watchdog = Self {
            rules,
            links,
            publishers: Publishers::default(),
            settled_at: now.monotonic,
            learns_since: now.monotonic,
            outputs: Vec::new(),
            touched: Vec::new(),
            news: Vec::new(),
        };
        for id in expected {
            let publisher = watchdog.add(&id, now);
            watchdog.publishers.close(publisher);
        }
        watchdog
    }

    /// Takes what is to be done and told since the last call, in order.
    pub fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// When [`due`](Self::due) is to be called next; it may then find nothing to do.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        // Before all have settled nobody is judged.
        self.publishers.next_deadline().map(|deadline| deadline.max(self.settled_at))
    }

    /// The boot of the host it runs on, where that is known.
    pub fn boot(&self) -> Option<BootId> {
        self.rules.host.map(|host| host.process.boot)
    }

    /// The name of a link.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn link_name(&self, link: LinkNumber) -> &str {
        self.links.name(link)
    }

    /// Until when nobody is judged by a silence on a link, since its broker delivers what it kept, if nothing more of that comes;
    /// `None` where it has caught up. No later than [`BEHIND_AT_MOST`](crate::BEHIND_AT_MOST) after the link came up, and the time to
    /// settle.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn behind_until(&self, link: LinkNumber) -> Option<Monotonic> {
        self.links.link_behind_at(link).map(|at| at.plus(self.rules.settle))
    }

    /// Most publishers that are remembered, but for those that have a rule of their own.
    pub fn max_publishers(&self) -> usize {
        self.rules.max_publishers
    }

    /// How many publishers are known.
    pub fn len(&self) -> usize {
        self.publishers.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.publishers.len() == 0
    }

    /// The place of a publisher in the order in which they became known.
    pub fn place(&self, publisher: &str) -> Option<u32> {
        self.publishers.find(publisher)
    }

    /// How each publisher stands, in the order in which they became known.
    pub fn statuses(&self, now: Now) -> impl ExactSizeIterator<Item = Status> {
        self.publishers.numbers().map(move |number| self.status_at(now, number))
    }

    /// How one publisher stands.
    pub fn status(&self, now: Now, publisher: &str) -> Option<Status> {
        Some(self.status_at(now, self.publishers.find(publisher)?))
    }

    /// How long a message that was [heard](Self::heard) had waited before it came `now`, whatever the clocks of the two hosts show;
    /// `None` where nothing tells.
    pub fn waited(&self, now: Now, publisher: &str, header: &Header<'_>) -> Option<Waited> {
        let publisher = self.publishers.get(self.publishers.find(publisher)?);
        let is_its = |process: &&Process| header.process.is_none() || process.identity == header.process;
        publisher.processes().find(is_its)?.delay.known(now, header)
    }

    /// Takes a message.
    pub fn heard(&mut self, now: Now, heard: &Heard<'_>) -> Reception {
        if heard.resent {
            return self.resent(now, heard);
        }
        let known = self.publishers.find(heard.publisher);
        if let Some(number) = known
            && self.heard_calmly(now, number, heard).is_some()
        {
            return Reception::Live;
        }
        self.heard_whole(now, known, heard)
    }

    /// Takes a message with all of what is known of its publisher.
    pub(crate) fn heard_whole(&mut self, now: Now, known: Option<u32>, heard: &Heard<'_>) -> Reception {
        let Some(mut publisher) = self.open_or_let_in(now, known, heard) else { return Reception::TooManyPublishers };
        let reception = self.heard_from(now, &mut publisher, heard);
        self.publishers.close(publisher);
        reception
    }

    fn heard_from(&mut self, now: Now, publisher: &mut Publisher, heard: &Heard<'_>) -> Reception {
        self.touch(publisher);
        if heard.retained {
            publisher.counts.retained += 1;
            return Reception::Retained;
        }
        if heard.kind == Kind::Rip {
            self.will(now, publisher, heard);
            return Reception::Live;
        }
        if let Some(link) = heard.link {
            publisher.links.insert(now.monotonic, link, &self.links, publisher.threshold);
            self.regain_sight(now, publisher);
        }
        if let Some(host) = &heard.header.host
            && self.publishers.host(publisher) != Some(shortened(host))
        {
            self.publishers.set_host(publisher, Some(shortened(host)));
        }
        let speaker = self.speaker(now, publisher, heard.header);
        self.spoken(now, publisher, speaker, heard)
    }

    /// A message of a process that is known by now.
    fn spoken(&mut self, now: Now, publisher: &mut Publisher, mut speaker: Speaker, heard: &Heard<'_>) -> Reception {
        let settle = self.rules.settle;
        let threshold = publisher.threshold;
        let process = publisher.process(speaker);
        let is_local = process.identity.is_some_and(|identity| self.is_local(identity));
        let mut place = process.place(heard.header.sequence);
        if place == Place::Duplicate {
            if heard.link.is_some() {
                publisher.counts.duplicates += 1;
                return Reception::Duplicate;
            }
            // What stands in the log was taken in: its process was forgotten then, and is known in the replay.
            place = Place::New { skipped: 0 };
        }
        let is_comparable = process.delay.is_known();
        let waited = process.delay.of(now, heard.header, delay_window(is_local, threshold));
        if let (Some(link), true) = (heard.link, is_comparable) {
            self.links.delivered(now.monotonic, link, waited.surely >= threshold);
        }
        let heard_at = now.monotonic.minus(waited.surely);
        let earliest = now.monotonic.minus(waited.possibly);
        // What was sent before another message that had come, was sent before the end. A foreign publisher that never told
        // its process may come back at once, under the same, unknown one.
        let posthumous = process.identity.is_some()
            && process
                .ended
                .as_ref()
                .is_some_and(|ended| earliest <= ended.at.plus(settle) || matches!(place, Place::Late { .. }));
        let late = waited.surely >= threshold || posthumous;
        if is_local && speaker == Speaker::Current && heard.link.is_some() {
            publisher.note_under_way(now, heard.header.sent_at);
        }
        publisher.count(heard, place, late);
        self.tell_missing(publisher, speaker, heard, place);
        if heard.kind == Kind::Bye {
            self.goodbye(now, publisher, speaker, heard, heard_at);
            return Reception::Live;
        }
        // A failure that was reported before what came last says nothing of how its work goes now.
        let outdated = matches!(place, Place::Late { .. }) || publisher.last_heard.is_some_and(|last| heard_at < last);
        let fails = heard.kind == Kind::Fail && !outdated;
        if late {
            publisher.unbroken = false;
            if fails {
                self.failed(now, publisher, heard, heard_at);
            } else if !posthumous {
                publisher.hear(now, heard_at);
            }
            return Reception::Late;
        }
        let follows = speaker == Speaker::Current && matches!(place, Place::New { .. }) && heard.link.is_some();
        if follows {
            publisher.learn(now, self.learns_since, waited.surely);
        }
        self.revive(now, publisher, &mut speaker, heard);
        self.detect_conflict(now, publisher, speaker, heard_at);
        if fails {
            self.failed(now, publisher, heard, heard_at);
        } else {
            self.alive(now, publisher, heard, heard_at);
        }
        publisher.unbroken = follows && publisher.state == State::Alive;
        Reception::Live
    }

    /// A live message shows that a publisher lives: nothing before it counts any more, but for a failure. That is over when
    /// it beats or reads again.
    fn alive(&mut self, now: Now, publisher: &mut Publisher, heard: &Heard<'_>, heard_at: Monotonic) {
        publisher.rare.will = None;
        let works = matches!(heard.kind, Kind::Beat | Kind::Sensor);
        if works {
            publisher.rare.failure = None;
        }
        if heard.link.is_none() || (publisher.state == State::Failed && !works) {
            publisher.hear(now, heard_at);
            return;
        }
        match publisher.state {
            State::Alive => {}
            State::Paused if publisher.is_paused() => {}
            _ if self.links.sees(publisher).is_some() => {
                self.flip(now, publisher, State::Alive, Cause::Heard, heard_at, Vec::new());
            }
            // What still comes on a link that is down makes nobody watched.
            State::Blind => {}
            _ => self.blind(now, publisher, "heard on a link that is down by now"),
        }
        publisher.hear(now, heard_at);
        if publisher.state == State::Alive {
            let deadline = publisher.silent_at().unwrap_or_else(|| heard_at.plus(publisher.threshold));
            publisher.watch_until(deadline);
        }
    }

    fn open_or_let_in(&mut self, now: Now, known: Option<u32>, heard: &Heard<'_>) -> Option<Box<Publisher>> {
        if let Some(number) = known {
            return Some(self.publishers.open(number));
        }
        // Who has a rule of its own is let in whoever else has filled the place.
        if self.publishers.len() >= self.rules.max_publishers && !self.rules.publishers.contains_key(heard.publisher) {
            return None;
        }
        // An id that is not valid was refused before it came here; refusing it again costs nothing.
        PublisherId::try_from(heard.publisher).ok().map(|id| self.add(&id, now))
    }

    /// Adds a publisher, to be worked with.
    pub(crate) fn add(&mut self, id: &PublisherId, now: Now) -> Box<Publisher> {
        let (threshold, bounds) = self.rules.threshold_of(id);
        let adaptive = bounds.map(|bounds| Box::new(Adaptive::new(threshold, bounds)));
        let threshold = adaptive.as_ref().map_or(threshold, |adaptive| adaptive.threshold());
        let mut publisher = Box::new(Publisher::new(self.publishers.add(id), threshold, now));
        publisher.rare.adaptive = adaptive;
        publisher.expected = self.rules.publishers.get(id).is_some_and(|own| own.expected);
        self.touch(&mut publisher);
        publisher
    }

    /// A publisher, to be worked with, whether it is known or not.
    pub(crate) fn open_or_add(&mut self, id: &PublisherId, now: Now) -> Box<Publisher> {
        match self.publishers.find(id.as_str()) {
            Some(number) => self.publishers.open(number),
            None => self.add(id, now),
        }
    }

    pub(crate) fn attend(&mut self, publisher: &Publisher) {
        if let Some(process) = publisher.identity()
            && self.is_local(process)
        {
            let publisher = self.publishers.publisher_id(publisher.number);
            self.outputs.push(Output::Attend(Attend { publisher, process }));
        }
    }
}

/// How long a shift between the clocks of a process and ours must last to be believed.
pub(crate) fn delay_window(is_local: bool, threshold: Duration) -> Duration {
    if is_local { threshold.max(LOCAL_WINDOW) } else { threshold }
}

/// A host's name: the longest there is in DNS has 253 bytes.
pub(crate) fn shortened(host: &str) -> &str {
    let end = (0..=host.len().min(253)).rfind(|end| host.is_char_boundary(*end)).unwrap_or_default();
    &host[..end]
}

impl Publisher {
    pub(crate) fn count(&mut self, heard: &Heard<'_>, place: Place, late: bool) {
        let counts = &mut self.counts;
        counts.messages += 1;
        counts.readings += u64::from(heard.kind == Kind::Sensor && heard.readable);
        counts.refused += u64::from(!heard.readable);
        match place {
            Place::New { skipped } => counts.missed = counts.missed.saturating_add(skipped),
            Place::Late { filled } => counts.missed = counts.missed.saturating_sub(u64::from(filled)),
            Place::Duplicate => {}
        }
        counts.late += u64::from(late || matches!(place, Place::Late { .. }));
    }
}
