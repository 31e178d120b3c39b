//! [`Counts`]: how many readings were made, stored, shipped, doubled and lost; and of how many losses the watchdog knows.

use std::path::Path;

use anyhow::Context;
use lastbeat_wire::UtcNanos;

use crate::faults::actor::{Actor, Life};
use crate::faults::cast::{LOADED, NUMBERS_A_LIFE};
use crate::faults::fault::{Fault, Who};
use crate::faults::world::World;
use crate::influxd;
use crate::stored::Stored;

/// How long before its end a killed publisher may have sent its last reading that is stored: on a busy machine it may not
/// have run since. Beyond that it must have made more, by its pace.
const BREATH_NS: i64 = 300_000_000;

/// The counts of the loaded publishers, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings that were made: by the publisher's own count, or, where it was killed, up to the last that came.
    pub sent: u64,
    /// Readings in the store, each once.
    pub stored: u64,
    /// Readings that are in the store more than once.
    pub doubled: u64,
    /// Readings in `InfluxDB`.
    pub shipped: u64,
    /// Messages that the watchdog knows to be missing.
    pub missed: u64,
    /// Messages that could not be read.
    pub refused: u64,
    /// Readings, by their pace, that a killed publisher must have made after the last that came.
    pub tail: u64,
}

impl Counts {
    /// Readings that were sent and not stored.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.stored) + self.tail
    }

    /// Those of which the watchdog knows.
    pub fn lost_known(&self) -> u64 {
        self.missed.min(self.lost())
    }

    /// Those of which it does not.
    pub fn lost_unknown(&self) -> u64 {
        self.lost() - self.lost_known()
    }
}

/// Counts what is in the store.
pub fn stored(store: &Path) -> anyhow::Result<Counts> {
    let store = Stored::open(store)?;
    let mut counts = Counts { refused: store.refused()?, ..Default::default() };
    for id in LOADED {
        // In this order: while the store is written, there may be more of them when they are counted again.
        let (distinct, all) = (store.distinct(id, "n")?, store.readings(id)?);
        counts.stored += distinct;
        counts.doubled += all.saturating_sub(distinct);
        counts.missed += store.missed(id)?;
    }
    Ok(counts)
}

/// How many there are in `InfluxDB`.
pub fn shipped(world: &World<'_>) -> anyhow::Result<u64> {
    LOADED.iter().map(|id| influxd::shipped(world.influx_at, id)).sum()
}

/// Counts everything, once all has ended. `rate` is the readings a second of each.
pub fn count(world: &World<'_>, rate: u32) -> anyhow::Result<Counts> {
    let mut counts = stored(&world.store)?;
    counts.shipped = shipped(world)?;
    let store = Stored::open(&world.store)?;
    for (number, actor) in world.publishers.iter().take(LOADED.len()).enumerate() {
        for (index, life) in actor.lives.iter().enumerate() {
            let killed =
                world.truth.of(Who::Publisher(number)).find(|deed| deed.fault == Fault::Kill && deed.pid == life.pid);
            match killed {
                None => counts.sent += made(life)?,
                Some(deed) => {
                    let (sent, tail) = up_to(&store, actor, index, deed.begun, rate)?;
                    counts.sent += sent;
                    counts.tail += tail;
                }
            }
        }
    }
    Ok(counts)
}

/// By its own count at its end.
fn made(life: &Life) -> anyhow::Result<u64> {
    let place = || format!("how many readings were made, in {}", life.log.display());
    let log = std::fs::read_to_string(&life.log).with_context(place)?;
    let count = log.lines().rev().find_map(|line| line.split_once(" messages sent (")?.1.split_once(" readings made"));
    count.with_context(place)?.0.parse().with_context(place)
}

/// Of one that was killed: up to the last that came, and how many it must have made after that.
fn up_to(store: &Stored, actor: &Actor, life: usize, killed: UtcNanos, rate: u32) -> anyhow::Result<(u64, u64)> {
    let from = life as u64 * NUMBERS_A_LIFE;
    let last = store.last_number(&actor.name, "n", from..from + NUMBERS_A_LIFE)?;
    let (sent, time) = last.map_or((0, actor.lives[life].began), |(n, time)| (n + 1 - from, time));
    let silent_ns = killed.0 - time.0;
    if silent_ns <= BREATH_NS {
        return Ok((sent, 0));
    }
    let tail = u64::try_from(silent_ns).unwrap_or_default() / 1_000_000 * u64::from(rate) / 1_000;
    Ok((sent, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_known_as_far_as_the_watchdog_missed_something() {
        let counts = Counts { sent: 100, stored: 90, missed: 4, tail: 5, ..Default::default() };
        assert_eq!((counts.lost(), counts.lost_known(), counts.lost_unknown()), (15, 4, 11));
        let counts = Counts { sent: 100, stored: 100, missed: 3, ..Default::default() };
        assert_eq!((counts.lost(), counts.lost_known(), counts.lost_unknown()), (0, 0, 0));
    }
}
