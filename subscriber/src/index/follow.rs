//! [`Index`]: follows the log into a server, one batch at a time.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{self as log, LogError, LogHandle, Position, Reader};
use lastbeat_wire::Monotonic;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::config::IndexConfig;
use super::deliver::Delivery;
use super::document::{Document, Maker};
use super::identity;
use super::server::Server;
use crate::follower::course::{Course, Stretch};
use crate::follower::cursor::CursorFile;
use crate::follower::refused::Refused;
use crate::follower::telling::Telling;
use crate::follower::{Follower, Lag};
use crate::record::Record;
use crate::standby::{Fill, Gate, Standing, Turn};

/// A batch with so many documents is full.
const DOCUMENTS: usize = 5_000;
/// A batch with so many bytes is full: the server's bound is 100 MB, that of a proxy before it may be 1 MB, and then it is halved.
const BYTES: usize = 5 << 20;
/// At most about so much of the log is read for one batch, however little of it is indexed.
const LOG_BYTES: u64 = 16 << 20;
/// When less of the log than this is left, a pause lets it become more: a slow trickle makes few requests.
const LITTLE_BYTES: u64 = 256 << 10;
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after the log could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);

/// An Elasticsearch or OpenSearch as a follower of the log.
#[derive(Debug)]
pub struct Index {
    server: Server,
    maker: Maker,
    cursor_file: CursorFile,
    refused: Refused,
    cursor: Position,
    log_bytes: u64,
    little_bytes: u64,
    standing: Standing,
}

impl Index {
    /// Keeps its cursor in `index.cursor`, the documents the server refuses in `index.refused.jsonl` and the name of the log in
    /// `index.id`, all in `dir`. Indexes what its part allows. Does not connect yet.
    pub fn open(config: IndexConfig, dir: &Path, standing: Standing) -> anyhow::Result<Self> {
        let cursor_file = CursorFile::new("index", dir.join("index.cursor"), config.target());
        let cursor = cursor_file.load();
        let maker = Maker { name: config.index.clone(), log: identity::of_log(dir)? };
        let refused = Refused::new(dir.join("index.refused.jsonl"));
        let server = Server::new(config)?;
        let (log_bytes, little_bytes) = (LOG_BYTES, LITTLE_BYTES);
        Ok(Self { server, maker, cursor_file, refused, cursor, log_bytes, little_bytes, standing })
    }

    /// Makes many small batches, without pauses between them.
    #[cfg(test)]
    pub fn in_batches_of(self, log_bytes: u64) -> Self {
        Self { log_bytes, little_bytes: 0, ..self }
    }

    /// Packs what it sends, wherever the server is.
    #[cfg(test)]
    pub fn packed(self) -> Self {
        let server = Server::packing(self.server.config().clone(), true).unwrap();
        Self { server, ..self }
    }
}

impl Follower for Index {
    fn name(&self) -> &'static str {
        "index"
    }

    fn cursor(&self) -> Position {
        self.cursor
    }

    async fn follow(self, log: LogHandle, lag: watch::Sender<Lag>, stop: CancellationToken) -> anyhow::Result<()> {
        let telling = Arc::new(Telling::new("index", format!("index {}", self.server.target()), lag));
        let mut indexing = Indexing {
            reader: log.reader(self.cursor)?,
            maker: self.maker,
            delivery: Delivery::new(self.server, Arc::clone(&telling), self.refused),
            course: Course::begin(log.clone(), self.cursor_file, self.cursor, Arc::clone(&telling)),
            telling,
            next_due: Clock.now().monotonic,
            log_bytes: self.log_bytes,
            little_bytes: self.little_bytes,
            gate: Gate::new(self.standing),
            log,
        };
        indexing.run(&stop).await;
        indexing.course.tick();
        Ok(())
    }
}

/// A follower at work.
struct Indexing {
    log: LogHandle,
    reader: Reader,
    maker: Maker,
    delivery: Delivery,
    course: Course,
    telling: Arc<Telling>,
    /// When the next batch may be made.
    next_due: Monotonic,
    log_bytes: u64,
    little_bytes: u64,
    gate: Gate,
}

/// What of the log is sent in one request.
#[derive(Default)]
struct Batch {
    documents: Vec<Document>,
    bytes: usize,
    /// What it was made from.
    stretch: Stretch,
}

impl Indexing {
    async fn run(&mut self, stop: &CancellationToken) {
        self.part_changed();
        loop {
            let due = Instant::from_std(Clock.instant(self.next_due));
            let (reader, unsaved) = (&mut self.reader, self.course.is_unsaved());
            let mut progress = self.log.progress();
            let mut closed = self.log.progress();
            let waits = self.gate.waits;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Ok(()) = self.gate.standing.changed() => self.part_changed(),
                // What it holds back is left for the next start.
                _ = closed.wait_for(|_| false), if waits => return,
                more = async {
                    // Who closes the log does not wait for a pause to end.
                    tokio::select! {
                        () = sleep_until(due) => {}
                        _ = progress.wait_for(|_| false) => {}
                    }
                    reader.wait().await
                }, if !waits => match more {
                    Ok(()) => if !self.index(stop).await { return },
                    Err(_) => return,
                },
                () = sleep_until(self.course.due()), if unsaved => self.course.tick(),
            }
        }
    }

    /// Indexes what the log has next. Whether it was not told to stop meanwhile.
    async fn index(&mut self, stop: &CancellationToken) -> bool {
        let (turn, batch) = match self.batch() {
            Ok(made) => made,
            Err(error) => {
                self.telling.trouble(&error.to_string());
                self.next_due = Clock.now().monotonic.plus(READ_RETRY);
                return true;
            }
        };
        if turn == Turn::Wait {
            self.gate.waits = true;
            self.course.tell();
            return true;
        }
        let mut delivering = pin!(self.delivery.deliver(&batch.documents));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                () = &mut delivering => break,
                () = sleep_until(self.course.due()) => self.course.tick(),
            }
        }
        self.course.took(batch.stretch);
        let pause = if self.reader.behind_bytes() < self.little_bytes { PAUSE } else { Duration::ZERO };
        self.next_due = Clock.now().monotonic.plus(pause);
        true
    }

    /// What the log has next, as much of it as has one turn and makes a request; no documents of what is the leader's.
    fn batch(&mut self) -> Result<(Turn, Batch), LogError> {
        let mut batch = Batch::default();
        let maker = &self.maker;
        let turn = self.gate.read(&mut self.reader, self.log_bytes, |read, end| {
            batch.take(maker, read, end);
            let is_full = batch.documents.len() >= DOCUMENTS || batch.bytes >= BYTES;
            if is_full { Fill::Full } else { Fill::Room }
        })?;
        if turn != Turn::Ship {
            batch.documents.clear();
        }
        Ok((turn, batch))
    }

    fn part_changed(&mut self) {
        let held = self.gate.changed();
        self.telling.tell(|lag| lag.held = held);
    }
}

impl Batch {
    /// Adds the documents of the records before `end`.
    fn take(&mut self, maker: &Maker, read: &log::Batch<'_>, end: Position) {
        for found in read.iter().take_while(|found| found.position < end) {
            self.stretch.records += 1;
            // What can't be read is told of by the store.
            let Ok(record) = Record::decode(found.kind, found.body) else { continue };
            self.stretch.until = self.stretch.until.max(record.time());
            if let Some(document) = maker.document(&record, found.position) {
                self.bytes += document.lines.len();
                self.documents.push(document);
            }
        }
        self.stretch.end = end;
    }
}
