//! [`Politeness`]: how much an agent may ask of its targets. Whatever is configured, no more than [`MOST`] probes are sent in
//! any [`WINDOW`].

use std::collections::VecDeque;
use std::time::Duration;

use lastbeat_wire::Monotonic;

/// So many probes at most …
pub const MOST: u32 = 20;
/// … in any span of this length.
pub const WINDOW: Duration = Duration::from_secs(10);
/// The shortest time between two probes.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);
/// The shortest time between two targets.
pub const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a probe is waited for.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// How a target is measured, and how long the next one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Politeness {
    /// How many probes a target is sent, 1 to [`MOST`].
    pub probes: u32,
    /// From one probe to the next.
    pub interval: Duration,
    /// From the end of one target to the beginning of the next.
    pub pause: Duration,
}

impl Politeness {
    /// Checks the figures, each by itself and what comes of them together.
    ///
    /// # Errors
    /// In words, with what to change.
    pub fn new(probes: u32, interval: Duration, pause: Duration) -> Result<Self, String> {
        let polite = Self { probes, interval, pause };
        let shown = humantime::format_duration;
        if !(1..=MOST).contains(&probes) {
            return Err(format!("--probes {probes}: 1 to {MOST} are allowed"));
        }
        if interval < SHORTEST_INTERVAL {
            return Err(format!("--interval {}: at least {} are allowed", shown(interval), shown(SHORTEST_INTERVAL)));
        }
        if pause < SHORTEST_PAUSE {
            return Err(format!("--pause {}: at least {} are allowed", shown(pause), shown(SHORTEST_PAUSE)));
        }
        if (0..probes).any(|probe| polite.start(probe + MOST).saturating_sub(polite.start(probe)) < WINDOW) {
            return Err(format!(
                "--probes {probes} --interval {} --pause {}: more than {MOST} probes in {}; let it pause for longer",
                shown(interval),
                shown(pause),
                shown(WINDOW)
            ));
        }
        Ok(polite)
    }

    /// The longest time from the beginning of one target to that of the next.
    pub fn slot(&self) -> Duration {
        self.cycle().saturating_add(TIMEOUT)
    }

    /// When a probe is sent, counted from the first on, where answers take no time.
    fn start(&self, probe: u32) -> Duration {
        let within = self.interval.saturating_mul(probe % self.probes);
        self.cycle().saturating_mul(probe / self.probes).saturating_add(within)
    }

    fn cycle(&self) -> Duration {
        self.interval.saturating_mul(self.probes - 1).saturating_add(self.pause)
    }
}

/// When the latest probes were sent, so that there are never too many: lists that are replaced by turns do not get round it.
#[derive(Debug, Default)]
pub struct Cap(VecDeque<Monotonic>);

impl Cap {
    /// When the next probe may be sent, if it is due at an instant.
    pub fn earliest(&self, due: Monotonic) -> Monotonic {
        match self.0.front() {
            Some(first) if self.0.len() >= MOST as usize => due.max(first.plus(WINDOW)),
            _ => due,
        }
    }

    /// A probe is sent.
    pub fn note(&mut self, now: Monotonic) {
        if self.0.len() >= MOST as usize {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A nanosecond less than so many milliseconds.
    fn just_under(millis: u64) -> Duration {
        Duration::from_nanos(millis * 1_000_000 - 1)
    }

    #[test]
    fn each_figure_has_its_bounds_and_is_named() {
        let default = Politeness::new(10, SECOND, 10 * SECOND).unwrap();
        assert_eq!(default.slot(), 21 * SECOND);
        for (probes, interval, pause, named) in [
            (0, SECOND, 10 * SECOND, "--probes 0"),
            (21, SECOND, 10 * SECOND, "--probes 21"),
            (10, just_under(200), 10 * SECOND, "--interval 199ms"),
            (10, SECOND, just_under(1_000), "--pause 999ms"),
        ] {
            let error = Politeness::new(probes, interval, pause).unwrap_err();
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn no_more_than_twenty_probes_in_ten_seconds_to_the_nanosecond() {
        // Twenty in 3.8 s: the next one 10 s after the first.
        let pause = Duration::from_millis(6_200);
        assert!(Politeness::new(20, SHORTEST_INTERVAL, pause).is_ok());
        let error = Politeness::new(20, SHORTEST_INTERVAL, just_under(6_200)).unwrap_err();
        assert!(error.contains("more than 20 probes in 10s"), "{error}");
        // Eleven each 1 s and a pause of 1 s never are.
        assert!(Politeness::new(11, SECOND, SECOND).is_ok());
        // Three each 200 ms and a pause of 1 s: 21 in 8.4 s.
        assert!(Politeness::new(3, SHORTEST_INTERVAL, SECOND).is_err());
        assert!(Politeness::new(1, SECOND, SECOND).is_ok());
        assert!(Politeness::new(1, Duration::MAX, Duration::MAX).is_ok());
    }

    #[test]
    fn the_twenty_first_probe_waits_until_the_first_is_ten_seconds_old() {
        let mut cap = Cap::default();
        for probe in 0..MOST {
            let due = Monotonic(u64::from(probe));
            assert_eq!(cap.earliest(due), due);
            cap.note(due);
        }
        assert_eq!(cap.earliest(Monotonic(20)), Monotonic(10_000_000_000));
        assert_eq!(cap.earliest(Monotonic(10_000_000_001)), Monotonic(10_000_000_001));
        cap.note(Monotonic(10_000_000_000));
        assert_eq!(cap.earliest(Monotonic(20)), Monotonic(10_000_000_001));
    }
}
