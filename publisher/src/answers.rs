//! [`Answers`]: sends again, from the spool, what a subscriber missed and asks for: a slice at a time, so that live messages
//! do not wait. What still waits for its turn is not sent twice.

use std::collections::VecDeque;
use std::time::Duration;

use lastbeat_log::Position;
use lastbeat_transport::{Handed, Outbound, TransportError};
use lastbeat_wire::{Inbox, Kind, Monotonic, ProcessIdentity, PublisherId, ResendGone, ResendRequest, Wanted, decode};

use crate::outbox::Topics;
use crate::spool::{Disk, Kept, Spool};

/// How many messages are sent again before live ones have their turn.
const SLICE_MESSAGES: usize = 64;
/// How much of the spool is read for them.
const SLICE_BYTES: usize = 64 << 10;
/// So many numbers are answered for at most; who misses more asks again.
const MOST_NUMBERS: u64 = 10_000;
/// An answer that nobody takes for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before an answer that is not taken is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// Who asked a moment ago is likely to ask for more.
const MOMENT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Answers {
    publisher: PublisherId,
    own: ProcessIdentity,
    /// No more than a transport holds: it is asked when these are answered.
    requests: VecDeque<ResendRequest>,
    answer: Option<Answer>,
    asked_at: Option<Monotonic>,
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// What the transport took.
    pub taken: usize,
    /// The messages among it.
    pub messages: u64,
    /// When to go on, if there is more to be sent.
    pub again_at: Option<Monotonic>,
}

/// An answer on its way.
#[derive(Debug)]
struct Answer {
    inbox: Inbox,
    wanted: Remaining,
    /// When a part of it was last taken.
    moved_at: Monotonic,
}

/// What is still to be sent.
#[derive(Debug)]
enum Remaining {
    /// The messages at these positions.
    Lasts(VecDeque<Position>),
    /// Numbers of one process.
    Range(Range),
}

/// Some numbers of one process.
#[derive(Debug, Clone, Copy)]
struct Range {
    process: ProcessIdentity,
    /// The next number.
    from: u64,
    /// One more than the last.
    to: u64,
    /// Where to look for it; `None` where nothing of that process is kept.
    position: Option<Position>,
}

/// How far a slice of an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// All that there is was sent.
    Through,
    /// There is more.
    OneSlice,
    /// To something that is not taken, or not written, now.
    ToAStop,
}

/// Where answers go, and what went.
struct Way<'a> {
    outbound: &'a mut dyn Outbound,
    topics: &'a Topics,
    publisher: &'a PublisherId,
    inbox: Inbox,
    sent: Sent,
}

impl Answers {
    /// Of one publisher, whose process this is.
    pub fn new(publisher: PublisherId, own: ProcessIdentity) -> Self {
        Self { publisher, own, requests: VecDeque::new(), answer: None, asked_at: None }
    }

    /// Whether somebody asked for something a moment ago.
    pub fn is_asked(&self, now: Monotonic) -> bool {
        self.asked_at.is_some_and(|at| now.since(at) < MOMENT)
    }

    /// Sends a slice of what is asked for.
    ///
    /// # Errors
    /// Those of the transport.
    pub fn turn(
        &mut self,
        outbound: &mut dyn Outbound,
        topics: &Topics,
        spool: &mut Spool,
        now: Monotonic,
    ) -> Result<Sent, TransportError> {
        if self.answer.is_none() {
            if self.requests.is_empty() {
                self.requests.extend(outbound.requests());
            }
            let Some(request) = self.requests.pop_front() else { return Ok(Sent::default()) };
            self.asked_at = Some(now);
            self.answer = self.begin(request, spool, now);
        }
        let Some(answer) = &mut self.answer else { return Ok(Sent { again_at: Some(now), ..Sent::default() }) };
        let mut way = Way { outbound, topics, publisher: &self.publisher, inbox: answer.inbox, sent: Sent::default() };
        let came = match &mut answer.wanted {
            Remaining::Lasts(positions) => send_lasts(positions, spool, &mut way)?,
            Remaining::Range(range) => range.send(spool, self.own, &mut way)?,
        };
        let mut sent = way.sent;
        if sent.taken > 0 {
            answer.moved_at = now;
        }
        let gives_up = came == Came::ToAStop && now.since(answer.moved_at) >= PATIENCE;
        if came == Came::Through || gives_up {
            self.answer = None;
        }
        sent.again_at = Some(if came == Came::ToAStop { now.plus(TRY_AGAIN) } else { now });
        Ok(sent)
    }

