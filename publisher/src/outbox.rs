//! [`Outbox`]: hands messages to a transport, and holds in order what it does not take. Writes no messages itself.

use std::collections::VecDeque;
use std::time::Duration;

use lastbeat_transport::{Handed, Outbound, TransportError, Unsent};
use lastbeat_wire::{Kind, PublisherId};

/// What a held message takes beside its payload.
const OVERHEAD_BYTES: usize = size_of::<Held>();

/// How much is held at most; the oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many messages.
    pub messages: usize,
    /// How many bytes they may take together.
    pub bytes: usize,
}

/// What became of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxTally {
    /// Taken by the transport.
    pub sent: u64,
    /// Held for a while or still.
    pub held: u64,
    /// Given up because there was no room to hold them.
    pub dropped: u64,
}

/// Messages on their way out.
pub struct Outbox {
    outbound: Box<dyn Outbound>,
    topics: [String; Kind::ALL.len()],
    bounds: Bounds,
    held: VecDeque<Held>,
    held_bytes: usize,
    tally: OutboxTally,
}

#[derive(Debug)]
struct Held {
    kind: Kind,
    payload: Vec<u8>,
}

impl Outbox {
    /// An empty one, for one publisher.
    pub fn new(outbound: Box<dyn Outbound>, publisher: &PublisherId, bounds: Bounds) -> Self {
        let topics = Kind::ALL.map(|kind| kind.topic(publisher));
        Self { outbound, topics, bounds, held: VecDeque::new(), held_bytes: 0, tally: OutboxTally::default() }
    }

    /// Hands a message over if none is held before it; it is not kept otherwise.
    pub fn try_send(&mut self, kind: Kind, payload: &[u8]) -> Result<Handed, TransportError> {
        if !self.is_clear() {
            return Ok(Handed::NotNow);
        }
        let handed = self.outbound.try_send(topic(&self.topics, kind), payload)?;
        self.tally.sent += u64::from(handed == Handed::Taken);
        Ok(handed)
    }

    /// Hands a message over, now or later; makes room for it by dropping the oldest.
    pub fn send(&mut self, kind: Kind, payload: Vec<u8>) -> Result<(), TransportError> {
        if self.try_send(kind, &payload)? == Handed::Taken {
            return Ok(());
        }
        self.held_bytes += payload.len() + OVERHEAD_BYTES;
        self.held.push_back(Held { kind, payload });
        self.tally.held += 1;
        while self.held.len() > self.bounds.messages || self.held_bytes > self.bounds.bytes {
            self.take_oldest();
            self.tally.dropped += 1;
        }
        Ok(())
    }

    /// Hands over what is held, the oldest first, at most `most` messages, as long as they are taken.
    pub fn flush(&mut self, most: usize) -> Result<(), TransportError> {
        for _ in 0..most {
            let Some(oldest) = self.held.front() else { break };
            if self.outbound.try_send(topic(&self.topics, oldest.kind), &oldest.payload)? == Handed::NotNow {
                break;
            }
            self.take_oldest();
            self.tally.sent += 1;
        }
        Ok(())
    }

    /// Waits until the oldest message held, or else one of this kind, may be taken; whether it may.
    pub fn wait_ready(&mut self, kind: Kind, limit: Duration) -> bool {
        let kind = self.held.front().map_or(kind, |oldest| oldest.kind);
        self.outbound.wait_ready(topic(&self.topics, kind), limit)
    }

    /// Whether nothing is held.
    pub fn is_clear(&self) -> bool {
        self.held.is_empty()
    }

    /// How many messages are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// What became of the messages so far.
    pub fn tally(&self) -> OutboxTally {
        self.tally
    }

    /// Waits until what was taken has left, and closes; how much was taken but did not leave, and how much is still held.
    pub fn close(self, limit: Duration) -> (Unsent, usize) {
        (self.outbound.close(limit), self.held.len())
    }

    fn take_oldest(&mut self) {
        if let Some(oldest) = self.held.pop_front() {
            self.held_bytes -= oldest.payload.len() + OVERHEAD_BYTES;
        }
    }
}

