//! [`Outbox`]: hands messages to a transport; what it does not take waits, in order, in the spool. Writes no messages itself.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use lastbeat_transport::{Handed, Outbound, Told, TransportError};
use lastbeat_wire::{Kind, Monotonic, Now, ProcessIdentity, PublisherId};

use crate::address::Address;
use crate::answers::Answers;
use crate::left::Left;
use crate::spool::{Closed, Span, Spool};

/// What became of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxTally {
    /// Taken by the transport.
    pub sent: u64,
    /// Held for a while or still.
    pub held: u64,
    /// Given up because there was no room to hold them.
    pub dropped: u64,
    /// Sent again because somebody asked for them.
    pub sent_again: u64,
}

/// Messages on their way out.
pub struct Outbox {
    outbound: Box<dyn Outbound>,
    topics: Topics,
    spool: Spool,
    answers: Answers,
    /// Of what was taken and is not settled, in order: where it stands in the spool, if it does. As many as a transport has
    /// under way at most.
    in_flight: VecDeque<Option<Span>>,
    /// How many were taken before the first of these.
    settled: u64,
    tally: OutboxTally,
}

/// The topics of one publisher; those of targets are made when they are needed.
#[derive(Debug)]
pub struct Topics {
    own: [String; Kind::ALL.len()],
    /// What stands behind the targets, if anything.
    agent: Option<String>,
}

impl Topics {
    /// The topic of an address.
    pub fn of(&self, address: &Address) -> Cow<'_, str> {
        match address {
            Address::Own(kind) => {
                let place = Kind::ALL.iter().position(|known| known == kind);
                Cow::Borrowed(&self.own[place.expect("invariant: ALL has every kind")])
            }
            Address::Ping(target) => {
                Cow::Owned(self.agent.as_ref().map_or_else(|| target.topic(), |agent| target.topic_of(agent)))
            }
        }
    }
}

impl Outbox {
    /// For one publisher, whose process this is. What is in the spool goes first.
    pub fn new(outbound: Box<dyn Outbound>, publisher: &PublisherId, own: ProcessIdentity, spool: Spool) -> Self {
        let topics = Topics { own: Kind::ALL.map(|kind| kind.topic(publisher)), agent: None };
        let answers = Answers::new(publisher.clone(), own);
        let (in_flight, tally) = (VecDeque::new(), OutboxTally::default());
        Self { outbound, topics, spool, answers, in_flight, settled: 0, tally }
    }

    /// With the agent's name behind the targets in the topics of results, for brokers that hold each agent to its own.
    pub fn with_named_topics(mut self, agent: String) -> Self {
        self.topics.agent = Some(agent);
        self
    }

    /// Hands a message over if none is held before it; it is not kept otherwise.
    pub fn try_send(&mut self, address: impl Into<Address>, payload: &[u8]) -> Result<Handed, TransportError> {
        let address = address.into();
        if !self.is_clear() || self.hand(&address, payload)? == Handed::NotNow {
            return Ok(Handed::NotNow);
        }
        let span = self.spool.push_sent(&address, payload);
        self.in_flight.push_back(span);
        Ok(Handed::Taken)
    }

    /// Hands a message over, now or later.
    pub fn send(&mut self, address: impl Into<Address>, payload: Vec<u8>) -> Result<(), TransportError> {
        let address = address.into();
        if self.try_send(address.clone(), &payload)? == Handed::NotNow {
            self.hold(address, payload);
        }
        Ok(())
    }

    /// Keeps a message, to be handed over behind all that are held.
    pub fn hold(&mut self, address: impl Into<Address>, payload: Vec<u8>) {
        self.tally.held += 1;
        self.spool.push(address, payload);
    }

    /// Hands a message over ahead of all that are held; it is not kept.
    pub fn send_ahead(&mut self, kind: Kind, payload: &[u8]) -> Result<Handed, TransportError> {
        let handed = self.hand(&kind.into(), payload)?;
        if handed == Handed::Taken {
            self.in_flight.push_back(None);
        }
        Ok(handed)
    }

