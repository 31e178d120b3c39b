//! [`Influx`]: follows the log into a server, three shipments on their way at a time.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_log::{LogError, LogHandle, Position, Reader};
use lastbeat_wire::Monotonic;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::config::InfluxConfig;
use super::deliver::Delivery;
use super::server::Server;
use super::shipment::Load;
use crate::follower::course::{Course, Stretch};
use crate::follower::cursor::CursorFile;
use crate::follower::refused::Refused;
use crate::follower::telling::Telling;
use crate::follower::{Follower, Lag};
use crate::standby::{Fill, Gate, Standing, Turn};

/// At most about so much of the log goes into one shipment.
const SHIPMENT_BYTES: usize = 4 << 20;
/// Shipments on their way. Two keep the server busy while the third is made and travels.
const IN_FLIGHT: usize = 3;
/// When less of the log than this is left, a pause lets it become more: a slow trickle makes few requests.
const LITTLE_BYTES: u64 = 256 << 10;
const PAUSE: Duration = Duration::from_millis(250);
/// The pause after the log could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);

/// An InfluxDB as a follower of the log.
#[derive(Debug)]
pub struct Influx {
    pub(super) server: Server,
    cursor_file: CursorFile,
    refused: Refused,
    cursor: Position,
    shipment_bytes: usize,
    little_bytes: u64,
    standing: Standing,
}

impl Influx {
    /// Keeps its cursor in `influx.cursor`, and the points the server refuses in `influx.refused.jsonl`, both in `dir`.
    /// Ships what its part allows. Does not connect yet.
    pub fn open(config: InfluxConfig, dir: &Path, standing: Standing) -> anyhow::Result<Self> {
        let cursor_file = CursorFile::new("influxdb", dir.join("influx.cursor"), config.target());
        let cursor = cursor_file.load();
        let refused = Refused::new(dir.join("influx.refused.jsonl"));
        Ok(Self {
            server: Server::new(config)?,
            cursor_file,
            refused,
            cursor,
            shipment_bytes: SHIPMENT_BYTES,
            little_bytes: LITTLE_BYTES,
            standing,
        })
    }

    /// Makes many small shipments, without pauses between them.
    #[cfg(test)]
    pub fn in_shipments_of(self, bytes: usize) -> Self {
        Self { shipment_bytes: bytes, little_bytes: 0, ..self }
    }

    /// Packs its lines so, wherever the server is.
    #[cfg(test)]
    pub fn packed(mut self, packing: super::server::Packing) -> Self {
        self.server.packing = packing;
        self
    }
}

impl Follower for Influx {
    fn name(&self) -> &'static str {
        "influxdb"
    }

    fn cursor(&self) -> Position {
        self.cursor
    }

    async fn follow(self, log: LogHandle, lag: watch::Sender<Lag>, stop: CancellationToken) -> anyhow::Result<()> {
        let telling = Arc::new(Telling::new("influxdb", format!("InfluxDB {}", self.server.target()), lag));
        let mut shipping = Shipping {
            reader: log.reader(self.cursor)?,
            delivery: Arc::new(Delivery::new(self.server, Arc::clone(&telling), self.refused)),
            in_flight: VecDeque::new(),
            course: Course::begin(log.clone(), self.cursor_file, self.cursor, Arc::clone(&telling)),
            telling,
            next_due: Clock.now().monotonic,
            shipment_bytes: self.shipment_bytes,
            little_bytes: self.little_bytes,
            gate: Gate::new(self.standing),
            log,
        };
        let result = shipping.run(&stop).await;
        shipping.abandon();
        shipping.course.tick();
        result
    }
}

/// A follower at work.
struct Shipping {
    log: LogHandle,
    /// Behind the last shipment that was sent off.
    reader: Reader,
    delivery: Arc<Delivery>,
    /// In the order of the log, which is the order in which the cursor follows.
    in_flight: VecDeque<InFlight>,
    course: Course,
    telling: Arc<Telling>,
    /// When the next shipment may be made.
    next_due: Monotonic,
    shipment_bytes: usize,
    little_bytes: u64,
    gate: Gate,
}

