//! [`Flow`]: lets messages gather for a moment where very many come.
//!
//! A broker writes them one by one, and each read of one wakes three threads. Once they come faster than some thousands a second they
//! are read a millisecond apart instead: of one Mosquitto at `QoS` 0 that is 77,000 to 107,000/s at 3 to 4 µs of CPU each instead of
//! 64,000/s at 14, for the broker, too, has less to do.
//!
//! What is to be acknowledged is never let wait: the broker may send no more before it is.

use std::time::Duration;

use tokio::time::Instant;

/// How long they gather.
pub(super) const GATHER: Duration = Duration::from_millis(1);
/// From so many messages in such a span on.
const MANY: u128 = 8;

/// How fast messages come.
#[derive(Debug)]
pub(super) struct Flow {
    since: Instant,
    messages: u128,
    is_fast: bool,
}

impl Flow {
    /// Slow, until it is known.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, messages: 0, is_fast: false }
    }

    /// Whether to let messages gather, after so many were read; those are not to wait whose broker waits, or of which there
    /// is more to read already.
    pub(super) fn shall_gather(&mut self, now: Instant, messages: usize, is_waited_for: bool) -> bool {
        self.messages += messages as u128;
        let span = now.duration_since(self.since);
        if span >= GATHER {
            self.is_fast = self.messages * GATHER.as_nanos() >= MANY * span.as_nanos();
            (self.since, self.messages) = (now, 0);
        }
        self.is_fast && !is_waited_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After reading one message each so often, for a while: whether the next ones gather.
    fn gathers(every: Duration, is_waited_for: bool) -> bool {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        let read = |_| {
            now += every;
            flow.shall_gather(now, 1, is_waited_for)
        };
        (0..1_000).map(read).last().unwrap()
    }

    #[test]
    fn many_gather_and_few_or_what_is_waited_for_do_not() {
        assert!(!gathers(Duration::from_micros(126), false));
        assert!(gathers(Duration::from_micros(124), false));
        assert!(gathers(Duration::from_micros(15), false));
        assert!(!gathers(Duration::from_micros(15), true));
    }

    #[test]
    fn they_gather_no_longer_once_few_come() {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        for _ in 0..100 {
            now += GATHER;
            flow.shall_gather(now, 64, false);
        }
        assert!(flow.shall_gather(now, 64, false));
        assert!(!flow.shall_gather(now + 20 * GATHER, 1, false));
    }
}
