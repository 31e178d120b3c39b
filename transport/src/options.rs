//! [`PublishOptions`] and [`SubscribeOptions`]: what both ends of a transport can be told.

use std::time::Duration;

use lastbeat_wire::{Kind, PING_PREFIX};

/// What a publisher's end is told.
#[derive(Debug, Clone)]
pub struct PublishOptions {
    /// The publisher's id; MQTT's client id is made of it.
    pub client: String,
    /// Topic and payload that an MQTT broker sends when it loses this publisher without a goodbye. ZeroMQ has no such
    /// thing and ignores it.
    pub will: Option<(String, Vec<u8>)>,
    /// How soon a dead link is noticed, about a fifth of the threshold. MQTT takes three times as long, 0.6 s to
    /// 3 min.
    pub keepalive: Duration,
    /// Most messages held here for a receiver that is slow (ZeroMQ, each peer) or has not acknowledged (MQTT); from
    /// there on nothing is taken. What ZeroMQ holds at the moment a link breaks is lost, so more is not better.
    pub high_water_mark: usize,
    /// Whether an MQTT broker is to keep what is sent, for whoever comes later. ZeroMQ keeps nothing.
    pub retain: bool,
    /// What to listen to at whichever MQTT broker this publisher is connected to, for
    /// [`Outbound::told`](crate::Outbound::told): topics or MQTT's filters, and one that ends in a slash stands for all that
    /// begin with it. ZeroMQ ignores it.
    pub listen: Vec<String>,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            client: "publisher".to_owned(),
            will: None,
            keepalive: Duration::from_secs(10),
            high_water_mark: 1_000,
            retain: false,
            listen: Vec::new(),
        }
    }
}

/// What a subscriber's end is told.
#[derive(Debug, Clone)]
pub struct SubscribeOptions {
    /// Names this subscriber to an MQTT broker, which keeps what arrives while it is away under this name.
    pub client: String,
    /// How soon a dead link is noticed, about a fifth of the threshold. MQTT takes three times as long, 0.6 s to
    /// 3 min.
    pub keepalive: Duration,
    /// What to receive: a topic that ends in a slash stands for all that begin with it, any other for itself alone.
    pub topics: Vec<String>,
    /// Most messages that ZeroMQ holds here, for each peer, while the channel is full; from there on the peer must wait.
    pub high_water_mark: usize,
    /// What an MQTT broker does with messages that come while this subscriber is away. ZeroMQ keeps none.
    pub session: Session,
    /// Whether to send messages to itself through an MQTT broker, on `canary/<client>`: so that one that takes connections and
    /// passes nothing on shows as a link that is down, and the way through it is measured ([`Arrival::RoundTrip`](crate::Arrival::RoundTrip)).
    pub canary: bool,
}

/// What an MQTT broker does with messages that come while a subscriber is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// It keeps them, under the subscriber's name.
    Kept,
    /// It keeps none, and forgets the subscriber when it goes.
    Clean,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            client: "subscriber".to_owned(),
            keepalive: Duration::from_secs(10),
            topics: Kind::ALL.into_iter().map(Kind::prefix).chain([PING_PREFIX]).map(str::to_owned).collect(),
            high_water_mark: 100_000,
            session: Session::Kept,
            canary: false,
        }
    }
}