struct InFlight {
    stretch: Stretch,
    delivered: JoinHandle<()>,
}

impl Shipping {
    async fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut is_closed = false;
        self.part_changed();
        loop {
            let due = Instant::from_std(Clock.instant(self.next_due));
            let may_ship = self.in_flight.len() < IN_FLIGHT && !is_closed && !self.gate.waits;
            // What it holds back is left for the next start.
            let holds = self.gate.waits && !is_closed;
            let mut progress = self.log.progress();
            let oldest = self.in_flight.front_mut();
            // A server that is away is told of with what waits for it meanwhile.
            let is_under_way = oldest.is_some() || self.course.is_unsaved();
            let reader = &mut self.reader;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                result = async { (&mut oldest.expect("guarded by the condition").delivered).await }, if oldest.is_some() => {
                    result.context("a shipment")?;
                    // What is to be sent again is read again, though all of it was read.
                    is_closed &= !self.arrived();
                }
                more = async { sleep_until(due).await; reader.wait().await }, if may_ship => match more {
                    Ok(()) => self.ship(),
                    Err(_) => is_closed = true,
                },
                Ok(()) = self.gate.standing.changed() => self.part_changed(),
                _ = progress.wait_for(|_| false), if holds => is_closed = true,
                () = sleep_until(self.course.due()), if is_under_way => self.course.tick(),
            }
            if is_closed && self.in_flight.is_empty() {
                return Ok(());
            }
        }
    }

    /// Makes a shipment of what the log has next and sends it off.
    fn ship(&mut self) {
        let (turn, load) = match self.load() {
            Ok(loaded) => loaded,
            Err(error) => {
                self.telling.trouble(&error.to_string());
                self.next_due = Clock.now().monotonic.plus(READ_RETRY);
                return;
            }
        };
        if turn == Turn::Wait {
            self.gate.waits = true;
            self.course.tell();
            return;
        }
        let stretch = load.stretch;
        let delivery = Arc::clone(&self.delivery);
        let delivered = tokio::spawn(async move {
            if turn == Turn::Ship {
                delivery.deliver(&load.into_shipment()).await;
            }
        });
        self.in_flight.push_back(InFlight { stretch, delivered });
        let pause = if self.reader.behind_bytes() < self.little_bytes { PAUSE } else { Duration::ZERO };
        self.next_due = Clock.now().monotonic.plus(pause);
    }

    /// What the log has next, as much of it as has one turn and makes a shipment; nothing of what has to wait.
    fn load(&mut self) -> Result<(Turn, Load), LogError> {
        // Of a record about half becomes its line.
        let expected = usize::try_from(self.reader.behind_bytes()).unwrap_or(usize::MAX).min(self.shipment_bytes);
        let mut load = Load::with_room(expected / 2);
        let turn = self.gate.read(&mut self.reader, self.shipment_bytes as u64, |batch, end| {
            load.take(batch, end);
            if load.is_full() { Fill::Full } else { Fill::Room }
        })?;
        Ok((turn, load))
    }

    /// The oldest shipment is taken: the cursor moves behind it. Whether instead all is to be sent again.
    fn arrived(&mut self) -> bool {
        let Some(arrived) = self.in_flight.pop_front() else { return false };
        if self.delivery.created.swap(false, Ordering::AcqRel) && self.course.taken() > Position::START {
            // The server was wiped. What the log still has is sent again, from its start on.
            tracing::info!("influxdb: the database is new, it gets what the log still holds");
            self.abandon();
            self.course.again();
            self.reader.seek(Position::START);
            return true;
        }
        self.course.took(arrived.stretch);
        false
    }

    fn part_changed(&mut self) {
        let held = self.gate.changed();
        self.telling.tell(|lag| lag.held = held);
    }

    fn abandon(&mut self) {
        for in_flight in self.in_flight.drain(..) {
            in_flight.delivered.abort();
        }
    }
}
