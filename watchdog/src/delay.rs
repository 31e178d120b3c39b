//! [`Delay`]: how long a message waited somewhere before it came, whatever the clocks of the two hosts show.
//!
//! A broker that kept a message for an hour delivers it at once; it was a sign of life an hour ago and is none now. Two
//! clocks tell, each compared with its own smallest difference so far: the publisher's monotonic clock, which no step of a
//! wall clock disturbs, and its wall clock, which goes on while a host is suspended. A message surely waited only as far
//! as both say so: each alone is wrong now and then, and a live publisher is not to be called silent for that.

use std::time::Duration;

use lastbeat_wire::{Header, Now};
use serde::{Deserialize, Serialize};

/// By so much a wall clock must disagree before it counts as stepped.
const STEP: Duration = Duration::from_secs(1);

/// The delays of the messages of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    pub(crate) monotonic: Baseline,
    pub(crate) wall: Baseline,
}

/// How long a message waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waited {
    /// At least this long: what both clocks agree on; zero if there is but one.
    pub surely: Duration,
    /// At most this long: what either says.
    pub possibly: Duration,
}

/// The smallest difference of two clocks, in nanoseconds, over the last two windows: a shift that lasts (a virtual machine
/// that was frozen, say) is learned after at most two windows instead of being called late for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Where the present window began, on our monotonic clock.
    pub began: u64,
    pub present: Option<i64>,
    pub before: Option<i64>,
}

impl Delay {
    /// How long a message waited that came `now`; nothing while there is nothing to compare with. `window` is how long a
    /// shift must last to be believed.
    pub fn of(&mut self, now: Now, header: &Header<'_>, window: Duration) -> Waited {
        let monotonic = header.uptime.map(|uptime| difference(now.monotonic.0, uptime));
        let wall = header.sent_at.map(|sent_at| now.utc.0.saturating_sub(sent_at.0));
        let (Some(monotonic), Some(wall)) = (monotonic, wall) else {
            let by_monotonic = monotonic.and_then(|found| self.monotonic.excess(now, found, window));
            let by_wall = wall.and_then(|found| self.wall.excess(now, found, window));
            return Waited { surely: Duration::ZERO, possibly: by_monotonic.or(by_wall).unwrap_or_default() };
        };
        let by_monotonic = self.monotonic.excess(now, monotonic, window);
        let by_wall = self.wall.excess(now, wall, window);
        // A clock that is new here learns from the other one, lest the second message of a backlog pass for a fresh one.
        match (by_monotonic, by_wall) {
            (None, Some(waited)) => self.monotonic.learn(monotonic, waited),
            (Some(waited), None) => self.wall.learn(wall, waited),
            // A wall clock was stepped: it must not pass that on should this host's monotonic clock begin anew.
            (Some(waited), Some(longer)) if longer.saturating_sub(waited) > STEP => self.wall.stepped(wall, waited),
            _ => {}
        }
        let (one, other) = (by_monotonic.or(by_wall).unwrap_or_default(), by_wall.or(by_monotonic).unwrap_or_default());
        Waited { surely: one.min(other), possibly: one.max(other) }
    }

    /// The same of a message that was sent again, from which nothing is learned; `None` while there is nothing to compare
    /// with.
    pub fn known(&self, now: Now, header: &Header<'_>) -> Option<Waited> {
        let monotonic = header.uptime.and_then(|uptime| self.monotonic.over(difference(now.monotonic.0, uptime)));
        let wall = header.sent_at.and_then(|sent_at| self.wall.over(now.utc.0.saturating_sub(sent_at.0)));
        match (monotonic, wall) {
            (Some(one), Some(other)) => Some(Waited { surely: one.min(other), possibly: one.max(other) }),
            (one, other) => one.or(other).map(|waited| Waited { surely: Duration::ZERO, possibly: waited }),
        }
    }

    /// What is known beforehand of another process on the same boot of the same host: they share the wall clock.
    pub fn of_another_process(&self) -> Self {
        Self { monotonic: Baseline::default(), wall: self.wall }
    }

