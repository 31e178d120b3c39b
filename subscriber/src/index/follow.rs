//! [`Index`]: follows the log into a server, one batch at a time.

use std::path::Path;
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{LogError, LogHandle, Position, Reader};
use lastbeat_wire::{Monotonic, UtcNanos};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::config::IndexConfig;
use super::deliver::Delivery;
use super::document::{Document, Maker};
use super::identity;
use super::server::Server;
use crate::follower::catch_up::CatchUp;
use crate::follower::cursor::{Cursor, CursorFile};
use crate::follower::refused::Refused;
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
        let now = Clock.now().monotonic;
        let mut indexing = Indexing {
            reader: log.reader(self.cursor)?,
            maker: self.maker,
            delivery: Delivery::new(self.server, lag, self.refused),
            cursor: Cursor::begin(self.cursor_file, self.cursor, now),
            next_due: now,
            catch_up: CatchUp::new(now),
            log,
        };
        indexing.run(&stop).await;
        indexing.cursor.save();
        indexing.tell();
        Ok(())
    }
}

/// A follower at work.
struct Indexing {
    log: LogHandle,
    reader: Reader,
    maker: Maker,
    delivery: Delivery,
    cursor: Cursor,
    /// When the next batch may be made.
    next_due: Monotonic,
    catch_up: CatchUp,
}

/// What of the log is sent in one request.
#[derive(Default)]
struct Batch {
    documents: Vec<Document>,
    bytes: usize,
    /// How many records it was made from.
    records: u64,
    /// The time of the newest of these.
    until: Option<UtcNanos>,
    /// Where the cursor stands once all of this is taken.
    end: Position,
}

impl Indexing {
    async fn run(&mut self, stop: &CancellationToken) {
        loop {
            let due = Instant::from_std(Clock.instant(self.next_due));
            let save_due = Instant::from_std(Clock.instant(self.cursor.save_due));
            let (reader, unsaved) = (&mut self.reader, self.cursor.is_unsaved());
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
                () = sleep_until(save_due), if unsaved => {
                    self.cursor.save();
                    self.tell();
                }
            }
        }
    }

    /// Indexes what the log has next. Whether it was not told to stop meanwhile.
    async fn index(&mut self, stop: &CancellationToken) -> bool {
        let batch = match self.batch() {
            Ok(batch) => batch,
            Err(error) => {
                self.delivery.telling.trouble(&error.to_string());
                self.next_due = Clock.now().monotonic.plus(READ_RETRY);
                return true;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            () = self.delivery.deliver(&batch.documents) => {}
        }
        let now = Clock.now().monotonic;
        let shipped = self.cursor.taken.bytes_to(batch.end);
        self.cursor.taken = batch.end;
        if now >= self.cursor.save_due {
            self.cursor.save();
        }
        self.delivery
            .telling
            .tell(|lag| (lag.records, lag.until) = (lag.records + batch.records, lag.until.max(batch.until)));
        self.tell();
        if let Some(told) = self.catch_up.shipped(shipped, self.behind_bytes(), now) {
            tracing::info!("index: {told}");
        }
        let pause = if self.reader.behind_bytes() < LITTLE_BYTES { PAUSE } else { Duration::ZERO };
        self.next_due = now.plus(pause);
        true
    }

    fn batch(&mut self) -> Result<Batch, LogError> {
        let mut batch = Batch { end: self.cursor.taken, ..Batch::default() };
        while batch.documents.len() < DOCUMENTS
            && batch.bytes < BYTES
            && self.cursor.taken.bytes_to(batch.end) < LOG_BYTES
        {
            let read = match self.reader.next_batch(READ_BYTES) {
                Ok(read) => read,
                // It will be met again.
                Err(_) if batch.records > 0 => break,
                Err(error) => return Err(error),
            };
            for damage in &read.damage {
                tracing::warn!("{damage}");
            }
            for found in read.iter() {
                batch.records += 1;
                // What can't be read is told of by the store.
                let Ok(record) = Record::decode(found.kind, found.body) else { continue };
                batch.until = batch.until.max(record.time());
                if let Some(document) = self.maker.document(&record, found.position) {
                    batch.bytes += document.lines.len();
                    batch.documents.push(document);
                }
            }
            batch.end = read.end();
            if read.is_empty() {
                break;
            }
        }
        Ok(batch)
    }

    fn behind_bytes(&self) -> u64 {
        self.cursor.taken.bytes_to(self.log.progress().borrow().written)
    }

    fn tell(&self) {
        let (saved, behind_bytes) = (self.cursor.saved, self.behind_bytes());
        self.delivery.telling.tell(|lag| (lag.cursor, lag.behind_bytes) = (saved, behind_bytes));
    }
}
