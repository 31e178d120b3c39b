//! [`Disk`]: the spool's log: appends messages, reads them back, remembers what is settled, and lets go of what is old.

use std::path::Path;
use std::time::Duration;

use lastbeat_log::{AppendError, Log, LogError, LogOptions, Position, Progress, Reader};
use lastbeat_wire::{Kind, Monotonic, Now, ProcessIdentity};
use tokio::sync::watch;

use super::index::{Index, Last};
use super::record::{self, Entry};
use super::{Bounds, Held, Span};
use crate::address::Address;

/// What is settled is written down so often at most: what a killed process had settled since then is sent again.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How long the last bytes may take when a disk fails at the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How much is read at once when a spool is opened.
const SCAN_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct Disk {
    log: Log,
    bounds: Bounds,
    progress: watch::Receiver<Progress>,
    reader: Reader,
    index: Index,
    /// This process has written that it began.
    began: bool,
    /// Before this nothing needs to be sent any more, and as much is written down.
    settled: Position,
    saved: Position,
    /// Before this nothing is kept.
    removed: Position,
    /// Messages that are not settled.
    waiting: u64,
    tended_at: Option<Monotonic>,
}

/// A message that is read to be sent again.
#[derive(Debug)]
pub struct Kept {
    /// Whose topic it goes to.
    pub address: Address,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Where it is.
    pub span: Span,
}

/// What is found in a log when it is opened.
struct Found {
    index: Index,
    settled: Position,
    waiting: u64,
    last: Option<(Position, Kind)>,
}

impl Disk {
    /// Opens the spool in a folder, and looks through all of it once. With `again` the last message of the process before
    /// this one is not settled, unless it was a goodbye: whoever hears it knows what was lost before it.
    ///
    /// # Errors
    /// When another process has it open, the system refuses, or a newer version wrote it. Never because of damage.
    pub fn open(folder: &Path, bounds: Bounds, again: bool) -> Result<Self, LogError> {
        let segment_bytes = (bounds.unsent.saturating_add(bounds.kept) / 16).clamp(64 << 10, 16 << 20);
        let options = LogOptions { segment_bytes, pending_bytes: 16 << 20, ..LogOptions::default() };
        let (log, recovery) = Log::open(folder, options)?;
        for damage in recovery.damage {
            tracing::warn!("spool {}: {damage}", folder.display());
        }
        let mut reader = log.handle().reader(Position::START)?;
        let Found { index, mut settled, mut waiting, last } = scan(&mut reader, folder)?;
        if let (true, 0, Some((position, kind))) = (again, waiting, last)
            && kind != Kind::Bye
        {
            (settled, waiting) = (position, 1);
        }
        let progress = log.handle().progress();
        let (began, saved, removed, tended_at) = (false, settled, Position::START, None);
        Ok(Self { log, bounds, progress, reader, index, began, settled, saved, removed, waiting, tended_at })
    }

    /// Appends a message of this process.
    ///
    /// # Errors
    /// While the disk does not take what is waiting.
    pub fn append(&mut self, address: &Address, payload: &[u8]) -> Result<Span, AppendError> {
        if !self.began {
            let position = self.log.append(record::BEGAN, &[b""])?;
            self.index.note(position, &Entry::Began);
            self.began = true;
        }
        let from = record::write(address, payload, |code, body| self.log.append(code, body))?;
        self.index.note_message(from, address.kind(), payload);
        self.waiting += 1;
        Ok(Span { from, to: self.log.end() })
    }

    /// Reads back messages from a position on, up to another at most, some `bytes` of them; and where to go on.
    ///
    /// # Errors
    /// When the system refuses to read.
    pub fn read(&mut self, from: Position, to: Position, bytes: usize) -> Result<(Vec<Held>, Position), LogError> {
        let mut read = Vec::new();
        let end = each(&mut self.reader, from, bytes, |entry, span| {
            if let (Entry::Message { address, payload }, true) = (entry, span.from < to) {
                read.push(Held { address, payload: payload.to_vec(), span: Some(span) });
            }
        })?;
        // Nothing more is there: what is missing was damaged, and is missed by who counts.
        Ok((read, end.unwrap_or(to).min(to)))
    }

