//! The export as a download: rows go from the store to the client piece by piece, and memory stays the same.
//!
//! ```text
//!   blocking thread: store ─▶ Table ─▶ Pieces ──▶ channel of 4 × 64 KiB ──▶ body ─▶ client
//! ```

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use lastbeat_wire::{PublisherId, UtcNanos};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::parameters::Parameters;
use super::{EXPORTS, History, HistoryError, STEPS, known_publisher};
use crate::export::{Format, Measurement, Table, Wanted, from_store};

/// Pieces that wait for the client. When there are so many the thread waits, too.
const PIECES: usize = 4;

/// What is to be exported.
#[derive(Debug, Clone)]
pub struct ExportQuestion {
    wanted: Wanted,
    format: Format,
}

/// A download that has begun.
#[derive(Debug)]
pub struct Download {
    /// Safe in a header and in every file system.
    pub file_name: String,
    /// The media type.
    pub content_type: &'static str,
    /// The table.
    pub body: Body,
}

impl ExportQuestion {
    /// From a request's parameters.
    pub fn parse(query: Option<&str>, now: UtcNanos) -> Result<Self, HistoryError> {
        let parameters = Parameters::parse(query, &["measurement", "publisher", "since", "until", "format"])?;
        let measurements = [("sensor", Measurement::Sensor), ("heartbeat", Measurement::Heartbeat)];
        let publisher = |id: &str| {
            PublisherId::try_from(id).map_err(|error| HistoryError::parameter("publisher", id, error.reason))
        };
        let range = parameters.open_range(now)?;
        Ok(Self {
            wanted: Wanted {
                measurement: parameters.word("measurement", &measurements, Measurement::Sensor)?,
                publishers: parameters.all("publisher").map(publisher).collect::<Result<_, _>>()?,
                since: range.from,
                until: range.to,
            },
            format: parameters.word("format", &[("csv", Format::Csv), ("jsonl", Format::Jsonl)], Format::Csv)?,
        })
    }

    /// `lastbeat-sensor-light-1.csv`
    fn file_name(&self) -> String {
        let what = match self.wanted.measurement {
            Measurement::Sensor => "sensor",
            Measurement::Heartbeat => "heartbeat",
        };
        let extension = match self.format {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        };
        let safe = |character: char| match character {
            '.' | '_' | '-' => character,
            _ if character.is_ascii_alphanumeric() => character,
            _ => '_',
        };
        match &self.wanted.publishers[..] {
            [one] => format!("lastbeat-{what}-{}.{extension}", one.as_str().chars().map(safe).collect::<String>()),
            _ => format!("lastbeat-{what}.{extension}"),
        }
    }
}

impl History {
    /// Begins a download. Dropping its body ends it.
    ///
    /// # Errors
    /// What is wrong with the question or the store; what goes wrong with a row breaks the body off.
    pub async fn export(self: &Arc<Self>, question: ExportQuestion) -> Result<Download, HistoryError> {
        let Ok(permit) = Arc::clone(&self.exports).try_acquire_owned() else {
            return Err(HistoryError::Busy { what: "exports", most: EXPORTS });
        };
        let file_name = question.file_name();
        let content_type = match question.format {
            Format::Csv => "text/csv; charset=utf-8",
            Format::Jsonl => "application/x-ndjson",
        };
        let (sender, mut pieces) = mpsc::channel(PIECES + 1);
        // Room for the error that ends the body, also when nothing else is taken any more.
        let last = sender.clone().try_reserve_owned().expect("invariant: the channel is new and has room");
        let history = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = history.write(&question, &sender) {
                if matches!(error, HistoryError::Failed(_)) && !sender.is_closed() {
                    tracing::warn!("an export breaks off: {error}");
                }
                last.send(Err(error));
            }
            drop(permit);
        });
        // The first one is empty: all is well, and rows are looked for, which may take long.
        pieces.recv().await.transpose()?;
        let pieces = stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|piece| (piece, pieces)) });
        Ok(Download { file_name, content_type, body: Body::from_stream(pieces) })
    }

    fn write(&self, question: &ExportQuestion, sender: &mpsc::Sender<Piece>) -> Result<(), HistoryError> {
        let mut db = crate::store::open_read_only(&self.path).map_err(anyhow::Error::from)?;
        let client = sender.clone();
        db.progress_handler(STEPS, Some(move || client.is_closed()))?;
        for publisher in &question.wanted.publishers {
            known_publisher(&db, publisher.as_str())?;
        }
        if sender.blocking_send(Ok(Bytes::new())).is_err() {
            return Ok(());
        }
        let mut table =
            Table::new(question.format, Box::new(Pieces { sender: sender.clone(), stall: self.stall, broken: false }));
        from_store(&db, &question.wanted, &mut table)?;
        table.finish()?;
        Ok(())
    }
}

type Piece = Result<Bytes, HistoryError>;

/// Where the table writes: each write is a piece, and waits until there is room for it.
struct Pieces {
    sender: mpsc::Sender<Piece>,
    /// How long it waits.
    stall: Duration,
    /// Nothing is written after a failure, not even what a buffer holds when it is dropped.
    broken: bool,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let sent = self.sender.send(Ok(Bytes::copy_from_slice(bytes)));
        match tokio::runtime::Handle::current().block_on(async { timeout(self.stall, sent).await }) {
            Ok(Ok(())) => {
                self.broken = false;
                Ok(bytes.len())
            }
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client took nothing for too long")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
