//! [`Clock`]: the one place where the clocks are read.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lastbeat_wire::{Monotonic, Now, UtcNanos};

/// Both clocks of this machine.
///
/// The monotonic one is the kernel's (`CLOCK_MONOTONIC` on Linux): it stands still while the machine is suspended, as
/// do the publishers on it, and continues when this program is restarted on the same boot.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// One look at both clocks.
    pub fn now(self) -> Now {
        Now { monotonic: monotonic(), utc: utc() }
    }

    /// The instant at which the monotonic clock shows `time`, for `sleep_until`.
    #[expect(clippy::disallowed_methods, reason = "this is the clock's file")]
    pub fn instant(self, time: Monotonic) -> Instant {
        let (reading, now) = (monotonic(), Instant::now());
        now + time.since(reading)
    }
}

#[cfg(unix)]
fn monotonic() -> Monotonic {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Monotonic(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(not(unix))]
#[expect(clippy::disallowed_methods, reason = "this is the clock's file")]
fn monotonic() -> Monotonic {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    Monotonic(0).plus(START.get_or_init(Instant::now).elapsed())
}

#[expect(clippy::disallowed_methods, reason = "this is the clock's file")]
fn utc() -> UtcNanos {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => UtcNanos(0).plus(since),
        Err(before) => UtcNanos(0).minus(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_lies_as_far_ahead_as_it_was_asked_for() {
        let start = Clock.now();
        let ahead = std::time::Duration::from_hours(1);
        let instant = Clock.instant(start.monotonic.plus(ahead));
        let end = Clock.now();
        let back = Clock.instant(start.monotonic);
        assert!(instant.duration_since(back) <= ahead, "an instant in the past is now");
        assert!(instant.duration_since(back) + end.monotonic.since(start.monotonic) + ahead / 2 >= ahead);
        assert!(end.monotonic >= start.monotonic);
    }
}
