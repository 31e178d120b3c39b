//! [`Message`]: what one publisher says at one time. It borrows from the bytes it was decoded from.

use std::borrow::Cow;

use crate::process::ProcessIdentity;
use crate::time::UtcNanos;
use crate::topic::Kind;
use crate::value::Fields;

/// A decoded message. Who it is from stands in its topic and nowhere else, so the two can't disagree.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message<'a> {
    /// What our own publishers say of themselves; empty for a foreign one.
    pub header: Header<'a>,
    /// What it says.
    pub body: Body<'a>,
    /// A report for people: what a job wrote, say. May be empty. Only where [`Kind::has_log`].
    pub log: Option<Cow<'a, str>>,
}

/// What a publisher says of itself with every message. Each part may be missing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Header<'a> {
    /// The process that sent it.
    pub process: Option<ProcessIdentity>,
    /// Its number: 0 for the first message of a process, one more for each further, whatever their kind.
    pub sequence: Option<u64>,
    /// Wall-clock time of sending, by the publisher's clock.
    pub sent_at: Option<UtcNanos>,
    /// Nanoseconds on the publisher's monotonic clock since its process started, at sending. Tells a message that waited
    /// somewhere from one that did not, even when a wall clock is stepped.
    pub uptime: Option<u64>,
    /// The name of the host, for people.
    pub host: Option<Cow<'a, str>>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Body<'a> {
    /// A row of fields.
    Reading(Reading<'a>),
    /// "I am alive".
    #[default]
    Beat,
    /// "I begin".
    Start,
    /// "My work failed".
    Fail,
    /// Goodbye: the publisher ends on purpose.
    Bye,
    /// The will: a broker lost the publisher's connection.
    Rip,
}

/// One row of named fields, taken at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading<'a> {
    /// The point's time in the databases. Absent: the time of sending, else that of arrival.
    pub time: Option<UtcNanos>,
    /// The time the row itself bears, where that is not the point's time: a replayed file's.
    pub row_time: Option<UtcNanos>,
    /// At least one field.
    pub fields: Fields<'a>,
}

impl Body<'_> {
    /// The kind of topic this body travels on.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Reading(_) => Kind::Sensor,
            Self::Beat => Kind::Beat,
            Self::Start => Kind::Start,
            Self::Fail => Kind::Fail,
            Self::Bye => Kind::Bye,
            Self::Rip => Kind::Rip,
        }
    }
}

impl Reading<'_> {
    /// The point's time in the databases: its own, else that of sending, else that of arrival.
    pub fn point_time(&self, header: &Header<'_>, received_at: UtcNanos) -> UtcNanos {
        self.time.or(header.sent_at).unwrap_or(received_at)
    }
}
