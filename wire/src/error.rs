//! Why a message could not be read; each variant names the place and the value.

/// What is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A reading needs at least one field.
    #[error("a reading without fields")]
    Empty,
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`](crate::MAX_PAYLOAD_BYTES).
    #[error("payload of {bytes} bytes, at most {} are taken", crate::MAX_PAYLOAD_BYTES)]
    TooLarge {
        /// Length of the payload.
        bytes: usize,
    },
    /// The envelope is of a version this program does not know.
    #[error("envelope version {0}, only 1 is known")]
    Version(u64),
    /// Not JSON, or JSON of another shape.
    #[error("bad JSON: {0}")]
    Json(String),
    /// Not MessagePack, or MessagePack of another shape.
    #[error("bad MessagePack: {0}")]
    MessagePack(String),
}
