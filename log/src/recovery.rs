//! What opening a log does about its past: finds where it ends, and sets aside what is damaged.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::damage::{self, Damage, DamageKind};
use crate::disk::{self, Disk};
use crate::error::LogError;
use crate::position::Position;
use crate::record;
use crate::segment::{self, BadHeader, HEADER_BYTES, HEADER_SPAN, Header, Segment};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// What was lost, in the order of the log; each is reported by one opening or reader only.
    pub damage: Vec<Damage>,
    /// How many segments there are.
    pub segments: usize,
    /// Behind the last record.
    pub end: Position,
}

/// How the log goes on.
pub(crate) struct Recovered {
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Base of the last segment, if records may be added to it.
    pub(crate) resume: Option<u64>,
    /// Behind the last record.
    pub(crate) end: u64,
    /// Behind all bytes of all files, records or not: where a new segment may begin.
    pub(crate) beyond: u64,
    pub(crate) recovery: Recovery,
}

pub(crate) fn recover(disk: &mut impl Disk, dir: &Path) -> Result<Recovered, LogError> {
    let mut damage = Vec::new();
    let mut segments: BTreeMap<u64, Segment> = BTreeMap::new();
    let (mut last, mut beyond) = (None::<Examined<'_>>, 0);
    for base in segment::list(dir)? {
        let mut examined = Examined::open(dir, base)?;
        beyond = beyond.max(examined.end);
        let Some(follows) = examined.check_header(disk, last.as_ref().map(|last| last.end), &mut damage)? else {
            continue;
        };
        if let Some(previous) = last.as_ref().and_then(|last| segments.get_mut(&last.base)) {
            if previous.end < follows {
                let (from, to) = (Position(previous.end), Position(follows));
                damage.push(Damage { kind: DamageKind::Missing, from, to, set_aside: None });
            }
            // Less where its tail was torn when this one was begun.
            previous.end = previous.end.min(follows);
        }
        segments.insert(base, Segment { end: examined.end, follows });
        last = Some(examined);
    }
    let (mut end, mut resume) = (beyond, None);
    if let Some(mut last) = last {
        let is_whole = last.check_tail(disk, &mut damage)?;
        resume = (is_whole && last.end == beyond).then_some(last.base);
        end = last.end;
        segments.insert(last.base, Segment { end, follows: segments[&last.base].follows });
    }
    let recovery = Recovery { damage, segments: segments.len(), end: Position(end) };
    Ok(Recovered { segments, resume, end, beyond, recovery })
}

/// A segment that is being looked at.
struct Examined<'a> {
    dir: &'a Path,
    base: u64,
    path: std::path::PathBuf,
    file: File,
    /// Behind its last byte.
    end: u64,
}

impl<'a> Examined<'a> {
    fn open(dir: &'a Path, base: u64) -> Result<Self, LogError> {
        let path = segment::path(dir, base);
        let file = OpenOptions::new().read(true).open(&path);
        let file = file.map_err(|source| LogError::io("open", &path, source))?;
        let length = file.metadata().map_err(|source| LogError::io("look at", &path, source))?.len();
        Ok(Self { dir, base, path, file, end: base + length })
    }

    /// Where the segment before should end by this one's header. `None` if there is nothing here to be read.
    fn check_header(
        &mut self,
        disk: &mut impl Disk,
        previous: Option<u64>,
        damage: &mut Vec<Damage>,
    ) -> Result<Option<u64>, LogError> {
        let mut bytes = Vec::new();
        self.read(HEADER_SPAN, &mut bytes)?;
        match Header::from_bytes(&bytes, self.base) {
            Ok(header) => return Ok(Some(header.follows)),
            Err(BadHeader::Version(version)) => return Err(LogError::Version { path: self.path.clone(), version }),
            Err(BadHeader::Damaged) => {}
        }
        self.read(u64::MAX, &mut bytes)?;
        let records = bytes.get(HEADER_BYTES..).unwrap_or_default();
        if record::next_record(records, self.base + HEADER_SPAN).is_none() {
            let moved = damage::move_aside(disk, self.dir, self.base..self.end, &self.path);
            damage.push(moved.map_err(|source| LogError::io("set aside", &self.path, source))?);
            return Ok(None);
        }
        let range = self.base..self.base + HEADER_SPAN;
        damage.extend(damage::set_aside(disk, self.dir, DamageKind::Header, range, &bytes[..HEADER_BYTES]));
        let header = Header { base: self.base, follows: previous.unwrap_or(self.base) };
        disk.open(&self.path)
            .and_then(|mut file| {
                disk::write_all(disk, &mut file, 0, &header.to_bytes())?;
                disk.sync(&mut file)
            })
            .map_err(|source| LogError::io("repair the header of", &self.path, source))?;
        Ok(Some(header.follows))
    }

    /// Looks at every record of the last segment, and leaves out a torn tail: its bytes stay where they are, and what
    /// follows will be in another segment, so that their positions are not used again. Says whether there was none.
    fn check_tail(&mut self, disk: &mut impl Disk, damage: &mut Vec<Damage>) -> Result<bool, LogError> {
        // What a killed process left in the kernel shall be on the disk before it is said to be.
        disk.open(&self.path)
            .and_then(|mut file| disk.sync(&mut file))
            .map_err(|source| LogError::io("sync", &self.path, source))?;
        let mut bytes = Vec::new();
        self.read(u64::MAX, &mut bytes)?;
        let mut at = HEADER_BYTES;
        loop {
            at += record::whole_records(&bytes[at..], self.base + at as u64);
            if at == bytes.len() {
                return Ok(true);
            }
            let from = self.base + at as u64;
            let Some(skip) = record::next_record(&bytes[at..], from) else { break };
            let range = from..from + skip as u64;
            damage.extend(damage::set_aside(disk, self.dir, DamageKind::Records, range, &bytes[at..at + skip]));
            at += skip;
        }
        let cut = self.base + at as u64;
        damage.extend(damage::set_aside(disk, self.dir, DamageKind::TornTail, cut..self.end, &bytes[at..]));
        self.end = cut;
        Ok(false)
    }

    fn read(&mut self, at_most: u64, bytes: &mut Vec<u8>) -> Result<(), LogError> {
        bytes.clear();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&self.file).take(at_most.min(self.end - self.base)).read_to_end(bytes))
            .map(drop)
            .map_err(|source| LogError::io("read", &self.path, source))
    }
}
