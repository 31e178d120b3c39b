//! [`CatchUp`]: tells how a long catch-up goes.

use std::time::Duration;

use lastbeat_wire::Monotonic;

/// Being this far behind is worth a word.
const WORTH_TELLING: u64 = 16 << 20;
/// The time between two words.
const EVERY: Duration = Duration::from_secs(5);

/// Watches how far a follower is behind.
#[derive(Debug)]
pub struct CatchUp {
    told_at: Monotonic,
    shipped: u64,
    is_catching_up: bool,
}

impl CatchUp {
    /// Nothing has been shipped yet.
    pub fn new(now: Monotonic) -> Self {
        Self { told_at: now, shipped: 0, is_catching_up: false }
    }

    /// Notes that bytes of the log were shipped. Gives a sentence when it is time for one.
    pub fn shipped(&mut self, bytes: u64, behind_bytes: u64, now: Monotonic) -> Option<String> {
        self.shipped += bytes;
        if self.is_catching_up && behind_bytes < WORTH_TELLING / 16 {
            self.is_catching_up = false;
            return Some("caught up with the log".to_owned());
        }
        let span = now.since(self.told_at);
        if span < EVERY {
            return None;
        }
        // After a pause the first word would tell of the pause: the rate counts from here.
        let paused = span > 2 * EVERY;
        let shipped = std::mem::take(&mut self.shipped);
        self.told_at = now;
        if paused {
            return None;
        }
        if behind_bytes < WORTH_TELLING {
            return None;
        }
        self.is_catching_up = true;
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (rate, behind) = (shipped as f64 / span.as_secs_f64(), behind_bytes as f64);
        let left = Duration::try_from_secs_f64((behind / rate).ceil()).unwrap_or(Duration::MAX);
        let mib = f64::from(1 << 20);
        let left = if left > Duration::from_hours(8760) { "no end in sight".to_owned() } else { left_in_words(left) };
        Some(format!("catching up: {:.0} MiB behind, {:.1} MiB/s, {left}", behind / mib, rate / mib))
    }
}

fn left_in_words(left: Duration) -> String {
    format!("about {} left", humantime::format_duration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_left_and_when_it_is_done() {
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        let mib = 1 << 20;
        let mut catch_up = CatchUp::new(at(0));
        assert_eq!(catch_up.shipped(50 * mib, 200 * mib, at(4)), None);
        let told = catch_up.shipped(50 * mib, 150 * mib, at(5));
        assert_eq!(told.as_deref(), Some("catching up: 150 MiB behind, 20.0 MiB/s, about 8s left"));
        assert_eq!(catch_up.shipped(150 * mib, 0, at(6)).as_deref(), Some("caught up with the log"));
        assert_eq!(catch_up.shipped(mib, 0, at(60)), None, "a small lag is not worth a word");
    }
}