    /// Hands over what is held, the oldest first, at most `most` messages, as long as they are taken.
    pub fn flush(&mut self, most: usize) -> Result<(), TransportError> {
        for _ in 0..most {
            let Some(oldest) = self.spool.front() else { break };
            if self.outbound.try_send(&self.topics.of(&oldest.address), &oldest.payload)? == Handed::NotNow {
                break;
            }
            let span = self.spool.pop().and_then(|held| held.span);
            self.in_flight.push_back(span);
            self.tally.sent += 1;
        }
        Ok(())
    }

    /// Sends again what somebody asks for, a slice of it; when to go on with the rest, if there is any.
    pub fn answer(&mut self, now: Monotonic) -> Result<Option<Monotonic>, TransportError> {
        let sent = self.answers.turn(&mut *self.outbound, &self.topics, &mut self.spool, now)?;
        self.in_flight.extend(std::iter::repeat_n(None, sent.taken));
        self.tally.sent_again += sent.messages;
        Ok(sent.again_at)
    }

    /// Whether somebody asked for something a moment ago, and may ask for more at any time.
    pub fn is_asked(&self, now: Monotonic) -> bool {
        self.answers.is_asked(now)
    }

    /// Takes note of what is settled, and has the spool tidied up. To be called after each burst, and when [`due`](Self::due).
    pub fn tend(&mut self, now: Now) {
        let settled = self.outbound.settled();
        self.settle(settled);
        self.spool.tend(now);
        self.tally.dropped = self.spool.dropped();
    }

    /// When to tend to it though nothing happens.
    pub fn due(&self) -> Option<Monotonic> {
        self.spool.due()
    }

    /// Waits until the oldest message held, or else one of this kind, may be taken; whether it may.
    pub fn wait_ready(&mut self, kind: Kind, limit: Duration) -> bool {
        let address = self.spool.front().map_or(kind.into(), |oldest| oldest.address.clone());
        self.outbound.wait_ready(&self.topics.of(&address), limit)
    }

    /// What the broker said since this was last asked for.
    pub fn told(&mut self) -> Vec<Told> {
        self.outbound.told()
    }

    /// Whether nothing is held.
    pub fn is_clear(&self) -> bool {
        self.spool.is_clear()
    }

    /// How many messages are held.
    pub fn held(&self) -> u64 {
        self.spool.held()
    }

    /// What became of the messages so far.
    pub fn tally(&self) -> OutboxTally {
        self.tally
    }

    /// Waits until what was taken has left, and closes.
    pub fn close(mut self, limit: Duration) -> Left {
        let settled = self.outbound.settled();
        self.settle(settled);
        let not_left = self.outbound.close(limit).0;
        let taken = self.settled + self.in_flight.len() as u64;
        settle(&mut self.spool, &mut self.in_flight, &mut self.settled, taken.saturating_sub(not_left));
        // What was settled before, by a transport that knows no more of it.
        let unsure = not_left.saturating_sub(self.in_flight.len() as u64);
        let unsent = self.in_flight.len() as u64 + self.spool.held();
        let Closed { kept, whole } = self.spool.close(self.in_flight.into_iter().flatten());
        Left { unsent, kept, unsure, askable: whole && unsure > 0 }
    }

    fn hand(&mut self, address: &Address, payload: &[u8]) -> Result<Handed, TransportError> {
        let handed = self.outbound.try_send(&self.topics.of(address), payload)?;
        self.tally.sent += u64::from(handed == Handed::Taken);
        Ok(handed)
    }

    fn settle(&mut self, settled: u64) {
        settle(&mut self.spool, &mut self.in_flight, &mut self.settled, settled);
    }
}

/// So many of the messages that were taken are settled.
fn settle(spool: &mut Spool, in_flight: &mut VecDeque<Option<Span>>, known: &mut u64, settled: u64) {
    while *known < settled
        && let Some(span) = in_flight.pop_front()
    {
        *known += 1;
        if let Some(span) = span {
            spool.settle(span);
        }
    }
}

#[cfg(test)]
pub mod tests;
