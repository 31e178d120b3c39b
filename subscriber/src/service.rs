//! [`Service`]: the loop that owns all state, and all that runs beside it.
//!
//! ```text
//!   links (threads) ──Incoming──▶ ┌──────────────────────────┐ ──append──▶ log ──▶ followers (store, InfluxDB)
//!   probe (tasks)   ──Finding───▶ │ loop: watchdog + intake  │ ──receipt─▶ links
//!   clock           ──deadline──▶ │                          │ ──flips───▶ stdout
//!   HTTP            ──Command───▶ └──────────────────────────┘ ──Update──▶ board (live table, HTTP)
//! ```

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::Position;
use lastbeat_transport::{Arrival, Asker, Incoming};
use lastbeat_wire::{Monotonic, Now, PublisherId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::announce::{self, Announcer};
use crate::board::{Handover, LinkView};
use crate::command::{Changed, Command};
use crate::holding::Holding;
use crate::intake::{Effect, Finding, Intake};
use crate::memory::Memory;
use crate::pace::Pace;
use crate::probe::Probe;
use crate::receipts::{Receipts, Sync};
use crate::recover::Ask;
use crate::saving::Saving;
use crate::swarm::SwarmTold;
use crate::systemd::Systemd;

/// A deadline that is passed by more than this shows that the loop did not run.
pub const STALL: Duration = Duration::from_secs(1);

/// Links that were held back by more than this may have messages waiting that came in time.
const LONG_HELD: Duration = Duration::from_millis(100);

/// What the loop is given.
#[derive(Debug)]
pub struct Wiring {
    /// The watchdog and the log.
    pub intake: Intake,
    /// When the links are held back.
    pub holding: Holding,
    /// What comes from the links.
    pub incoming: mpsc::Receiver<Incoming>,
    /// What is asked of the loop.
    pub commands: mpsc::Receiver<Command>,
    /// The links, as they stand at first.
    pub links: Vec<LinkView>,
    /// How to ask on each link for what was lost, where anything can be.
    pub askers: Vec<Option<Asker>>,
    /// Where the snapshot is kept.
    pub memory: Memory,
    /// When messages are acknowledged.
    pub sync: Sync,
    /// How often each publisher is looked at to be reported on.
    pub report_every: Duration,
    /// Where flips are told.
    pub announcer: Announcer,
    /// The way to the board; `None` where nobody looks.
    pub board: Option<Handover>,
    /// The way to the service manager.
    pub systemd: Systemd,
}

/// The loop's state.
#[derive(Debug)]
pub struct Service {
    intake: Intake,
    holding: Holding,
    incoming: mpsc::Receiver<Incoming>,
    /// Probes answer here. 1,024 waiting answers hold them up, never the loop.
    findings: mpsc::Receiver<Finding>,
    commands: mpsc::Receiver<Command>,
    probe: Probe,
    receipts: Receipts,
    announcer: Announcer,
    links: Vec<LinkView>,
    askers: Vec<Option<Asker>>,
    pace: Pace,
    saving: Saving,
    board: Option<Handover>,
    systemd: Systemd,
}

impl Service {
    /// Puts the loop together. Call it within a tokio runtime.
    pub fn new(wiring: Wiring, now: Now) -> Self {
        let (sender, findings) = mpsc::channel(1024);
        let receipts = Receipts::start(wiring.intake.log().handle().clone(), wiring.sync);
        Self {
            intake: wiring.intake,
            holding: wiring.holding,
            incoming: wiring.incoming,
            findings,
            commands: wiring.commands,
            probe: Probe::new(sender),
            receipts,
            announcer: wiring.announcer,
            links: wiring.links,
            askers: wiring.askers,
            pace: Pace::new(wiring.report_every, now.monotonic),
            saving: Saving::new(wiring.memory, now.monotonic),
            board: wiring.board,
            systemd: wiring.systemd,
        }
    }

    /// Runs until it is told to stop, then returns the intake, all of it logged.
    pub async fn run(mut self, stop: CancellationToken) -> Intake {
        let now = Clock.now();
        self.settle(now);
        self.regular(now);
        // All is open and the loop has turned: from now on it watches, as far as its links are up.
        self.systemd.ready();
        loop {
            self.hold().await;
            let deadline = self.next_deadline();
            // Biased: findings are rare and must not wait behind a flood; deadlines are looked at after every event.
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(finding) = self.findings.recv() => Event::Finding(finding),
                Some(command) = self.commands.recv() => Event::Command(command),
                Some(incoming) = self.incoming.recv() => Event::Incoming(incoming),
                () = tokio::time::sleep_until(Clock.instant(deadline).into()) => Event::Deadline,
            };
            let now = Clock.now();
            let late = now.monotonic.since(deadline);
            if late > STALL {
                self.stalled(now, deadline, "the watchdog itself did not run");
            }
            if let (Some(board), Event::Finding(_) | Event::Command(_) | Event::Incoming(_)) = (&mut self.board, &event)
            {
                board.came(now.monotonic);
            }
            match event {
                Event::Finding(finding) => self.intake.found(now, finding),
                Event::Command(command) => self.asked(now, command),
                Event::Incoming(incoming) => self.arrived(now, incoming),
                Event::Deadline => {}
            }
            self.settle(now);
            self.regular(now);
        }
        self.systemd.stopping();
        self.finish()
    }

    /// Stands still while the log's disk is slow.
    async fn hold(&mut self) {
        if let Some(since) = self.holding.for_room(self.intake.log()).await {
            let now = Clock.now();
            if now.monotonic.since(since.monotonic) > LONG_HELD {
                self.stalled(now, since.monotonic, "the disk of the watchdog's log was slow");
            }
        }
    }

    /// Nothing was taken in since `from`.
    fn stalled(&mut self, now: Now, from: Monotonic, reason: &str) {
        self.intake.stalled(now, now.utc_at(from), reason);
        if let Some(board) = &self.board {
            board.stalled(now.monotonic.since(from));
        }
    }

    fn next_deadline(&self) -> Monotonic {
        let mut next = self.pace.next().min(self.saving.next());
        next = next.min(self.intake.next_deadline().unwrap_or(next));
        if let Some(board) = &self.board {
            next = board.next().map_or(next, |at| next.min(at));
        }
        self.systemd.next().map_or(next, |at| next.min(at))
    }

    fn arrived(&mut self, now: Now, Incoming { link, arrival }: Incoming) {
        match arrival {
            Arrival::Up => {
                if let Some(view) = self.links.get_mut(usize::from(link.0)) {
                    tracing::info!(link = %view.name, "link up");
                    view.down = None;
                }
                self.intake.link_up(now, link);
            }
            Arrival::Down { reason } => {
                if let Some(view) = self.links.get_mut(usize::from(link.0)) {
                    if view.down.as_ref() != Some(&reason) {
                        tracing::warn!(link = %view.name, "link down: {reason}");
                    }
                    view.down = Some(reason.clone());
                    view.round_trip = None;
                }
                self.intake.link_down(now, link, &reason);
            }
            Arrival::RoundTrip(span) => {
                if let Some(view) = self.links.get_mut(usize::from(link.0)) {
                    view.round_trip = Some(span);
                }
            }
            Arrival::Batch(mut batch) => {
                let receipt = batch.receipt.take();
                let kept = self.intake.take(now, link, &batch);
                // Without room in the log there is no receipt: the broker delivers again.
                if let (Some(end), Some(receipt)) = (kept, receipt) {
                    self.receipts.owe(end, receipt);
                }
            }
        }
    }

    fn settle(&mut self, now: Now) {
        for effect in self.intake.settle(now) {
            match effect {
                Effect::Ask(question) => self.probe.ask(question),
                Effect::Attend(attend) => self.probe.attend(attend),
                Effect::Resend(Ask { link, wanted }) => {
                    tracing::debug!(link = link.0, "ask for what was lost: {wanted:?}");
                    if let Some(Some(asker)) = self.askers.get(usize::from(link.0)) {
                        asker.ask(wanted);
                    }
                }
                Effect::Flip(flip) => {
                    self.announcer.flip(&flip);
                    if let Some(board) = &mut self.board {
                        board.flipped(&flip);
                    }
                }
                Effect::Notice(notice) => announce::notice(&notice),
                Effect::Unwatched(span) => announce::unwatched(&span),
                Effect::Judgement(judgement) => {
                    self.announcer.judgement(&judgement);
                    if let Some(board) = &self.board {
                        board.judged(&judgement);
                    }
                }
            }
        }
    }

    /// What happens at its own pace: reports, snapshot, board, systemd.
    fn regular(&mut self, now: Now) {
        if let Some(chunk) = self.pace.due(now.monotonic, self.intake.watchdog().len()) {
            self.intake.report_some(now, &chunk);
        }
        self.saving.due(now, &self.intake);
        if let Some(board) = &mut self.board {
            board.due(now, &mut self.intake, &self.links);
        }
        self.systemd.due(now.monotonic);
    }

    fn asked(&mut self, now: Now, command: Command) {
        // Whoever asked may have gone: then nobody waits for the answer.
        match command {
            Command::Ping { reply } => drop(reply.send(())),
            Command::Detail { publisher, reply } => {
                drop(reply.send(self.intake.detail(now, publisher.as_str())));
            }
            Command::Swarm { reply } => drop(reply.send(Box::new(SwarmTold::of(self.intake.swarm(), now)))),
            Command::Pause { publisher, span, reply } => {
                let known = self.intake.pause(now, publisher.as_str(), span);
                self.changed(now, known, &publisher, reply);
            }
            Command::Resume { publisher, reply } => {
                if self.intake.resume(now, publisher.as_str()) {
                    self.changed(now, true, &publisher, reply);
                } else {
                    let known = self.intake.detail(now, publisher.as_str()).is_some();
                    drop(reply.send(if known { Changed::NotPaused } else { Changed::Unknown }));
                }
            }
        }
    }

    /// A publisher was paused or resumed: told once the record of it is on the disk.
    fn changed(&mut self, now: Now, known: bool, publisher: &PublisherId, reply: oneshot::Sender<Changed>) {
        let not_kept = self.intake.totals().not_kept;
        self.settle(now);
        let Some(detail) = self.intake.detail(now, publisher.as_str()).filter(|_| known) else {
            drop(reply.send(Changed::Unknown));
            return;
        };
        if self.intake.totals().not_kept > not_kept {
            drop(reply.send(Changed::NotKept("the log takes no more".to_owned())));
            return;
        }
        let (log, end) = (self.intake.log().handle().clone(), self.intake.log().end());
        tokio::spawn(async move {
            // A log that is closed tells nobody anything.
            if log.sync(Position(end.0.saturating_sub(1))).await.is_ok() {
                drop(reply.send(Changed::Kept(Box::new(detail))));
            }
        });
    }

    fn finish(mut self) -> Intake {
        // What the links had handed over is taken in, not thrown away.
        self.incoming.close();
        while let Ok(incoming) = self.incoming.try_recv() {
            self.arrived(Clock.now(), incoming);
        }
        self.settle(Clock.now());
        self.intake
    }
}

#[derive(Debug)]
enum Event {
    Finding(Finding),
    Command(Command),
    Incoming(Incoming),
    Deadline,
}

#[cfg(test)]
mod tests;
