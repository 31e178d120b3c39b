//! [`Truth`]: what really happened, beside what the watchdog says: the fate of each message, and whether each publisher lives.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use lastbeat_simulation::Broken;
use lastbeat_watchdog::Reception;
use lastbeat_wire::{Kind, PublisherId};

use super::blame::Blame;
use super::faults::{Fault, Target};
use super::fleet::Fleet;
use super::person::{Misled, Person};
use super::world::{Packet, SECOND};

/// So many of a publisher's last events are told where a promise was broken.
const EVENTS: usize = 24;

/// What really happened.
pub struct Truth {
    fates: Vec<Fates>,
    pub people: Vec<Person>,
    /// Since when each link is up, as the watchdog was told.
    pub links_up: Vec<Option<u64>>,
    /// Whether a message came by each link since, that had surely not waited.
    pub caught_up: Vec<bool>,
    marks: BTreeMap<(Blame, usize), u64>,
    pub settled_at: u64,
    pub lost_with_power: u64,
    watchdog: VecDeque<(u64, String)>,
}

/// What became of one message, over all its copies.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fate of its own")]
struct Fates {
    stored: u8,
    acknowledged: bool,
    history: bool,
    numbered: bool,
    lost: Option<Fate>,
    waited: bool,
}

/// Who lost a message, or a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It ended, or could not keep more.
    LostByPublisher,
    /// ZeroMQ, or a connection that broke.
    LostOnTheWay,
    /// A broker that does not keep what it has over a crash.
    LostByBroker,
    /// The disk was full, and nobody could be asked to send it again.
    NoRoom,
    /// It was taken in, not acknowledged and not yet written when the watchdog ended.
    LostInCrash,
}

impl Truth {
    pub fn new(fleet: &Fleet) -> Self {
        Self {
            fates: Vec::new(),
            people: fleet.publishers.iter().map(Person::of).collect(),
            links_up: vec![None; fleet.links.len()],
            caught_up: vec![false; fleet.links.len()],
            marks: BTreeMap::new(),
            settled_at: 0,
            lost_with_power: 0,
            watchdog: VecDeque::new(),
        }
    }

    /// A message is made; its number.
    pub fn sent(&mut self) -> u64 {
        self.fates.push(Fates::default());
        self.fates.len() as u64 - 1
    }

    /// How many messages were made.
    pub fn messages(&self) -> u64 {
        self.fates.len() as u64
    }

    /// A copy of a message is lost.
    pub fn lost(&mut self, packet: &Packet, fate: Fate) {
        self.fate(packet.number).lost = Some(fate);
    }

    fn fate(&mut self, number: u64) -> &mut Fates {
        &mut self.fates[usize::try_from(number).expect("invariant: it has a place")]
    }

    /// The loop took a message: `stored` are the messages that it appended, `room` is whether it is acknowledged then.
    pub fn took(
        &mut self,
        now: u64,
        packet: &Packet,
        reception: Reception,
        stored: &[u64],
        room: bool,
        mqtt: bool,
    ) -> Result<(), Broken> {
        let person = &mut self.people[packet.publisher];
        if person.noted.len() == EVENTS {
            person.noted.pop_front();
        }
        person.noted.push_back((now, packet.number, packet.kind, reception));
        if !matches!(reception, Reception::Retained) && packet.kind != Kind::Rip {
            person.quiet_since = Some(now);
        }
        let remembered = packet.kind == Kind::Rip || packet.retained || person.remembers(packet.process);
        let appended = stored.contains(&packet.number);
        let history = packet.retained;
        let numbered = packet.numbered;
        let waited = now - packet.sent > 10 * SECOND && !history;
        let fate = self.fate(packet.number);
        (fate.history, fate.numbered) = (history, numbered);
        fate.stored += u8::from(appended);
        fate.waited |= appended && waited;
        let (twice, missing) = (fate.stored > 1 && numbered && remembered, fate.stored == 0);
        if !appended && !room && !mqtt {
            fate.lost = Some(Fate::NoRoom);
        }
        if twice {
            return Err(self.broken(packet, "a message is in the log twice"));
        }
        if room && missing {
            return Err(self.broken(packet, "a message will be acknowledged, and is not in the log"));
        }
        Ok(())
    }

    /// A message was acknowledged.
    pub fn acknowledged(&mut self, packet: &Packet) -> Result<(), Broken> {
        let fate = self.fate(packet.number);
        fate.acknowledged = true;
        if fate.stored == 0 {
            return Err(self.broken(packet, "a message was acknowledged, and is not in the log"));
        }
        Ok(())
    }

    /// The watchdog ended; these messages were not on the disk yet. Without a sync for each, a loss of power may take some
    /// that were acknowledged.
    pub fn crashed(&mut self, lost: impl Iterator<Item = u64>, acknowledged_too: bool) -> Result<(), Broken> {
        self.links_up.fill(None);
        for number in lost {
            let fate = self.fate(number);
            fate.stored -= 1;
            fate.lost = Some(Fate::LostInCrash);
            if fate.acknowledged && fate.stored == 0 {
                if !acknowledged_too {
                    let what = format!("message {number} was acknowledged, and a crash took it");
                    return Err(Broken { publisher: None, what });
                }
                self.lost_with_power += 1;
                // What comes of another copy of it is promised when that one is acknowledged.
                self.fate(number).acknowledged = false;
            }
        }
        Ok(())
    }

