//! The snapshot's file: slices, each of some publishers at one instant, one after the other, then slices of the swarm.
//!
//! ```text
//! magic  "LBsnap" | version u16
//! slice  length u32 | CRC-32C u32 | deflated MessagePack
//! ```
//!
//! Numbers are little-endian; length and checksum are those of the deflated bytes. The last slice has nothing in it: without
//! it the file is cut short. A file of the first version is one slice as MessagePack, without any of this.

use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use lastbeat_log::Position;
use lastbeat_swarm::Kept as KeptSwarm;
use lastbeat_watchdog::Snapshot;
use serde::{Deserialize, Serialize};

/// The newest form of the file.
const VERSION: u16 = 2;
const MAGIC: [u8; 6] = *b"LBsnap";
const HEAD_BYTES: usize = 8;
/// More than the longest slice has: 256 publishers that each remember all that one may.
const SLICE_BYTES: u32 = 1 << 30;

/// Some publishers, or a part of the swarm, as they were at one instant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Slice {
    /// Records before this are in it.
    position: u64,
    snapshot: Snapshot,
    /// Not in those of older versions, which pass over it.
    #[serde(default, skip_serializing_if = "KeptSwarm::is_empty")]
    swarm: KeptSwarm,
}

/// The form of the first version.
#[derive(Debug, Serialize, Deserialize)]
struct Whole {
    version: u32,
    position: u64,
    snapshot: Snapshot,
}

/// A file that was found whole, to be read slice by slice.
pub struct Kept {
    form: Form,
    /// Where the first of its slices was taken.
    from: Position,
    last: Slice,
}

enum Form {
    Whole(Slice),
    Sliced(Box<dyn Source>),
}

/// Bytes that can be read more than once.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// Why a snapshot can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What stands in it is no snapshot.
    #[error("{0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// Another program's, or a newer one's.
    #[error("version {0}, only those up to {VERSION} are known")]
    Version(u32),
    /// Damaged.
    #[error("the slice at byte {0} is damaged")]
    Damaged(u64),
    /// Its end is missing.
    #[error("it is cut short")]
    Short,
}

impl Slice {
    /// Publishers at an instant at which the log went so far.
    pub fn new(position: Position, snapshot: Snapshot) -> Self {
        Self { position: position.0, snapshot, swarm: KeptSwarm::default() }
    }

    /// The same with a part of the swarm at that instant.
    #[must_use]
    pub fn with_swarm(self, swarm: KeptSwarm) -> Self {
        Self { swarm, ..self }
    }

    /// Whether it is the end of a snapshot: nothing is in it.
    pub fn is_end(&self) -> bool {
        self.snapshot.is_empty() && self.swarm.is_empty()
    }

    /// Records before this are in it.
    pub fn position(&self) -> Position {
        Position(self.position)
    }

    /// What is remembered.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What is remembered, to be given back.
    pub fn into_parts(self) -> (Snapshot, KeptSwarm) {
        (self.snapshot, self.swarm)
    }

    /// The bytes of the file for it.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        // The names of the fields, which let versions differ, deflate to nearly nothing: 530 bytes a publisher to 60.
        let mut bytes = vec![0; 8];
        let mut deflated = ZlibEncoder::new(&mut bytes, Compression::fast());
        let mut buffered = io::BufWriter::with_capacity(1 << 14, &mut deflated);
        rmp_serde::encode::write_named(&mut buffered, self).map_err(io::Error::other)?;
        buffered.flush()?;
        drop(buffered);
        deflated.finish()?;
        let length = u32::try_from(bytes.len() - 8).ok().filter(|length| *length <= SLICE_BYTES);
        let length = length.ok_or_else(|| io::Error::other("a slice of the snapshot is too long"))?;
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }
}

/// What a file begins with.
pub fn head() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..6].copy_from_slice(&MAGIC);
    head[6..].copy_from_slice(&VERSION.to_le_bytes());
    head
}

