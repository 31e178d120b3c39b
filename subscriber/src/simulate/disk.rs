//! [`Disk`]: a simulated log. What is appended waits in memory until it is written, and is safe from a loss of power once it
//! is synced; a crash keeps what the real one would.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use lastbeat_log::{AppendError, Position};

use crate::intake::Journal;
use crate::record::kind;

/// The log's end that is appended to; the world keeps another one.
#[derive(Debug, Clone, Default)]
pub struct Disk(Rc<RefCell<Drive>>);

/// How far the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where the next record will stand.
    pub end: u64,
    /// What is before this outlives the end of the program.
    pub written: u64,
    /// What is before this outlives a loss of power.
    pub synced: u64,
}

/// A record.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where it stands.
    pub position: u64,
    /// Its kind.
    pub kind: u8,
    /// Its bytes.
    pub body: Vec<u8>,
    /// The message that it is.
    pub packet: Option<u64>,
}

#[derive(Debug, Default)]
struct Drive {
    records: VecDeque<Stored>,
    at: Progress,
    /// Most bytes that may wait.
    limit: u64,
    /// The message that is being taken in, and the messages that were stored since the world looked.
    taking: Option<u64>,
    stored: Vec<u64>,
    wanted: bool,
}

impl Disk {
    /// An empty log in which so many bytes may wait.
    pub fn new(limit: u64) -> Self {
        let disk = Self::default();
        disk.0.borrow_mut().limit = limit;
        disk
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.0.borrow().at
    }

    /// Whether there is something to write that was handed over.
    pub fn has_work(&self) -> bool {
        let drive = self.0.borrow();
        drive.wanted && drive.at.written < drive.at.end
    }

    /// Says which message is taken in now.
    pub fn taking(&self, packet: Option<u64>) {
        self.0.borrow_mut().taking = packet;
    }

    /// The messages that were appended since the last call.
    pub fn stored(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.borrow_mut().stored)
    }

    /// All before this is written.
    pub fn write(&self, upto: u64) {
        let mut drive = self.0.borrow_mut();
        drive.at.written = drive.at.written.max(upto);
        drive.wanted = drive.at.written < drive.at.end;
    }

    /// All that is written is synced.
    pub fn sync(&self, upto: u64) {
        let mut drive = self.0.borrow_mut();
        drive.at.synced = drive.at.synced.max(upto.min(drive.at.written));
    }

    /// The program ends at once, or the host loses its power: what is lost.
    pub fn crash(&self, power: bool) -> Vec<Stored> {
        let mut drive = self.0.borrow_mut();
        let keeps = if power { drive.at.synced } else { drive.at.written };
        let first_lost = drive.records.partition_point(|record| record.position < keeps);
        let lost = drive.records.split_off(first_lost);
        drive.at = Progress { end: keeps, written: keeps, synced: drive.at.synced };
        (drive.wanted, drive.taking) = (false, None);
        lost.into()
    }

    /// Lets go of what a snapshot holds.
    pub fn remove_before(&self, position: u64) {
        let mut drive = self.0.borrow_mut();
        while drive.records.front().is_some_and(|record| record.position < position) {
            drive.records.pop_front();
        }
    }

    /// The records from `from` on.
    pub fn read(&self, from: u64) -> Vec<Stored> {
        self.0.borrow().records.iter().filter(|record| record.position >= from).cloned().collect()
    }
}

impl Journal for Disk {
    fn append(&mut self, kind: u8, body: &[&[u8]]) -> Result<Position, AppendError> {
        let mut drive = self.0.borrow_mut();
        let bytes = body.concat();
        let pending_bytes = drive.at.end - drive.at.written;
        if pending_bytes + bytes.len() as u64 > drive.limit {
            return Err(AppendError::Full { pending_bytes });
        }
        let position = drive.at.end;
        drive.at.end += bytes.len() as u64 + 16;
        let packet = drive.taking.filter(|_| kind == kind::MESSAGE || kind == kind::REFUSED);
        drive.stored.extend(packet);
        drive.records.push_back(Stored { position, kind, body: bytes, packet });
        Ok(Position(position))
    }

    fn commit(&mut self) {
        self.0.borrow_mut().wanted = true;
    }

    fn end(&self) -> Position {
        Position(self.progress().end)
    }

    fn pending_bytes(&self) -> u64 {
        let at = self.progress();
        at.end - at.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_what_was_written_and_a_loss_of_power_what_was_synced() {
        let mut disk = Disk::new(1000);
        let ends: Vec<u64> = (0..3u64)
            .map(|packet| {
                disk.taking(Some(packet));
                disk.append(kind::MESSAGE, &[b"a", b"b"]).unwrap();
                disk.end().0
            })
            .collect();
        disk.commit();
        disk.write(ends[1]);
        disk.sync(ends[0]);
        let lost = |disk: &Disk, power| disk.crash(power).iter().filter_map(|record| record.packet).collect::<Vec<_>>();
        assert_eq!(lost(&disk, false), [2]);
        assert_eq!(lost(&disk, true), [1]);
        assert_eq!(disk.progress().end, ends[0]);
        assert_eq!(disk.read(0).len(), 1);
    }

    #[test]
    fn a_disk_that_writes_nothing_takes_no_more_than_may_wait() {
        let mut disk = Disk::new(20);
        assert!(disk.append(kind::FLIP, &[&[0; 16]]).is_ok());
        assert!(matches!(disk.append(kind::FLIP, &[&[0; 16]]), Err(AppendError::Full { pending_bytes: 32 })));
    }
}
