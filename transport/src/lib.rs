//! How messages travel: ZeroMQ, MQTT, or memory, chosen by URL. Knows nothing of what the bytes mean.
//!
//! A transport is one file with two ends: an [`Outbound`] for a publisher, and a thread that fills batches for a
//! subscriber (see [`Incoming`]). `docs/ARCHITECTURE.md` says what adding one takes.

mod batch;
mod outbound;

pub use batch::{Arrival, Batch, Delivery, Incoming, LinkIndex, Receipt};
pub use outbound::{Handed, Outbound, Unsent};

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
}
