//! [`Reader`]: reads the log from a position on, batch by batch, over segments and damage.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use tokio::sync::watch;

use crate::blocking::block_on;
use crate::damage::{self, Damage, DamageKind};
use crate::disk::FileSystem;
use crate::error::LogError;
use crate::position::Position;
use crate::progress::{Closed, Progress};
use crate::record::{self, Found, HEAD_BYTES};
use crate::segment::{self, HEADER_SPAN};
use crate::writer::Shared;

/// Reads records in order. It reads up to what is written, whether synced or not.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    position: u64,
    file: Option<(u64, File)>,
    buffer: Vec<u8>,
}

/// A record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub position: Position,
    /// Where it ends: a reader whose cursor this is goes on behind it.
    pub next: Position,
    /// What the appender said it is.
    pub kind: u8,
    /// What the appender gave.
    pub body: &'a [u8],
}

/// Some records, one behind another.
#[derive(Debug)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    position: u64,
    end: u64,
    /// What was found lost on the way to these records and has not been reported before.
    pub damage: Vec<Damage>,
}

/// A stretch of a segment to be read from.
struct Place {
    base: u64,
    from: u64,
    /// Behind its last written byte.
    end: u64,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, progress: watch::Receiver<Progress>, from: Position) -> Self {
        Self { shared, progress, position: from.0, file: None, buffer: Vec::new() }
    }

    /// The position that the next batch begins at.
    pub fn position(&self) -> Position {
        Position(self.position)
    }

    /// How many bytes are written and not yet read.
    pub fn behind_bytes(&self) -> u64 {
        self.position().bytes_to(self.progress.borrow().written)
    }

    /// Goes back, or forth, to a position of an earlier batch.
    pub fn seek(&mut self, position: Position) {
        self.position = position.0;
    }

    /// The next records, of about `max_bytes` together, at least one if there is one. Empty when all are read.
    ///
    /// # Errors
    /// When the system refuses to read; the same call may be made again. Never because of damage.
    pub fn next_batch(&mut self, max_bytes: usize) -> Result<Batch<'_>, LogError> {
        let mut damage = Vec::new();
        let mut want = max_bytes.max(HEAD_BYTES);
        let whole = loop {
            let Some(place) = self.locate(&mut damage) else { break 0 };
            let left = usize::try_from(place.end - place.from).unwrap_or(usize::MAX);
            self.read(&place, want.min(left))?;
            if self.buffer.is_empty() {
                // The file is gone, or shorter than it was.
                damage.push(missing(place.from, place.end));
                self.position = place.end;
                continue;
            }
            let whole = record::whole_records(&self.buffer, place.from);
            if whole > 0 {
                break whole;
            }
            match record::find(&self.buffer, place.from) {
                Found::More { total } if total <= left && total > self.buffer.len() && want < total => want = total,
                _ => self.skip_damage(&place, left, &mut damage)?,
            }
        };
        let position = self.position;
        self.position += whole as u64;
        Ok(Batch { bytes: &self.buffer[..whole], position, end: self.position, damage })
    }

    /// Waits until there is something behind this reader's position. Safe to drop and to call again.
    ///
    /// # Errors
    /// When the log is closed and everything is read.
    pub async fn wait(&mut self) -> Result<(), Closed> {
        let position = self.position;
        self.progress.wait_for(|progress| progress.written.0 > position).await.map(drop).map_err(|_| Closed)
    }

    /// The same on a thread that may block.
    ///
    /// # Errors
    /// When the log is closed and everything is read.
    pub fn wait_blocking(&mut self) -> Result<(), Closed> {
        block_on(self.wait())
    }

    /// Finds the segment to read from, and moves the position over what lies between two segments.
    fn locate(&mut self, damage: &mut Vec<Damage>) -> Option<Place> {
        // Before the segments: what is written by then is in those that are seen next.
        let written = self.progress.borrow().written.0;
        let segments = self.shared.segments.lock();
        // Before the first segment there is only what was removed; who begins at the start does not miss it. What is
        // missing between two segments was reported when the log was opened.
        let oldest = segments.iter().next().filter(|(base, _)| 0 < self.position && self.position < **base);
        if let Some((_, segment)) = oldest.filter(|(_, segment)| self.position < segment.follows) {
            damage.push(missing(self.position, segment.follows));
        }
        let nearest = segments.range(..=self.position).next_back().map_or(self.position, |(base, _)| *base);
        let place = segments
            .range(nearest..)
            .map(|(&base, segment)| Place { base, from: self.position.max(base + HEADER_SPAN), end: segment.end })
            .find(|place| place.from < place.end);
        // Where there is none, only positions that were left out on purpose lie between here and what is written.
        self.position = place.as_ref().map_or(self.position.max(written), |place| place.from);
        place
    }

    /// Fills the buffer with bytes from `place`; with fewer than wanted only if the file has no more.
    fn read(&mut self, place: &Place, want: usize) -> Result<(), LogError> {
        self.buffer.clear();
        let path = || segment::path(&self.shared.dir, place.base);
        if self.file.as_ref().is_none_or(|(base, _)| *base != place.base) {
            self.file = match File::open(path()) {
                Ok(file) => Some((place.base, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(LogError::io("open", &path(), error)),
            };
        }
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(place.from - place.base))
            .and_then(|_| file.take(want as u64).read_to_end(&mut self.buffer))
            .map(drop)
            .map_err(|source| LogError::io("read", &path(), source))
    }

    /// Moves the position behind the damage that it is at.
    fn skip_damage(&mut self, place: &Place, left: usize, damage: &mut Vec<Damage>) -> Result<(), LogError> {
        self.read(place, left)?;
        let skip = record::next_record(&self.buffer, place.from).unwrap_or(self.buffer.len());
        let to = if skip == self.buffer.len() { place.end } else { place.from + skip as u64 };
        let bytes = &self.buffer[..skip];
        let range = place.from..to;
        damage.extend(damage::set_aside(&mut FileSystem, &self.shared.dir, DamageKind::Records, range, bytes));
        self.position = to;
        Ok(())
    }
}

impl<'a> Batch<'a> {
    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let (bytes, start) = (self.bytes, self.position);
        let mut at = 0;
        std::iter::from_fn(move || {
            let position = start + at as u64;
            let (kind, body) = record::checked(&bytes[at..])?;
            at += HEAD_BYTES + body.len();
            Some(Record { position: Position(position), next: Position(start + at as u64), kind, body })
        })
    }

    /// Where the batch after this one begins: the cursor once all of this one is dealt with.
    pub fn end(&self) -> Position {
        Position(self.end)
    }

    /// How many bytes of the log it is.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn missing(from: u64, to: u64) -> Damage {
    Damage { kind: DamageKind::Missing, from: Position(from), to: Position(to), set_aside: None }
}
