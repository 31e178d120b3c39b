//! [`Metrics`]: what Prometheus is told, in its text format 0.0.4.

mod lateness;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lastbeat_watchdog::{Flip, State};
use lastbeat_wire::UtcNanos;
use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::board::Board;
use crate::board::json::per_second;
use crate::refusals::Reason;
use crate::standby::Part;
use lateness::Lateness;

/// All metrics. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    registry: Registry,
    flips: IntCounterVec,
    lateness: Lateness,
    /// What is taken from the board when somebody asks; one at a time.
    figures: Mutex<Figures>,
}

#[derive(Debug)]
struct Figures {
    messages: IntCounter,
    refused: IntCounterVec,
    duplicates: IntCounter,
    unknown: IntCounter,
    not_kept: IntCounter,
    resend_requests: IntCounter,
    recovered: IntCounter,
    given_up: IntCounter,
    wanted: IntGauge,
    rate: Gauge,
    publishers: IntGaugeVec,
    links: IntGaugeVec,
    round_trips: GaugeVec,
    behind: IntGaugeVec,
    trouble: IntGaugeVec,
    set_aside: IntGaugeVec,
    dropped: IntGaugeVec,
    streams: Gauge,
    parts: IntGaugeVec,
}

impl Metrics {
    /// Counts from now on; the program was started at `started`.
    ///
    /// # Panics
    /// Never: the names are fixed, each there once.
    pub fn new(started: UtcNanos) -> Self {
        let registry = Registry::new();
        let maker = Maker(&registry);
        let flips = maker.counters("flips_total", "Changes of state, by the state they led to.", "to");
        for state in State::ALL {
            let _at_nothing = flips.with_label_values(&[state.word()]);
        }
        let lateness = Lateness::new(&maker);
        let start = maker.gauge("start_time_seconds", "When this program was started, in seconds since 1970.");
        start.set(crate::told::epoch_seconds(started));
        let build = maker.gauges("build_info", "Always 1; the version is its label.", "version");
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let figures = Figures {
            messages: maker.counter("messages_total", "Messages that came."),
            refused: maker.counters(
                "messages_refused_total",
                "Messages that could not be read, by the reason.",
                "reason",
            ),
            duplicates: maker.counter("messages_duplicates_total", "Messages that had come before."),
            unknown: maker.counter(
                "messages_of_too_many_publishers_total",
                "Messages of publishers beyond the most that may be.",
            ),
            not_kept: maker.counter("messages_not_kept_total", "Messages that the log had no room for."),
            resend_requests: maker.counter("resend_requests_total", "Requests to send again what was lost."),
            recovered: maker.counter("messages_recovered_total", "Messages lost on a link, sent again and taken in."),
            given_up: maker.counter(
                "messages_given_up_total",
                "Messages that nobody sent again: no longer kept, or asked for in vain.",
            ),
            wanted: maker.whole("messages_wanted", "Messages that are missing and still asked for."),
            rate: maker.gauge("messages_per_second", "Messages per second, over the last seconds."),
            publishers: maker.gauges("publishers", "Publishers, by their state.", "state"),
            round_trips: maker.float_gauges(
                "link_round_trip_seconds",
                "How long the subscriber's own message took through the broker and back.",
                "link",
            ),
            links: maker.gauges("link_up", "1 while the link works, 0 while it is down.", "link"),
            behind: maker.gauges("follower_lag_bytes", "Bytes of the log that it has not taken yet.", "follower"),
            trouble: maker.gauges("follower_trouble", "1 while its target takes nothing.", "follower"),
            set_aside: maker.gauges("follower_set_aside", "Points that its target refused.", "follower"),
            dropped: maker.gauges(
                "follower_refused_dropped",
                "What it had kept of refused messages or points, and dropped to make room for newer ones.",
                "follower",
            ),
            streams: maker.gauge("http_event_streams", "Readers of the event stream."),
            parts: maker.gauges(
                "shipping_part",
                "1 for the part it has in shipping to InfluxDB, or else to an index.",
                "part",
            ),
        };
        Self(Arc::new(All { registry, flips, lateness, figures: Mutex::new(figures) }))
    }

