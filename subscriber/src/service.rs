//! [`Service`]: the loop that owns all state, and all that runs beside it.
//!
//! ```text
//!   links (threads) ──Incoming──▶ ┌──────────────────────────┐ ──append──▶ log ──▶ followers (store, InfluxDB)
//!   probe (tasks)   ──Finding───▶ │ loop: watchdog + intake  │ ──receipt─▶ links
//!   clock           ──deadline──▶ └──────────────────────────┘ ──flips───▶ stdout, ──overview──▶ live table
//! ```

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{Position, SyncPolicy};
use lastbeat_transport::{Arrival, Incoming};
use lastbeat_wire::{Monotonic, Now};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::announce::{self, Announcer};
use crate::intake::{Effect, Finding, Intake};
use crate::memory::Memory;
use crate::overview::{LinkView, Overview, Rate};
use crate::pace::Pace;
use crate::probe::Probe;
use crate::receipts::Receipts;

/// A deadline that is passed by more than this shows that the loop did not run.
const STALL: Duration = Duration::from_secs(1);
/// How often the snapshot is written: what a crash leaves to be read again from the log.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(10);
/// How often the live table gets fresh figures.
const OVERVIEW_EVERY: Duration = Duration::from_millis(500);

/// What the loop is given.
#[derive(Debug)]
pub struct Wiring {
    /// The watchdog and the log.
    pub intake: Intake,
    /// What comes from the links.
    pub incoming: mpsc::Receiver<Incoming>,
    /// The names of the links.
    pub links: Vec<String>,
    /// Where the snapshot is kept.
    pub memory: Memory,
    /// When messages are acknowledged.
    pub sync: SyncPolicy,
    /// How often each publisher is reported on.
    pub report_every: Duration,
    /// Where flips are told.
    pub announcer: Announcer,
    /// Where the live table looks; `None` without one.
    pub overview: Option<watch::Sender<Overview>>,
}

/// The loop's state.
#[derive(Debug)]
pub struct Service {
    intake: Intake,
    incoming: mpsc::Receiver<Incoming>,
    /// Probes answer here. 1,024 waiting answers hold them up, never the loop.
    findings: mpsc::Receiver<Finding>,
    probe: Probe,
    receipts: Receipts,
    announcer: Announcer,
    links: Vec<LinkView>,
    memory: Memory,
    pace: Pace,
    snapshot_at: Monotonic,
    saving: Option<tokio::task::JoinHandle<()>>,
    overview: Option<watch::Sender<Overview>>,
    overview_at: Monotonic,
    rate: Rate,
    /// systemd wants a sign of life from this loop so often.
    systemd: Option<Duration>,
    systemd_at: Monotonic,
}

impl Service {
    /// Puts the loop together. Call it within a tokio runtime.
    pub fn new(wiring: Wiring, now: Now) -> Self {
        let (sender, findings) = mpsc::channel(1024);
        let receipts = Receipts::start(wiring.intake.log().handle().clone(), wiring.sync);
        Self {
            intake: wiring.intake,
            incoming: wiring.incoming,
            findings,
            probe: Probe::new(sender),
            receipts,
            announcer: wiring.announcer,
            links: wiring.links.into_iter().map(LinkView::down).collect(),
            memory: wiring.memory,
            pace: Pace::new(wiring.report_every, now.monotonic),
            snapshot_at: now.monotonic.plus(SNAPSHOT_EVERY),
            saving: None,
            overview: wiring.overview,
            overview_at: now.monotonic,
            rate: Rate::new(now.monotonic),
            systemd: sd_notify::watchdog_enabled().map(|span| span / 2),
            systemd_at: now.monotonic,
        }
    }

