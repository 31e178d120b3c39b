//! The command line: what it takes, and how it explains itself.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::capture::CaptureArgs;
use crate::export::ExportArgs;
use crate::simulate::SimulateArgs;
use crate::targets::TargetsArgs;
use crate::threshold::Threshold;
use crate::thresholds::ThresholdsArgs;

/// Watches publishers, keeps what they say, and tells who is alive and why.
///
/// Every message is first appended to a log beside the store; the store (SQLite), InfluxDB and Elasticsearch follow that log, so that
/// nothing is lost while one of them is away. A publisher that is silent past its threshold is looked into: is the
/// process behind its PID still that process, and does it run?
#[derive(Debug, Parser)]
#[command(name = "lastbeat-subscriber", version, args_conflicts_with_subcommands = true, after_long_help = LONG_HELP)]
pub struct Cli {
    /// What to do instead of watching.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// What to do instead of watching.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a configuration file with every option and its default, and stop.
    SampleConfig,
    /// Write readings or heartbeats as a table, from the store or from InfluxDB.
    Export(ExportArgs),
    /// Record when messages come, without what is in them, into a file.
    Capture(CaptureArgs),
    /// Tell what thresholds would mean for the publishers of a capture: false alarms, and how soon an end is known.
    Thresholds(ThresholdsArgs),
    /// Tell the agents of a swarm what to measure, on every broker.
    Targets(TargetsArgs),
    /// Simulate publishers, brokers, faults and weeks, judged by the code that runs here; see what a threshold is worth.
    Simulate(Box<SimulateArgs>),
}

/// How to watch. What stands here goes before what stands in the configuration file.
#[derive(Debug, Args, Default)]
pub struct WatchArgs {
    /// Where messages come from; may be given several times.
    #[arg(long, value_name = "URL")]
    pub from: Vec<String>,
    /// The embedded store; the log is in the folder FILE.log beside it.
    #[arg(long, value_name = "FILE", env = "LASTBEAT_STORE")]
    pub store: Option<PathBuf>,
    /// Keep only the log, without the store: to measure the one without the other.
    #[arg(long, hide = true)]
    pub log_only: bool,
    #[arg(long, value_name = "URL", help = INFLUX_HELP)]
    pub influx: Option<String>,
    #[arg(long, value_name = "URL", help = INDEX_HELP)]
    pub index: Option<String>,
    /// Stand by for the subscriber whose page is at this address: ship to InfluxDB and to an index only while that one does not.
    #[arg(long, value_name = "URL")]
    pub standby_for: Option<String>,
    /// The silence that is allowed, or "adaptive": learned from each publisher's own gaps [default: 50s].
    #[arg(long, value_name = "SPAN|adaptive")]
    pub threshold: Option<Threshold>,
    /// A publisher that is missed when it is never heard at all; may be given several times.
    #[arg(long, value_name = "ID")]
    pub expect: Vec<String>,
    /// The name of this subscriber: an MQTT broker keeps messages for it while it is away [default: the host's name].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// When the log is forced to the disk: before messages are "acknowledged", "always", or within a span, acknowledged
    /// before [default: acknowledged].
    #[arg(long, value_name = "acknowledged|always|SPAN")]
    pub sync: Option<String>,
    /// Configuration file (TOML); `lastbeat-subscriber sample-config` prints one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Tell each flip on stdout as one JSON object, without a live table.
    #[arg(long)]
    pub json: bool,
    /// No live table, even on a terminal: one line a flip.
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,
    /// Where the page and the API are served.
    #[command(flatten)]
    pub http: HttpArgs,
}

/// Where the live page, the API and the metrics are served, and to whom.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Page and API")]
pub struct HttpArgs {
    /// Where the live page, the API and the metrics are served: an address, or "off" [default: 127.0.0.1:8787].
    ///
    /// On any address that other machines can reach it needs a login.
    #[arg(long, value_name = "ADDRESS|off")]
    pub http: Option<String>,
    /// The name to log in with; its password is in `LASTBEAT_HTTP_PASSWORD` or in a file.
    #[arg(long, value_name = "NAME")]
    pub http_user: Option<String>,
    /// The password to log in with is in this file.
    #[arg(long, value_name = "FILE")]
    pub http_password_file: Option<PathBuf>,
    /// A token to log in with, without a name, is in this file; else in `LASTBEAT_HTTP_TOKEN`.
    #[arg(long, value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
    /// Serve HTTPS with this certificate and those that lead to a known one (PEM).
    #[arg(long, value_name = "FILE")]
    pub http_certificate: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE")]
    pub http_key: Option<PathBuf>,
}

