//! [`Outbound`]: a publisher's end of a transport.

use std::time::Duration;

use lastbeat_wire::{MAX_PAYLOAD_BYTES, ResendRequest};

use crate::TransportError;

/// Whether a message was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The transport has it now and will deliver it, or deliver it again, as long as this process lives.
    Taken,
    /// Nobody to give it to, or no room: the caller keeps it and tries again after [`Outbound::wait_ready`].
    NotNow,
}

/// How many messages were taken but had not left when the transport was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsent(pub u64);

/// What came on a topic that a publisher listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Where it was sent.
    pub topic: String,
    /// A mebibyte at most; what is larger is passed over.
    pub payload: Vec<u8>,
    /// Whether the broker kept it from earlier.
    pub retained: bool,
}

/// A publisher's end of a transport. It reconnects by itself, with capped backoff and jitter, for as long as it lives.
pub trait Outbound: Send {
    /// Hands one message over, without waiting.
    ///
    /// # Errors
    /// Only what trying again can't mend: a message too large, a password refused.
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError>;

    /// Waits until [`try_send`](Self::try_send) may succeed for `topic`, at most `limit`; whether it may.
    fn wait_ready(&mut self, topic: &str, limit: Duration) -> bool;

    /// What subscribers ask to be sent again, on topics of [`Inbox`](lastbeat_wire::Inbox): ranges of this publisher
    /// ([`PublishOptions::client`](crate::PublishOptions::client)), and everyone's last. Each request is given once, the
    /// oldest first; of too many the oldest are passed over. Never waits; empty where the transport acknowledges.
    fn requests(&mut self) -> Vec<ResendRequest> {
        Vec::new()
    }

    /// What came on the topics of [`PublishOptions::listen`](crate::PublishOptions::listen), the oldest first, each once. Of more
    /// than 64, or than two mebibytes, the oldest are passed over. Never waits, and nothing wakes who waits for it; empty where
    /// the transport is not MQTT.
    fn told(&mut self) -> Vec<Told> {
        Vec::new()
    }

    /// For people: the broker it is connected to now, its URL without the password. `None` while there is none, and where the
    /// transport is not MQTT.
    fn peer(&self) -> Option<String> {
        None
    }

    /// Of all messages taken so far, counted from the first in their order, how many the caller need not keep: those
    /// that the broker has acknowledged and all before them (MQTT), or all (ZeroMQ, which knows no more of them).
    fn settled(&mut self) -> u64;

    /// Waits until all that was taken has left this host's hands (ZeroMQ) or was acknowledged (MQTT), at most `limit`,
    /// and closes.
    fn close(self: Box<Self>, limit: Duration) -> Unsent;
}

/// Refuses what no subscriber would take.
pub(crate) fn check_size(topic: &str, payload: &[u8]) -> Result<(), TransportError> {
    let (bytes, limit) = (payload.len(), MAX_PAYLOAD_BYTES);
    if bytes > limit {
        return Err(TransportError::TooLarge { topic: topic.to_owned(), bytes, limit });
    }
    Ok(())
}
