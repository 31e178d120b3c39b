//! [`Backoff`]: how long to wait before a server is tried again.

use std::time::Duration;

use lastbeat_host::Clock;
use tokio::time::{Instant, sleep_until};

const FIRST_RETRY: Duration = Duration::from_millis(250);
/// What passes by itself is tried again after so long at most.
pub const LAST_RETRY: Duration = Duration::from_secs(15);
/// What only a person can mend is tried again more seldom.
pub const LAST_HOPELESS_RETRY: Duration = Duration::from_mins(1);

/// A pause that doubles up to its bound, with a third of jitter so that many don't come back at once.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST_RETRY)
    }
}

impl Backoff {
    /// Waits, as long as the server asked for where it did.
    pub async fn pause(&mut self, at_most: Duration, asked_for: Option<Duration>) {
        let pause = self.next(at_most, asked_for, rand::random());
        sleep_until(Instant::from_std(Clock.instant(Clock.now().monotonic.plus(pause)))).await;
    }

    /// The next pause; `jitter` is from 0 to 1. The bound may be another one than before: what seemed hopeless was mended.
    fn next(&mut self, at_most: Duration, asked_for: Option<Duration>, jitter: f64) -> Duration {
        let ours = self.0.min(at_most);
        self.0 = (ours * 2).min(at_most);
        asked_for.map_or(ours + ours.mul_f64(jitter / 3.0), |after| after.clamp(ours, at_most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_to_its_bound_and_is_as_long_as_the_server_asked_for_within_it() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..8).map(|_| backoff.next(LAST_RETRY, None, 0.0).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
        assert_eq!(backoff.next(LAST_RETRY, None, 1.0), Duration::from_secs(20));
        for (asked, pause) in [(0, 250), (1, 1_000), (u64::MAX, 15_000)] {
            let asked = Duration::from_secs(asked);
            assert_eq!(Backoff::default().next(LAST_RETRY, Some(asked), 0.0).as_millis(), pause);
        }
    }

    #[test]
    fn a_server_that_asks_for_time_after_it_seemed_hopeless_gets_it() {
        let mut backoff = Backoff::default();
        let hopeless = (0..10).map(|_| backoff.next(LAST_HOPELESS_RETRY, None, 0.0)).last();
        assert_eq!(hopeless, Some(LAST_HOPELESS_RETRY));
        assert_eq!(backoff.next(LAST_RETRY, Some(Duration::from_secs(3)), 0.0), LAST_RETRY);
    }
}
