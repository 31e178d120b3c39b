//! [`TransportError`]: what goes wrong with a transport and is not mended by trying again.

/// What goes wrong with a transport.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A URL that names no transport, or names one wrongly.
    #[error("{url}: {reason}")]
    Url {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A publisher that was given no broker.
    #[error("no broker is given")]
    NoBroker,
    /// A message that no subscriber would take.
    #[error("message on {topic:?} has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its topic.
        topic: String,
        /// Bytes in its payload.
        bytes: usize,
        /// Most bytes there may be.
        limit: usize,
    },
    /// ZeroMQ refuses something: an address in use, a name that can't be resolved.
    #[error("{place}: {doing}: {source}")]
    Zmq {
        /// The endpoint.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// ZeroMQ's reason.
        source: zmq::Error,
    },
    /// A key or a list of keys that is not as it should be.
    #[error("{place}: {reason}")]
    Key {
        /// The file, variable or option.
        place: String,
        /// What is wrong with it; no secret.
        reason: String,
    },
    /// The MQTT client refuses something.
    #[error("{place}: {doing}: {source}")]
    Mqtt {
        /// The endpoint, without its password.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// The client's reason.
        source: paho_mqtt::Error,
    },
    /// A certificate or key that TLS can't use.
    #[error("{place}: {reason}")]
    Tls {
        /// The endpoint, without its password.
        place: String,
        /// What is wrong, with the file's name.
        reason: String,
    },
    /// The MQTT broker doesn't let us in, and never did: a wrong user or password, or no right to connect.
    #[error("{place}: the broker refuses to let us in: {reason}")]
    Refused {
        /// The endpoint, without its password.
        place: String,
        /// The broker's reason.
        reason: String,
    },
    /// No port or thread to carry an MQTT link's bytes.
    #[error("{place}: can't carry its bytes: {source}")]
    Relay {
        /// The endpoint, without its password.
        place: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The machine has no thread left.
    #[error("{place}: can't start a thread: {source}")]
    Thread {
        /// The endpoint.
        place: String,
        /// The system's reason.
        source: std::io::Error,
    },
}
