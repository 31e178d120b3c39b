//! How messages travel: ZeroMQ, MQTT, or memory, chosen by URL. Knows nothing of what the bytes mean.
//!
//! A transport is one file with two ends: an [`Outbound`] for a publisher, and a thread that fills batches for a
//! subscriber (see [`Incoming`]). `docs/ARCHITECTURE.md` says what adding one takes.

mod asking;
mod backoff;
mod batch;
mod endpoint;
mod error;
mod filter;
pub mod memory;
mod mqtt;
mod options;
mod outbound;
mod subscription;
mod waiting;
pub mod zeromq;

use tokio::sync::mpsc::Sender;

pub use asking::Asker;
pub use batch::{Arrival, Batch, Delivery, Incoming, LinkIndex, Receipt};
pub use endpoint::{ClientCertificate, Endpoint, MqttEndpoint, Password, Security, Tls, Way, ZmqEndpoint};
pub use error::TransportError;
#[doc(hidden)]
pub use mqtt::packets::{Malformed, Packet, Packets, Publish};
pub use options::{PublishOptions, Session, SubscribeOptions};
pub use outbound::{Handed, Outbound, Told, Unsent};
pub use subscription::Subscription;

/// Opens a publisher's end. A peer that isn't there yet is no error: it is tried again for as long as the end lives.
///
/// # Errors
/// What trying again can't mend: an address that can't be bound, options that the transport refuses.
pub fn publish(endpoint: &Endpoint, options: PublishOptions) -> Result<Box<dyn Outbound>, TransportError> {
    match endpoint {
        Endpoint::Zmq(zmq) => zeromq::publish(zmq, &options),
        Endpoint::Mqtt(mqtt) => mqtt::publish(std::slice::from_ref(mqtt), options),
        Endpoint::Memory(name) => Ok(memory::publish(name, &options)),
    }
}

/// Opens a publisher's end over several MQTT brokers, of which it is connected to one at a time: the first that lets it in, in
/// the order given. When that one is gone it goes on to the next at once, and from the last to the first, and sends again what
/// the old one had not acknowledged; once none could be reached it waits before it tries them again. One that refuses a
/// password is let be for a minute; that all refuse it is an error only where none has let this end in before.
///
/// # Errors
/// What trying again can't mend: no broker, or one whose URL is not MQTT; a file of its TLS that can't be used; options that
/// the transport refuses.
pub fn publish_to_one_of(endpoints: &[Endpoint], options: PublishOptions) -> Result<Box<dyn Outbound>, TransportError> {
    let mqtt = |endpoint: &Endpoint| match endpoint {
        Endpoint::Mqtt(mqtt) => Ok(mqtt.clone()),
        Endpoint::Zmq(_) | Endpoint::Memory(_) => Err(TransportError::Url {
            url: endpoint.to_string(),
            reason: "is not MQTT: only of mqtt:// and mqtts:// brokers may there be several to go to".to_owned(),
        }),
    };
    let brokers: Vec<_> = endpoints.iter().map(mqtt).collect::<Result<_, _>>()?;
    if brokers.is_empty() {
        return Err(TransportError::NoBroker);
    }
    mqtt::publish(&brokers, options)
}

/// Opens a subscriber's end. From now on `incoming` gets what happens on the link, marked with `link`; while it is full,
/// nothing is read. A peer that isn't there yet is no error but an [`Arrival::Down`], and is tried again.
///
/// # Errors
/// What trying again can't mend: an address that can't be bound, options that the transport refuses.
pub fn subscribe(
    endpoint: &Endpoint,
    options: SubscribeOptions,
    link: LinkIndex,
    incoming: Sender<Incoming>,
) -> Result<Subscription, TransportError> {
    match endpoint {
        Endpoint::Zmq(zmq) => zeromq::subscribe(zmq, &options, link, incoming),
        Endpoint::Mqtt(mqtt) => mqtt::subscribe(mqtt, options, link, incoming),
        Endpoint::Memory(name) => Ok(memory::subscribe(name, options, link, incoming)),
    }
}