fn topic(topics: &[String; Kind::ALL.len()], kind: Kind) -> &str {
    &topics[Kind::ALL.iter().position(|known| *known == kind).expect("invariant: ALL has every kind")]
}

#[cfg(test)]
pub mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A transport in a test: takes messages while it is open, and keeps what it took.
    #[derive(Debug, Clone, Default)]
    pub struct Double(Arc<Mutex<Line>>);

    #[derive(Debug, Default)]
    struct Line {
        open: bool,
        taken: Vec<(String, Vec<u8>)>,
    }

    impl Double {
        pub fn open(&self, open: bool) {
            self.0.lock().unwrap().open = open;
        }

        pub fn taken(&self) -> Vec<(String, Vec<u8>)> {
            self.0.lock().unwrap().taken.clone()
        }

        pub fn outbox(&self, bounds: Bounds) -> Outbox {
            Outbox::new(Box::new(self.clone()), &"x".parse().unwrap(), bounds)
        }
    }

    impl Outbound for Double {
        fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
            let mut line = self.0.lock().unwrap();
            if !line.open {
                return Ok(Handed::NotNow);
            }
            line.taken.push((topic.to_owned(), payload.to_owned()));
            Ok(Handed::Taken)
        }

        fn wait_ready(&mut self, _topic: &str, _limit: Duration) -> bool {
            self.0.lock().unwrap().open
        }

        fn settled(&mut self) -> u64 {
            self.0.lock().unwrap().taken.len() as u64
        }

        fn close(self: Box<Self>, _limit: Duration) -> Unsent {
            Unsent(0)
        }
    }

    const ROOMY: Bounds = Bounds { messages: 100, bytes: 1 << 20 };

    fn payloads(double: &Double) -> Vec<String> {
        double.taken().into_iter().map(|(_, payload)| String::from_utf8(payload).unwrap()).collect()
    }

    #[test]
    fn what_was_held_goes_first_and_in_order() {
        let double = Double::default();
        let mut outbox = double.outbox(ROOMY);
        for payload in ["1", "2", "3"] {
            outbox.send(Kind::Sensor, payload.into()).unwrap();
        }
        double.open(true);
        assert_eq!(outbox.try_send(Kind::Beat, b"jumps the queue").unwrap(), Handed::NotNow);
        outbox.send(Kind::Sensor, "4".into()).unwrap();
        outbox.flush(2).unwrap();
        assert_eq!((payloads(&double), outbox.held()), (vec!["1".to_owned(), "2".to_owned()], 2));
        outbox.flush(100).unwrap();
        assert_eq!(outbox.try_send(Kind::Beat, b"5").unwrap(), Handed::Taken);
        assert_eq!(payloads(&double), ["1", "2", "3", "4", "5"]);
        assert_eq!(double.taken()[4].0, "beat/x");
        assert_eq!(outbox.tally(), OutboxTally { sent: 5, held: 4, dropped: 0 });
    }

    #[test]
    fn the_oldest_are_dropped_beyond_the_number_that_is_held() {
        let double = Double::default();
        let mut outbox = double.outbox(Bounds { messages: 2, ..ROOMY });
        for payload in ["1", "2"] {
            outbox.send(Kind::Sensor, payload.into()).unwrap();
        }
        assert_eq!(outbox.tally().dropped, 0);
        outbox.send(Kind::Sensor, "3".into()).unwrap();
        assert_eq!(outbox.tally().dropped, 1);
        double.open(true);
        outbox.flush(100).unwrap();
        assert_eq!(payloads(&double), ["2", "3"]);
    }

    #[test]
    fn the_oldest_are_dropped_beyond_the_bytes_that_are_held() {
        let two = 2 * (OVERHEAD_BYTES + 1);
        for (bytes, dropped) in [(two, 0), (two - 1, 1)] {
            let mut outbox = Double::default().outbox(Bounds { bytes, ..ROOMY });
            outbox.send(Kind::Sensor, "1".into()).unwrap();
            outbox.send(Kind::Sensor, "2".into()).unwrap();
            assert_eq!(outbox.tally().dropped, dropped);
        }
    }
}
