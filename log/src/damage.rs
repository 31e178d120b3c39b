//! [`Damage`]: what of the log was lost or unreadable, and where its bytes were put.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::disk::{self, Disk};
use crate::position::Position;

/// Held while bytes are set aside: two readers may meet the same damage at once.
static SETTING_ASIDE: Mutex<()> = Mutex::new(());

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
pub(crate) fn set_aside(
    disk: &mut impl Disk,
    dir: &Path,
    kind: DamageKind,
    range: Range<u64>,
    bytes: &[u8],
) -> Option<Damage> {
    let path = place(dir, &range);
    let set_aside = match keep(disk, &path, bytes) {
        Ok(true) => Some(path),
        Ok(false) => return None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "log: cannot keep a copy of damaged bytes");
            None
        }
    };
    Some(Damage { kind, from: Position(range.start), to: Position(range.end), set_aside })
}

/// A whole segment moved into `damaged/`.
pub(crate) fn move_aside(disk: &mut impl Disk, dir: &Path, range: Range<u64>, segment: &Path) -> io::Result<Damage> {
    let path = place(dir, &range);
    disk::make_dir(disk, disk::directory(&path))?;
    // A killed process may have left its bytes in the kernel only.
    let mut file = disk.open(segment)?;
    disk.sync(&mut file)?;
    disk.rename(segment, &path)?;
    disk.sync_dir(dir)?;
    let (from, to) = (Position(range.start), Position(range.end));
    Ok(Damage { kind: DamageKind::Segment, from, to, set_aside: Some(path) })
}

fn place(dir: &Path, range: &Range<u64>) -> PathBuf {
    dir.join("damaged").join(format!("{:020}-{:020}", range.start, range.end))
}

/// Keeps a copy; false if there is one. One that is there is whole: a part of it, left by a process that was killed,
/// would pass for the damage having been reported.
fn keep(disk: &mut impl Disk, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let _one_at_a_time = SETTING_ASIDE.lock().unwrap_or_else(PoisonError::into_inner);
    if path.try_exists()? {
        return Ok(false);
    }
    disk::make_dir(disk, disk::directory(path))?;
    disk::write_whole_on(disk, path, bytes).map(|()| true)
}
