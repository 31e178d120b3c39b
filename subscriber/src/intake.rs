//! [`Intake`]: what becomes of each event: the watchdog hears of it, the log keeps it, and what follows is handed out.
//!
//! It owns the watchdog and the log's writing end, and is given `now`; it waits for nothing.

use std::borrow::Cow;
use std::time::Duration;

use lastbeat_log::{AppendError, Log, Position};
use lastbeat_transport::{Batch, Delivery, LinkIndex};
use lastbeat_watchdog::{
    Attend, Detail, Evidence, Flip, Heard, LinkNumber, Notice, Output, Question, Reception, State, Status, Unwatched,
    Watchdog,
};
use lastbeat_wire::{
    Header, Monotonic, Now, ProcessIdentity, PublisherId, ResendGone, Resent, Topic, UtcNanos, decode,
};

use crate::record::{Message, Record, kind};
use crate::recover::{Ask, Recoverer, Recovery};

/// Of a message that can't be read, so many bytes are kept.
const REFUSED_PAYLOAD_BYTES: usize = 64 * 1024;

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that came, of every sort.
    pub messages: u64,
    /// Messages that could not be read, kept with the reason.
    pub refused: u64,
    /// Messages that had come before, dropped.
    pub duplicates: u64,
    /// Messages of publishers beyond the most that may be.
    pub unknown: u64,
    /// Messages that the log had no room for: the disk did not take them in time.
    pub not_kept: u64,
    /// What was lost on a link and asked for.
    pub recovery: Recovery,
}

/// What is to be done outside, in order.
#[derive(Debug)]
pub enum Effect {
    /// Tell people.
    Flip(Flip),
    /// Tell people.
    Notice(Notice),
    /// Tell people.
    Unwatched(Unwatched),
    /// Look at a process.
    Ask(Question),
    /// Ask on a link for what was lost.
    Resend(Ask),
    /// Wait for the end of a process.
    Attend(Attend),
}

/// What a process outside the loop found out.
#[derive(Debug)]
pub enum Finding {
    /// The answer to a question.
    Answer(Question, Evidence),
    /// A process has ended.
    Exited(PublisherId, ProcessIdentity, Evidence),
}

/// The watchdog and the log, fed with events.
#[derive(Debug)]
pub struct Intake {
    watchdog: Watchdog,
    recoverer: Recoverer,
    log: Log,
    totals: Totals,
    last_received: UtcNanos,
    /// Most bytes that may wait for the disk.
    pending_bytes: u64,
}

impl Intake {
    /// Takes over a watchdog that has begun, and an open log that holds at most `pending_bytes` in memory; `askable` tells
    /// of each link whether what was lost on it can be asked for.
    pub fn new(watchdog: Watchdog, log: Log, pending_bytes: u64, askable: impl IntoIterator<Item = bool>) -> Self {
        let mut recoverer = Recoverer::new(askable);
        watchdog.missing().for_each(|missing| recoverer.missing(&missing));
        Self { watchdog, recoverer, log, totals: Totals::default(), last_received: UtcNanos(i64::MIN), pending_bytes }
    }

    /// Who is alive.
    pub fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// What was counted.
    pub fn totals(&self) -> Totals {
        Totals { recovery: self.recoverer.counted(), ..self.totals }
    }

    /// When [`settle`](Self::settle) is to be called next.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.watchdog.next_deadline().into_iter().chain(self.recoverer.next()).min()
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Gives the log back, to be closed.
    pub fn into_log(self) -> Log {
        self.log
    }

    /// Takes messages in; the position of the last record if all of them are in the log, so that they can be
    /// acknowledged once it is written.
    pub fn take(&mut self, now: Now, link: LinkIndex, batch: &Batch) -> Option<Position> {
        // A message that the log won't take must not count as having come: the broker will deliver it again.
        let overhead = 64 * batch.len() as u64;
        let room = self.log.pending_bytes() + batch.byte_len() as u64 + overhead <= self.pending_bytes;
        for delivery in batch.iter() {
            self.totals.messages += 1;
            self.message(now, link, delivery, room);
        }
        room.then(|| self.log.end())
    }

