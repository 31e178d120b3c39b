//! [`Heard`]: what came from the broker for a publisher that listens, until it asks for it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lastbeat_wire::MAX_PAYLOAD_BYTES;

use crate::Told;

/// Whoever publishes looks often, and what it listens to is said rarely. Beyond it the oldest are passed over.
const MOST: usize = 64;
/// So much memory a broker may fill, with topics and payloads together.
const MOST_BYTES: usize = 2 * MAX_PAYLOAD_BYTES;

/// The latest messages, whichever broker they came from.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    told: VecDeque<Told>,
    bytes: usize,
}

impl Heard {
    /// Takes a message, or leaves it where it is no message of ours.
    pub(super) fn take(&self, topic: &[u8], payload: &[u8], retained: bool) {
        let (Ok(topic), 0..=MAX_PAYLOAD_BYTES) = (str::from_utf8(topic), payload.len()) else {
            let topic = String::from_utf8_lossy(topic);
            return tracing::warn!(
                "a message on {topic:?} was passed over: its topic is not UTF-8, or it has more than {MAX_PAYLOAD_BYTES} bytes"
            );
        };
        let told = Told { topic: topic.to_owned(), payload: payload.to_vec(), retained };
        let mut waiting = self.lock();
        waiting.bytes += bytes(&told);
        waiting.told.push_back(told);
        while waiting.told.len() > MOST || waiting.bytes > MOST_BYTES {
            let Some(oldest) = waiting.told.pop_front() else { break };
            waiting.bytes -= bytes(&oldest);
        }
    }

    /// All that came since it was last asked for, the oldest first.
    pub(super) fn give(&self) -> Vec<Told> {
        std::mem::take(&mut *self.lock()).told.into()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(told: &Told) -> usize {
    told.topic.len() + told.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_given_once_in_their_order() {
        let heard = Heard::default();
        for number in 0..MOST + 2 {
            heard.take(b"watch", number.to_string().as_bytes(), number % 2 == 0);
        }
        let told = heard.give();
        assert_eq!(told.len(), MOST);
        assert_eq!(told[0], Told { topic: "watch".to_owned(), payload: b"2".to_vec(), retained: true });
        assert_eq!((told[MOST - 1].payload.as_slice(), told[MOST - 1].retained), (&b"65"[..], false));
        assert_eq!(heard.give(), []);
    }

    #[test]
    fn a_hostile_broker_fills_no_memory() {
        let heard = Heard::default();
        let largest = vec![b'!'; MAX_PAYLOAD_BYTES];
        for _ in 0..10 {
            heard.take(b"watch", &largest, false);
            assert!(heard.lock().bytes <= MOST_BYTES);
        }
        heard.take(b"watch", &[&largest[..], b"!"].concat(), false);
        heard.take(b"watch/\xff", b"", false);
        heard.take(b"watch", b"small", false);
        let told = heard.give();
        assert_eq!(told.iter().map(|told| told.payload.len()).collect::<Vec<_>>(), [MAX_PAYLOAD_BYTES, 5]);
        assert_eq!(heard.lock().bytes, 0);
    }
}
