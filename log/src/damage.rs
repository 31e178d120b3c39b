//! [`Damage`]: what of the log was lost or unreadable, and where its bytes were put.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::position::Position;

/// What kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The end of the log was only half written when the process or the machine stopped. It is left out.
    TornTail,
    /// Bytes between records that are no record. They are skipped.
    Records,
    /// A segment's header is unreadable; it was written anew, and the records behind it are read.
    Header,
    /// A segment without one readable record. It was moved away.
    Segment,
    /// A segment, or the end of one, is not there.
    Missing,
}

/// A stretch of the log that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What kind.
    pub kind: DamageKind,
    /// Where it begins.
    pub from: Position,
    /// Where the log goes on.
    pub to: Position,
    /// A copy of the bytes, for whoever wants to look. None when there are none, or no copy could be made.
    pub set_aside: Option<PathBuf>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::TornTail => "torn tail left out",
            DamageKind::Records => "damaged records skipped",
            DamageKind::Header => "damaged segment header rewritten",
            DamageKind::Segment => "unreadable segment set aside",
            DamageKind::Missing => "segment missing",
        };
        write!(f, "log: {what}, positions {} to {} ({} bytes)", self.from, self.to, self.from.bytes_to(self.to))?;
        if let Some(path) = &self.set_aside {
            write!(f, ", kept in {}", path.display())?;
        }
        Ok(())
    }
}

/// The damage at `range`, its bytes copied into the directory `damaged/`. `None` if they have been before: each damage is
/// reported once, by whoever first meets it.
pub(crate) fn set_aside(dir: &Path, kind: DamageKind, range: Range<u64>, bytes: &[u8]) -> Option<Damage> {
    let path = dir.join("damaged").join(format!("{:020}-{:020}", range.start, range.end));
    let set_aside = match keep(&path, bytes) {
        Ok(()) => Some(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "log: cannot keep a copy of damaged bytes");
            None
        }
    };
    Some(Damage { kind, from: Position(range.start), to: Position(range.end), set_aside })
}

/// A whole segment moved into `damaged/`.
pub(crate) fn move_aside(dir: &Path, range: Range<u64>, segment: &Path) -> io::Result<Damage> {
    let path = dir.join("damaged").join(format!("{:020}-{:020}", range.start, range.end));
    std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
    std::fs::rename(segment, &path)?;
    let (from, to) = (Position(range.start), Position(range.end));
    Ok(Damage { kind: DamageKind::Segment, from, to, set_aside: Some(path) })
}

fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        // A part of a copy would pass for the whole one later; that it can't be removed either is no news.
        let _ = std::fs::remove_file(path);
    })
}
