//! Segments: the files of the log, their names and headers, and the list of those there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::LogError;

/// Length of the header: magic 8, version u32, base u64, follows u64, crc32c u32 of all that; little-endian.
pub(crate) const HEADER_BYTES: usize = 32;
/// The same as a distance between positions.
pub(crate) const HEADER_SPAN: u64 = HEADER_BYTES as u64;
const MAGIC: &[u8; 8] = b"LBEATLOG";
const VERSION: u32 = 1;

/// What stands at the beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Position of the segment's first byte, the header's own.
    pub(crate) base: u64,
    /// Where the segment before it ended. Less than `base` when positions were left out on purpose.
    pub(crate) follows: u64,
}

/// Why a header can't be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// Bytes that no version of this program wrote.
    Damaged,
    /// Whole, but of a version that is not known.
    Version(u32),
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.base.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.follows.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8], base: u64) -> Result<Self, BadHeader> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return Err(BadHeader::Damaged) };
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("invariant: 8 bytes"));
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("invariant: 4 bytes"));
        let header = Self { base: long(12), follows: long(20) };
        if &bytes[..8] != MAGIC || word(28) != crc32c::crc32c(&bytes[..28]) {
            Err(BadHeader::Damaged)
        } else if word(8) != VERSION {
            Err(BadHeader::Version(word(8)))
        } else if header.base != base || header.follows > base {
            Err(BadHeader::Damaged)
        } else {
            Ok(header)
        }
    }
}

/// The file of the segment that begins at `base`.
pub(crate) fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

/// The bases of the segments in a directory, in order. Files of other names are none of ours.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, LogError> {
    let failed = |source| LogError::io("list", dir, source);
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|digits| digits.len() == 20);
        // A position near the end of u64 is no file of ours, and would overflow.
        let base = digits.and_then(|digits| digits.parse().ok()).filter(|base: &u64| *base < u64::MAX / 2);
        bases.extend(base);
    }
    bases.sort_unstable();
    Ok(bases)
}

/// A segment that readers may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Behind its last byte that is written.
    pub(crate) end: u64,
    /// As in its [`Header`].
    pub(crate) follows: u64,
}

/// The segments there are, by base. Behind a mutex that is held for a look or a change, never during I/O.
#[derive(Debug, Default)]
pub(crate) struct Segments(Mutex<BTreeMap<u64, Segment>>);

impl Segments {
    pub(crate) fn new(segments: BTreeMap<u64, Segment>) -> Self {
        Self(Mutex::new(segments))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Segment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_went() {
        let header = Header { base: 4096, follows: 4000 };
        assert_eq!(Header::from_bytes(&header.to_bytes(), 4096), Ok(header));
    }

    #[test]
    fn a_header_of_another_place_or_version_or_with_any_flipped_bit_is_refused() {
        let bytes = Header { base: 4096, follows: 4096 }.to_bytes();
        assert_eq!(Header::from_bytes(&bytes, 0), Err(BadHeader::Damaged));
        assert_eq!(Header::from_bytes(&bytes[..31], 4096), Err(BadHeader::Damaged));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::from_bytes(&flipped, 4096), Err(BadHeader::Damaged), "bit {bit}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..28]);
        newer[28..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::from_bytes(&newer, 4096), Err(BadHeader::Version(2)));
    }

    #[test]
    fn only_files_with_twenty_digits_are_segments() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["00000000000000000032.log", "32.log", "0000000000000000003x.log", "lock", "18446744073709551615.log"]
        {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        assert_eq!(list(dir.path()).unwrap(), [32]);
    }
}
