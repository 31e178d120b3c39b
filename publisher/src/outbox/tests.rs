//! An outbox with a transport that does as it is told.

use std::sync::{Arc, Mutex};

use lastbeat_transport::{Told, Unsent};
use lastbeat_wire::{ResendRequest, UtcNanos};

use super::*;
use crate::letterhead::tests::own;
use crate::spool::Bounds;

/// A transport in a test: takes messages while it is open, and keeps what it took.
#[derive(Debug, Clone, Default)]
pub struct Double(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    open: bool,
    taken: Vec<(String, Vec<u8>)>,
    /// How many messages it takes before it shuts.
    room: Option<usize>,
    /// How many of them it has acknowledged; all, if it acknowledges nothing.
    acknowledged: Option<u64>,
    /// Of a transport that acknowledges nothing: how many may not have left when it is closed.
    unsure: u64,
    requests: Vec<ResendRequest>,
    told: Vec<Told>,
}

impl Double {
    pub fn open(&self, open: bool) {
        let mut line = self.0.lock().unwrap();
        (line.open, line.room) = (open, None);
    }

    pub fn open_for(&self, messages: usize) {
        let mut line = self.0.lock().unwrap();
        (line.open, line.room) = (true, Some(messages));
    }

    pub fn acknowledge(&self, messages: u64) {
        self.0.lock().unwrap().acknowledged = Some(messages);
    }

    pub fn leave_unsure(&self, messages: u64) {
        self.0.lock().unwrap().unsure = messages;
    }

    pub fn request(&self, request: ResendRequest) {
        self.0.lock().unwrap().requests.push(request);
    }

    pub fn tell(&self, topic: &str, payload: &str) {
        let told = Told { topic: topic.to_owned(), payload: payload.as_bytes().to_vec(), retained: true };
        self.0.lock().unwrap().told.push(told);
    }

    pub fn taken(&self) -> Vec<(String, Vec<u8>)> {
        self.0.lock().unwrap().taken.clone()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().taken.clear();
    }

    pub fn outbox(&self, spool: Spool) -> Outbox {
        Outbox::new(Box::new(self.clone()), &"x".parse().unwrap(), own().process, spool)
    }
}

impl Outbound for Double {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        let mut line = self.0.lock().unwrap();
        if !line.open || line.room == Some(0) {
            return Ok(Handed::NotNow);
        }
        line.room = line.room.map(|room| room - 1);
        line.taken.push((topic.to_owned(), payload.to_owned()));
        Ok(Handed::Taken)
    }

    fn wait_ready(&mut self, _topic: &str, _limit: Duration) -> bool {
        self.0.lock().unwrap().open
    }

    fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap().told)
    }

    fn requests(&mut self) -> Vec<ResendRequest> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    fn settled(&mut self) -> u64 {
        let line = self.0.lock().unwrap();
        line.acknowledged.unwrap_or(line.taken.len() as u64)
    }

    fn close(self: Box<Self>, _limit: Duration) -> Unsent {
        let line = self.0.lock().unwrap();
        Unsent(line.acknowledged.map_or(line.unsure, |acknowledged| line.taken.len() as u64 - acknowledged))
    }
}

impl Outbox {
    /// Returns when all that was sent is written.
    pub fn wait_written(&mut self) {
        self.spool.wait_written();
    }

    /// Answers all there is to be answered.
    pub fn answer_all(&mut self, now: Monotonic) {
        while self.answer(now).unwrap().is_some() {}
    }
}

pub const ROOMY: Bounds = Bounds { unsent: 1 << 30, kept: 64 << 20, keep: Duration::from_mins(10) };

fn payloads(double: &Double) -> Vec<String> {
    double.taken().into_iter().map(|(_, payload)| String::from_utf8(payload).unwrap()).collect()
}

fn now(seconds: u64) -> Now {
    Now { monotonic: Monotonic(seconds * 1_000_000_000), utc: UtcNanos(seconds.cast_signed() * 1_000_000_000) }
}

/// An outbox whose spool is in a folder.
fn opened(folder: &tempfile::TempDir, double: &Double) -> Outbox {
    double.outbox(Spool::open(folder.path(), ROOMY, false).unwrap())
}

