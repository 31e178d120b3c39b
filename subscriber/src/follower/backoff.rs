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
        let jitter = self.0.mul_f64(rand::random::<f64>() / 3.0);
        let pause = asked_for.map_or(self.0 + jitter, |after| after.clamp(self.0, at_most));
        self.0 = (self.0 * 2).min(at_most);
        sleep_until(Instant::from_std(Clock.instant(Clock.now().monotonic.plus(pause)))).await;
    }
}