const INFLUX_HELP: &str = "Ship to this InfluxDB, too: http://user@host:8086/database, or http://host:8086?org=ORG&bucket=BUCKET; https:// with ca=FILE for an authority of \
     your own";

const INDEX_HELP: &str = "Index for Kibana in this Elasticsearch or OpenSearch: http://user@host:9200/?index=NAME, NAME of one index or with %Y, %m, %d of many \
     [default of NAME: logstash-%Y.%m.%d]; https:// with ca=FILE for an authority of your own";

const LONG_HELP: &str = "\
EXAMPLES
  Behind a broker, with a store in this folder:
    lastbeat-broker --publishers tcp://127.0.0.1:5555 --subscribers tcp://127.0.0.1:5556
    lastbeat-subscriber --from zmq+tcp://127.0.0.1:5556 --store lastbeat.db
  The readings of an hour, as a spreadsheet takes them:
    lastbeat-subscriber export --store lastbeat.db --publisher light-1 --since 1h --out light-1.csv
  When messages come, for an hour, beside a subscriber that runs:
    lastbeat-subscriber capture --from mqtt://broker.example --for 1h --out arrivals.jsonl
  What thresholds would fit:
    lastbeat-subscriber thresholds --capture arrivals.jsonl
  What the agents of a swarm measure from now on, on both brokers:
    lastbeat-subscriber targets --from mqtt://one.example --from mqtt://two.example a.example https://b.example
  From MQTT, into InfluxDB, flips for a machine to read:
    lastbeat-subscriber --from mqtt://broker.example --influx http://influx.example:8086/lastbeat --json
  What a swarm finds out, for Kibana (see kibana/):
    lastbeat-subscriber --from mqtt://broker.example --index https://me@search.example:9200/?index=swarm
  With the live page for other machines, and a sign of life from a shell:
    LASTBEAT_HTTP_TOKEN=SECRET lastbeat-subscriber --from mqtt://broker.example --http 0.0.0.0:8787
    curl -fsS -H 'Authorization: Bearer SECRET' http://watch.example:8787/api/v1/beat/backup

  A second watchdog on the same broker, that ships in the first one's place while that one is down:
    lastbeat-subscriber --from mqtt://broker.example --name watch-2 --influx http://influx.example:8086/lastbeat \\
      --standby-for http://watch-1.example:8787

TRANSPORTS
  zmq+tcp://HOST:PORT[?bind]   zmq+ipc:///PATH[?bind]   mqtt://[USER@]HOST[:PORT]   mqtts://…[?ca=FILE&cert=FILE&key=FILE]
  With keys (see lastbeat-broker keygen): zmq+…?key=FILE&server=FILE.pub   zmq+…?bind&key=FILE&allow=FILE

ENVIRONMENT
  LASTBEAT_MQTT_PASSWORD, LASTBEAT_INFLUX_PASSWORD, LASTBEAT_INFLUX_TOKEN,
  LASTBEAT_INDEX_PASSWORD, LASTBEAT_INDEX_API_KEY,
  LASTBEAT_HTTP_PASSWORD, LASTBEAT_HTTP_TOKEN,
  LASTBEAT_STANDBY_TOKEN   secrets; the last one is the leader's LASTBEAT_HTTP_TOKEN
  LASTBEAT_KEY   what would stand in the file key= of zmq+…, where the URL has none
  LASTBEAT_LOG   what is logged: error, warn, info (default), debug, trace; or per module
  NO_COLOR       no colours

EXIT CODES
  0  stopped by SIGINT or SIGTERM, everything taken in is on the disk
  1  it could not start or go on; the last line on stderr says why
  2  the command line or the configuration file is wrong";