    /// What is to be sent for a request, if anything.
    fn begin(&self, request: ResendRequest, spool: &mut Spool, now: Monotonic) -> Option<Answer> {
        let sent_to = spool.sent_to();
        let wanted = match request.wanted {
            Wanted::Last => {
                let lasts = spool.disk()?.lasts().map(|last| last.position);
                Remaining::Lasts(lasts.filter(|position| *position < sent_to).collect())
            }
            Wanted::Range { publisher, process, from, to } => {
                let position = spool.disk().and_then(|disk| disk.find(process, from));
                // What another host said under the same id, this one knows nothing of.
                if publisher != self.publisher || (position.is_none() && process.host != self.own.host) {
                    return None;
                }
                let to = to.min(from.saturating_add(MOST_NUMBERS));
                Remaining::Range(Range { process, from, to, position })
            }
        };
        Some(Answer { inbox: request.inbox, wanted, moved_at: now })
    }
}

fn send_lasts(
    positions: &mut VecDeque<Position>,
    spool: &mut Spool,
    way: &mut Way<'_>,
) -> Result<Came, TransportError> {
    let Some(disk) = spool.disk() else { return Ok(Came::Through) };
    while let Some(position) = positions.front() {
        if !disk.is_written(Position(position.0 + 1)) {
            return Ok(Came::ToAStop);
        }
        if let Some(kept) = read(disk, *position, 1).0.first()
            && way.message(kept)? == Handed::NotNow
        {
            return Ok(Came::ToAStop);
        }
        positions.pop_front();
    }
    Ok(Came::Through)
}

impl Range {
    fn send(&mut self, spool: &mut Spool, own: ProcessIdentity, way: &mut Way<'_>) -> Result<Came, TransportError> {
        let sent_to = spool.sent_to();
        let (Some(position), Some(disk)) = (self.position, spool.disk()) else { return self.gone(self.to, way) };
        let (kept, end) = read(disk, position, SLICE_BYTES);
        let mut messages = 0;
        for kept in &kept {
            if kept.span.from >= sent_to {
                return Ok(Came::Through);
            }
            match number(kept) {
                Some((process, _)) if process != self.process => return self.gone(self.to, way),
                Some((_, number)) if number >= self.to => return self.gone(self.to, way),
                Some((_, number)) if number >= self.from => {
                    if number > self.from && self.gone(number, way)? == Came::ToAStop {
                        return Ok(Came::ToAStop);
                    }
                    if messages == SLICE_MESSAGES {
                        return Ok(Came::OneSlice);
                    }
                    if way.message(kept)? == Handed::NotNow {
                        return Ok(Came::ToAStop);
                    }
                    messages += 1;
                    self.from = number + 1;
                    if self.from == self.to {
                        return Ok(Came::Through);
                    }
                }
                _ => {}
            }
            self.position = Some(kept.span.to);
        }
        match end {
            Some(end) => {
                self.position = Some(end);
                Ok(Came::OneSlice)
            }
            None if position < sent_to && !disk.is_written(disk.end()) => Ok(Came::ToAStop),
            // Numbers of this process that are not there have not been given yet.
            None if self.process == own => Ok(Came::Through),
            None => self.gone(self.to, way),
        }
    }

    /// Tells that all before a number is gone.
    fn gone(&mut self, to: u64, way: &mut Way<'_>) -> Result<Came, TransportError> {
        let gone = ResendGone { process: self.process, from: self.from, to };
        if self.from < to && way.gone(gone)? == Handed::NotNow {
            return Ok(Came::ToAStop);
        }
        self.from = self.from.max(to);
        Ok(Came::Through)
    }
}

impl Way<'_> {
    fn message(&mut self, kept: &Kept) -> Result<Handed, TransportError> {
        let handed = self.hand(&self.inbox.topic(&self.topics.of(&kept.address)), &kept.payload)?;
        self.sent.messages += u64::from(handed == Handed::Taken);
        Ok(handed)
    }

    fn gone(&mut self, gone: ResendGone) -> Result<Handed, TransportError> {
        self.hand(&self.inbox.gone_topic(self.publisher), &gone.encode())
    }

    fn hand(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        let handed = self.outbound.try_send(topic, payload)?;
        self.sent.taken += usize::from(handed == Handed::Taken);
        Ok(handed)
    }
}

/// A disk that can't be read has nothing.
fn read(disk: &mut Disk, from: Position, bytes: usize) -> (Vec<Kept>, Option<Position>) {
    disk.read_kept(from, bytes).unwrap_or_else(|error| {
        tracing::warn!("spool: what is asked for can't be sent again: {error}");
        (Vec::new(), None)
    })
}

/// Which process's, and the how manieth, a message is.
fn number(kept: &Kept) -> Option<(ProcessIdentity, u64)> {
    debug_assert_ne!(kept.address.kind(), Kind::Rip);
    let header = decode(kept.address.kind(), &kept.payload).ok()?.header;
    header.process.zip(header.sequence)
}