    /// Runs until it is told to stop, then returns the intake, all of it logged.
    pub async fn run(mut self, stop: CancellationToken) -> Intake {
        notify(&[sd_notify::NotifyState::Ready]);
        self.settle(Clock.now());
        loop {
            let deadline = self.next_deadline();
            // Biased: findings are rare and must not wait behind a flood; deadlines are looked at after every event.
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(finding) = self.findings.recv() => Event::Finding(finding),
                Some(incoming) = self.incoming.recv() => Event::Incoming(incoming),
                () = tokio::time::sleep_until(Clock.instant(deadline).into()) => Event::Deadline,
            };
            let now = Clock.now();
            if now.monotonic.since(deadline) > STALL {
                self.intake.stalled(now, now.utc_at(deadline));
            }
            match event {
                Event::Finding(finding) => self.intake.found(now, finding),
                Event::Incoming(incoming) => self.arrived(now, incoming),
                Event::Deadline => {}
            }
            self.settle(now);
            self.regular(now);
        }
        notify(&[sd_notify::NotifyState::Stopping]);
        self.finish()
    }

    fn next_deadline(&self) -> Monotonic {
        let mut next = self.pace.next().min(self.snapshot_at);
        next = next.min(self.intake.watchdog().next_deadline().unwrap_or(next));
        if self.overview.is_some() {
            next = next.min(self.overview_at);
        }
        if self.systemd.is_some() {
            next = next.min(self.systemd_at);
        }
        next
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
                }
                self.intake.link_down(now, link, &reason);
            }
            Arrival::Batch(mut batch) => {
                let receipt = batch.receipt.take();
                let kept = self.intake.take(now, link, &batch);
                self.intake.log().commit();
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
                Effect::Flip(flip) => self.announcer.flip(&flip),
                Effect::Notice(notice) => announce::notice(&notice),
                Effect::Unwatched(span) => announce::unwatched(&span),
            }
        }
    }

    /// What happens at its own pace: reports, snapshot, live table, systemd.
    fn regular(&mut self, now: Now) {
        if let Some((from, count)) = self.pace.due(now.monotonic, self.intake.watchdog().len()) {
            self.intake.report_some(now, from, count);
        }
        if now.monotonic >= self.snapshot_at {
            self.snapshot_at = now.monotonic.plus(SNAPSHOT_EVERY);
            if self.saving.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                self.saving = Some(self.save(now));
            }
        }
        if let Some(overview) = &self.overview
            && now.monotonic >= self.overview_at
        {
            self.overview_at = now.monotonic.plus(OVERVIEW_EVERY);
            let rate = self.rate.take(now.monotonic, self.intake.totals().messages);
            overview.send_replace(Overview::of(now, &self.intake, &self.links, rate));
        }
        if let Some(every) = self.systemd
            && now.monotonic >= self.systemd_at
        {
            self.systemd_at = now.monotonic.plus(every);
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }

    /// Writes the snapshot once the log, up to where it reaches, is on the disk: a message must not count as having come
    /// and be missing from the log.
    fn save(&self, now: Now) -> tokio::task::JoinHandle<()> {
        let snapshot = self.intake.watchdog().snapshot(now);
        let position = self.intake.log().end();
        let (log, memory) = (self.intake.log().handle().clone(), self.memory.clone());
        tokio::spawn(async move {
            if let Some(last) = position.0.checked_sub(1)
                && log.when_synced(Position(last)).await.is_err()
            {
                return;
            }
            let written = tokio::task::spawn_blocking(move || memory.save(position, snapshot)).await;
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("the snapshot could not be written: {error}"),
                Err(error) => tracing::error!("the snapshot's thread failed: {error}"),
            }
        })
    }

    fn finish(mut self) -> Intake {
        // What the links had handed over is taken in, not thrown away.
        self.incoming.close();
        while let Ok(incoming) = self.incoming.try_recv() {
            self.arrived(Clock.now(), incoming);
        }
        self.settle(Clock.now());
        if let Some(saving) = self.saving.take() {
            saving.abort();
        }
        self.intake
    }
}

#[derive(Debug)]
enum Event {
    Finding(Finding),
    Incoming(Incoming),
    Deadline,
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd was not told: {error}");
    }
}
