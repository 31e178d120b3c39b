//! [`Cursor`]: how far a server has taken the log, in a small file beside it: [`CursorFile`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::Position;
use lastbeat_wire::Monotonic;
use serde::{Deserialize, Serialize};

const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The cursor of one target.
#[derive(Debug)]
pub struct Cursor {
    file: CursorFile,
    /// The server has taken all before this.
    pub taken: Position,
    /// What the file says.
    pub saved: Position,
    /// When it is to be saved next.
    pub save_due: Monotonic,
}

/// The file that holds the cursor of one target.
#[derive(Debug)]
pub struct CursorFile {
    /// Whose it is, in logs.
    follower: &'static str,
    path: PathBuf,
    target: String,
}

#[derive(Serialize, Deserialize)]
struct Content {
    /// A cursor says nothing about another server.
    target: String,
    position: u64,
}

impl Cursor {
    /// As the file says.
    pub fn begin(file: CursorFile, saved: Position, now: Monotonic) -> Self {
        Self { file, taken: saved, saved, save_due: now }
    }

    /// Whether the file says less than was taken.
    pub fn is_unsaved(&self) -> bool {
        self.saved != self.taken
    }

    /// Writes the cursor into its file; if that fails, the next save may succeed, and until then nothing leaves the log.
    pub fn save(&mut self) {
        if !self.is_unsaved() {
            return;
        }
        match self.file.save(self.taken) {
            Ok(()) => self.saved = self.taken,
            Err(error) => tracing::warn!(%error, "{}: cannot save its cursor", self.file.follower),
        }
        self.save_due = Clock.now().monotonic.plus(SAVE_EVERY);
    }
}

impl CursorFile {
    /// The file need not be there.
    pub fn new(follower: &'static str, path: PathBuf, target: String) -> Self {
        Self { follower, path, target }
    }

    /// The saved cursor. Where there is none for this target it is the start: what is sent again is written once.
    pub fn load(&self) -> Position {
        let (follower, shown) = (self.follower, self.path.display());
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, file = %shown, "{follower}: cannot read its cursor, beginning at the log's start");
                }
                return Position::START;
            }
        };
        match serde_json::from_slice::<Content>(&bytes) {
            Ok(content) if content.target == self.target => Position(content.position),
            Ok(content) => {
                let (old, new) = (&content.target, &self.target);
                tracing::info!(%old, %new, "{follower}: another target than before, beginning at the log's start");
                Position::START
            }
            Err(error) => {
                tracing::warn!(%error, file = %shown, "{follower}: its cursor is damaged, beginning at the log's start");
                Position::START
            }
        }
    }

    /// Returns when the cursor is on the disk.
    pub fn save(&self, cursor: Position) -> io::Result<()> {
        let content = Content { target: self.target.clone(), position: cursor.0 };
        lastbeat_log::write_whole(&self.path, &serde_json::to_vec(&content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_that_of_its_target_only_and_a_damaged_one_is_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = |target: &str| CursorFile::new("influxdb", dir.path().join("influx.cursor"), target.to_owned());
        assert_eq!(file("a").load(), Position::START);
        file("a").save(Position(77)).unwrap();
        assert_eq!(file("a").load(), Position(77));
        assert_eq!(file("b").load(), Position::START);
        std::fs::write(dir.path().join("influx.cursor"), b"{\"target").unwrap();
        assert_eq!(file("a").load(), Position::START);
    }
}
