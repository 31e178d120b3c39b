//! [`ResendRequest`]: asks publishers and brokers to send again what was lost on a ZeroMQ link; [`ResendGone`]: the answer
//! of a publisher that no longer has it. What is sent again travels as it was first sent, on topics of its own.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ProcessIdentity, PublisherId, Topic};

/// Most bytes a request or its answer may have: twice what the longest publisher id and process need.
pub const MAX_RESEND_BYTES: usize = 1024;
const VERSION: u64 = 1;
const PREFIX: &str = "resend/";
const GONE: &str = "gone/";

/// Where answers go: a number that each link of a subscriber makes at random. Written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inbox(pub u64);

/// What is to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Messages of one process, by their numbers.
    Range {
        /// Who sent them.
        publisher: PublisherId,
        /// Which process of it.
        process: ProcessIdentity,
        /// The first number.
        from: u64,
        /// One more than the last number; greater than `from`.
        to: u64,
    },
    /// The last message that is kept of each process of each publisher, so that what is missing before it shows.
    Last,
}

/// Asks for messages again. It goes up the link it names the inbox of, against the messages' direction, to everyone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResendRequest {
    /// Where the answers go.
    pub inbox: Inbox,
    /// What is wanted.
    pub wanted: Wanted,
}

/// The answer of a publisher that no longer has what is wanted. Who it is from stands in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResendGone {
    /// The process whose messages are gone.
    pub process: ProcessIdentity,
    /// The first number that is gone.
    pub from: u64,
    /// One more than the last; greater than `from`.
    pub to: u64,
}

/// What arrives in an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent<'a> {
    /// A message; its topic as it was first sent.
    Message(Topic<'a>),
    /// A [`ResendGone`] of this publisher; a valid id.
    Gone(&'a str),
}

/// What is wrong with a request, or with its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResendError {
    /// Longer than [`MAX_RESEND_BYTES`].
    #[error("resend: {bytes} bytes, at most {MAX_RESEND_BYTES} are taken")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A version this program does not know.
    #[error("resend: version {0}, only 1 is known")]
    Version(u64),
    /// Not JSON, or JSON of another shape.
    #[error("resend: bad JSON: {0}")]
    Json(String),
    /// A range of one publisher lacks something.
    #[error("resend: a publisher without {0:?}")]
    Lacks(&'static str),
    /// A range without a number in it.
    #[error("resend: the range from {from} to {to} (exclusive) is empty")]
    Empty {
        /// Its beginning.
        from: u64,
        /// Its end.
        to: u64,
    },
}

/// The structure on the wire, of both.
#[derive(Serialize, Deserialize)]
struct Envelope {
    lastbeat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox: Option<Inbox>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<PublisherId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessIdentity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
}

impl Inbox {
    /// What the topics of all answers begin with: the prefix to subscribe to.
    pub fn prefix(self) -> String {
        format!("{PREFIX}{self}/")
    }

    /// The topic on which a message is sent again; `topic` is that on which it was first sent.
    pub fn topic(self, topic: &str) -> String {
        format!("{PREFIX}{self}/{topic}")
    }

    /// The topic of a [`ResendGone`].
    pub fn gone_topic(self, publisher: &PublisherId) -> String {
        format!("{PREFIX}{self}/{GONE}{publisher}")
    }
}

impl<'a> Resent<'a> {
    /// Parses a topic as it stands behind [`Inbox::prefix`].
    ///
    /// # Errors
    /// As those of [`Topic::parse`].
    pub fn parse(topic: &'a [u8]) -> Result<Self, crate::TopicError> {
        match topic.strip_prefix(GONE.as_bytes()) {
            None => Ok(Self::Message(Topic::parse(topic)?)),
            Some(publisher) => Ok(Self::Gone(crate::topic::publisher(publisher)?)),
        }
    }
}

impl ResendRequest {
    /// Its bytes: JSON, at most [`MAX_RESEND_BYTES`] of it.
    pub fn encode(&self) -> Vec<u8> {
        let mut envelope = Envelope::new();
        envelope.inbox = Some(self.inbox);
        if let Wanted::Range { publisher, process, from, to } = &self.wanted {
            envelope.publisher = Some(publisher.clone());
            (envelope.process, envelope.from, envelope.to) = (Some(*process), Some(*from), Some(*to));
        }
        envelope.encode()
    }

    /// Reads what came up a link; it may be anything.
    ///
    /// # Errors
    /// Those of [`ResendError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ResendError> {
        let envelope = Envelope::decode(bytes)?;
        let inbox = envelope.inbox.ok_or(ResendError::Lacks("inbox"))?;
        let Some(publisher) = envelope.publisher.clone() else { return Ok(Self { inbox, wanted: Wanted::Last }) };
        let (process, from, to) = envelope.range()?;
        Ok(Self { inbox, wanted: Wanted::Range { publisher, process, from, to } })
    }
}

impl ResendGone {
    /// Its bytes: JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut envelope = Envelope::new();
        (envelope.process, envelope.from, envelope.to) = (Some(self.process), Some(self.from), Some(self.to));
        envelope.encode()
    }

    /// Reads the payload of a [`Resent::Gone`].
    ///
    /// # Errors
    /// Those of [`ResendError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ResendError> {
        let (process, from, to) = Envelope::decode(bytes)?.range()?;
        Ok(Self { process, from, to })
    }
}

