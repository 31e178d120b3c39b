//! [`Watch`]: the watchdog's program in a [`World`]: the loop around the intake that runs in production, its disk, its snapshot,
//! its restarts.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use lastbeat_log::Position;
use lastbeat_simulation::Broken;
use lastbeat_transport::{Batch, Delivery, LinkIndex};
use lastbeat_watchdog::{Evidence, Fact, HostView, Question, Source, WatchRules, Watchdog};
use lastbeat_wire::{Monotonic, Now, ProcessIdentity, PublisherId};

use super::chance::Spans;
use super::disk::Disk;
use super::fleet::Fleet;
use super::world::{Happening, MILLI, Packet, World, signed};
use crate::intake::{Effect, Finding, Intake};
use crate::memory::{Kept, Restored, replay, restore};
use crate::pace::Pace;
use crate::record::Record;
use crate::service::{SNAPSHOT_EVERY, STALL};

/// By how much the loop may be late: what is due is done no later than this.
pub const LATE: Duration = Duration::from_millis(40);
/// How long it takes until the loop gets to something.
const TURN: Spans = Spans(&[(0.9, 0.000_2), (0.99, 0.002), (1.0, 0.02)]);
/// How long looking at a process takes.
const LOOK: Spans = Spans(&[(0.9, 0.002), (0.99, 0.05), (1.0, 0.4)]);

/// The watchdog's program, and what outlives it.
pub struct Watch {
    rules: WatchRules,
    pub intake: Option<Intake<Disk>>,
    pub disk: Disk,
    /// The snapshot as it stands in its file.
    memory: Option<Vec<u8>>,
    /// Counts its starts: what was begun in an earlier life is void.
    pub life: u64,
    /// When its host was started, in true time; before the world, by default.
    pub booted: i64,
    pub stalled: bool,
    inbox: VecDeque<News>,
    findings: VecDeque<Finding>,
    pub receipts: VecDeque<(u64, usize, u64, Rc<Packet>)>,
    attended: BTreeSet<(PublisherId, ProcessIdentity)>,
    /// The deadline that the loop waits for, and when it will take its turn.
    awaited: Monotonic,
    turn_at: Option<u64>,
    pace: Pace,
    snapshot_at: Monotonic,
    pub saving: Option<Saving>,
    /// What holds the disk and the probes up, as a number of faults.
    pub disk_slow: u32,
    pub disk_full: u32,
    pub probes_fail: u32,
    pub writing: bool,
    pub syncing: bool,
    pub up_since: u64,
    pub down_since: u64,
}

/// A snapshot that is to be written once the log is synced so far.
pub struct Saving {
    pub position: u64,
    pub kept: Vec<u8>,
    pub under_way: bool,
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
            booted: -100_000_000_000_000,
            stalled: false,
            inbox: VecDeque::new(),
            findings: VecDeque::new(),
            receipts: VecDeque::new(),
            attended: BTreeSet::new(),
            awaited: Monotonic(0),
            turn_at: None,
            snapshot_at: Monotonic(0),
            saving: None,
            disk_slow: 0,
            disk_full: 0,
            probes_fail: 0,
            writing: false,
            syncing: false,
            up_since: 0,
            down_since: 0,
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
        let kept = self.watch.memory.as_ref().map(|bytes| Kept::read(bytes).expect("invariant: it was written so"));
        let Restored { from, mut watched_until, timed_by } = restore(&mut watchdog, now, kept);
        for stored in self.watch.disk.read(from.0) {
            let record = Record::decode(stored.kind, &stored.body).expect("invariant: it was written so");
            watched_until = watched_until.max(replay(&mut watchdog, now, timed_by, &record));
        }
        self.ledger.restarted(now);
        self.ledger.adopt(watchdog.statuses(now));
        watchdog.begin(now, watched_until);
        let disk = self.watch.disk.clone();
        self.watch.intake = Some(Intake::new(watchdog, disk, self.fleet.pending_bytes, []));
        self.watch.life += 1;
        self.watch.turn_at = None;
        self.watch.pace = Pace::new(self.watch.rules.threshold / 5, now.monotonic);
        self.watch.snapshot_at = now.monotonic.plus(SNAPSHOT_EVERY);
        self.watch.up_since = self.now;
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
        watch.down_since = self.now;
        watch.life += 1;
        watch.inbox.clear();
        watch.findings.clear();
        watch.receipts.clear();
        watch.attended.clear();
        (watch.stalled, watch.turn_at, watch.saving) = (false, None, None);
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
    fn wake_up(&mut self) {
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
        if now.monotonic.since(self.watch.awaited) > STALL {
            let from = now.utc_at(self.watch.awaited);
            self.intake().stalled(now, from);
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
        let next = self.watch.pace.next().min(self.watch.snapshot_at);
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
        let before = self.intake().watchdog().status(now, id.as_str());
        let kept = self.intake().take(now, index(link), &batch);
        let after = self.intake().watchdog().status(now, id.as_str());
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
        self.settle(Some((link, connection, packet)))
    }

    /// Judges, does what the watchdog asks for, and looks whether it keeps its promises.
    fn settle(&mut self, after: Option<(usize, u64, &Rc<Packet>)>) -> Result<(), Broken> {
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
        if let Some((.., packet)) = after {
            statuses.extend(watchdog.status(now, self.fleet.publishers[packet.publisher].id.as_str()));
        }
        self.ledger.check(now, watchdog, &flips, statuses, &self.processes)?;
        if let Some((link, connection, packet)) = after {
            self.revived(link, connection, packet)?;
        }
        for effect in effects {
            match effect {
                Effect::Flip(flip) => self.flipped(&flip),
                Effect::Ask(question) => self.asked(question),
                Effect::Attend(attend) => self.attend(attend.publisher, attend.process),
                Effect::Notice(_) | Effect::Unwatched(_) | Effect::Resend(_) => {}
            }
        }
        Ok(())
    }

    fn asked(&mut self, question: Question) {
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

    fn attend(&mut self, publisher: PublisherId, process: ProcessIdentity) {
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
        if let Some((from, count)) = self.watch.pace.due(now.monotonic, publishers) {
            self.intake().report_some(now, from, count);
        }
        if now.monotonic >= self.watch.snapshot_at {
            self.watch.snapshot_at = now.monotonic.plus(SNAPSHOT_EVERY);
            if self.watch.saving.is_none() {
                let snapshot = self.intake().watchdog().snapshot(now);
                let position = self.watch.disk.progress().end;
                let kept = Kept::new(Position(position), snapshot).written().expect("invariant: it can be written");
                self.watch.saving = Some(Saving { position, kept, under_way: false });
            }
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
            self.watch.disk.remove_before(saving.position);
            self.watch.memory = Some(saving.kept);
        }
    }
}

fn index(link: usize) -> LinkIndex {
    LinkIndex(u16::try_from(link).expect("invariant: there are at most 64 links"))
}