    /// Counts a flip.
    pub fn flipped(&self, flip: &Flip) {
        self.0.flips.with_label_values(&[flip.to.word()]).inc();
        self.0.lateness.flipped(flip);
    }

    /// The loop that judges did not run for so long.
    pub fn stalled(&self, by: Duration) {
        self.0.lateness.stalled(by);
    }

    /// All of it as text, with what the board shows and how many read the event stream, and its part in shipping.
    pub fn text(&self, board: &Board, streams: usize, part: Part) -> anyhow::Result<String> {
        let figures = self.0.figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.take(board);
        figures.streams.set(f64::from(u32::try_from(streams).unwrap_or(u32::MAX)));
        for one in [Part::Alone, Part::Holding, Part::StandingIn] {
            figures.parts.with_label_values(&[one.word()]).set(i64::from(one == part));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(String::from_utf8(text)?)
    }
}

impl Figures {
    fn take(&self, board: &Board) {
        let figures = board.figures();
        let totals = figures.totals;
        for (counter, total) in [
            (&self.messages, totals.messages),
            (&self.duplicates, totals.duplicates),
            (&self.unknown, totals.unknown),
            (&self.not_kept, totals.not_kept),
            (&self.resend_requests, totals.recovery.requests),
            (&self.recovered, totals.recovery.recovered),
            (&self.given_up, totals.recovery.given_up),
        ] {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        for reason in Reason::ALL {
            let counter = self.refused.with_label_values(&[reason.word()]);
            counter.inc_by(totals.refused_by.count(reason).saturating_sub(counter.get()));
        }
        self.wanted.set(whole(totals.recovery.wanted));
        self.rate.set(per_second(figures.rate));
        for state in State::ALL {
            let count = figures.states.get(&state).copied().unwrap_or_default();
            self.publishers.with_label_values(&[state.word()]).set(whole(count));
        }
        for link in &figures.links {
            self.links.with_label_values(&[&link.name]).set(i64::from(link.down.is_none()));
            if let Some(span) = link.round_trip {
                self.round_trips.with_label_values(&[&link.name]).set(span.as_secs_f64());
            }
        }
        drop(figures);
        for follower in board.followers() {
            let name = &[follower.name];
            self.behind.with_label_values(name).set(whole(follower.behind_bytes));
            self.trouble.with_label_values(name).set(i64::from(follower.trouble.is_some()));
            self.set_aside.with_label_values(name).set(whole(follower.set_aside));
        }
        for (follower, dropped) in board.dropped() {
            self.dropped.with_label_values(&[follower]).set(whole(dropped));
        }
    }
}

fn whole(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Makes metrics of one registry, their names beginning with `lastbeat_`.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn registered<C: Collector + Clone + 'static>(&self, metric: C) -> C {
        self.0.register(Box::new(metric.clone())).expect("invariant: each name is there once");
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.registered(IntCounter::with_opts(options(name, help)).expect("invariant: a name of letters"))
    }

    fn seconds(&self, name: &str, help: &str) -> Counter {
        self.registered(Counter::with_opts(options(name, help)).expect("invariant: a name of letters"))
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
        self.registered(IntCounterVec::new(options(name, help), &[label]).expect("invariant: names of letters"))
    }

    fn whole(&self, name: &str, help: &str) -> IntGauge {
        self.registered(IntGauge::with_opts(options(name, help)).expect("invariant: a name of letters"))
    }

    fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.registered(Gauge::with_opts(options(name, help)).expect("invariant: a name of letters"))
    }

    fn float_gauges(&self, name: &str, help: &str, label: &str) -> GaugeVec {
        self.registered(GaugeVec::new(options(name, help), &[label]).expect("invariant: names of letters"))
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> IntGaugeVec {
        self.registered(IntGaugeVec::new(options(name, help), &[label]).expect("invariant: names of letters"))
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("lastbeat_{name}"), help)
}