impl Envelope {
    fn new() -> Self {
        Self { lastbeat: VERSION, inbox: None, publisher: None, process: None, from: None, to: None }
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: the structure has only string keys")
    }

    fn decode(bytes: &[u8]) -> Result<Self, ResendError> {
        if bytes.len() > MAX_RESEND_BYTES {
            return Err(ResendError::TooLarge { bytes: bytes.len() });
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|error| ResendError::Json(error.to_string()))?;
        if envelope.lastbeat == VERSION { Ok(envelope) } else { Err(ResendError::Version(envelope.lastbeat)) }
    }

    fn range(&self) -> Result<(ProcessIdentity, u64, u64), ResendError> {
        let process = self.process.ok_or(ResendError::Lacks("process"))?;
        let from = self.from.ok_or(ResendError::Lacks("from"))?;
        let to = self.to.ok_or(ResendError::Lacks("to"))?;
        if from < to { Ok((process, from, to)) } else { Err(ResendError::Empty { from, to }) }
    }
}

impl fmt::Display for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a text is no inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an inbox is 16 hexadecimal digits, in lower case")]
pub struct InvalidInbox;

impl FromStr for Inbox {
    type Err = InvalidInbox;
    /// In one form only: answers are subscribed to by it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(InvalidInbox);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidInbox)
    }
}

impl Serialize for Inbox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Inbox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &"16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BootId, HostId};

    const INBOX: Inbox = Inbox(0x9f86_d081_884c_7d65);

    fn process() -> ProcessIdentity {
        ProcessIdentity { host: HostId(0xabc), boot: BootId(0xdef), pid_namespace: 1, pid: 42, start: 7 }
    }

    fn range() -> ResendRequest {
        let publisher = "light-1".parse().unwrap();
        ResendRequest { inbox: INBOX, wanted: Wanted::Range { publisher, process: process(), from: 12, to: 20 } }
    }

    #[test]
    fn json_bytes_are_these() {
        assert_eq!(
            String::from_utf8(range().encode()).unwrap(),
            r#"{"lastbeat":1,"inbox":"9f86d081884c7d65","publisher":"light-1","process":{"host":"0000000000000abc","boot":"00000000000000000000000000000def","pidns":1,"pid":42,"start":7},"from":12,"to":20}"#
        );
        let last = ResendRequest { inbox: INBOX, wanted: Wanted::Last };
        assert_eq!(last.encode(), br#"{"lastbeat":1,"inbox":"9f86d081884c7d65"}"#);
        let gone = ResendGone { process: process(), from: 3, to: 4 };
        assert_eq!(
            String::from_utf8(gone.encode()).unwrap(),
            r#"{"lastbeat":1,"process":{"host":"0000000000000abc","boot":"00000000000000000000000000000def","pidns":1,"pid":42,"start":7},"from":3,"to":4}"#
        );
    }

    #[test]
    fn topics_are_told_apart_behind_the_inbox() {
        let publisher: PublisherId = "house/1".parse().unwrap();
        let behind = |topic: &str| topic.strip_prefix(&INBOX.prefix()).unwrap().to_owned();
        let message = behind(&INBOX.topic("sensor/house/1"));
        assert!(
            matches!(Resent::parse(message.as_bytes()), Ok(Resent::Message(topic)) if topic.publisher == "house/1")
        );
        let gone = behind(&INBOX.gone_topic(&publisher));
        assert_eq!(Resent::parse(gone.as_bytes()), Ok(Resent::Gone("house/1")));
        for bad in [&b"gone/"[..], b"gone/\xff", b"gone/a//b", b"", b"resend/x"] {
            assert!(Resent::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_name_the_place_and_the_value() {
        let error = |json: &str| ResendRequest::decode(json.as_bytes()).unwrap_err().to_string();
        let text = String::from_utf8(range().encode()).unwrap();
        assert!(error("").contains("line 1 column 0"));
        assert!(error(r#"{"lastbeat":2,"inbox":"9f86d081884c7d65"}"#).contains("version 2"));
        assert!(error(r#"{"lastbeat":1}"#).contains("inbox"));
        for inbox in ["9F86d081884c7d65", "9f86", "+f86d081884c7d65", "éééééééé"] {
            assert!(error(&text.replace("9f86d081884c7d65", inbox)).contains(inbox), "{inbox}");
        }
        assert!(error(&text.replace("light-1", "a//b")).contains("a//b"));
        assert!(error(&text.replace(",\"to\":20", "")).contains("\"to\""));
        assert!(error(&text.replace(":20", ":12")).contains("from 12 to 12"));
        assert!(error(&" ".repeat(MAX_RESEND_BYTES + 1)).contains("1025 bytes"));
    }

    #[test]
    fn the_longest_request_is_taken() {
        let process = ProcessIdentity {
            host: HostId(u64::MAX),
            boot: BootId(u128::MAX),
            pid_namespace: u64::MAX,
            pid: u32::MAX,
            start: u64::MAX,
        };
        let publisher = "\\".repeat(200).parse().unwrap();
        let wanted = Wanted::Range { publisher, process, from: u64::MAX - 1, to: u64::MAX };
        let request = ResendRequest { inbox: Inbox(u64::MAX), wanted };
        assert_eq!(ResendRequest::decode(&request.encode()), Ok(request));
    }
}
