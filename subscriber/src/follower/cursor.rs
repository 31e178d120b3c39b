//! [`CursorFile`]: how far a server has taken the log, in a small file beside it.

use std::io;
use std::path::PathBuf;

use lastbeat_log::Position;
use serde::{Deserialize, Serialize};

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