impl Kept {
    /// Looks at a file from its beginning to its end: whether it is whole. Holds one slice at a time in memory.
    ///
    /// # Errors
    /// When it is not, or can't be read.
    pub fn open(mut source: impl Source + 'static) -> Result<Self, Unreadable> {
        let mut start = Vec::new();
        source.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut start)?;
        if !start.starts_with(&MAGIC) {
            return Self::first_version(source);
        }
        let version = start.get(6..8).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(Unreadable::Version(other.into())),
            None => return Err(Unreadable::Short),
        }
        let (mut first, mut last) = (None, None);
        while let Some(bytes) = frame(&mut source)? {
            if first.is_none() {
                first = Some(decode(&bytes)?.position());
            }
            last = Some(bytes);
        }
        let last = decode(&last.ok_or(Unreadable::Short)?)?;
        if !last.is_end() {
            return Err(Unreadable::Short);
        }
        source.seek(SeekFrom::Start(HEAD_BYTES as u64))?;
        let from = first.unwrap_or(last.position()).min(last.position());
        Ok(Self { form: Form::Sliced(Box::new(source)), from, last })
    }

    fn first_version(mut source: impl Source) -> Result<Self, Unreadable> {
        source.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes)?;
        let Whole { version, position, snapshot } = rmp_serde::from_slice(&bytes)?;
        if version != 1 {
            return Err(Unreadable::Version(version));
        }
        let position = Position(position);
        let last = Slice::new(position, snapshot.of_nobody());
        Ok(Self { form: Form::Whole(Slice::new(position, snapshot)), from: position, last })
    }

    /// From here on the log is needed.
    pub fn from(&self) -> Position {
        self.from
    }

    /// The end of it, taken last, without publishers.
    pub fn last(&self) -> &Slice {
        &self.last
    }

    /// Its slices, in the order in which they were taken.
    pub fn slices(self) -> impl Iterator<Item = Result<Slice, Unreadable>> {
        let (mut whole, mut source) = match self.form {
            Form::Whole(slice) => (Some(slice), None),
            Form::Sliced(source) => (None, Some(source)),
        };
        std::iter::from_fn(move || {
            if let Some(slice) = whole.take() {
                return Some(Ok(slice));
            }
            let bytes = frame(source.as_mut()?).transpose()?;
            Some(bytes.and_then(|bytes| decode(&bytes)))
        })
    }
}

/// The deflated bytes of the next slice; `None` at the end of the file.
fn frame(source: &mut (impl Read + Seek + ?Sized)) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut head = Vec::with_capacity(8);
    source.take(8).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(None);
    }
    let Some((length, checksum)) = head.split_first_chunk::<4>() else { return Err(Unreadable::Short) };
    let checksum = checksum.try_into().map_err(|_| Unreadable::Short)?;
    let (length, checksum) = (u32::from_le_bytes(*length), u32::from_le_bytes(checksum));
    let mut bytes = Vec::new();
    source.take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() < length as usize {
        return Err(Unreadable::Short);
    }
    if crc32c::crc32c(&bytes) != checksum {
        let at = source.stream_position()?.saturating_sub(8 + u64::from(length));
        return Err(Unreadable::Damaged(at));
    }
    Ok(Some(bytes))
}

fn decode(deflated: &[u8]) -> Result<Slice, Unreadable> {
    // So that no file makes it inflate without end.
    let mut inflated = Vec::new();
    ZlibDecoder::new(deflated).take(SLICE_BYTES.into()).read_to_end(&mut inflated)?;
    Ok(rmp_serde::from_slice(&inflated)?)
}

/// The bytes of a file as the first version wrote it.
#[cfg(test)]
pub fn first_version(position: Position, snapshot: Snapshot) -> Vec<u8> {
    rmp_serde::to_vec_named(&Whole { version: 1, position: position.0, snapshot }).expect("it can be written")
}
