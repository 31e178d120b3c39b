//! [`Timing`]: at which instant of the present monotonic clock a message came that the log tells of, whatever became of the
//! wall clock since and whichever boot of this host it was.

use lastbeat_wire::{BootId, Header, Monotonic, Now, UtcNanos};

/// When a message was taken in, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// By the wall clock.
    pub utc: UtcNanos,
    /// By the monotonic clock, where that was kept.
    pub clock: Option<BootClock>,
}

/// What the monotonic clock of one boot of this host showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootClock {
    /// The low bits of the boot's id: enough to tell the few boots apart that one log tells of.
    pub boot: u32,
    /// The clock.
    pub monotonic: Monotonic,
}

/// How the instants are told that lie between a snapshot and the present start.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    now: Now,
    boot: Option<BootId>,
    /// An instant on both clocks by which those are told of which only the wall clock is known.
    timed_by: Now,
    /// The boot of the snapshot where it was another one, and by how many nanoseconds the present clock is ahead of that one's.
    before: Option<(BootId, i64)>,
}

impl BootClock {
    /// A clock of that boot.
    pub fn of(boot: BootId, monotonic: Monotonic) -> Self {
        Self { boot: low_bits(boot), monotonic }
    }
}

impl Timing {
    /// Of a start at `now` on `boot`, without a snapshot.
    pub fn new(now: Now, boot: Option<BootId>) -> Self {
        Self { now, boot, timed_by: now, before: None }
    }

    /// The same with a snapshot that was made at `kept` on `kept_boot`; its monotonic clock is not known of old ones.
    pub(crate) fn since(self, kept: (UtcNanos, Option<Monotonic>), kept_boot: Option<BootId>) -> Self {
        let (utc, Some(monotonic), Some(kept_boot)) = (kept.0, kept.1, kept_boot) else { return self };
        let kept = Now { monotonic, utc };
        if self.boot == Some(kept_boot) {
            let timed_by = if monotonic <= self.now.monotonic { kept } else { self.now };
            return Self { timed_by, ..self };
        }
        Self { before: Some((kept_boot, ahead(self.now).saturating_sub(ahead(kept)))), ..self }
    }

    /// By how many nanoseconds the present clock is ahead of that of the snapshot's boot, where that was another one and is known.
    pub(crate) fn shift(&self) -> Option<i64> {
        self.before.map(|(_, shift)| shift)
    }

    /// The time of a message that stands in the log, and its header. The monotonic clock has no time before its boot; what came
    /// then came at its start, of a process that is older by as much: so their difference is what it was.
    pub fn of<'a>(&self, stamp: Stamp, header: &Header<'a>) -> (Now, Header<'a>) {
        let instant = self.instant(stamp);
        let before_boot = u64::try_from(instant.saturating_neg()).unwrap_or_default();
        let monotonic = Monotonic(u64::try_from(instant).unwrap_or_default());
        let uptime = header.uptime.map(|uptime| uptime.saturating_add(before_boot));
        (Now { monotonic, utc: stamp.utc }, Header { uptime, ..header.clone() })
    }

    /// Nanoseconds since the present boot, below 0 before it; no later than now.
    pub fn instant(&self, stamp: Stamp) -> i64 {
        self.instant_told(stamp).min(signed(self.now.monotonic))
    }

    fn instant_told(&self, stamp: Stamp) -> i64 {
        let by_wall =
            || signed(self.timed_by.monotonic).saturating_add(stamp.utc.0.saturating_sub(self.timed_by.utc.0));
        let is = |clock: BootClock, boot: BootId| clock.boot == low_bits(boot);
        let (Some(clock), boot, before) = (stamp.clock, self.boot, self.before) else { return by_wall() };
        if boot.is_some_and(|boot| is(clock, boot)) {
            return signed(clock.monotonic);
        }
        match before.filter(|(boot, _)| is(clock, *boot)) {
            Some((_, shift)) => signed(clock.monotonic).saturating_add(shift),
            None => by_wall(),
        }
    }
}

/// By how much a monotonic clock is ahead of the wall clock: by the same all its boot long, unless the wall clock is stepped.
fn ahead(now: Now) -> i64 {
    signed(now.monotonic).saturating_sub(now.utc.0)
}