    fn broken(&self, packet: &Packet, what: &str) -> Broken {
        let id = self.people[packet.publisher].id.parse::<PublisherId>();
        let what = format!("{what}: message {} ({}), process {}", packet.number, packet.kind.word(), packet.process);
        Broken { publisher: id.ok(), what }
    }

    /// At the end: messages that nobody lost and nobody has. `pending` are still under way.
    pub fn vanished(&self) -> Option<u64> {
        let gone = |fate: &Fates| fate.stored == 0 && fate.lost.is_none() && fate.numbered && !fate.history;
        self.fates.iter().position(gone).map(|place| place as u64)
    }

    /// How many are in the log, how many of these waited for more than ten seconds, and who lost the others.
    pub fn census(&self) -> (u64, u64, BTreeMap<Fate, u64>) {
        let (mut stored, mut waited, mut lost) = (0, 0, BTreeMap::new());
        for fate in &self.fates {
            stored += u64::from(fate.stored > 0);
            waited += u64::from(fate.stored > 0 && fate.waited);
            if let (0, Some(by)) = (fate.stored, fate.lost) {
                *lost.entry(by).or_default() += 1;
            }
        }
        (stored, waited, lost)
    }

    /// The watchdog was told that a link is up, or down.
    pub fn link(&mut self, link: usize, up_since: Option<u64>) {
        self.links_up[link] = up_since;
        self.caught_up[link] = false;
    }

    /// The watchdog remembers; of whom it is misled about the clocks, by a step of its own wall clock.
    pub fn misled(&mut self, now: u64, misled: impl Iterator<Item = bool>) {
        for (person, misled) in self.people.iter_mut().zip(misled) {
            person.misled = misled.then(|| Misled::since(now));
        }
    }

    pub fn watchdog_started(&mut self, now: u64) {
        self.people.iter_mut().for_each(|person| person.known = None);
        self.settled_at = now;
        self.note_watchdog(now, "the watchdog starts");
    }

    pub fn stalled(&mut self, now: u64) {
        self.settled_at = now + SECOND;
        self.note_watchdog(now, "the watchdog notices that it did not run");
    }

    fn note_watchdog(&mut self, now: u64, what: &str) {
        if self.watchdog.len() == EVENTS {
            self.watchdog.pop_front();
        }
        self.watchdog.push_back((now, what.to_owned()));
    }

    /// Something went wrong.
    pub fn struck(&mut self, fault: Fault, target: usize, now: u64) {
        let what = format!("{} strikes {:?} {target}", fault.word(), fault.target());
        match fault.target() {
            Target::Publisher => self.note(target, now, what),
            _ => self.note_watchdog(now, &what),
        }
    }

    /// Notes what happened to a publisher, for the report on a broken promise.
    pub fn note(&mut self, publisher: usize, now: u64, what: String) {
        let events = &mut self.people[publisher].events;
        if events.len() == EVENTS {
            events.pop_front();
        }
        events.push_back((now, what));
    }

    /// The last events of a publisher and of the world around it, in order.
    pub fn told(&self, publisher: Option<usize>) -> String {
        let mut events: Vec<(u64, String)> = self.watchdog.iter().cloned().collect();
        if let Some(person) = publisher.map(|publisher| &self.people[publisher]) {
            events.extend(person.events.iter().cloned());
            events.extend(person.noted.iter().map(|(at, number, kind, reception)| {
                (*at, format!("message {number} ({}) is taken in: {reception:?}", kind.word()))
            }));
        }
        events.sort();
        let from = events.len().saturating_sub(2 * EVENTS);
        let mut text = String::new();
        for (at, what) in &events[from..] {
            let _ = writeln!(text, "  {:>14}  {what}", super::outcome::seconds(*at));
        }
        text
    }

    /// Something that may make a publisher, a host or a link silent is so until then.
    pub fn mark(&mut self, blame: Blame, target: usize, until: u64) {
        let known = self.marks.entry((blame, target)).or_default();
        *known = if until == u64::MAX { until } else { until.max(if *known == u64::MAX { 0 } else { *known }) };
    }

    /// It ended on purpose.
    pub fn left(&mut self, publisher: usize) {
        self.people[publisher].trouble = None;
    }

    /// What a silence that began then is to be blamed on, of a publisher that lives.
    pub fn blame(&self, publisher: usize, since: u64, threshold: u64, rarest: u64) -> Blame {
        let person = &self.people[publisher];
        let marked = |blame, target| self.marks.get(&(blame, target)).is_some_and(|until| *until >= since);
        let any = |blame| person.links.iter().any(|link| marked(blame, *link));
        if person.trouble_over.is_some_and(|over| over >= since) {
            Blame::JustOver
        } else if marked(Blame::Slow, publisher) {
            Blame::Slow
        } else if marked(Blame::Partition, person.host) {
            Blame::Partition
        } else if any(Blame::Broker) {
            Blame::Broker
        } else if any(Blame::Link) {
            Blame::Link
        } else if any(Blame::Network) {
            Blame::Network
        } else if marked(Blame::Watchdog, 0) {
            Blame::Watchdog
        } else if rarest + SECOND >= threshold {
            Blame::Interval
        } else {
            Blame::Loss
        }
    }
}

impl Fate {
    /// Who lost it, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::LostByPublisher => "by publishers that ended or could keep no more",
            Self::LostOnTheWay => "on the way (ZeroMQ)",
            Self::LostByBroker => "by brokers that crashed",
            Self::NoRoom => "for a full disk (ZeroMQ)",
            Self::LostInCrash => "in crashes of the watchdog (not acknowledged)",
        }
    }
}
