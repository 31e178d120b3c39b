//! What travels between publishers and subscribers: topics, messages and their bytes.
//!
//! Nothing here does I/O or reads a clock. Anyone may be a publisher: what must be sent, and what may be left out, is
//! written in `docs/PROTOCOL.md`; this crate is that page as code.

use std::time::Duration;

mod codec;
mod envelope;
mod error;
mod message;
mod ping;
mod plain;
mod process;
mod publisher;
mod resend;
mod target;
mod time;
mod topic;
mod value;

#[doc(hidden)]
pub use codec::decode_by_serde;
pub use codec::{Encoding, decode, encode};
pub use error::DecodeError;
pub use message::{Body, Header, Message, Reading};
pub use ping::{
    AGENT_PREFIX, PING_PREFIX, PingError, WATCH_TOPIC, agent, agent_name, decode_ping, encode_swarming, field,
};
pub use process::{BootId, HostId, ProcessIdentity};
pub use publisher::{InvalidPublisherId, PublisherId};
pub use resend::{Inbox, InvalidInbox, MAX_RESEND_BYTES, ResendError, ResendGone, ResendRequest, Resent, Wanted};
pub use target::{InvalidTarget, Probe, Target};
pub use time::{Monotonic, Now, UtcNanos};
pub use topic::{Kind, Topic, TopicError};
pub use value::{Fields, Value};

/// Most bytes a payload may have; a larger one is refused before it is parsed.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// How long a process lives on after its goodbye. A watchdog on its host sees its end at once, through a pidfd, while the
/// goodbye may still be on its way through a broker: an end before the goodbye looks like a death.
pub const LAST_BREATH: Duration = Duration::from_millis(200);
/// Most fields one reading may have.
pub const MAX_FIELDS: usize = 1024;
/// Most bytes the name of a field may have.
pub const MAX_FIELD_NAME_BYTES: usize = 255;
