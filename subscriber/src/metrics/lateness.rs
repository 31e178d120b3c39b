//! [`Lateness`]: how late verdicts fall, and how often and how long the loop that judges did not run.

use std::time::Duration;

use lastbeat_watchdog::{Flip, State};
use prometheus::{Counter, Gauge, Histogram, HistogramOpts, IntCounter};

use super::Maker;

/// No verdict falls later than this after its instant, unless the loop did not run, which is recorded as not watched: it
/// comes late by at most a second (else that is a stall), looking at a process takes at most a second, and then it comes
/// late by at most a second again. On a machine with time for it all of it takes milliseconds.
pub const BOUND: Duration = Duration::from_secs(3);

/// The upper ends of the histogram's buckets, in seconds; one is the bound.
const LATENCIES: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 3.0, 5.0, 10.0];

/// The figures.
#[derive(Debug)]
pub struct Lateness {
    latency: Histogram,
    late: IntCounter,
    longest: Gauge,
    stalls: IntCounter,
    stalled: Counter,
}

impl Lateness {
    pub(super) fn new(maker: &Maker<'_>) -> Self {
        let latency = HistogramOpts::new(
            "lastbeat_verdict_latency_seconds",
            "From the instant at which a publisher was due for a verdict, or its end was seen, to the verdict.",
        );
        let latency = Histogram::with_opts(latency.buckets(LATENCIES.to_vec()));
        let bound = maker.gauge("verdict_latency_bound_seconds", "No verdict is later, but where the loop stalled.");
        bound.set(BOUND.as_secs_f64());
        Self {
            latency: maker.registered(latency.expect("invariant: the buckets are in order")),
            late: maker.counter("verdicts_late_total", "Verdicts that fell later than the bound."),
            longest: maker.gauge("verdict_latency_longest_seconds", "The longest latency of a verdict so far."),
            stalls: maker.counter("loop_stalls_total", "Times the loop that judges came more than a second late."),
            stalled: maker.seconds("loop_stalled_seconds_total", "By how much it came late, then."),
        }
    }

    /// Takes note of a flip, if it is a verdict.
    pub fn flipped(&self, flip: &Flip) {
        if !matches!(flip.to, State::Silent | State::Suspended | State::Dead | State::Unknown) {
            return;
        }
        let latency = flip.noticed_at.since(flip.at);
        self.latency.observe(latency.as_secs_f64());
        if latency > BOUND {
            self.late.inc();
        }
        // Flips come from the loop alone, one after the other.
        self.longest.set(self.longest.get().max(latency.as_secs_f64()));
    }

    /// The loop came so late that it is recorded.
    pub fn stalled(&self, by: Duration) {
        self.stalls.inc();
        self.stalled.inc_by(by.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use lastbeat_wire::UtcNanos;
    use prometheus::Registry;
    use serde_json::json;

    use super::*;

    fn flip(to: &str, latency: Duration) -> Flip {
        let noticed_at = UtcNanos(0).plus(latency);
        let told = json!({
            "publisher": "light", "host": null, "from": "alive", "to": to, "cause": "process_runs", "at": UtcNanos(0),
            "noticed_at": noticed_at, "silence": null, "last_heard": null, "process": null, "evidence": [],
        });
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn a_verdict_is_late_beyond_the_bound_and_not_at_it() {
        let registry = Registry::new();
        let lateness = Lateness::new(&Maker(&registry));
        lateness.flipped(&flip("silent", BOUND));
        lateness.flipped(&flip("alive", BOUND * 2));
        assert_eq!((lateness.late.get(), lateness.latency.get_sample_count()), (0, 1));
        lateness.flipped(&flip("silent", BOUND + Duration::from_nanos(1)));
        lateness.flipped(&flip("dead", Duration::ZERO));
        assert_eq!((lateness.late.get(), lateness.latency.get_sample_count()), (1, 3));
        assert!((lateness.longest.get() - BOUND.as_secs_f64()).abs() < 1e-6);
        lateness.stalled(Duration::from_secs(2));
        lateness.stalled(Duration::from_secs(4));
        assert_eq!(lateness.stalls.get(), 2);
        assert!((lateness.stalled.get() - 6.0).abs() < 1e-6);
    }
}
