//! [`Watch`]: the watchdog's program in a [`World`]: the loop around the intake that runs in production, its disk, its snapshot,
//! its restarts.

use std::collections::{BTreeSet, VecDeque};
use std::io::Cursor;
use std::rc::Rc;
use std::time::Duration;

use lastbeat_log::Position;
use lastbeat_simulation::Broken;
use lastbeat_swarm::Swarm;
use lastbeat_transport::{Batch, Delivery, LinkIndex};
use lastbeat_watchdog::{HostView, LinkNumber, Reception, WatchRules, Watchdog};
use lastbeat_wire::{Kind, Monotonic, Now, ProcessIdentity, PublisherId};

use super::chance::Spans;
use super::disk::Disk;
use super::fleet::Fleet;
use super::person::Person;
use super::world::{Happening, Packet, World, signed};
use crate::intake::{Effect, Finding, Intake};
use crate::memory::{Kept, Known, Part, Slice, Slicing, head, restore};
use crate::pace::Pace;
use crate::record::Record;
use crate::service::STALL;

/// By how much the loop may be late: what is due is done no later than this.
pub const LATE: Duration = Duration::from_millis(40);
/// How long it takes until the loop gets to something.
const TURN: Spans = Spans(&[(0.9, 0.000_2), (0.99, 0.002), (1.0, 0.02)]);

/// Publishers of one slice of a snapshot: so few that messages come between two of them.
const SLICE: usize = 3;

/// When its host was first started, before the world was.
const BOOTED: i64 = -100_000_000_000_000;

/// The watchdog's program, and what outlives it.
pub struct Watch {
    rules: WatchRules,
    pub intake: Option<Intake<Disk>>,
    pub disk: Disk,
    memory: Option<Memory>,
    /// Counts its starts: what was begun in an earlier life is void.
    pub life: u64,
    /// When its host was started, in true time; before the world, by default.
    pub booted: i64,
    pub stalled: bool,
    inbox: VecDeque<News>,
    pub findings: VecDeque<Finding>,
    pub receipts: VecDeque<(u64, usize, u64, Rc<Packet>)>,
    pub attended: BTreeSet<(PublisherId, ProcessIdentity)>,
    /// The deadline that the loop waits for, and when it will take its turn.
    awaited: Monotonic,
    turn_at: Option<u64>,
    pace: Pace,
    slicing: Slicing,
    /// The snapshot whose slices are being taken.
    draft: Option<Draft>,
    pub saving: Option<Saving>,
    /// What holds the disk and the probes up, as a number of faults.
    pub disk_slow: u32,
    pub disk_full: u32,
    pub probes_fail: u32,
    pub writing: bool,
    pub syncing: bool,
    pub up_since: u64,
}

/// A snapshot of which not all is taken yet.
struct Draft {
    from: u64,
    memory: Memory,
}

/// A snapshot that is to be written once the log is synced so far.
pub struct Saving {
    from: u64,
    pub position: u64,
    memory: Memory,
    pub under_way: bool,
}

/// A snapshot.
pub struct Memory {
    /// As it stands in its file.
    kept: Vec<u8>,
    made: u64,
    /// When its host had been started.
    booted: i64,
    /// Whom of the publishers the watchdog was misled about then.
    misled: Vec<bool>,
}

/// What a link has to say to the loop.
#[derive(Debug)]
pub enum News {
    Up { link: usize },
    Down { link: usize, reason: &'static str },
    Message { link: usize, connection: u64, packet: Rc<Packet> },
}

impl Watch {
    /// A watchdog that was never started.
    pub fn new(fleet: &Fleet) -> Self {
        let rules = WatchRules {
            threshold: fleet.threshold,
            links: fleet.links.iter().map(|link| link.name.clone()).collect(),
            publishers: fleet.rules.clone(),
            ..WatchRules::default()
        };
        Self {
            pace: Pace::new(fleet.threshold / 5, Monotonic(0)),
            rules,
            intake: None,
            disk: Disk::new(2 * fleet.pending_bytes),
            memory: None,
            life: 0,
            booted: BOOTED,
            stalled: false,
            inbox: VecDeque::new(),
            findings: VecDeque::new(),
            receipts: VecDeque::new(),
            attended: BTreeSet::new(),
            awaited: Monotonic(0),
            turn_at: None,
            slicing: Slicing::new(Monotonic(0), Position::START, SLICE),
            draft: None,
            saving: None,
            disk_slow: 0,
            disk_full: 0,
            probes_fail: 0,
            writing: false,
            syncing: false,
            up_since: 0,
        }
    }

