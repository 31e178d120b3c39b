//! The targets, as data: whether one is met is computed from what was measured, and never written by hand.

use crate::results::{Results, Unit, show};

/// What is promised.
#[derive(Debug)]
pub struct Target {
    /// In words.
    pub text: &'static str,
    /// All of these must hold.
    pub checks: &'static [Check],
    /// What bounds it.
    pub bound: &'static str,
}

/// One figure, and what it must be.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// A figure is at least this.
    AtLeast(&'static str, f64),
    /// A figure is at most this.
    AtMost(&'static str, f64),
    /// The first figure is at least so many times the second.
    TimesAtLeast(&'static str, &'static str, f64),
    /// The first figure is at most so many times the second.
    TimesAtMost(&'static str, &'static str, f64),
    /// A figure that was measured elsewhere is exceeded so many times.
    QuotedAtLeast(&'static str, f64, f64),
    /// A figure that was measured elsewhere is fallen short of by so many times.
    QuotedAtMost(&'static str, f64, f64),
}

use Check::{AtLeast, AtMost, QuotedAtLeast, QuotedAtMost, TimesAtLeast, TimesAtMost};

/// Vector's MQTT source, measured elsewhere on a machine like the one of the first figures: messages a second (the upper end
/// of 56,000 to 62,000), and microseconds of CPU a message.
const VECTOR_RATE: f64 = 62_000.0;
const VECTOR_CPU: f64 = 16.0;

/// All of them.
pub const ALL: &[Target] = &[
    Target {
        text: "ZeroMQ into the durable log, nothing dropped at 800,000/s offered: at least half of what a bare proxy passes in \
               the same run",
        checks: &[
            TimesAtLeast("way.log_json", "way.proxy_json", 0.5),
            TimesAtLeast("way.log_msgpack", "way.proxy_msgpack", 0.5),
            AtMost("way.log_json_dropped", 0.0),
            AtMost("way.log_msgpack_dropped", 0.0),
        ],
        bound: "the processors that generators, broker and subscriber share; the disk is far from it",
    },
    Target {
        text: "The same without the log (parse, state, line protocol): at least 70 % of receive-only through the same proxy, at \
               most 1.0 µs of CPU a message",
        checks: &[
            TimesAtLeast("way.lines_json", "way.proxy_json", 0.7),
            TimesAtLeast("way.lines_msgpack", "way.proxy_msgpack", 0.7),
            AtMost("way.lines_json_cpu", 1.0),
            AtMost("way.lines_msgpack_cpu", 1.0),
        ],
        bound: "libzmq's receive of two frames, which is 0.6 to 0.8 µs of it, and parsing, which is as much for JSON",
    },
    Target {
        text: "Into InfluxDB: at least 80 % of ready-made lines; 4 × the best batched Python, 7 × batches of dicts, 200 × point \
               by point",
        checks: &[
            TimesAtLeast("influx.pipeline", "influx.ready", 0.8),
            TimesAtLeast("influx.pipeline", "influx.python_lines", 4.0),
            TimesAtLeast("influx.pipeline", "influx.python_dicts", 7.0),
            TimesAtLeast("influx.pipeline", "influx.python_point", 200.0),
        ],
        bound: "both processors, all of them busy: InfluxDB needs 4 to 6 µs a point, and generators, broker and subscriber as much again",
    },
    Target {
        text: "A backlog from the log into InfluxDB: at least 95 % of ready-made lines",
        checks: &[TimesAtLeast("influx.backlog", "influx.ready", 0.95)],
        bound: "both processors: InfluxDB's 4 to 6 µs a point, and beside them 1.1 to 1.5 for what the ready-made lines have not: reading the \
                log, parsing, writing the line",
    },
    Target {
        text: "Into the embedded store: at least 100,000 messages/s, burst and catching up together, and nothing missing then",
        checks: &[
            AtLeast("way.store_json", 100_000.0),
            AtLeast("way.store_msgpack", 100_000.0),
            AtMost("way.store_json_missing", 0.0),
            AtMost("way.store_msgpack_missing", 0.0),
        ],
        bound: "one thread that parses, and SQLite's inserts into a table and its index",
    },
    Target {
        text: "Latency at 2,000/s, send to log: p50 below 1 ms, p99 below 10 ms",
        checks: &[AtMost("latency.log_p50", 1.0), AtMost("latency.log_p99", 10.0)],
        bound: "wake-ups of three processes one after the other",
    },
    Target {
        text: "Latency at 2,000/s, send to the page's event stream: p50 below 50 ms, p99 below 200 ms",
        checks: &[AtMost("latency.page_p50", 50.0), AtMost("latency.page_p99", 200.0)],
        bound: "how often the page is told: 20 ms after something came, 50 ms apart",
    },
    Target {
        text: "Over Mosquitto, QoS 0 and 1: at least 90 % of what it passes to a bare counting client",
        checks: &[TimesAtLeast("mqtt.log_0", "mqtt.bare_0", 0.9), TimesAtLeast("mqtt.log_1", "mqtt.bare_1", 0.9)],
        bound: "Mosquitto, which has one thread",
    },
    Target {
        text: "Over Mosquitto: 1.6 × Vector (quoted: 56,000 to 62,000/s at 16 µs of CPU a message, measured elsewhere) at a third of \
               its CPU",
        checks: &[QuotedAtLeast("mqtt.log_0", VECTOR_RATE, 1.6), QuotedAtMost("mqtt.log_0_cpu", VECTOR_CPU, 1.0 / 3.0)],
        bound: "Mosquitto, which passes no more to anybody on this machine; Vector's figures are of another one",
    },
    Target {
        text: "CSV publisher: 5 × a Python publisher",
        checks: &[TimesAtLeast("peers.csv", "peers.csv_python", 5.0)],
        bound: "parsing a row and encoding a message, on one thread",
    },
    Target {
        text: "A message among 1,000,000 publishers costs at most 1.5 × one among 10",
        checks: &[TimesAtMost("scale.message_1000000_cpu", "scale.message_10_cpu", 1.5)],
        bound: "the processor's cache: what belongs to a publisher is in memory",
    },
    Target {
        text: "Memory: at most 134 bytes a publisher in the watchdog, 512 MiB for the process with 1,000,000",
        checks: &[AtMost("scale.watchdog_bytes", 134.0), AtMost("scale.rss_1000000", 512.0)],
        bound: "what is kept of each: id, state, counts, process, numbers",
    },
    Target {
        text: "The deadline's share of a beat among 1,000,000: at most 25 ns; all due at once: at most 2 ms",
        checks: &[AtMost("scale.deadline", 25.0), AtMost("scale.all_due", 2.0)],
        bound: "memory: an entry that comes up is not in the cache; of those that are due each gets its verdict with its evidence, a \
                microsecond each",
    },
    Target {
        text: "Verdict after the deadline, 100,000 publishers under full load: p99.9 at most 10 ms",
        checks: &[AtMost("verdicts.100000_full_p99.9", 10.0)],
        bound: "the turn of the loop that is going on, and the scheduler",
    },
    Target {
        text: "Local death to verdict: p99 at most 2 ms; 500 × sooner than monit or supervisord at a cycle of 1 s",
        checks: &[
            AtMost("peers.death_p99", 2.0),
            TimesAtLeast("peers.monit", "peers.death", 500.0),
            TimesAtLeast("peers.supervisord", "peers.death", 500.0),
        ],
        bound: "the kernel's tear-down of a process, and the wake-ups to the one who reads it; supervisord sees the end of its child's pipes",
    },
    Target {
        text: "A beat every 200 ms, SIGSTOP, threshold 600 ms: verdict within 0.8 s, 3 × sooner than Mosquitto's will at keepalive \
               1 s",
        checks: &[AtMost("peers.stop", 800.0), TimesAtLeast("peers.will", "peers.stop", 3.0)],
        bound: "the threshold",
    },
    Target {
        text: "Idle CPU with 100,000 publishers that are silent but not late: below 1 % of a processor",
        checks: &[AtMost("scale.idle_100000", 1.0)],
        bound: "the reports on publishers, 5,000 every fifth of a threshold",
    },
    Target {
        text: "Start to the first message taken, 10,000,000 points in the store: below 1 s",
        checks: &[AtMost("start.first", 1_000.0)],
        bound: "SQLite's opening of the file",
    },
];

impl Target {
    /// Whether it is met; `None` where something of it was not measured.
    pub fn met(&self, results: &Results) -> Option<bool> {
        let checked: Option<Vec<bool>> = self.checks.iter().map(|check| check.holds(results)).collect();
        // What is missed is missed, whatever was not measured.
        if self.checks.iter().any(|check| check.holds(results) == Some(false)) {
            Some(false)
        } else {
            checked.map(|_| true)
        }
    }

    /// What was measured, check by check.
    pub fn measured(&self, results: &Results) -> String {
        let shown: Vec<_> = self.checks.iter().map(|check| check.shown(results)).collect();
        shown.join("; ")
    }
}

impl Check {
    fn value(self, results: &Results) -> Option<f64> {
        match self {
            AtLeast(key, _) | AtMost(key, _) => results.median(key),
            TimesAtLeast(of, to, _) | TimesAtMost(of, to, _) => {
                // Where one was measured more often than the other there are no pairs.
                let same = results.find(of)?.values.len() == results.find(to)?.values.len();
                if same { results.ratio(of, to) } else { Some(results.median(of)? / results.median(to)?) }
            }
            QuotedAtLeast(key, quoted, _) | QuotedAtMost(key, quoted, _) => Some(results.median(key)? / quoted),
        }
    }

    fn holds(self, results: &Results) -> Option<bool> {
        let value = self.value(results)?;
        Some(match self {
            AtLeast(_, least) | TimesAtLeast(_, _, least) | QuotedAtLeast(_, _, least) => value >= least,
            AtMost(_, most) | TimesAtMost(_, _, most) | QuotedAtMost(_, _, most) => value <= most,
        })
    }

    fn shown(self, results: &Results) -> String {
        let Some(value) = self.value(results) else { return "not measured".to_owned() };
        let text = match self {
            AtLeast(key, _) | AtMost(key, _) => {
                results.find(key).map_or(String::new(), |series| show(series.unit, value))
            }
            _ => show(Unit::Times, value),
        };
        if self.holds(results) == Some(false) { format!("**{text}**") } else { text }
    }

    /// The figures it needs.
    #[cfg(test)]
    fn keys(self) -> Vec<&'static str> {
        match self {
            AtLeast(key, _) | AtMost(key, _) | QuotedAtLeast(key, ..) | QuotedAtMost(key, ..) => vec![key],
            TimesAtLeast(of, to, _) | TimesAtMost(of, to, _) => vec![of, to],
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::cli::Group;

    #[test]
    fn a_target_is_met_only_if_all_of_it_is_and_missed_as_soon_as_one_is() {
        let target =
            Target { text: "", checks: &[AtLeast("way.a", 1.0), TimesAtMost("way.b", "way.a", 2.0)], bound: "" };
        let mut results = Results::default();
        assert_eq!(target.met(&results), None);
        results.add("way.a", "", Unit::Count, 1.0);
        assert_eq!(target.met(&results), None);
        results.add("way.b", "", Unit::Count, 2.0);
        assert_eq!(target.met(&results), Some(true));
        results.add("way.a", "", Unit::Count, 0.5);
        results.add("way.b", "", Unit::Count, 2.0);
        assert_eq!(target.met(&results), Some(false));
        let mut lone = Results::default();
        lone.add("way.a", "", Unit::Count, 0.9);
        assert_eq!(target.met(&lone), Some(false));
    }

    #[test]
    fn each_figure_belongs_to_a_group() {
        let groups: Vec<_> = Group::value_variants().iter().map(|group| group.name()).collect();
        for key in ALL.iter().flat_map(|target| target.checks).flat_map(|check| check.keys()) {
            let (group, _) = key.split_once('.').unwrap();
            assert!(groups.iter().any(|name| name == group), "{key}");
        }
    }
}
