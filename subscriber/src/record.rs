//! [`Record`]: what stands in the log; written by the loop, read by every follower.
//!
//! A message is kept as it came. The bytes are little-endian:
//!
//! ```text
//! message  received_at i64 | flags u8 | clock | topic length u16 | topic | payload
//! refused  received_at i64 | flags u8 | clock | topic length u16 | topic | reason length u16 | reason | payload
//! others   JSON
//! clock    boot u32 | monotonic u64, where the flag for it is set
//! ```

use std::borrow::Cow;

use lastbeat_swarm::Judgement;
use lastbeat_watchdog::{BootClock, Flip, Notice, Status, Unwatched};
use lastbeat_wire::{Monotonic, UtcNanos};

const RETAINED: u8 = 1;
const LATE: u8 = 2;
const RESENT: u8 = 4;
const CLOCK: u8 = 8;

/// One thing that was taken in or found out.
#[derive(Debug, Clone, PartialEq)]
pub enum Record<'a> {
    /// A message as it came; its payload can be decoded.
    Message(Message<'a>),
    /// A message that could not be read, with the reason.
    Refused {
        /// The message as it came.
        message: Message<'a>,
        /// Why it could not be read.
        reason: Cow<'a, str>,
    },
    /// How a publisher stood at one instant: a point of the measurement `heartbeat`.
    Status(Status),
    /// A publisher's state changed.
    Flip(Flip),
    /// A time in which nobody watched.
    Unwatched(Unwatched),
    /// Something worth telling that changed no state.
    Notice(Notice),
    /// How a target or an agent of a swarm stands, when it changed.
    Judgement(Judgement),
}

impl Record<'_> {
    /// When this subscriber made it; a notice has no time of its own.
    pub fn time(&self) -> Option<UtcNanos> {
        match self {
            Self::Message(message) | Self::Refused { message, .. } => Some(message.received_at),
            Self::Status(status) => Some(status.at),
            Self::Flip(flip) => Some(flip.noticed_at),
            Self::Unwatched(span) => Some(span.to),
            Self::Judgement(Judgement::Target(target)) => Some(target.at),
            Self::Judgement(Judgement::Agent(agent)) => Some(agent.at),
            Self::Notice(_) => None,
        }
    }
}

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// When it was taken in. Strictly increasing over all messages of one subscriber.
    pub received_at: UtcNanos,
    /// When that was by the monotonic clock, which no step of the wall clock disturbs; `None` in the logs of early versions.
    pub clock: Option<BootClock>,
    /// Whether a broker had kept it: history, stored only if it bears its own time.
    pub retained: bool,
    /// Whether it was no sign of life any more when it came.
    pub late: bool,
    /// Whether it was asked for and sent again.
    pub resent: bool,
    /// The topic's bytes.
    pub topic: &'a [u8],
    /// The payload's bytes.
    pub payload: &'a [u8],
}

/// What stands in front of a message's topic.
#[derive(Debug, Clone, Copy)]
pub struct MessageHead {
    bytes: [u8; 23],
    length: usize,
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A kind this version does not know.
    #[error("record kind {0} is not known")]
    Kind(u8),
    /// Shorter than its own lengths say.
    #[error("record of kind {kind} is cut short at {bytes} bytes")]
    Short {
        /// Its kind.
        kind: u8,
        /// Its length.
        bytes: usize,
    },
    /// The JSON of one of the rarer kinds.
    #[error("record of kind {kind}: {source}")]
    Json {
        /// Its kind.
        kind: u8,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The kinds as the log has them.
pub mod kind {
    /// [`Record::Message`](super::Record::Message).
    pub const MESSAGE: u8 = 1;
    /// [`Record::Refused`](super::Record::Refused).
    pub const REFUSED: u8 = 2;
    /// [`Record::Status`](super::Record::Status).
    pub const STATUS: u8 = 3;
    /// [`Record::Flip`](super::Record::Flip).
    pub const FLIP: u8 = 4;
    /// [`Record::Unwatched`](super::Record::Unwatched).
    pub const UNWATCHED: u8 = 5;
    /// [`Record::Notice`](super::Record::Notice).
    pub const NOTICE: u8 = 6;
    /// [`Record::Judgement`](super::Record::Judgement).
    pub const JUDGEMENT: u8 = 7;
}

impl Message<'_> {
    /// The bytes in front of the topic: with them a message goes into the log without being copied first.
    ///
    /// # Panics
    /// If the topic is 64 KiB or longer; such a message is refused before it comes here, its topic cut.
    pub fn head(&self) -> MessageHead {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let flags = flag(self.retained, RETAINED) | flag(self.late, LATE) | flag(self.resent, RESENT);
        let flags = flags | flag(self.clock.is_some(), CLOCK);
        let length = u16::try_from(self.topic.len()).expect("invariant: topics are shorter than 64 KiB");
        let mut head = MessageHead { bytes: [0; 23], length: 0 };
        head.push(&self.received_at.0.to_le_bytes());
        head.push(&[flags]);
        if let Some(BootClock { boot, monotonic }) = self.clock {
            head.push(&boot.to_le_bytes());
            head.push(&monotonic.0.to_le_bytes());
        }
        head.push(&length.to_le_bytes());
        head
    }
}

impl MessageHead {
    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }
}