    /// Reads messages to be sent again, of whatever process; and where to go on, if there may be more.
    ///
    /// # Errors
    /// When the system refuses to read.
    pub fn read_kept(&mut self, from: Position, bytes: usize) -> Result<(Vec<Kept>, Option<Position>), LogError> {
        let mut kept = Vec::new();
        let end = each(&mut self.reader, from, bytes, |entry, span| {
            if let Entry::Message { address, payload } = entry {
                kept.push(Kept { address, payload: payload.to_vec(), span });
            }
        })?;
        Ok((kept, end))
    }

    /// A message is settled, and all before it.
    pub fn settle(&mut self, to: Position) {
        self.settled = self.settled.max(to);
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// So many messages that were to be waited for are not there.
    pub fn lost(&mut self, messages: u64) {
        self.waiting = self.waiting.saturating_sub(messages);
    }

    /// Lets the log have what was appended; once a second, writes down what is settled, and lets go of what is old.
    pub fn tend(&mut self, now: Now) {
        if self.tended_at.is_none_or(|at| now.monotonic.since(at) >= SAVE_EVERY) {
            self.tended_at = Some(now.monotonic);
            self.save();
            let old = self.index.behind(now.utc.minus(self.bounds.keep));
            let many = Position(self.settled.0.saturating_sub(self.bounds.kept));
            let before = old.max(many).min(self.settled);
            if before > self.removed {
                self.removed = before;
                self.index.forget_before(before);
                self.log.handle().remove_before(before);
            }
        }
        self.log.commit();
    }

    /// When there will be something to be written down, though nothing happens.
    pub fn due(&self) -> Option<Monotonic> {
        self.tended_at.filter(|_| self.settled != self.saved).map(|at| at.plus(SAVE_EVERY))
    }

    /// Writes all there is, within a limit; how far it came.
    pub fn close(mut self) -> Position {
        self.save();
        self.log.close(CLOSE_LIMIT).written
    }

    /// Bytes of the log that are not settled.
    pub fn unsettled_bytes(&self) -> u64 {
        self.settled.bytes_to(self.log.end())
    }

    /// Messages that are not settled.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Where what is not settled begins.
    pub fn settled(&self) -> Position {
        self.settled
    }

    /// Lets the log have what was appended.
    #[cfg(test)]
    pub fn commit(&mut self) {
        self.log.commit();
    }

    /// How far the log has come.
    #[cfg(test)]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Behind the last message.
    pub fn end(&self) -> Position {
        self.log.end()
    }

    /// Whether what lies before a position can be read back.
    pub fn is_written(&self, position: Position) -> bool {
        position <= self.progress.borrow().written
    }

    /// Where to begin looking for a message of a process.
    pub fn find(&self, process: ProcessIdentity, sequence: u64) -> Option<Position> {
        self.index.find(process, sequence)
    }

    /// The last message of each process.
    pub fn lasts(&self) -> impl DoubleEndedIterator<Item = Last> {
        self.index.lasts()
    }

    fn save(&mut self) {
        let body = record::settled(self.settled, self.waiting);
        // A log that takes nothing now is asked again in a second.
        if self.settled != self.saved && self.log.append(record::SETTLED, &[&body]).is_ok() {
            self.saved = self.settled;
        }
    }
}

/// Looks through a whole log.
fn scan(reader: &mut Reader, folder: &Path) -> Result<Found, LogError> {
    let mut found = Found { index: Index::default(), settled: Position::START, waiting: 0, last: None };
    let mut from = Some(Position::START);
    while let Some(position) = from {
        from = each(reader, position, SCAN_BYTES, |entry, span| {
            found.index.note(span.from, &entry);
            match entry {
                Entry::Began => {}
                Entry::Settled { to, waiting } => (found.settled, found.waiting) = (to, waiting),
                Entry::Message { address, .. } => {
                    found.last = Some((span.from, address.kind()));
                    found.waiting += 1;
                }
            }
        })?;
    }
    tracing::debug!("spool {}: {} messages are not settled", folder.display(), found.waiting);
    Ok(found)
}

/// Does something with each record of a batch; the end of the batch, if there was anything in it.
fn each(
    reader: &mut Reader,
    from: Position,
    bytes: usize,
    mut take: impl FnMut(Entry<'_>, Span),
) -> Result<Option<Position>, LogError> {
    reader.seek(from);
    let batch = reader.next_batch(bytes)?;
    for damage in &batch.damage {
        tracing::warn!("spool: {damage}");
    }
    for record in batch.iter() {
        if let Some(entry) = Entry::read(record.kind, record.body) {
            take(entry, Span { from: record.position, to: record.next });
        }
    }
    Ok((!batch.is_empty()).then(|| batch.end()))
}