    fn message(&mut self, now: Now, link: LinkIndex, delivery: Delivery<'_>, room: bool) {
        let received_at = self.received_at(now);
        let topic = match Topic::parse(delivery.topic) {
            Ok(topic) => topic,
            Err(_) if delivery.resent => {
                self.gone(now, delivery);
                return;
            }
            Err(error) => {
                self.refuse(received_at, delivery, &error, room);
                return;
            }
        };
        let decoded = decode(topic.kind, delivery.payload);
        let nothing = Header::default();
        let header = decoded.as_ref().map_or(&nothing, |message| &message.header);
        let unnumbered;
        let header = if room {
            header
        } else {
            unnumbered = Header { sequence: None, ..header.clone() };
            &unnumbered
        };
        let reception = self.watchdog.heard(
            now,
            &Heard {
                publisher: topic.publisher,
                kind: topic.kind,
                link: Some(LinkNumber(link.0)),
                retained: delivery.retained,
                resent: delivery.resent,
                readable: decoded.is_ok(),
                header,
                log: decoded.as_ref().ok().and_then(|message| message.log.as_deref()),
            },
        );
        match reception {
            // Asked twice and answered by two, it comes more than once.
            Reception::Duplicate if delivery.resent => {}
            Reception::Duplicate => self.totals.duplicates += 1,
            Reception::TooManyPublishers => self.totals.unknown += 1,
            Reception::Live | Reception::Late | Reception::Retained => match &decoded {
                Ok(_) => {
                    let late = reception == Reception::Late;
                    let Delivery { topic: bytes, payload, retained, resent } = delivery;
                    if let (true, Some(process)) = (resent, header.process) {
                        self.recoverer.came(now.monotonic, topic.publisher, process, &self.watchdog);
                    }
                    let (topic, message) =
                        (bytes, Message { received_at, retained, late, resent, topic: bytes, payload });
                    self.keep(kind::MESSAGE, &[message.head().as_ref(), topic, payload]);
                }
                Err(error) => self.refuse(received_at, delivery, error, room),
            },
        }
    }

    /// A publisher no longer has what it was asked for.
    fn gone(&mut self, now: Now, delivery: Delivery<'_>) {
        match (Resent::parse(delivery.topic), ResendGone::decode(delivery.payload)) {
            (Ok(Resent::Gone(publisher)), Ok(gone)) => {
                self.recoverer.gone(now.monotonic, publisher, &gone, &self.watchdog);
            }
            (Err(error), _) => tracing::debug!("an answer can't be read: {error}"),
            (_, Err(error)) => tracing::debug!("an answer can't be read: {error}"),
            (Ok(Resent::Message(_)), Ok(_)) => {}
        }
    }

    /// Keeps a message that can't be read, with the reason.
    fn refuse(&mut self, received_at: UtcNanos, delivery: Delivery<'_>, reason: &dyn std::fmt::Display, room: bool) {
        self.totals.refused += 1;
        let topic = &delivery.topic[..delivery.topic.len().min(1024)];
        let payload = &delivery.payload[..delivery.payload.len().min(REFUSED_PAYLOAD_BYTES)];
        if self.totals.refused.is_power_of_two() {
            let shown = String::from_utf8_lossy(topic);
            tracing::warn!(topic = %shown, refused = self.totals.refused, "a message can't be read: {reason}");
        }
        if room {
            let message =
                Message { received_at, retained: delivery.retained, late: false, resent: false, topic, payload };
            self.record(&Record::Refused { message, reason: Cow::Owned(reason.to_string()) });
        }
    }

    /// Strictly increasing, so that a point without a time of its own has one that no other has. A wall clock that is
    /// stepped back by more than a second is followed.
    fn received_at(&mut self, now: Now) -> UtcNanos {
        let behind = self.last_received.0.saturating_sub(now.utc.0);
        let received_at =
            if (0..1_000_000_000).contains(&behind) { UtcNanos(self.last_received.0 + 1) } else { now.utc };
        self.last_received = received_at;
        received_at
    }

    /// A link works.
    pub fn link_up(&mut self, now: Now, link: LinkIndex) {
        self.watchdog.link_up(now, LinkNumber(link.0));
        self.recoverer.link_up(now.monotonic, LinkNumber(link.0));
    }

    /// A link is lost.
    pub fn link_down(&mut self, now: Now, link: LinkIndex, reason: &str) {
        self.watchdog.link_down(now, LinkNumber(link.0), reason);
        self.recoverer.link_down(LinkNumber(link.0));
    }