impl AsRef<[u8]> for MessageHead {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<'a> Record<'a> {
    /// The kind and the bytes of the body.
    ///
    /// # Panics
    /// Never: each part of a record has a JSON form.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        fn json(value: &impl serde::Serialize) -> Vec<u8> {
            serde_json::to_vec(value).expect("invariant: records have only string keys")
        }
        match self {
            Self::Message(message) => {
                (kind::MESSAGE, [message.head().as_ref(), message.topic, message.payload].concat())
            }
            Self::Refused { message, reason } => {
                let reason = &reason.as_bytes()[..reason.len().min(4096)];
                let length = u16::try_from(reason.len()).unwrap_or_default().to_le_bytes();
                let parts = [message.head().as_ref(), message.topic, &length, reason, message.payload].concat();
                (kind::REFUSED, parts)
            }
            Self::Status(status) => (kind::STATUS, json(status)),
            Self::Flip(flip) => (kind::FLIP, json(flip)),
            Self::Unwatched(span) => (kind::UNWATCHED, json(span)),
            Self::Notice(notice) => (kind::NOTICE, json(notice)),
            Self::Judgement(judgement) => (kind::JUDGEMENT, json(judgement)),
        }
    }

    /// Reads a record of the log.
    pub fn decode(kind: u8, body: &'a [u8]) -> Result<Self, RecordError> {
        let json = |source| RecordError::Json { kind, source };
        let short = || RecordError::Short { kind, bytes: body.len() };
        Ok(match kind {
            kind::MESSAGE => Self::Message(Message::decode(body).ok_or_else(short)?),
            kind::REFUSED => {
                let mut message = Message::decode(body).ok_or_else(short)?;
                let (reason, payload) = sized(message.payload).ok_or_else(short)?;
                message.payload = payload;
                Self::Refused { message, reason: String::from_utf8_lossy(reason) }
            }
            kind::STATUS => Self::Status(serde_json::from_slice(body).map_err(json)?),
            kind::FLIP => Self::Flip(serde_json::from_slice(body).map_err(json)?),
            kind::UNWATCHED => Self::Unwatched(serde_json::from_slice(body).map_err(json)?),
            kind::NOTICE => Self::Notice(serde_json::from_slice(body).map_err(json)?),
            kind::JUDGEMENT => Self::Judgement(serde_json::from_slice(body).map_err(json)?),
            other => return Err(RecordError::Kind(other)),
        })
    }
}

impl<'a> Message<'a> {
    fn decode(body: &'a [u8]) -> Option<Self> {
        let (time, rest) = body.split_first_chunk::<8>()?;
        let (flags, rest) = rest.split_first()?;
        let (clock, rest) = if flags & CLOCK == 0 {
            (None, rest)
        } else {
            let (boot, rest) = rest.split_first_chunk::<4>()?;
            let (monotonic, rest) = rest.split_first_chunk::<8>()?;
            let monotonic = Monotonic(u64::from_le_bytes(*monotonic));
            (Some(BootClock { boot: u32::from_le_bytes(*boot), monotonic }), rest)
        };
        let (topic, payload) = sized(rest)?;
        Some(Self {
            received_at: UtcNanos(i64::from_le_bytes(*time)),
            clock,
            retained: flags & RETAINED != 0,
            late: flags & LATE != 0,
            resent: flags & RESENT != 0,
            topic,
            payload,
        })
    }
}

/// Splits off bytes that have their length, a u16, in front.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_message_comes_back_as_it_went(
            time: i64, clock: Option<(u32, u64)>, flags: (bool, bool, bool), topic: Vec<u8>, payload: Vec<u8>, reason: String
        ) {
            let clock = clock.map(|(boot, monotonic)| BootClock { boot, monotonic: Monotonic(monotonic) });
            let (received_at, (retained, late, resent)) = (UtcNanos(time), flags);
            let message = Message { received_at, clock, retained, late, resent, topic: &topic, payload: &payload };
            let refused = Record::Refused { message, reason: reason.into() };
            for record in [Record::Message(message), refused] {
                let (kind, body) = record.encode();
                prop_assert_eq!(Record::decode(kind, &body).unwrap(), record);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(kind: u8, body: Vec<u8>) {
            let _ = Record::decode(kind, &body);
            let _ = Record::decode(kind % 8, &body);
        }
    }
}
