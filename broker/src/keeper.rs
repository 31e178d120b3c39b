//! [`Keeper`]: keeps messages for those who lost them, and answers their requests between live messages.

use std::collections::VecDeque;
use std::time::Duration;

use lastbeat_wire::{Inbox, Monotonic, ResendRequest, Wanted};

use crate::{
    delivery::Delivery,
    resend::{Resender, Step},
    ring::Ring,
    traffic::Counts,
};

/// Most messages sent again before live ones get their turn.
const BURST: usize = 200;
/// A subscriber that is full is waited for so long; it may ask again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon a full subscriber is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(2);
/// A request that is passed on goes to every publisher: so many messages a second this may come to …
const PASSED_ON: usize = 100_000;
/// … but so many requests a second are always passed on.
const PASSED_ON_AT_LEAST: usize = 20;

/// The messages of late, and the requests for them.
pub struct Keeper {
    ring: Ring,
    resender: Resender,
    /// What was found and is not sent yet.
    steps: VecDeque<Step>,
    /// Since when the first of them finds its subscriber full.
    blocked: Option<Monotonic>,
    second: Monotonic,
    passed_on: usize,
}

impl Keeper {
    /// Keeps nothing yet.
    pub fn new(ring: Ring) -> Self {
        let (resender, steps) = (Resender::default(), VecDeque::new());
        Self { ring, resender, steps, blocked: None, second: Monotonic(0), passed_on: 0 }
    }

    /// Keeps a message.
    pub fn keep(&mut self, now: Monotonic, topic: &[u8], payload: &[u8]) {
        if self.ring.is_on() {
            self.ring.push(now, topic, payload);
        }
    }

    /// Takes what a subscriber sent up its link, which may be anything.
    pub fn take(&mut self, now: Monotonic, bytes: &[u8], front: &zmq::Socket, counts: &mut Counts) -> zmq::Result<()> {
        counts.requests += 1;
        let request = match ResendRequest::decode(bytes) {
            Ok(request) => request,
            Err(error) => {
                tracing::debug!("what a subscriber asks can't be read: {error}");
                counts.unanswered += 1;
                return Ok(());
            }
        };
        tracing::debug!("asked by {} for {:?}", request.inbox, request.wanted);
        if !self.ring.is_on() || request.wanted == Wanted::Last {
            self.pass_on(now, &request, front, counts)?;
        }
        if self.ring.is_on() {
            self.ring.forget(now);
            counts.unanswered += u64::from(!self.resender.take(&self.ring, request));
        }
        Ok(())
    }

    /// When to go on answering; `None` while nobody waits for an answer.
    pub fn due(&self) -> Option<Duration> {
        match self.blocked {
            Some(_) => Some(TRY_AGAIN),
            None => (!self.steps.is_empty() || !self.resender.is_idle()).then_some(Duration::ZERO),
        }
    }

    /// Goes on answering for a while.
    pub fn answer(
        &mut self,
        now: Monotonic,
        delivery: &Delivery,
        front: &zmq::Socket,
        counts: &mut Counts,
    ) -> zmq::Result<()> {
        if self.steps.is_empty() {
            self.steps.extend(self.resender.slice(&self.ring));
        }
        for _ in 0..BURST {
            let Some(step) = self.steps.pop_front() else { break };
            match step {
                Step::PassOn(request) => self.pass_on(now, &request, front, counts)?,
                Step::Send(inbox, place) => {
                    let Some(kept) = self.ring.get(place) else { continue };
                    let topic = [inbox.prefix().as_bytes(), kept.topic].concat();
                    if delivery.send_if_room(&topic, kept.payload)? {
                        self.blocked = None;
                        counts.resent += 1;
                    } else {
                        self.steps.push_front(Step::Send(inbox, place));
                        self.is_full(now, inbox, counts);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The subscriber behind an inbox takes nothing; after a while what was found for it is let go of.
    fn is_full(&mut self, now: Monotonic, inbox: Inbox, counts: &mut Counts) {
        let since = *self.blocked.get_or_insert(now);
        if now.since(since) >= PATIENCE {
            self.steps.retain(|step| !matches!(step, Step::Send(other, _) if *other == inbox));
            self.blocked = None;
            counts.unanswered += 1;
        }
    }

    fn pass_on(
        &mut self,
        now: Monotonic,
        request: &ResendRequest,
        front: &zmq::Socket,
        counts: &mut Counts,
    ) -> zmq::Result<()> {
        if now.since(self.second) >= Duration::from_secs(1) {
            (self.second, self.passed_on) = (now, 0);
        }
        if self.passed_on >= (PASSED_ON / counts.publishers.max(1)).max(PASSED_ON_AT_LEAST) {
            counts.unanswered += 1;
            return Ok(());
        }
        self.passed_on += 1;
        // A publisher that is full does not get it, and is not waited for.
        front.send(request.encode(), zmq::DONTWAIT)
    }
}
