//! [`Batch`]: messages on their way from a transport's thread to the subscriber's loop, without an allocation for each.

use std::time::Duration;

use tokio::sync::oneshot;

/// Which of a subscriber's links something came by: its place in the order the links were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkIndex(pub u16);

/// One thing that a link has to say.
#[derive(Debug)]
pub struct Incoming {
    /// Which link.
    pub link: LinkIndex,
    /// What happened on it.
    pub arrival: Arrival,
}

/// What happens on a link.
#[derive(Debug)]
pub enum Arrival {
    /// The link works: from now on messages would be heard.
    Up,
    /// The link is lost: until the next [`Arrival::Up`] silence means nothing.
    Down {
        /// What was seen, for people.
        reason: String,
    },
    /// How long a message of our own took through the broker and back.
    RoundTrip(Duration),
    /// Messages, in the order they came.
    Batch(Batch),
}

/// Messages in the order they came, in one buffer.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Set by a transport that acknowledges: what to do when the batch is safe.
    pub receipt: Option<Receipt>,
    /// What came beside these and could not be made messages of; dropped, and to be counted.
    pub malformed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    topic_len: u32,
    payload_len: u32,
    retained: bool,
    resent: bool,
}

/// One message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The topic's bytes.
    pub topic: &'a [u8],
    /// The payload's bytes.
    pub payload: &'a [u8],
    /// Whether the broker kept it from earlier: history, never a sign of life.
    pub retained: bool,
    /// Whether it was asked for and sent again: it says what was, never that somebody is alive now. Its topic is then
    /// as it was first sent, or begins with `gone/`: see [`Resent`](lastbeat_wire::Resent).
    pub resent: bool,
}

/// Tells the transport that a batch is in the log. Dropping it instead says that it is not: the transport then does not
/// acknowledge, and the broker delivers again.
#[derive(Debug)]
pub struct Receipt(oneshot::Sender<()>);

impl Receipt {
    /// A receipt, and the end on which the transport waits for it.
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// The batch is safe.
    pub fn give(self) {
        // A transport that stopped waiting will have the batch delivered again; that is its right.
        let _ = self.0.send(());
    }
}

impl Batch {
    /// A batch of one message, and the end on which its receipt is waited for.
    pub fn with_receipt(delivery: Delivery<'_>) -> (Self, oneshot::Receiver<()>) {
        let (receipt, given) = Receipt::new();
        let mut batch = Self { receipt: Some(receipt), ..Self::default() };
        batch.push(delivery);
        (batch, given)
    }

    /// Adds a message.
    ///
    /// # Panics
    /// If a topic or payload is 4 GiB or longer; transports refuse such messages.
    pub fn push(&mut self, delivery: Delivery<'_>) {
        self.bytes.extend_from_slice(delivery.topic);
        self.bytes.extend_from_slice(delivery.payload);
        let length =
            |bytes: &[u8]| u32::try_from(bytes.len()).expect("invariant: transports bound the size of a message");
        self.entries.push(Entry {
            topic_len: length(delivery.topic),
            payload_len: length(delivery.payload),
            retained: delivery.retained,
            resent: delivery.resent,
        });
    }

    /// The messages in order.
    pub fn iter(&self) -> impl Iterator<Item = Delivery<'_>> {
        let mut rest = &self.bytes[..];
        self.entries.iter().map(move |entry| {
            let (topic, tail) = rest.split_at(entry.topic_len as usize);
            let (payload, tail) = tail.split_at(entry.payload_len as usize);
            rest = tail;
            Delivery { topic, payload, retained: entry.retained, resent: entry.resent }
        })
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all topics and payloads together.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_pushed_in_order() {
        let mut batch = Batch::default();
        let deliveries = [
            Delivery { topic: b"sensor/1", payload: b"21", retained: false, resent: true },
            Delivery { topic: b"beat/1", payload: b"", retained: true, resent: false },
            Delivery { topic: b"", payload: b"x", retained: false, resent: false },
        ];
        for delivery in deliveries {
            batch.push(delivery);
        }
        assert_eq!(batch.iter().collect::<Vec<_>>(), deliveries);
        assert_eq!((batch.len(), batch.byte_len()), (3, 17));
    }
}
