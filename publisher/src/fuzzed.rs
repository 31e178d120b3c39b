//! The doors by which fuzzing comes to what reads bytes here. No part of the program uses them.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use lastbeat_transport::{Handed, Outbound, TransportError, Unsent};
use lastbeat_wire::{Kind, Monotonic, ProcessIdentity, PublisherId, ResendRequest};

use crate::outbox::Outbox;
use crate::spool::{Bounds, Closed, Spool};

const BOUNDS: Bounds = Bounds { unsent: 1 << 30, kept: 64 << 20, keep: Duration::from_mins(10) };
/// No answer takes so many turns.
const MOST_TURNS: usize = 10_000;

/// A topic, and the payload on it.
pub type Sent = (String, Vec<u8>);

/// Writes what a process sends into the spool in a folder, and ends that process: the first `settled` messages are through.
pub fn spool(folder: &Path, messages: &[(Kind, Vec<u8>)], settled: usize) {
    let mut spool = Spool::open(folder, BOUNDS, false).expect("a temporary folder");
    let (through, held) = messages.split_at(settled.min(messages.len()));
    for (kind, payload) in through {
        let span = spool.push_sent(&(*kind).into(), payload).expect("there is room");
        spool.settle(span);
    }
    for (kind, payload) in held {
        spool.push(*kind, payload.clone());
    }
    assert_eq!(spool.close([]), Closed { kept: held.len() as u64, whole: true });
}

/// What the next process of that spool, `own`, sends when it is asked. `takes` says of each try whether the transport has room
/// for it; after them it has.
pub fn answers(
    folder: &Path,
    publisher: &PublisherId,
    own: ProcessIdentity,
    request: ResendRequest,
    takes: Vec<bool>,
) -> Vec<Sent> {
    let (sent, answers) = channel();
    let line = Line { takes: takes.into_iter(), sent, taken: 0, request: Some(request) };
    let spool = Spool::open(folder, BOUNDS, false).expect("a temporary folder");
    let mut outbox = Outbox::new(Box::new(line), publisher, own, spool);
    let mut now = Some(Monotonic(0));
    for _ in 0..MOST_TURNS {
        let Some(at) = now else { break };
        now = outbox.answer(at).expect("the transport has no errors");
    }
    assert_eq!(now, None, "the answer never ends");
    answers.try_iter().collect()
}

/// A transport that acknowledges at once, asked for one thing.
struct Line {
    takes: std::vec::IntoIter<bool>,
    sent: Sender<Sent>,
    taken: u64,
    request: Option<ResendRequest>,
}

impl Outbound for Line {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        if self.takes.next() == Some(false) {
            return Ok(Handed::NotNow);
        }
        self.taken += 1;
        self.sent.send((topic.to_owned(), payload.to_owned())).expect("it is listened to");
        Ok(Handed::Taken)
    }

    fn wait_ready(&mut self, _topic: &str, _limit: Duration) -> bool {
        true
    }

    fn requests(&mut self) -> Vec<ResendRequest> {
        self.request.take().into_iter().collect()
    }

    fn settled(&mut self) -> u64 {
        self.taken
    }

    fn close(self: Box<Self>, _limit: Duration) -> Unsent {
        Unsent(0)
    }
}
