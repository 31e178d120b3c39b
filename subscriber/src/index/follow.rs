//! [`Index`]: follows the log into a server, one batch at a time.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{LogError, LogHandle, Position, Reader};
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

/// A batch with so many documents is full.
const DOCUMENTS: usize = 5_000;
/// A batch with so many bytes is full: the server's bound is 100 MB, that of a proxy before it may be 1 MB, and then it is halved.
const BYTES: usize = 5 << 20;
/// At most about so much of the log is read for one batch, however little of it is indexed.
const LOG_BYTES: u64 = 16 << 20;
/// So much of the log is read at a time.
const READ_BYTES: usize = 256 << 10;
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
}

impl Index {
    /// Keeps its cursor in `index.cursor`, the documents the server refuses in `index.refused.jsonl` and the name of the log in
    /// `index.id`, all in `dir`. Does not connect yet.
    pub fn open(config: IndexConfig, dir: &Path) -> anyhow::Result<Self> {
        let cursor_file = CursorFile::new("index", dir.join("index.cursor"), config.target());
        let cursor = cursor_file.load();
        let maker = Maker { name: config.index.clone(), log: identity::of_log(dir)? };
        let refused = Refused::new(dir.join("index.refused.jsonl"));
        Ok(Self { server: Server::new(config)?, maker, cursor_file, refused, cursor })
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
        loop {
            let due = Instant::from_std(Clock.instant(self.next_due));
            let (reader, unsaved) = (&mut self.reader, self.course.is_unsaved());
            let mut progress = self.log.progress();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                more = async {
                    // Who closes the log does not wait for a pause to end.
                    tokio::select! {
                        () = sleep_until(due) => {}
                        _ = progress.wait_for(|_| false) => {}
                    }
                    reader.wait().await
                } => match more {
                    Ok(()) => if !self.index(stop).await { return },
                    Err(_) => return,
                },
                () = sleep_until(self.course.due()), if unsaved => self.course.tick(),
            }
        }
    }

    /// Indexes what the log has next. Whether it was not told to stop meanwhile.
    async fn index(&mut self, stop: &CancellationToken) -> bool {
        let batch = match self.batch() {
            Ok(batch) => batch,
            Err(error) => {
                self.telling.trouble(&error.to_string());
                self.next_due = Clock.now().monotonic.plus(READ_RETRY);
                return true;
            }
        };
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
        let pause = if self.reader.behind_bytes() < LITTLE_BYTES { PAUSE } else { Duration::ZERO };
        self.next_due = Clock.now().monotonic.plus(pause);
        true
    }

    fn batch(&mut self) -> Result<Batch, LogError> {
        let begin = self.course.taken();
        let mut batch = Batch { stretch: Stretch { end: begin, ..Stretch::default() }, ..Batch::default() };
        while batch.documents.len() < DOCUMENTS && batch.bytes < BYTES && begin.bytes_to(batch.stretch.end) < LOG_BYTES
        {
            let read = match self.reader.next_batch(READ_BYTES) {
                Ok(read) => read,
                // It will be met again.
                Err(_) if batch.stretch.records > 0 => break,
                Err(error) => return Err(error),
            };
            for damage in &read.damage {
                tracing::warn!("{damage}");
            }
            for found in read.iter() {
                batch.stretch.records += 1;
                // What can't be read is told of by the store.
                let Ok(record) = Record::decode(found.kind, found.body) else { continue };
                batch.stretch.until = batch.stretch.until.max(record.time());
                if let Some(document) = self.maker.document(&record, found.position) {
                    batch.bytes += document.lines.len();
                    batch.documents.push(document);
                }
            }
            batch.stretch.end = read.end();
            if read.is_empty() {
                break;
            }
        }
        Ok(batch)
    }
}
