//! [`World`]: simulated time with publishers, brokers, hosts and their clocks, and one watchdog that is told of it all.

use std::collections::BTreeMap;

use lastbeat_simulation::{Condition, Processes};
use lastbeat_watchdog::{Evidence, Output, Question, Source};
use lastbeat_wire::{Header, Kind, Monotonic, Now, ProcessIdentity, UtcNanos};

use super::desk::{Desk, News};
use super::event::{Again, Deed, Event, Parcel, Which};
use super::script::{Rules, Traits};

/// What every wall clock shows when a scenario begins.
pub const BEGINNING: UtcNanos = UtcNanos(1_767_225_600_000_000_000);
/// How long the watchdog's host has run by then.
const UP_BEFORE: u64 = 100_000_000_000_000;

/// Everything there is. Times are nanoseconds since the scenario's beginning unless their type says otherwise.
#[derive(Clone)]
pub struct World {
    pub now: u64,
    pub desk: Desk,
    pub processes: Processes,
    rules: Rules,
    publishers: BTreeMap<String, Traits>,
    links: BTreeMap<String, Link>,
    /// By how much wall clocks are off: a publisher's, and under no name the watchdog's.
    clocks: BTreeMap<Option<String>, i64>,
    /// True time to be added for the watchdog's monotonic clock.
    uptime: i128,
    to_come: BTreeMap<(u64, u64), ToCome>,
    order: u64,
    /// How long a probe takes; `None`: it never answers.
    probes: Option<u64>,
    pidfd: bool,
    last_sent: BTreeMap<String, Delivery>,
    /// All that was sent and bears a number, by its first link; in order.
    sent: BTreeMap<String, Vec<Delivery>>,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub publisher: String,
    pub kind: Kind,
    pub link: usize,
    pub retained: bool,
    pub garbled: bool,
    pub resent: bool,
    pub header: Header<'static>,
}

#[derive(Debug, Clone, Default)]
struct Link {
    up: bool,
    holds: bool,
    persistent: bool,
    kept: Vec<Delivery>,
}

#[derive(Debug, Clone)]
enum ToCome {
    Beat(usize),
    Arrives(Delivery),
    Answer(Question),
    Exit(String, ProcessIdentity),
    Wakes,
}

impl World {
    /// A world in which all links are up and the watchdog watches.
    pub fn new(rules: &Rules, publishers: &BTreeMap<String, Traits>) -> Self {
        let link = |name: &String| Link { up: true, persistent: rules.persistent.contains(name), ..Link::default() };
        let mut world = Self {
            now: 0,
            desk: Desk::new(rules, publishers),
            processes: Processes::default(),
            rules: rules.clone(),
            publishers: publishers.clone(),
            links: rules.links.iter().map(|name| (name.clone(), link(name))).collect(),
            clocks: BTreeMap::new(),
            uptime: i128::from(UP_BEFORE),
            to_come: BTreeMap::new(),
            order: 0,
            probes: Some(0),
            pidfd: rules.pidfd,
            last_sent: BTreeMap::new(),
            sent: BTreeMap::new(),
        };
        world.start_watchdog();
        world
    }

    /// The watchdog's clocks.
    pub fn clock(&self) -> Now {
        let monotonic =
            u64::try_from(i128::from(self.now) + self.uptime).expect("a host is up for less than 500 years");
        Now { monotonic: Monotonic(monotonic), utc: self.wall_clock(None) }
    }

    /// Lets time pass until just before `at`, has the events happen then, and does all that is due at that instant.
    pub fn step(&mut self, at: u64, events: &[Event]) {
        self.pass(at, false);
        self.now = at;
        for event in events {
            self.happen(event);
        }
        self.pass(at, true);
    }

    fn pass(&mut self, until: u64, inclusive: bool) {
        let within = |time: &u64| if inclusive { *time <= until } else { *time < until };
        loop {
            let coming = self.to_come.first_key_value().map(|((time, _), _)| *time);
            let due = self.desk.next_deadline().map(|deadline| self.true_time(deadline));
            if let Some(time) = coming.filter(|time| within(time) && due.is_none_or(|due| *time <= due)) {
                self.now = self.now.max(time);
                let (_, thing) = self.to_come.pop_first().expect("it was just looked at");
                self.come(thing);
            } else if let Some(time) = due.filter(within) {
                self.now = self.now.max(time);
                self.tell(News::Nothing);
            } else {
                return;
            }
        }
    }

    fn true_time(&self, monotonic: Monotonic) -> u64 {
        u64::try_from((i128::from(monotonic.0) - self.uptime).max(i128::from(self.now))).unwrap_or(u64::MAX)
    }

    fn wall_clock(&self, of: Option<&str>) -> UtcNanos {
        let off = self.clocks.get(&of.map(str::to_owned)).copied().unwrap_or_default();
        UtcNanos(BEGINNING.0 + i64::try_from(self.now).expect("a scenario lasts less than 200 years") + off)
    }