    /// Whether there is something to compare with.
    pub fn is_known(&self) -> bool {
        self.monotonic.present.or(self.wall.present).is_some()
    }

    /// This host was rebooted: its monotonic clock is another one now, ahead of the old one by `shift` nanoseconds. Where that is not
    /// known, what was learned on the old one is void.
    pub fn rebooted(&mut self, shift: Option<i64>) {
        self.monotonic = shift.map_or_else(Baseline::default, |shift| self.monotonic.shifted(shift));
        self.wall.began = 0;
    }
}

impl Baseline {
    /// By how much a difference is over the smallest one.
    fn over(&self, found: i64) -> Option<Duration> {
        let excess = found.saturating_sub(self.present.into_iter().chain(self.before).min()?);
        Some(u64::try_from(excess).map_or(Duration::ZERO, Duration::from_nanos))
    }

    fn excess(&mut self, now: Now, found: i64, window: Duration) -> Option<Duration> {
        let excess = self.over(found);
        if now.monotonic.0.saturating_sub(self.began) >= u64::try_from(window.as_nanos()).unwrap_or(u64::MAX) {
            *self = Self { began: now.monotonic.0, present: Some(found), before: self.present };
        } else {
            self.present = Some(self.present.map_or(found, |present| present.min(found)));
        }
        excess
    }

    /// The same on a clock that is ahead by so many nanoseconds, whose present window began with it.
    fn shifted(self, shift: i64) -> Self {
        let on_it = |difference: Option<i64>| difference.map(|difference| difference.saturating_add(shift));
        Self { began: 0, present: on_it(self.present), before: on_it(self.before) }
    }

    /// What was known is void, since a clock was stepped.
    fn stepped(&mut self, found: i64, waited: Duration) {
        self.before = None;
        self.learn(found, waited);
    }

    /// The first difference, found with a message that had waited.
    fn learn(&mut self, found: i64, waited: Duration) {
        self.present = Some(found.saturating_sub(i64::try_from(waited.as_nanos()).unwrap_or(i64::MAX)));
    }
}