fn signed(time: Monotonic) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
fn low_bits(boot: BootId) -> u32 {
    boot.0 as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const OLD: BootId = BootId(1);
    const PRESENT: BootId = BootId(2);

    /// Seconds on both clocks.
    fn at(monotonic: u64, utc: u64) -> Now {
        let utc = UtcNanos(i64::try_from(utc * SECOND).unwrap());
        Now { monotonic: Monotonic(monotonic * SECOND), utc }
    }

    /// The seconds at which a message came by the timing, and the uptime of its sender, which had run for 500 s.
    fn told(timing: Timing, boot: Option<BootId>, came_at: Now) -> (u64, u64) {
        let clock = boot.map(|boot| BootClock::of(boot, came_at.monotonic));
        let header = Header { uptime: Some(500 * SECOND), ..Header::default() };
        let (now, header) = timing.of(Stamp { utc: came_at.utc, clock }, &header);
        assert_eq!(now.utc, came_at.utc);
        (now.monotonic.0 / SECOND, header.uptime.unwrap() / SECOND)
    }

    #[test]
    fn on_one_boot_the_monotonic_clock_tells_whatever_the_wall_clock_showed() {
        let made = at(1000, 90_000);
        let timing = Timing::new(at(1100, 50_000), Some(OLD)).since((made.utc, Some(made.monotonic)), Some(OLD));
        assert_eq!(told(timing, Some(OLD), at(1010, 49_910)), (1010, 500));
        assert_eq!(told(timing, None, at(1010, 90_010)), (1010, 500), "an early version's: by the snapshot");
        assert_eq!(told(timing, Some(OLD), at(1200, 90_010)), (1100, 500), "nothing came after now");
        assert_eq!(timing.shift(), None);
    }

    #[test]
    fn what_came_before_the_present_boot_came_of_a_process_that_is_older_by_as_much() {
        let made = at(1000, 90_000);
        let timing = Timing::new(at(20, 90_320), Some(PRESENT)).since((made.utc, Some(made.monotonic)), Some(OLD));
        // The present boot was at 1300 s of the old clock.
        assert_eq!(timing.shift(), Some(-1300 * 1_000_000_000));
        assert_eq!(told(timing, Some(OLD), at(1100, 12_345)), (0, 700), "its wall clock was stepped");
        assert_eq!(told(timing, Some(PRESENT), at(15, 90_315)), (15, 500));
        assert_eq!(told(timing, Some(BootId(3)), at(7, 90_290)), (0, 510), "of a boot between the two");
        assert_eq!(told(timing, None, at(1010, 90_310)), (10, 500));
    }

    #[test]
    fn without_a_snapshot_the_wall_clock_ties_the_boots_together() {
        for boot in [None, Some(PRESENT)] {
            let timing = Timing::new(at(20, 90_320), boot);
            assert_eq!(told(timing, Some(OLD), at(1100, 90_290)), (0, 510));
            assert_eq!(told(timing.since((UtcNanos(0), None), Some(OLD)), None, at(1100, 90_310)), (10, 500));
        }
    }

    #[test]
    fn no_time_makes_it_panic() {
        let ends = [0, 1, u64::MAX / 2, u64::MAX];
        let walls = [i64::MIN, -1, 0, i64::MAX];
        let nows = || {
            ends.iter().flat_map(|up| walls.iter().map(|utc| Now { monotonic: Monotonic(*up), utc: UtcNanos(*utc) }))
        };
        for (now, made) in nows().flat_map(|now| nows().map(move |made| (now, made))) {
            let timing = Timing::new(now, Some(PRESENT)).since((made.utc, Some(made.monotonic)), Some(OLD));
            for (boot, came_at) in [OLD, PRESENT].into_iter().flat_map(|boot| nows().map(move |now| (boot, now))) {
                let clock = Some(BootClock::of(boot, came_at.monotonic));
                let header = Header { uptime: Some(u64::MAX), ..Header::default() };
                let (told, _) = timing.of(Stamp { utc: came_at.utc, clock }, &header);
                assert!(told.monotonic <= now.monotonic);
            }
        }
    }
}