    fn later(&mut self, after: u64, thing: ToCome) {
        self.order += 1;
        self.to_come.insert((self.now + after, self.order), thing);
    }

    fn come(&mut self, thing: ToCome) {
        match thing {
            ToCome::Beat(process) => self.beat(process),
            ToCome::Arrives(delivery) => self.arrive(delivery),
            ToCome::Answer(question) => {
                let fact = self.processes.look(question.process);
                let evidence = Evidence { at: self.clock().utc, source: Source::ProcessTable, fact };
                self.tell(News::Answer(question, evidence));
            }
            ToCome::Exit(publisher, process) => self.tell(News::Exit(publisher, process)),
            ToCome::Wakes => {
                self.desk.wake(self.clock(), &self.processes);
                self.heed();
            }
        }
    }

    /// Has one event happen.
    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Publisher(publisher, deed) => self.deed(publisher, deed),
            Event::LinkUp(link) => self.link(link, |link| link.up = true),
            Event::LinkDown(link) => self.link(link, |link| link.up = false),
            Event::BrokerHolds(link) => self.link(link, |link| link.holds = true),
            Event::BrokerReleases(link) => self.link(link, |link| link.holds = false),
            Event::ClockSteps(whose, by) => *self.clocks.entry(whose.clone()).or_default() += by,
            Event::Saves => self.tell(News::Save),
            Event::Stops => self.desk.stop(),
            Event::Starts => self.start_watchdog(),
            Event::Stalls(span) => {
                self.desk.stall(self.clock());
                self.later(span.unsigned_abs(), ToCome::Wakes);
            }
            Event::Reboots => {
                self.desk.stop();
                self.processes.reboot();
                self.uptime = -i128::from(self.now);
                self.desk.booted_at = self.wall_clock(None);
            }
            Event::Pause(publisher, span) => self.tell(News::Pause(publisher.clone(), *span)),
            Event::Resume(publisher) => self.tell(News::Resume(publisher.clone())),
            Event::ProbesTake(span) => self.probes = Some(span.unsigned_abs()),
            Event::ProbesFail => self.probes = None,
            Event::PidfdOn => self.pidfd = true,
            Event::PidfdOff => self.pidfd = false,
        }
    }

    fn start_watchdog(&mut self) {
        self.desk.start(self.clock(), &self.processes);
        self.heed();
        for place in 0..self.rules.links.len() {
            if self.links[&self.rules.links[place]].up {
                self.tell(News::LinkUp(place));
                self.release(place);
            }
        }
    }

    fn link(&mut self, name: &str, change: impl Fn(&mut Link)) {
        let Some(link) = self.links.get_mut(name) else { return };
        let was_up = link.up;
        change(link);
        let is_up = link.up;
        let place = self.rules.links.iter().position(|link| link == name).expect("a link is in the rules");
        match (was_up, is_up) {
            (false, true) => self.tell(News::LinkUp(place)),
            (true, false) => self.tell(News::LinkDown(place)),
            _ => {}
        }
        self.release(place);
    }

    fn release(&mut self, place: usize) {
        let link = self.links.get_mut(&self.rules.links[place]).expect("a link is in the rules");
        if link.up && !link.holds && self.desk.is_running() {
            for delivery in std::mem::take(&mut link.kept) {
                self.arrive(delivery);
            }
        }
    }

    fn deed(&mut self, publisher: &str, deed: &Deed) {
        let latest = self.processes.of(publisher).last();
        if let (Deed::Starts, Some(traits)) = (deed, self.publishers.get(publisher)) {
            let process = self.processes.start(publisher, traits.runs, self.now);
            if traits.beats.is_some() {
                self.beat(process);
            }
            return;
        }
        let Some(latest) = latest else { return };
        let process = &mut self.processes.all[latest];
        match deed {
            Deed::Killed => self.end(latest, Condition::Gone),
            Deed::Zombie => self.end(latest, Condition::Zombie),
            Deed::PidReused => self.end(latest, Condition::Reused(self.now / 10_000_000 + 1_000_000)),
            Deed::Stopped if !process.has_ended() => process.condition = Condition::Stopped,
            Deed::Continued if !process.has_ended() => process.condition = Condition::Runs,
            Deed::Starts | Deed::Stopped | Deed::Continued => {}
            Deed::Hangs => process.hung = true,
            Deed::Recovers => process.hung = false,
            Deed::Hides => process.hidden = true,
            Deed::Loses => self.send_but(latest, &Parcel::of(Kind::Sensor), true),
            Deed::Resends(again) => self.resend(publisher, again),
            Deed::Leaves => {
                self.send(latest, &Parcel::of(Kind::Bye));
                self.end(latest, Condition::Gone);
            }
            Deed::Repeats => {
                if let Some(delivery) = self.last_sent.get(publisher).cloned() {
                    self.arrive(delivery);
                }
            }
            Deed::Sends(parcel) => {
                let process = match parcel.process {
                    Some(number) => self.processes.of(publisher).nth(number - 1),
                    None => Some(latest),
                };
                if let Some(process) = process {
                    self.send(process, parcel);
                }
            }
        }
    }

    fn end(&mut self, place: usize, condition: Condition) {
        let process = &mut self.processes.all[place];
        if !process.has_ended() || !matches!(condition, Condition::Zombie) {
            process.condition = condition;
        }
        let (publisher, identity) = (process.publisher.clone(), process.identity);
        if self.pidfd && self.desk.attends(identity) {
            self.tell(News::Exit(publisher, identity));
        }
    }

    fn beat(&mut self, place: usize) {
        let process = &self.processes.all[place];
        let Some(interval) = self.publishers[&process.publisher].beats else { return };
        if process.has_ended() {
            return;
        }
        if process.speaks() {
            self.send(place, &Parcel::of(Kind::Beat));
        }
        self.later(interval.0.unsigned_abs().max(1), ToCome::Beat(place));
    }

    /// What was asked for comes again, and nothing holds it up.
    fn resend(&mut self, publisher: &str, again: &Again) {
        let process = match again.process {
            Some(number) => self.processes.of(publisher).nth(number - 1),
            None => self.processes.of(publisher).last(),
        };
        let Some(identity) = process.map(|place| self.processes.all[place].identity) else { return };
        let sent = self.sent.get(publisher).into_iter().flatten();
        let mut wanted: Vec<_> = sent.filter(|delivery| delivery.header.process == Some(identity)).cloned().collect();
        match again.which {
            Which::All => {}
            Which::Last => drop(wanted.drain(..wanted.len().saturating_sub(1))),
            Which::Number(number) => wanted.retain(|delivery| delivery.header.sequence == Some(number)),
        }
        for delivery in wanted {
            if self.links[&self.rules.links[delivery.link]].up && self.desk.is_running() {
                self.tell(News::Message(Delivery { resent: true, ..delivery }));
            }
        }
    }

    fn send(&mut self, place: usize, parcel: &Parcel) {
        self.send_but(place, parcel, false);
    }

    fn send_but(&mut self, place: usize, parcel: &Parcel, lost: bool) {
        let process = &mut self.processes.all[place];
        let publisher = process.publisher.clone();
        let (identity, sequence, uptime) = (process.identity, process.next_sequence, self.now - process.started);
        // A will was written down when the process connected; it has no number.
        process.next_sequence += u64::from(parcel.kind != Kind::Rip);
        let traits = &self.publishers[&publisher];
        let tells = |what: &str| traits.tells.iter().any(|told| told == what);
        let will = parcel.kind == Kind::Rip;
        let header = Header {
            process: tells("process").then_some(identity),
            sequence: (tells("seq") && !will).then_some(sequence),
            uptime: (tells("uptime") && !will).then_some(uptime),
            sent_at: (tells("sent") && !will).then_some(self.wall_clock(Some(&publisher))),
            host: None,
        };
        let header = if parcel.garbled { Header::default() } else { header };
        let on = |name: &String| match &parcel.via {
            Some(link) => name == link,
            None => traits.links.is_empty() || traits.links.contains(name),
        };
        let links: Vec<_> = (0..self.rules.links.len()).filter(|&link| on(&self.rules.links[link])).collect();
        for link in links {
            let (kind, retained, garbled) = (parcel.kind, parcel.retained, parcel.garbled);
            let header = header.clone();
            let delivery =
                Delivery { publisher: publisher.clone(), kind, link, retained, garbled, resent: false, header };
            let sent = self.sent.entry(publisher.clone()).or_default();
            let numbered = delivery.header.process.zip(delivery.header.sequence);
            let same = |one: &Delivery| one.header.process.zip(one.header.sequence) == numbered;
            if numbered.is_some() && !retained && !sent.last().is_some_and(same) {
                sent.push(delivery.clone());
            }
            if lost {
                continue;
            }
            self.last_sent.insert(publisher.clone(), delivery.clone());
            match parcel.delayed {
                0 => self.arrive(delivery),
                delay => self.later(delay.unsigned_abs(), ToCome::Arrives(delivery)),
            }
        }
    }

    fn arrive(&mut self, delivery: Delivery) {
        let link = self.links.get_mut(&self.rules.links[delivery.link]).expect("a link is in the rules");
        let passes = link.up && self.desk.is_running();
        if passes && !link.holds {
            self.tell(News::Message(delivery));
        } else if link.holds || link.persistent {
            link.kept.push(delivery);
        }
    }

    /// Tells the watchdog, and does what it asks for.
    fn tell(&mut self, news: News) {
        self.desk.take(self.clock(), news, &self.processes);
        self.heed();
    }

    fn heed(&mut self) {
        for output in self.desk.requests() {
            match output {
                Output::Ask(question) => {
                    if let Some(delay) = self.probes {
                        self.later(delay, ToCome::Answer(question));
                    }
                }
                Output::Attend(attend) if self.pidfd && self.processes.has_ended(attend.process) => {
                    self.later(0, ToCome::Exit(attend.publisher.to_string(), attend.process));
                }
                _ => {}
            }
        }
    }
}
