//! [`Intake`]: what becomes of each event: the watchdog hears of it, the log keeps it, and what follows is handed out.
//!
//! It owns the watchdog and the log's writing end, and is given `now`; it waits for nothing.

mod pings;

use std::borrow::Cow;
use std::time::Duration;

use lastbeat_log::{AppendError, Log, Position};
use lastbeat_swarm::{Judgement, Swarm};
use lastbeat_transport::{Batch, Delivery, LinkIndex};
use lastbeat_watchdog::{
    Attend, BootClock, Detail, Evidence, Flip, Heard, LinkNumber, Notice, Output, Question, Reception, State, Status,
    Unwatched, Watchdog,
};
use lastbeat_wire::{
    Body, Header, Monotonic, Now, ProcessIdentity, PublisherId, ResendGone, Resent, Topic, UtcNanos, decode,
};

pub use pings::Came;

use crate::pace::{Chunk, Quiet};
use crate::record::{Message, Record, kind};
use crate::recover::{Ask, Recoverer, Recovery};
use crate::refusals::{Reason, Refusals, RefusedBy, Teller};
use crate::vocabulary::{News, TooMany, Vocabulary};

/// Of a message that can't be read, so many bytes are kept.
const REFUSED_PAYLOAD_BYTES: usize = 64 * 1024;
/// Of a reason so many characters are told in the log; the store has more of it.
const TOLD_CHARACTERS: usize = 300;

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that came, of every sort.
    pub messages: u64,
    /// Messages that could not be read, kept with the reason.
    pub refused: u64,
    /// These by their reasons.
    pub refused_by: RefusedBy,
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
    /// Tell people.
    Judgement(Judgement),
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

/// What the intake appends to: the log, or a simulated one.
pub trait Journal {
    /// Appends a record in memory, see [`Log::append`].
    fn append(&mut self, kind: u8, body: &[&[u8]]) -> Result<Position, AppendError>;
    /// Hands what was appended to the writer, see [`Log::commit`].
    fn commit(&mut self);
    /// Where the next record will stand.
    fn end(&self) -> Position;
    /// Bytes that wait for the disk.
    fn pending_bytes(&self) -> u64;
}

impl Journal for Log {
    fn append(&mut self, kind: u8, body: &[&[u8]]) -> Result<Position, AppendError> {
        Log::append(self, kind, body)
    }

    fn commit(&mut self) {
        Log::commit(self);
    }

    fn end(&self) -> Position {
        Log::end(self)
    }

    fn pending_bytes(&self) -> u64 {
        Log::pending_bytes(self)
    }
}

/// The watchdog and the log, fed with events.
#[derive(Debug)]
pub struct Intake<J = Log> {
    watchdog: Watchdog,
    recoverer: Recoverer,
    /// What agents find out about their targets.
    swarm: Swarm,
    log: J,
    totals: Totals,
    refusals: Refusals,
    /// Tells of publishers beyond the most that may be.
    too_many: Teller,
    vocabulary: Vocabulary,
    quiet: Quiet,
    last_received: UtcNanos,
    /// Most bytes that may wait for the disk.
    pending_bytes: u64,
}

impl<J: Journal> Intake<J> {
    /// Takes over a watchdog that has begun, and an open log that holds at most `pending_bytes` in memory; `askable` tells
    /// of each link whether what was lost on it can be asked for.
    pub fn new(watchdog: Watchdog, log: J, pending_bytes: u64, askable: impl IntoIterator<Item = bool>) -> Self {
        let vocabulary = Vocabulary::new(watchdog.max_publishers());
        let mut recoverer = Recoverer::new(askable);
        watchdog.missing().for_each(|missing| recoverer.missing(&missing));
        Self {
            watchdog,
            recoverer,
            swarm: Swarm::default(),
            log,
            totals: Totals::default(),
            refusals: Refusals::default(),
            too_many: Teller::default(),
            vocabulary,
            quiet: Quiet::default(),
            last_received: UtcNanos(i64::MIN),
            pending_bytes,
        }
    }

    /// The same with what agents have found out.
    #[must_use]
    pub fn judging(mut self, swarm: Swarm) -> Self {
        self.swarm = swarm;
        self
    }

