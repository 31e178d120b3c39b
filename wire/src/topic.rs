//! [`Topic`]: `sensor/<publisher>`, `beat/<publisher>`, and so on: what a message is, and who it is from.

use std::fmt;

use crate::publisher::{InvalidPublisherId, PublisherId};

/// What a message on a topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A row of fields.
    Sensor,
    /// "I am alive", sent by the publisher at its own interval.
    Beat,
    /// A job begins. A sign of life that does not make a failure good.
    Start,
    /// A job says that its work failed.
    Fail,
    /// Goodbye, sent by the publisher when it ends on purpose.
    Bye,
    /// The will: sent by an MQTT broker that lost the publisher's connection without a goodbye.
    Rip,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 6] = [Self::Sensor, Self::Beat, Self::Start, Self::Fail, Self::Bye, Self::Rip];

    /// What its topics start with, slash and all: the prefix to subscribe to.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Sensor => "sensor/",
            Self::Beat => "beat/",
            Self::Start => "start/",
            Self::Fail => "fail/",
            Self::Bye => "bye/",
            Self::Rip => "rip/",
        }
    }

    /// The kind as one word: its prefix without the slash.
    pub fn word(self) -> &'static str {
        self.prefix().trim_end_matches('/')
    }

    /// Whether its messages may carry a report for people, [`Message::log`](crate::Message::log).
    pub fn has_log(self) -> bool {
        matches!(self, Self::Beat | Self::Start | Self::Fail | Self::Bye)
    }

    /// The topic of this kind for one publisher.
    pub fn topic(self, publisher: &PublisherId) -> String {
        format!("{}{publisher}", self.prefix())
    }
}

/// A parsed topic; borrows from the bytes it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic<'a> {
    /// What the message is.
    pub kind: Kind,
    /// Who it is from; a valid [`PublisherId`].
    pub publisher: &'a str,
}

/// Why bytes are no topic of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// None of the prefixes; holds the topic's start.
    #[error("topic {0:?} starts with none of {prefixes}", prefixes = Kind::ALL.map(Kind::prefix).join(", "))]
    Prefix(String),
    /// The part after the prefix is no publisher id.
    #[error("topic: {0}")]
    Publisher(#[from] InvalidPublisherId),
}

impl<'a> Topic<'a> {
    /// Parses a topic as it came from a transport.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TopicError> {
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| bytes.starts_with(kind.prefix().as_bytes()))
            .ok_or_else(|| TopicError::Prefix(shown()))?;
        Ok(Self { kind, publisher: publisher(&bytes[kind.prefix().len()..])? })
    }
}

/// The publisher's id as it ends a topic.
pub(crate) fn publisher(bytes: &[u8]) -> Result<&str, InvalidPublisherId> {
    let publisher = std::str::from_utf8(bytes).map_err(|_| {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
        InvalidPublisherId { id: shown, reason: "is not UTF-8" }
    })?;
    PublisherId::check(publisher)?;
    Ok(publisher)
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.prefix(), self.publisher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_each_kind() {
        for kind in Kind::ALL {
            let text = kind.topic(&"house/10".parse().unwrap());
            assert_eq!(Topic::parse(text.as_bytes()).unwrap(), Topic { kind, publisher: "house/10" });
        }
    }

    #[test]
    fn refuses_other_topics_by_name() {
        assert!(matches!(Topic::parse(b"sensors/1"), Err(TopicError::Prefix(topic)) if topic == "sensors/1"));
        assert!(matches!(Topic::parse(b"sensor/"), Err(TopicError::Publisher(_))));
        assert!(matches!(Topic::parse(b"beat/\xff"), Err(TopicError::Publisher(_))));
        assert!(matches!(Topic::parse(b""), Err(TopicError::Prefix(_))));
    }
}