    /// Something was found out.
    pub fn found(&mut self, now: Now, finding: Finding) {
        match finding {
            Finding::Answer(question, evidence) => self.watchdog.answer(now, &question, evidence),
            Finding::Exited(publisher, process, evidence) => {
                self.watchdog.exited(now, publisher.as_str(), process, evidence);
            }
        }
    }

    /// The loop did not run since `from`.
    pub fn stalled(&mut self, now: Now, from: UtcNanos) {
        self.watchdog.stalled(now, from);
    }

    /// Judges who is due, logs what came of all that happened, and hands the rest out.
    pub fn settle(&mut self, now: Now) -> Vec<Effect> {
        self.watchdog.due(now);
        let outputs = self.watchdog.outputs();
        let mut effects = Vec::with_capacity(outputs.len());
        for output in outputs {
            effects.push(match output {
                Output::Flip(flip) => {
                    self.record(&Record::Flip(flip.clone()));
                    self.report(now, flip.publisher.as_str());
                    if flip.to == State::Alive {
                        // It is back, and may have what it was asked for in vain.
                        self.watchdog
                            .missing_of(flip.publisher.as_str())
                            .iter()
                            .for_each(|missing| self.recoverer.missing(missing));
                    }
                    Effect::Flip(flip)
                }
                Output::Notice(notice) => {
                    self.record(&Record::Notice(notice.clone()));
                    Effect::Notice(notice)
                }
                Output::Unwatched(span) => {
                    self.record(&Record::Unwatched(span.clone()));
                    Effect::Unwatched(span)
                }
                Output::Ask(question) => Effect::Ask(question),
                Output::Attend(attend) => Effect::Attend(attend),
                Output::Missing(missing) => {
                    self.recoverer.missing(&missing);
                    continue;
                }
            });
        }
        effects.extend(self.recoverer.due(now.monotonic, &self.watchdog).into_iter().map(Effect::Resend));
        self.log.commit();
        effects
    }

    /// How those that changed since they were told last stand, each with its place; at most `most`.
    pub fn touched(&mut self, now: Now, most: usize) -> Vec<(u32, Status)> {
        let touched = self.watchdog.touched(most);
        touched.into_iter().map(|index| (index, self.watchdog.status_at(now, index))).collect()
    }

    /// All that is known of one publisher.
    pub fn detail(&self, now: Now, publisher: &str) -> Option<Detail> {
        self.watchdog.detail(now, publisher)
    }

    /// Does not watch a publisher for a span, or until it is resumed. Returns whether there is one.
    pub fn pause(&mut self, now: Now, publisher: &str, span: Option<Duration>) -> bool {
        self.watchdog.pause(now, publisher, span)
    }

    /// Watches a publisher again. Returns whether it was paused.
    pub fn resume(&mut self, now: Now, publisher: &str) -> bool {
        self.watchdog.resume_watching(now, publisher)
    }

    /// Logs how a publisher stands.
    fn report(&mut self, now: Now, publisher: &str) {
        if let Some(status) = self.watchdog.status(now, publisher) {
            self.record(&Record::Status(status));
        }
    }

    /// Logs how the publishers from place `from` on stand, at most `count` of them; the place to go on from.
    pub fn report_some(&mut self, now: Now, from: usize, count: usize) -> usize {
        let statuses: Vec<_> = self.watchdog.statuses(now).skip(from).take(count).collect();
        let next = from + statuses.len();
        for status in statuses {
            self.record(&Record::Status(status));
        }
        self.log.commit();
        next
    }

    fn record(&mut self, record: &Record<'_>) {
        let (kind, body) = record.encode();
        self.keep(kind, &[&body]);
    }

    fn keep(&mut self, kind: u8, body: &[&[u8]]) {
        match self.log.append(kind, body) {
            Ok(_) => {}
            Err(AppendError::Full { .. } | AppendError::TooLarge { .. }) => {
                self.totals.not_kept += 1;
                if self.totals.not_kept.is_power_of_two() {
                    tracing::error!(
                        not_kept = self.totals.not_kept,
                        "the log takes no more: the disk is full or failing"
                    );
                }
            }
        }
    }
}
