//! The lines of a capture: JSON, the first of them an [`Opening`], each further one a [`Line`].
//!
//! ```json
//! {"lastbeat_capture":1,"began":"2026-01-31T12:00:00Z","links":["mqtt://127.0.0.1:1883"]}
//! {"at":1200,"utc":1769860800000001200,"link":0,"state":"up"}
//! {"at":5200,"utc":1769860800000005200,"link":0,"topic":"beat/light-1","size":120,"process":{…},"seq":7,"sent":…,"up":…}
//! {"at":9900,"utc":1769860800000009900,"link":0,"state":"down","reason":"the peer is gone"}
//! {"at":9999,"utc":1769860800000009999,"end":true}
//! ```

use std::borrow::Cow;

use lastbeat_wire::{ProcessIdentity, UtcNanos};
use serde::{Deserialize, Serialize, Serializer};

/// The form that is written and read.
pub const VERSION: u32 = 1;
/// Of a topic that is none of ours, so many bytes are kept.
pub const TOPIC_BYTES: usize = 1024;
/// Longer than any line that is written: a topic of [`TOPIC_BYTES`] takes 6 KiB where each byte is escaped.
pub const LINE_BYTES: usize = 64 * 1024;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The form, [`VERSION`].
    pub lastbeat_capture: u32,
    /// When it began; `at` of the lines counts from here.
    #[serde(serialize_with = "as_text")]
    pub began: UtcNanos,
    /// The links, without their passwords; `link` of the lines is a place in it.
    #[serde(default)]
    pub links: Vec<String>,
}

/// One of the others: a message has a `topic`, a change of a link a `state`, the last one `end`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of its own in the line")]
pub struct Line<'a> {
    /// When it came: nanoseconds on the monotonic clock since the capture began.
    pub at: u64,
    /// The same by the wall clock.
    pub utc: UtcNanos,
    /// By which link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<u16>,
    /// The topic; of one that is none of ours the beginning, what is not UTF-8 as U+FFFD.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Cow<'a, str>>,
    /// Bytes of the payload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub size: u64,
    /// Whether a broker had kept it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retained: bool,
    /// Whether it was sent again because it had been missed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resent: bool,
    /// Whether its payload, or its topic, could not be read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unreadable: bool,
    /// Of its header the process, the number, and when it was sent by the publisher's two clocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessIdentity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<UtcNanos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<u64>,
    /// What became of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<LinkState>,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// Whether the capture was ended in order here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub end: bool,
}

/// Whether messages are heard on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    Up,
    Down,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_text<S: Serializer>(time: &UtcNanos, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
