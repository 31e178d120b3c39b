//! [`Flow`]: lets messages gather for a moment where very many come.
//!
//! A broker writes them one by one, and each read of one wakes three threads. Once they come faster than some thousands a second they
//! are read a millisecond apart instead: of one Mosquitto at `QoS` 0 that is 135,000/s at 2.5 µs of CPU each instead of 64,000/s at 14,
//! for the broker, too, has less to do.
//!
//! What is to be acknowledged is never let wait: the broker may send no more before it is.

use std::time::Duration;

use tokio::time::Instant;

/// How long they gather; tokio's clock has no finer ticks.
const GATHER: Duration = Duration::from_millis(1);
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

    /// Until when to let messages gather, after so many were read; those are not to wait whose broker waits, or of which there
    /// is more to read already.
    pub(super) fn pause(&mut self, now: Instant, messages: usize, is_waited_for: bool) -> Option<Instant> {
        self.messages += messages as u128;
        let span = now.duration_since(self.since);
        if span >= GATHER {
            self.is_fast = self.messages * GATHER.as_nanos() >= MANY * span.as_nanos();
            (self.since, self.messages) = (now, 0);
        }
        (self.is_fast && !is_waited_for).then(|| now + GATHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After reading one message each so often, for a while: for how long the next ones gather.
    fn pause(every: Duration, is_waited_for: bool) -> Option<Duration> {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        let mut until = None;
        for _ in 0..1_000 {
            now += every;
            until = flow.pause(now, 1, is_waited_for);
        }
        until.map(|until| until - now)
    }

    #[test]
    fn many_gather_and_few_or_what_is_waited_for_do_not() {
        assert_eq!(pause(Duration::from_micros(126), false), None);
        assert_eq!(pause(Duration::from_micros(124), false), Some(GATHER));
        assert_eq!(pause(Duration::from_micros(15), false), Some(GATHER));
        assert_eq!(pause(Duration::from_micros(15), true), None);
    }

    #[test]
    fn they_gather_no_longer_once_few_come() {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        for _ in 0..100 {
            now += GATHER;
            flow.pause(now, 64, false);
        }
        assert!(flow.pause(now, 64, false).is_some());
        assert!(flow.pause(now + 20 * GATHER, 1, false).is_none());
    }
}
