//! The command line: what is measured, how often, and where it is written; and, hidden, the parts that this program plays
//! beside itself as processes of their own.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::roles::{BeatArgs, CountArgs, LinesArgs, PostArgs, ProxyArgs, SendArgs};

/// Measures Lastbeat beside what bounds it and what would be used instead, in one run.
///
/// The real programs are those beside this one, built for release. What can't be measured here, for a program is missing say,
/// is told, and the rest goes on.
#[derive(Debug, Parser)]
#[command(name = "lastbeat-bench", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// A part that this program plays for itself.
    #[command(subcommand)]
    pub role: Option<Role>,
    /// What is measured.
    #[command(flatten)]
    pub wanted: Wanted,
}

/// What is measured, how often, and where it is written.
#[derive(Debug, Args)]
pub struct Wanted {
    /// What to measure [default: everything]
    pub groups: Vec<Group>,
    /// Shorter spans, fewer publishers: to see that it works, not for figures
    #[arg(long)]
    pub quick: bool,
    /// How often each is measured
    #[arg(long, value_name = "TIMES", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// With a million publishers, too, where that takes minutes
    #[arg(long)]
    pub million: bool,
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Take the groups that are not measured now from this file, which an earlier run wrote
    #[arg(long, value_name = "FILE")]
    pub with: Option<PathBuf>,
    /// Measure nothing: only write what --with has
    #[arg(long, requires = "with", conflicts_with = "groups")]
    pub only_write: bool,
    /// Write tables and picture into this page, between its marks; the picture is in images/benchmarks.svg beside it
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// What is measured together, because it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Group {
    /// Over `ZeroMQ` into the log and the embedded store, beside a bare proxy
    Way,
    /// Into `InfluxDB`, beside ready-made lines and Python
    Influx,
    /// Over Mosquitto, beside a bare counting client
    Mqtt,
    /// From a publisher's send to the log and to the page
    Latency,
    /// From a deadline to its verdict
    Verdicts,
    /// Memory and cost with 10 to 1,000,000 publishers
    Scale,
    /// Start-up with a full store
    Start,
    /// CSV in Python, monit, supervisord, an MQTT will
    Peers,
}

/// A part that this program plays for itself; each writes its figures as JSON lines.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub enum Role {
    /// A bare `zmq::proxy`.
    Proxy(ProxyArgs),
    /// Sends ready-made messages.
    Send(SendArgs),
    /// Receives, and only counts.
    Count(CountArgs),
    /// Receives, parses, keeps state, makes line protocol; keeps nothing.
    Lines(LinesArgs),
    /// Posts ready-made line protocol.
    Post(PostArgs),
    /// One publisher that beats.
    Beat(BeatArgs),
    /// The memory that so many publishers take in the watchdog.
    Memory {
        /// How many.
        publishers: u32,
    },
}

impl Group {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("invariant: no group is skipped").get_name().to_owned()
    }
}