fn difference(ours: u64, theirs: u64) -> i64 {
    let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    signed(ours).saturating_sub(signed(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_wire::{Monotonic, UtcNanos};

    const SECOND: u64 = 1_000_000_000;
    const WINDOW: Duration = Duration::from_secs(50);

    /// Seconds on our clock, on the publisher's monotonic one, and on its wall clock.
    fn delay(delay: &mut Delay, ours: u64, uptime: u64, sent: u64) -> u64 {
        let utc = |seconds: u64| UtcNanos(i64::try_from(seconds * SECOND).unwrap());
        let now = Now { monotonic: Monotonic(ours * SECOND), utc: utc(1_000_000 + ours) };
        let header =
            Header { uptime: Some(uptime * SECOND), sent_at: Some(utc(1_000_000 + sent)), ..Header::default() };
        delay.of(now, &header, WINDOW).surely.as_secs()
    }

    #[test]
    fn the_first_message_has_nothing_to_be_compared_with() {
        assert_eq!(delay(&mut Delay::default(), 5000, 3, 20), 0);
    }

    #[test]
    fn a_message_that_waited_is_late_by_that_much_also_in_a_burst() {
        let mut known = Delay::default();
        assert_eq!(delay(&mut known, 100, 10, 100), 0);
        assert_eq!(delay(&mut known, 1000, 20, 110), 890);
        assert_eq!(delay(&mut known, 1000, 30, 120), 880);
        assert_eq!(delay(&mut known, 1000, 910, 1000), 0);
    }

    #[test]
    fn a_step_of_the_publishers_wall_clock_makes_nothing_late() {
        let mut known = Delay::default();
        assert_eq!(delay(&mut known, 10_000, 10, 10_000), 0);
        assert_eq!(delay(&mut known, 10_010, 20, 10_010 - 3600), 0);
        assert_eq!(delay(&mut known, 10_020, 30, 10_020 + 3600), 0);
    }

    #[test]
    fn a_host_that_slept_is_not_late_since_its_wall_clock_went_on() {
        let mut known = Delay::default();
        assert_eq!(delay(&mut known, 100, 10, 100), 0);
        assert_eq!(delay(&mut known, 4000, 20, 4000), 0);
    }

    #[test]
    fn a_shift_of_both_clocks_is_learned_within_two_windows() {
        let mut known = Delay::default();
        assert_eq!(delay(&mut known, 100, 10, 100), 0);
        for ours in (4000..4100).step_by(10) {
            delay(&mut known, ours, ours - 3980, ours - 3890);
        }
        assert_eq!(delay(&mut known, 4100, 120, 210), 0);
    }

    #[test]
    fn one_clock_alone_is_not_believed_against_a_living_publisher() {
        let mut known = Delay::default();
        let now = |seconds: u64| Now { monotonic: Monotonic(seconds * SECOND), utc: UtcNanos(0) };
        let up = |uptime: u64| Header { uptime: Some(uptime), ..Header::default() };
        assert_eq!(known.of(now(100), &up(0), WINDOW), Waited::default());
        let waited = Waited { surely: Duration::ZERO, possibly: Duration::from_secs(20) };
        assert_eq!(known.of(now(120), &up(0), WINDOW), waited);
    }

    #[test]
    fn a_step_of_a_wall_clock_just_before_a_reboot_of_this_host_makes_nothing_late() {
        let mut known = Delay::default();
        assert_eq!(delay(&mut known, 5000, 10, 5000), 0);
        assert_eq!(delay(&mut known, 5010, 20, 5010 - 3600), 0);
        known.rebooted(None);
        // Our wall clock went on while our monotonic one began anew.
        let now = |ours: u64| Now {
            monotonic: Monotonic(ours * SECOND),
            utc: UtcNanos(0).plus(Duration::from_secs(1_005_015 + ours)),
        };
        for ours in [20, 25] {
            let sent_at = Some(UtcNanos(0).plus(Duration::from_secs(1_005_015 + ours - 3600)));
            let header = Header { uptime: Some((25 + ours) * SECOND), sent_at, ..Header::default() };
            assert_eq!(known.of(now(ours), &header, WINDOW).surely, Duration::ZERO);
        }
    }

    #[test]
    fn over_a_reboot_a_backlog_is_known_by_the_monotonic_clock_too_and_a_step_of_the_senders_wall_clock_makes_nothing_late()
     {
        let mut known = Delay::default();
        delay(&mut known, 5000, 10, 5000);
        // The present clock began at 5890 s of the old one.
        known.rebooted(Some(-5890 * 1_000_000_000));
        let mut after = |uptime: u64, step: i64| {
            let now = Now { monotonic: Monotonic(20 * SECOND), utc: UtcNanos(0).plus(Duration::from_secs(1_005_910)) };
            let sent_at = i64::try_from((1_004_990 + uptime) * SECOND).unwrap() + step * 1_000_000_000;
            let header =
                Header { uptime: Some(uptime * SECOND), sent_at: Some(UtcNanos(sent_at)), ..Header::default() };
            known.of(now, &header, WINDOW).surely.as_secs()
        };
        assert_eq!(after(20, 0), 900);
        assert_eq!(after(920, -3600), 0);
        assert_eq!(after(30, -3600), 890);
    }

    #[test]
    fn a_backlog_is_known_by_the_wall_clock_after_a_reboot_of_this_host() {
        let mut known = Delay::default();
        delay(&mut known, 5000, 10, 5000);
        known.rebooted(None);
        // 20 s after the boot, 910 s after what came last.
        let boot = 5890;
        let mut after = |uptime: u64, sent: u64| {
            let now = Now {
                monotonic: Monotonic(20 * SECOND),
                utc: UtcNanos(0).plus(Duration::from_secs(1_000_000 + boot + 20)),
            };
            let sent_at = Some(UtcNanos(0).plus(Duration::from_secs(1_000_000 + sent)));
            let header = Header { uptime: Some(uptime * SECOND), sent_at, ..Header::default() };
            known.of(now, &header, WINDOW).surely.as_secs()
        };
        assert_eq!(after(20, 5010), 900);
        assert_eq!(after(30, 5020), 890);
        assert_eq!(after(920, 5910), 0);
    }
}