    /// What agents find out about their targets.
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// Who is alive.
    pub fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// What was counted.
    pub fn totals(&self) -> Totals {
        Totals { refused_by: self.refusals.by(), recovery: self.recoverer.counted(), ..self.totals }
    }

    /// When [`settle`](Self::settle) is to be called next.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.watchdog.next_deadline().into_iter().chain(self.recoverer.next()).chain(self.judged_next()).min()
    }

    /// The log.
    pub fn log(&self) -> &J {
        &self.log
    }

    /// Gives the watchdog, the swarm and the log back, the log to be closed.
    pub fn into_parts(self) -> (Watchdog, Swarm, J) {
        (self.watchdog, self.swarm, self.log)
    }

    /// Takes messages in; the position of the last record if all of them are in the log, so that they can be
    /// acknowledged once it is written.
    pub fn take(&mut self, now: Now, link: LinkIndex, batch: &Batch) -> Option<Position> {
        // A message that the log won't take must not count as having come: the broker will deliver it again.
        let overhead = 64 * batch.len() as u64;
        let room = self.log.pending_bytes() + batch.byte_len() as u64 + overhead <= self.pending_bytes;
        self.malformed(now, link, batch.malformed);
        for delivery in batch.iter() {
            self.totals.messages += 1;
            if !self.ping(now, link, delivery, room) {
                self.message(now, link, delivery, room);
            }
        }
        self.log.commit();
        room.then(|| self.log.end())
    }

    /// Takes one message in.
    fn message(&mut self, now: Now, link: LinkIndex, delivery: Delivery<'_>, room: bool) {
        let received_at = self.received_at(now);
        let topic = match Topic::parse(delivery.topic) {
            Ok(topic) => topic,
            Err(_) if delivery.resent => {
                self.gone(now, delivery);
                return;
            }
            Err(error) => {
                self.refuse(now, link, delivery, Reason::Topic, &error.to_string());
                self.keep_refused(now, received_at, delivery, &error.to_string(), room);
                return;
            }
        };
        let decoded = decode(topic.kind, delivery.payload);
        let taken = match &decoded {
            Ok(message) => {
                self.news(topic.publisher, &message.body).map_err(|error| (Reason::Fields, error.to_string()))
            }
            Err(error) => Err((Reason::of(error), error.to_string())),
        };
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
                readable: taken.is_ok(),
                header,
                log: decoded.as_ref().ok().and_then(|message| message.log.as_deref()),
            },
        );
        if let (true, Ok(message)) = (taken.is_ok(), &decoded) {
            let (publisher, link) = (topic.publisher, Some(LinkNumber(link.0)));
            let came = Came { publisher, at: now.monotonic.into(), now, link, reception };
            came.see(&mut self.swarm, now, &self.watchdog, &message.header, &message.body);
        }
        match reception {
            // Asked twice and answered by two, it comes more than once.
            Reception::Duplicate if delivery.resent => {}
            Reception::Duplicate => self.totals.duplicates += 1,
            Reception::TooManyPublishers => self.beyond(now, link, topic.publisher),
            Reception::Live | Reception::Late | Reception::Retained => match taken {
                Ok(_) if !room => self.turn_away(),
                Ok(news) => {
                    if let (Some(news), Some(place)) = (news, self.watchdog.place(topic.publisher)) {
                        self.vocabulary.learn(place, news);
                    }
                    let late = reception == Reception::Late;
                    if let (true, Some(process)) = (delivery.resent, header.process) {
                        self.recoverer.came(now.monotonic, topic.publisher, process, &self.watchdog);
                    }
                    let Delivery { topic, payload, retained, resent } = delivery;
                    let clock = self.boot_clock(now);
                    let message = Message { received_at, clock, retained, late, resent, topic, payload };
                    self.keep(kind::MESSAGE, &[message.head().as_ref(), topic, payload]);
                }
                Err((reason, error)) => {
                    self.refuse(now, link, delivery, reason, &error);
                    self.keep_refused(now, received_at, delivery, &error, room);
                }
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

    /// What fields a reading has that its publisher has not had before.
    fn news(&self, publisher: &str, body: &Body<'_>) -> Result<Option<News>, TooMany> {
        match body {
            Body::Reading(reading) => self.vocabulary.news(self.watchdog.place(publisher), &reading.fields),
            _ => Ok(None),
        }
    }

    /// Counts a message that can't be taken in, and tells of it: which, by which link, why.
    fn refuse(&mut self, now: Now, link: LinkIndex, delivery: Delivery<'_>, reason: Reason, error: &str) {
        self.totals.refused += 1;
        if let Some(count) = self.refusals.count(now.monotonic, reason, 1) {
            let topic = String::from_utf8_lossy(&delivery.topic[..delivery.topic.len().min(256)]);
            let link = self.watchdog.link_name(LinkNumber(link.0));
            let error: String = error.chars().take(TOLD_CHARACTERS).collect();
            let reason = reason.word();
            tracing::warn!(?topic, link, reason, count, "a message can't be read: {error}");
        }
    }

    /// Counts what a transport could not make messages of.
    fn malformed(&mut self, now: Now, link: LinkIndex, messages: u64) {
        if messages > 0 {
            self.totals.messages += messages;
            self.totals.refused += messages;
            if let Some(count) = self.refusals.count(now.monotonic, Reason::Frames, messages) {
                let link = self.watchdog.link_name(LinkNumber(link.0));
                let reason = Reason::Frames.word();
                tracing::warn!(link, reason, count, "messages that do not have two frames are dropped");
            }
        }
    }

    /// Counts a message of a publisher beyond the most that may be, and tells who it was.
    fn beyond(&mut self, now: Now, link: LinkIndex, publisher: &str) {
        self.totals.unknown += 1;
        if let Some(count) = self.too_many.happened(now.monotonic, 1) {
            let (link, most) = (self.watchdog.link_name(LinkNumber(link.0)), self.watchdog.max_publishers());
            tracing::warn!(publisher, link, count, "not watched: there are {most} publishers (max_publishers)");
        }
    }

    /// Keeps a message that can't be taken in, with the reason.
    fn keep_refused(&mut self, now: Now, received_at: UtcNanos, delivery: Delivery<'_>, reason: &str, room: bool) {
        if room {
            let topic = &delivery.topic[..delivery.topic.len().min(1024)];
            let payload = &delivery.payload[..delivery.payload.len().min(REFUSED_PAYLOAD_BYTES)];
            let (clock, retained) = (self.boot_clock(now), delivery.retained);
            let message = Message { received_at, clock, retained, late: false, resent: false, topic, payload };
            self.record(&Record::Refused { message, reason: Cow::Borrowed(reason) });
        } else {
            self.turn_away();
        }
    }

    /// The monotonic clock, where it is known of which boot it is.
    fn boot_clock(&self, now: Now) -> Option<BootClock> {
        self.watchdog.boot().map(|boot| BootClock::of(boot, now.monotonic))
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

    /// Nothing was taken in since `from`.
    pub fn stalled(&mut self, now: Now, from: UtcNanos, reason: &str) {
        self.watchdog.stalled(now, from, reason);
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
        effects.extend(self.judge(now));
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

    /// Logs how those publishers stand whose turn it is and of whom there is something new, or has long been nothing.
    pub fn report_some(&mut self, now: Now, chunk: &Chunk) {
        let end = chunk.places.end.min(self.watchdog.len());
        for place in chunk.places.start..end {
            let index = u32::try_from(place).expect("invariant: max_publishers is checked to be below 2^32");
            let is_news = self.watchdog.news_of(index);
            let is_due = if !is_news && self.watchdog.is_alive(index) {
                chunk.is_turn_of_alive(place)
            } else {
                self.quiet.is_due(place, chunk.round, chunk.longest, is_news)
            };
            if is_due {
                self.record(&Record::Status(self.watchdog.status_at(now, index)));
            }
        }
        self.log.commit();
    }

    fn record(&mut self, record: &Record<'_>) {
        let (kind, body) = record.encode();
        self.keep(kind, &[&body]);
    }

    fn keep(&mut self, kind: u8, body: &[&[u8]]) {
        match self.log.append(kind, body) {
            Ok(_) => {}
            Err(AppendError::Full { .. } | AppendError::TooLarge { .. }) => self.turn_away(),
        }
    }

    /// A message that is not acknowledged must not be kept either: it comes again, and would be there twice.
    fn turn_away(&mut self) {
        self.totals.not_kept += 1;
        if self.totals.not_kept.is_power_of_two() {
            tracing::error!(not_kept = self.totals.not_kept, "the log takes no more: the disk is full or failing");
        }
    }
}