#[test]
fn what_was_held_goes_first_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for spool in [Spool::in_memory(ROOMY), Spool::open(folder.path(), ROOMY, false).unwrap()] {
        let double = Double::default();
        let mut outbox = double.outbox(spool);
        for payload in ["1", "2", "3"] {
            outbox.send(Kind::Sensor, payload.into()).unwrap();
        }
        double.open(true);
        assert_eq!(outbox.try_send(Kind::Beat, b"not kept").unwrap(), Handed::NotNow);
        outbox.send(Kind::Sensor, "4".into()).unwrap();
        outbox.flush(2).unwrap();
        assert_eq!((payloads(&double), outbox.held()), (vec!["1".to_owned(), "2".to_owned()], 2));
        assert_eq!(outbox.send_ahead(Kind::Beat, b"ahead").unwrap(), Handed::Taken);
        outbox.flush(100).unwrap();
        assert_eq!(outbox.try_send(Kind::Beat, b"5").unwrap(), Handed::Taken);
        assert_eq!(payloads(&double), ["1", "2", "ahead", "3", "4", "5"]);
        assert_eq!(double.taken()[5].0, "beat/x");
        assert_eq!(outbox.tally(), OutboxTally { sent: 6, held: 4, ..OutboxTally::default() });
    }
}

#[test]
fn what_is_not_acknowledged_is_sent_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let double = Double::default();
    double.open(true);
    double.acknowledge(0);
    let mut outbox = opened(&folder, &double);
    for payload in ["1", "2", "3"] {
        outbox.send(Kind::Sensor, payload.into()).unwrap();
    }
    outbox.send_ahead(Kind::Beat, b"ahead").unwrap();
    outbox.send(Kind::Sensor, "4".into()).unwrap();
    double.open(false);
    outbox.send(Kind::Sensor, "5".into()).unwrap();
    double.acknowledge(2);
    outbox.tend(now(1));
    double.acknowledge(4);
    assert_eq!(outbox.close(Duration::ZERO), Left { unsent: 2, kept: 2, ..Left::default() }, "one under way, one held");

    let next = Double::default();
    next.open(true);
    let mut outbox = opened(&folder, &next);
    assert_eq!(outbox.held(), 2);
    outbox.send(Kind::Sensor, "6".into()).unwrap();
    outbox.flush(100).unwrap();
    assert_eq!(payloads(&next), ["4", "5", "6"]);
    assert_eq!(outbox.close(Duration::ZERO), Left::default());
    assert_eq!(opened(&folder, &Double::default()).held(), 0);
}

#[test]
fn of_a_killed_process_at_most_a_second_is_sent_twice_and_nothing_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let double = Double::default();
    double.open(true);
    let mut outbox = opened(&folder, &double);
    for second in 1..=3 {
        outbox.send(Kind::Sensor, format!("{second}").into()).unwrap();
        outbox.tend(now(second));
    }
    outbox.send(Kind::Sensor, "3.5".into()).unwrap();
    outbox.tend(Now { monotonic: Monotonic(3_500_000_000), ..now(3) });
    // Dropped without a word: what was committed is on the disk, what was settled since the last second is not.
    drop(outbox);
    let mut outbox = opened(&folder, &double);
    double.clear();
    outbox.flush(100).unwrap();
    assert_eq!(payloads(&double), ["3.5"]);
}

#[test]
fn what_may_not_have_left_is_neither_lost_nor_certain_to_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    for (spool, kept) in [(Spool::in_memory(ROOMY), 0), (Spool::open(folder.path(), ROOMY, false).unwrap(), 2)] {
        let double = Double::default();
        double.open_for(3);
        double.leave_unsure(3);
        let mut outbox = double.outbox(spool);
        for payload in ["1", "2", "3", "4", "5"] {
            outbox.send(Kind::Sensor, payload.into()).unwrap();
        }
        let left = outbox.close(Duration::ZERO);
        assert_eq!(left, Left { unsent: 2, kept, unsure: 3, askable: kept > 0 });
    }
    assert_eq!(opened(&folder, &Double::default()).held(), 2);
}

#[test]
fn what_the_disk_did_not_take_is_not_called_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("spool");
    let double = Double::default();
    let small = Bounds { unsent: 1 << 20, kept: 0, ..ROOMY };
    let mut outbox = double.outbox(Spool::open(&place, small, false).unwrap());
    for _ in 0..3 {
        outbox.send(Kind::Sensor, vec![b'x'; 1_000]).unwrap();
    }
    outbox.wait_written();
    // The next segment can't be made: its folder is gone.
    std::fs::remove_dir_all(&place).unwrap();
    for _ in 0..10 {
        outbox.send(Kind::Sensor, vec![b'x'; 60_000]).unwrap();
    }
    let left = outbox.close(Duration::ZERO);
    assert_eq!(left.unsent, 13);
    assert!(left.kept < 13, "{left}");
}