    pub fn rules(&self) -> &WatchRules {
        &self.rules
    }

    /// The deadline that the loop waits for.
    pub fn awaited(&self) -> Monotonic {
        self.awaited
    }

    pub fn is_running(&self) -> bool {
        self.intake.is_some()
    }

    /// The threshold in nanoseconds.
    pub fn threshold(&self) -> u64 {
        u64::try_from(self.rules.threshold.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl World {
    /// The watchdog's clocks.
    pub fn clock(&self) -> Now {
        let up = u64::try_from(signed(self.now) - self.watch.booted).expect("invariant: it was booted before");
        Now { monotonic: Monotonic(up), utc: self.wall_clock(0) }
    }

    /// The program is started: the snapshot and the log after it are given back as `bring_back` does it.
    pub fn start_watchdog(&mut self) -> Result<(), Broken> {
        if self.watch.is_running() || self.hosts[0].down {
            return Ok(());
        }
        let now = self.clock();
        let up = Duration::from_nanos(now.monotonic.0);
        let host = HostView { process: self.processes.own(), booted_at: now.utc.minus(up) };
        self.watch.rules.host = Some(host);
        let mut watchdog = Watchdog::new(self.watch.rules.clone(), now);
        let kept = self.watch.memory.as_ref().map(|memory| Cursor::new(memory.kept.clone()));
        let kept = kept.map(|bytes| Kept::open(bytes).expect("invariant: it was written so"));
        let mut swarm = Swarm::default();
        let restored = restore(&mut watchdog, &mut swarm, now, kept).expect("invariant: it was written so");
        let mut watched_until = restored.watched_until;
        for stored in self.watch.disk.read(restored.from.0) {
            let record = Record::decode(stored.kind, &stored.body).expect("invariant: it was written so");
            let time = restored.replay(&mut watchdog, &mut swarm, now, Position(stored.position), &record);
            watched_until = watched_until.max(time);
        }
        self.ledger.restarted(now);
        self.ledger.adopt(watchdog.statuses(now));
        watchdog.begin(now, watched_until);
        let disk = self.watch.disk.clone();
        self.watch.intake = Some(Intake::new(watchdog, disk, self.fleet.pending_bytes, []));
        self.watch.life += 1;
        self.watch.turn_at = None;
        self.watch.pace = Pace::new(self.watch.rules.threshold / 5, now.monotonic);
        self.watch.slicing = Slicing::new(now.monotonic, restored.from, SLICE);
        self.watch.up_since = self.now;
        let (made, booted) = self.watch.memory.as_ref().map_or((0, BOOTED), |memory| (memory.made, memory.booted));
        let stepped = self.hosts[0].stepped_at.is_some_and(|stepped| stepped >= made);
        let all = stepped && booted != self.watch.booted;
        let misled = self.watch.memory.iter().flat_map(|memory| memory.misled.iter().copied());
        self.truth.misled(self.now, misled.chain(std::iter::repeat(false)).map(|misled| misled || all));
        self.truth.watchdog_started(self.now);
        for link in 0..self.links.len() {
            self.try_connecting(link);
        }
        self.settle(None)?;
        self.await_next();
        Ok(())
    }

    /// The program ends at once.
    pub fn kill_watchdog(&mut self, power: bool) -> Result<(), Broken> {
        let lost = self.watch.disk.crash(power);
        let watch = &mut self.watch;
        watch.intake = None;
        watch.life += 1;
        watch.inbox.clear();
        watch.findings.clear();
        watch.receipts.clear();
        watch.attended.clear();
        (watch.stalled, watch.turn_at, watch.saving, watch.draft) = (false, None, None, None);
        (watch.writing, watch.syncing) = (false, false);
        for link in 0..self.links.len() {
            self.disconnect(link, None);
        }
        let loses_acknowledged = power && !self.fleet.sync_always;
        self.truth.crashed(lost.iter().filter_map(|record| record.packet), loses_acknowledged)
    }

    /// Hands something to the loop.
    pub fn tell(&mut self, news: News) {
        if self.watch.is_running() {
            self.watch.inbox.push_back(news);
            self.wake_up();
        }
    }

    /// The loop will take a turn soon.
    pub fn wake_up(&mut self) {
        let at = self.now + self.side.span(TURN);
        self.turn_at(at);
    }

    fn turn_at(&mut self, at: u64) {
        if self.watch.turn_at.is_none_or(|known| known > at) {
            self.watch.turn_at = Some(at);
            let life = self.watch.life;
            self.at(at, Happening::Turn { life });
        }
    }

    /// The loop: what waits, one after the other, then what is due; as `Service::run` does it.
    pub fn turn(&mut self, life: u64) -> Result<(), Broken> {
        // A turn that was planned for later than another one is void.
        let planned = self.watch.life == life && self.watch.turn_at == Some(self.now);
        if !planned || !self.watch.is_running() || self.watch.stalled {
            return Ok(());
        }
        let now = self.clock();
        let late = now.monotonic.since(self.watch.awaited);
        if late > LATE {
            self.ledger.held_up(now);
        }
        if late > STALL {
            let from = now.utc_at(self.watch.awaited);
            self.intake().stalled(now, from, "the watchdog itself did not run");
            self.ledger.stalled(now);
            self.truth.stalled(self.now);
        }
        self.watch.turn_at = None;
        while let Some(finding) = self.watch.findings.pop_front() {
            self.intake().found(now, finding);
            self.settle(None)?;
        }
        while let Some(news) = self.watch.inbox.pop_front() {
            match news {
                News::Up { link } => {
                    self.intake().link_up(now, index(link));
                    self.ledger.link_up(now, link);
                    self.truth.link(link, Some(self.now));
                    self.settle(None)?;
                }
                News::Down { link, reason } => {
                    self.intake().link_down(now, index(link), reason);
                    self.ledger.link_down(link);
                    self.truth.link(link, None);
                    self.settle(None)?;
                }
                News::Message { link, connection, packet } => self.message(now, link, connection, &packet)?,
            }
        }
        self.settle(None)?;
        self.regular(now);
        self.disk_works();
        self.await_next();
        Ok(())
    }

    fn intake(&mut self) -> &mut Intake<Disk> {
        self.watch.intake.as_mut().expect("invariant: the loop runs")
    }

    fn await_next(&mut self) {
        let next = self.watch.pace.next().min(self.watch.slicing.next());
        let next = next.min(self.intake().watchdog().next_deadline().unwrap_or(next));
        self.watch.awaited = next;
        let late = self.side.span(TURN);
        let at = u64::try_from(signed(next.0) + self.watch.booted).unwrap_or(0);
        self.turn_at(at.max(self.now) + late);
    }

    fn message(&mut self, now: Now, link: usize, connection: u64, packet: &Rc<Packet>) -> Result<(), Broken> {
        let id = self.fleet.publishers[packet.publisher].id.clone();
        let mut batch = Batch::default();
        let (topic, payload) = (packet.topic.as_bytes(), &packet.payload[..]);
        batch.push(Delivery { topic, payload, retained: packet.retained, resent: false });
        self.watch.disk.taking(Some(packet.number));
        let number = LinkNumber(index(link).0);
        let behind = self.intake().watchdog().behind_until(number);
        let before = self.intake().watchdog().status(now, id.as_str());
        let kept = self.intake().take(now, index(link), &batch);
        let after = self.intake().watchdog().status(now, id.as_str());
        let put_off = self.intake().watchdog().behind_until(number).is_some_and(|until| Some(until) > behind);
        self.watch.disk.taking(None);
        let reception = self.ledger.received(&id, packet.kind, link, before.as_ref(), after.as_ref())?;
        let mqtt = self.fleet.links[link].mqtt;
        let stored = self.watch.disk.stored();
        self.truth.took(self.now, packet, reception, &stored, kept.is_some(), mqtt)?;
        match kept {
            Some(Position(end)) if mqtt => self.watch.receipts.push_back((end, link, connection, packet.clone())),
            None if mqtt && self.links[link].connection == connection => {
                self.disconnect(link, Some("the log has no room"));
            }
            _ => {}
        }
        if put_off || reception == Reception::Live {
            self.caught_up(link, packet, put_off)?;
        }
        self.settle(Some(packet.publisher))?;
        // A copy of what had come shows nothing that was not known.
        if reception == Reception::Live {
            let threshold = self.fleet.threshold_of(&self.fleet.publishers[packet.publisher]);
            self.revived(link, connection, packet)?;
            // A will bears no clock.
            if packet.kind != Kind::Rip {
                self.truth.people[packet.publisher].learned(self.now, threshold);
            }
        }
        Ok(())
    }

    /// Judges, does what the watchdog asks for, and looks whether it keeps its promises.
    fn settle(&mut self, heard: Option<usize>) -> Result<(), Broken> {
        let now = self.clock();
        let effects = self.intake().settle(now);
        let watchdog = self.watch.intake.as_ref().expect("invariant: the loop runs").watchdog();
        let mut flips = Vec::new();
        let mut statuses = Vec::new();
        for effect in &effects {
            if let Effect::Flip(flip) = effect {
                flips.push(flip);
                statuses.extend(watchdog.status(now, flip.publisher.as_str()));
            }
        }
        if let Some(publisher) = heard {
            statuses.extend(watchdog.status(now, self.fleet.publishers[publisher].id.as_str()));
        }
        self.ledger.check(now, watchdog, &flips, statuses, &self.processes)?;
        for effect in effects {
            match effect {
                Effect::Flip(flip) => self.flipped(&flip),
                Effect::Ask(question) => self.asked(question),
                Effect::Attend(attend) => self.attend(attend.publisher, attend.process),
                Effect::Notice(_) | Effect::Unwatched(_) | Effect::Resend(_) | Effect::Judgement(_) => {}
            }
        }
        Ok(())
    }

    /// It runs again after a stall.
    pub fn wakes(&mut self, life: u64) {
        if self.watch.life == life && self.watch.is_running() {
            self.watch.stalled = false;
            self.watch.turn_at = None;
            self.wake_up();
        }
    }

    fn regular(&mut self, now: Now) {
        let publishers = self.intake().watchdog().len();
        if let Some(chunk) = self.watch.pace.due(now.monotonic, publishers) {
            self.intake().report_some(now, &chunk);
        }
        if self.watch.draft.is_none() && self.watch.saving.is_some() && now.monotonic >= self.watch.slicing.next() {
            self.watch.slicing.put_off(now.monotonic);
        }
        let end = Position(self.watch.disk.progress().end);
        if let Some(part) = self.watch.slicing.due(now.monotonic, end, Known { publishers, pairs: 0, is_more: false }) {
            self.slice(now, end, part);
        }
    }

    /// A slice of a snapshot is taken, as `Saving` does it.
    fn slice(&mut self, now: Now, end: Position, part: Part) {
        let misled: Vec<_> = self.truth.people.iter().map(Person::misled).collect();
        let mut draft = self.watch.draft.take().filter(|_| !part.is_first).unwrap_or_else(|| {
            let kept = head().to_vec();
            let memory = Memory { kept, made: self.now, booted: self.watch.booted, misled: misled.clone() };
            Draft { from: end.0, memory }
        });
        for places in [part.places].into_iter().chain(part.is_last.then_some(0..0)) {
            let slice = Slice::new(end, self.intake().watchdog().snapshot_of(now, places));
            draft.memory.kept.extend(slice.encode().expect("invariant: it can be written"));
        }
        // Each was as it was when its slice was taken, between the first one and now.
        draft.memory.misled.iter_mut().zip(misled).for_each(|(then, now)| *then |= now);
        if part.is_last {
            let Draft { from, memory } = draft;
            self.watch.saving = Some(Saving { from, position: end.0, memory, under_way: false });
        } else {
            self.watch.draft = Some(draft);
        }
    }

    /// The snapshot has come to the disk.
    pub fn saved(&mut self, life: u64) {
        if self.watch.life != life {
            return;
        }
        if let Some(saving) = self.watch.saving.take()
            && self.watch.disk_full == 0
        {
            self.watch.disk.remove_before(saving.from);
            self.watch.memory = Some(saving.memory);
        }
    }
}

fn index(link: usize) -> LinkIndex {
    LinkIndex(u16::try_from(link).expect("invariant: there are at most 64 links"))
}
