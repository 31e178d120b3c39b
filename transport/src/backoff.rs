//! [`Backoff`]: how long to wait before trying again, longer each time up to a cap, and never at the same time as others.

use std::time::Duration;

/// Waits that double from `first` to `cap`, each shortened at random by up to half.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// How long to wait now.
    pub(crate) fn wait(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(self.cap);
        longest.mul_f64(rand::random_range(0.5..1.0))
    }

    /// It worked: the next wait is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_cap_with_jitter_and_starts_again() {
        let (first, cap) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, cap);
        for longest in [100, 200, 400, 800, 1000, 1000] {
            let longest = Duration::from_millis(longest);
            let wait = backoff.wait();
            assert!(wait >= longest / 2 && wait < longest, "{wait:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.wait() < first);
    }
}
