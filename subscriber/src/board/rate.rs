//! [`Rate`]: messages per second, counted in six slots of time.

use std::time::Duration;

use lastbeat_wire::Monotonic;

const SLOTS: usize = 6;

/// Messages per second over the last six slots of `SECONDS` each, the present one among them.
#[derive(Debug, Clone)]
pub struct Rate<const SECONDS: u64> {
    /// Counted from here on.
    since: Monotonic,
    /// How many messages there were in all when it was looked at last.
    messages: u64,
    /// The number of the present slot; a slot's count is at its number modulo six.
    slot: u64,
    counts: [u32; SLOTS],
}

impl<const SECONDS: u64> Rate<SECONDS> {
    /// The length of a slot.
    pub const SLOT: Duration = Duration::from_secs(SECONDS);

    /// All slots together.
    pub const SPAN: Duration = Duration::from_secs(SECONDS * SLOTS as u64);

    /// Counts from `now` on; `messages` came before.
    pub fn new(now: Monotonic, messages: u64) -> Self {
        Self { since: now, messages, slot: Self::slot(now), counts: [0; SLOTS] }
    }

    /// The number of the slot that an instant lies in.
    pub fn slot(now: Monotonic) -> u64 {
        now.since(Monotonic(0)).as_secs() / SECONDS
    }

    /// The rate at `now`, when there were `messages` in all, in hundredths of a message per second.
    ///
    /// It is counted as if over one slot at least, so that the first message makes no hundred a second.
    pub fn at(&mut self, now: Monotonic, messages: u64) -> u64 {
        let slot = Self::slot(now).max(self.slot);
        for passed in (self.slot + 1..=slot).rev().take(self.counts.len()) {
            self.counts[Self::place(passed)] = 0;
        }
        self.slot = slot;
        let fresh = u32::try_from(messages.saturating_sub(self.messages)).unwrap_or(u32::MAX);
        self.messages = messages;
        let present = &mut self.counts[Self::place(slot)];
        *present = present.saturating_add(fresh);
        let begin = |slot: u64| Monotonic(0).plus(Duration::from_secs(slot * SECONDS));
        let (first, now) = (begin((slot + 1).saturating_sub(SLOTS as u64)), now.max(begin(slot)));
        let counted: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let span = now.since(first.max(self.since)).max(Self::SLOT).as_nanos();
        let hundredths = (u128::from(counted) * 100 * 1_000_000_000 + span / 2) / span;
        u64::try_from(hundredths).unwrap_or(u64::MAX)
    }

    /// Whether nothing came in any of the slots.
    pub fn is_quiet(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    fn place(slot: u64) -> usize {
        usize::try_from(slot % SLOTS as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Monotonic {
        Monotonic(0).plus(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn what_came_before_is_not_counted_and_a_steady_stream_shows_its_rate() {
        let mut rate = Rate::<10>::new(at(3.0), 1_000);
        assert_eq!(rate.at(at(3.0), 1_000), 0);
        for second in 1..=200_u32 {
            let rate = rate.at(at(3.0 + f64::from(second)), 1_000 + 5 * u64::from(second));
            if second >= 10 {
                assert!((490..=520).contains(&rate), "after {second} s: {rate}");
            } else {
                assert!(rate <= 500, "after {second} s: {rate}");
            }
        }
    }

    #[test]
    fn it_falls_to_nothing_a_minute_after_the_last_message() {
        let mut rate = Rate::<10>::new(at(0.0), 0);
        assert_eq!(rate.at(at(9.0), 60), 600);
        let rates: Vec<_> = (1..=6).map(|slot| rate.at(at(f64::from(slot) * 10.0), 60)).collect();
        assert_eq!(rates, [600, 300, 200, 150, 120, 0]);
    }

    #[test]
    fn a_long_pause_leaves_nothing_behind_and_a_clock_that_stands_does_no_harm() {
        let mut rate = Rate::<1>::new(at(0.0), 0);
        assert_eq!(rate.at(at(0.5), 10), 1000);
        assert_eq!(rate.at(at(0.5), 10), 1000);
        assert_eq!(rate.at(at(1_000_000.0), 11), 20);
        assert_eq!(rate.at(at(5.0), 11), 20, "an earlier time is taken for the latest");
        assert!(rate.at(Monotonic(u64::MAX), u64::MAX) > 0);
    }
}
