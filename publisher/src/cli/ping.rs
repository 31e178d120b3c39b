//! [`PingArgs`]: what may stand behind `ping`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use lastbeat_transport::Endpoint;
use lastbeat_wire::{Target, agent};

use super::endpoint::Endpoints;
use super::{SendArgs, positive_span};
use crate::source::ping::ResultForm;

/// What follows the help of `ping`.
pub const PING_EXAMPLES: &str = "\
Targets:
  a.example, 192.0.2.1, 2001:db8::1   echo requests (ICMP)
  a.example:443, [2001:db8::1]:443    the time in which a connection is taken (TCP)
  http://a.example/, https://…        a page: connection, TLS, first and last byte, status
  On the topic watch, parted by white space and retained, they take the place of those before, at once:
    mosquitto_pub -h broker.example -t watch -r -m 'a.example b.example:443 https://c.example/'
  An empty message there means none. The last list is kept over restarts.

Examples:
  An agent that is told by one of two brokers what to measure:
    lastbeat-publisher ping --to mqtts://one.example --to mqtts://two.example
  Its own targets, under a name of its own, and where it stands:
    lastbeat-publisher ping --to mqtt://127.0.0.1 --agent paris --network dsl a.example b.example:443
  Each target once, five probes, and then the end:
    lastbeat-publisher ping --to mqtt://127.0.0.1 --once --probes 5 a.example https://a.example/health
  For those who read the arrays of athoune/swarming:
    lastbeat-publisher ping --to mqtt://127.0.0.1 --format swarming a.example

What ICMP needs (Linux), either of:
  sysctl net.ipv4.ping_group_range=\"0 2147483647\"    for all users, IPv6 too; most distributions have it so
  setcap cap_net_raw+ep /usr/bin/lastbeat-publisher  for this program
  Where neither is, the results of such targets say so (field error); the others are measured.

Politeness:
  Whatever is configured, no more than 20 probes are sent in any 10 s, and a probe is waited for 2 s.

Signals:
  SIGINT and SIGTERM say goodbye and end; a second one ends at once (exit code 130).

Exit codes:
  0  done, or ended by a signal; a target that does not answer is a result, not a failure
  1  it failed: a transport that refuses, messages not got through at the end
  2  wrong options: a target that is none, more probes than are allowed, a broker that is not MQTT

Environment:
  LASTBEAT_AGENT, LASTBEAT_TO, LASTBEAT_SPOOL  for --agent, --to (several with spaces between), --spool
  LASTBEAT_LOG  what is logged to stderr: error, warn, info (default, each result), debug
  NO_COLOR      no colours in the log";

/// How to measure, as an agent of a swarm.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// What to measure; without any, the list that was last told on the topic watch
    #[arg(value_name = "TARGET")]
    pub targets: Vec<Target>,
    /// Where to: mqtt://user@host:port or mqtts://…, several times for several brokers, of which one is used, the first at
    /// random; the password is better put into LASTBEAT_MQTT_PASSWORD than into the URL. With certificates:
    /// mqtts://…?ca=FILE&cert=FILE&key=FILE
    #[arg(
        long,
        value_name = "URL",
        required = true,
        num_args = 1,
        env = "LASTBEAT_TO",
        hide_env_values = true,
        value_parser = Endpoints::some()
    )]
    pub to: Vec<Vec<Endpoint>>,
    /// The name to measure under; it publishes as agent/NAME [default: the host's name and a suffix that is kept beside the
    /// spool, another one for each agent on a host]
    #[arg(long, value_name = "NAME", env = "LASTBEAT_AGENT", value_parser = agent_name)]
    pub agent: Option<String>,
    /// What agents behind one provider, or at one site, have in common; it stands in each result
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    pub format: FormatArg,
    /// Results go to ping/TARGET/NAME, for brokers that hold each agent to its own name (see deploy/mosquitto)
    #[arg(long)]
    pub named_topics: bool,
    /// How beats, goodbyes, and results are published.
    #[command(flatten)]
    pub send: SendArgs,

    /// How many probes a target is sent, 1 to 20
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Measuring")]
    pub probes: u32,
    /// From one probe to the next, at least 200ms
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = positive_span, help_heading = "Measuring")]
    pub interval: Duration,
    /// From the end of one target to the next one, at least 1s
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = positive_span, help_heading = "Measuring")]
    pub pause: Duration,
    /// Measure each target once and end
    #[arg(long, help_heading = "Measuring")]
    pub once: bool,
    /// An authority (PEM) that https targets may have a certificate of, besides the system's
    #[arg(long, value_name = "FILE", help_heading = "Measuring")]
    pub ca: Option<PathBuf>,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FormatArg {
    /// In our envelope, with number and time (--encoding)
    #[default]
    Lastbeat,
    /// As athoune/swarming does: without either, so that a late one counts as if it were new
    Swarming,
}

impl From<FormatArg> for ResultForm {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Lastbeat => Self::Envelope,
            FormatArg::Swarming => Self::Swarming,
        }
    }
}

fn agent_name(text: &str) -> Result<String, String> {
    agent(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use clap::Parser;

    use super::super::{Cli, Command, EncodingArg};
    use super::*;

    fn ping(line: &str) -> PingArgs {
        match parse(&format!("lastbeat-publisher ping {line}")).unwrap().command {
            Command::Ping(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn several_brokers_and_targets_are_taken_and_the_defaults_are_polite() {
        let args = ping("--to mqtt://a --to mqtts://b a.example --agent paris [::1]:80");
        assert_eq!((args.to.concat().len(), args.targets.len()), (2, 2));
        assert_eq!(args.agent.as_deref(), Some("paris"));
        assert_eq!((args.probes, args.interval, args.pause), (10, Duration::from_secs(1), Duration::from_secs(10)));
        assert_eq!((args.format, args.send.encoding), (FormatArg::Lastbeat, EncodingArg::Json));
        assert!(!args.named_topics && !args.once);
    }

    #[test]
    fn brokers_may_be_parted_by_any_white_space_as_a_file_of_the_environment_has_it() {
        let to = " mqtt://a  mqtt://b\n";
        let cli = Cli::try_parse_from(["lastbeat-publisher", "ping", "--to", to, "--to", "mqtt://c"]).unwrap();
        let Command::Ping(args) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.to.concat().len(), 3);
        let error = Cli::try_parse_from(["lastbeat-publisher", "ping", "--to", " "]).unwrap_err().to_string();
        assert!(error.contains("--to <URL>: is no URL: it is empty"), "{error}");
    }

    #[test]
    fn what_is_no_target_or_no_agent_is_named() {
        for (line, wanted) in [
            ("a.example", "--to"),
            ("--to mqtt://a a..example", "a..example"),
            ("--to mqtt://a --agent a/+", "wildcard"),
            ("--to mqtt://a --probes many", "many"),
            ("--to mqtt://a --format yaml", "yaml"),
        ] {
            let error = parse(&format!("lastbeat-publisher ping {line}")).unwrap_err().to_string();
            assert!(error.contains(wanted), "{line}: {error}");
        }
    }
}
