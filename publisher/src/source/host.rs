//! [`HostSource`]: this machine's own sensors as a source.

use lastbeat_wire::{Fields, Monotonic, Now, Reading};

use super::{Source, Step};
use crate::sensors::{Measurement, Sensors};

/// This machine's sensors, sampled whenever a reading is asked for.
#[derive(Debug)]
pub struct HostSource {
    sensors: Sensors,
    sample: Vec<Measurement>,
    /// Before it, the load of the processors isn't known.
    known_from: Monotonic,
}

impl HostSource {
    /// Finds the sensors.
    pub fn open(now: Now) -> anyhow::Result<Self> {
        let known_from = now.monotonic.plus(Sensors::SHORTEST_INTERVAL);
        Ok(Self { sensors: Sensors::open(now.monotonic)?, sample: Vec::new(), known_from })
    }
}

impl Source for HostSource {
    fn advance(&mut self, now: Now) -> anyhow::Result<Step> {
        if now.monotonic < self.known_from {
            return Ok(Step::Later(self.known_from.since(now.monotonic)));
        }
        self.sample = self.sensors.sample(now.monotonic);
        self.known_from = now.monotonic.plus(Sensors::SHORTEST_INTERVAL);
        Ok(Step::Reading { row_time: None })
    }

    fn reading(&self) -> Reading<'_> {
        let fields =
            self.sample.iter().map(|measurement| (measurement.name.as_str().into(), measurement.value.clone()));
        Reading { time: None, row_time: None, fields: fields.collect::<Fields<'_>>() }
    }

    fn place(&self) -> String {
        "this machine".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use lastbeat_wire::UtcNanos;

    use super::*;

    #[test]
    fn the_first_sample_waits_until_the_load_is_known() {
        let at = |nanos| Now { monotonic: Monotonic(nanos), utc: UtcNanos(0) };
        let mut source = HostSource::open(at(0)).unwrap();
        let interval = Sensors::SHORTEST_INTERVAL;
        assert!(
            matches!(source.advance(at(1)).unwrap(), Step::Later(wait) if wait.as_nanos() + 1 == interval.as_nanos())
        );
        let known = u64::try_from(interval.as_nanos()).unwrap();
        assert!(matches!(source.advance(at(known)).unwrap(), Step::Reading { row_time: None }));
        assert!(source.reading().fields.iter().any(|(name, _)| name == "memory_used_bytes"));
    }
}
