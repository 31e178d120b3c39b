//! [`Course`]: how far a follower that writes to a server has come with the log: its cursor, saved each second, and what is told
//! of it. Not what it sends.

use std::sync::Arc;
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{LogHandle, Position};
use lastbeat_wire::{Monotonic, UtcNanos};
use tokio::time::Instant;

use super::catch_up::CatchUp;
use super::cursor::CursorFile;
use super::telling::Telling;

const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Where a follower is in the log.
#[derive(Debug)]
pub struct Course {
    log: LogHandle,
    file: CursorFile,
    /// The server has taken all before this.
    taken: Position,
    /// What the file says.
    saved: Position,
    /// When [`Course::tick`] is due.
    due: Monotonic,
    catch_up: CatchUp,
    telling: Arc<Telling>,
}

/// What of the log was sent together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stretch {
    /// How many records it has.
    pub records: u64,
    /// Where the cursor stands once all of it is taken.
    pub end: Position,
    /// The time of the newest of its records.
    pub until: Option<UtcNanos>,
}

impl Course {
    /// Begins where the file says that it is.
    pub fn begin(log: LogHandle, file: CursorFile, saved: Position, telling: Arc<Telling>) -> Self {
        let now = Clock.now().monotonic;
        Self { log, file, taken: saved, saved, due: now, catch_up: CatchUp::new(now), telling }
    }

    /// The server has taken all before this.
    pub fn taken(&self) -> Position {
        self.taken
    }

    /// The server has taken this, too.
    pub fn took(&mut self, stretch: Stretch) {
        let shipped = self.taken.bytes_to(stretch.end);
        self.taken = stretch.end;
        let now = Clock.now().monotonic;
        if now >= self.due {
            self.save();
            self.due = now.plus(SAVE_EVERY);
        }
        self.telling.tell(|lag| {
            (lag.records, lag.until) = (lag.records + stretch.records, lag.until.max(stretch.until));
        });
        self.tell();
        if let Some(told) = self.catch_up.shipped(shipped, self.behind_bytes(), now) {
            tracing::info!("{}: {told}", self.telling.follower());
        }
    }

    /// Everything is to be sent again.
    pub fn again(&mut self) {
        self.taken = Position::START;
    }

    /// Whether the file says less than was taken.
    pub fn is_unsaved(&self) -> bool {
        self.saved != self.taken
    }

    /// When [`Course::tick`] is to be called, while something is on its way or unsaved.
    pub fn due(&self) -> Instant {
        Instant::from_std(Clock.instant(self.due))
    }

    /// Saves the cursor, and tells how far it is behind a log that grows meanwhile.
    pub fn tick(&mut self) {
        self.save();
        self.tell();
        self.due = Clock.now().monotonic.plus(SAVE_EVERY);
    }

    /// Saves the cursor, if it can be; if not, the next time it may be, and until then nothing leaves the log.
    fn save(&mut self) {
        if !self.is_unsaved() {
            return;
        }
        match self.file.save(self.taken) {
            Ok(()) => self.saved = self.taken,
            Err(error) => tracing::warn!(%error, "{}: cannot save its cursor", self.telling.follower()),
        }
    }

    /// Tells how far it is.
    pub fn tell(&self) {
        let (saved, behind_bytes) = (self.saved, self.behind_bytes());
        self.telling.tell(|lag| (lag.cursor, lag.behind_bytes) = (saved, behind_bytes));
    }

    fn behind_bytes(&self) -> u64 {
        self.taken.bytes_to(self.log.progress().borrow().written)
    }
}
