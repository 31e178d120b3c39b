//! The command line: what it takes, and how it explains itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::faults::args::FaultsArgs;
use crate::folder::check_keep;
use crate::how::How;
use crate::hub::Transport;
use crate::influx::Influx;
use crate::measuring::Measured;
use crate::swarm::SwarmArgs;

/// Plays what can happen to two publishers, with real processes, and checks what the watchdog makes of it.
#[derive(Debug, Parser)]
#[command(name = "lastbeat-scenarios", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to play.
    #[command(subcommand)]
    pub command: Command,
}

/// What to play.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Both publishers stay alive, for a little over one threshold
    #[command(after_help = AFTER_HELP)]
    BothAlive(PlayArgs),
    /// The second publisher goes down
    #[command(after_help = AFTER_HELP)]
    OneDown(DownArgs),
    /// Both publishers go down
    #[command(after_help = AFTER_HELP)]
    BothDown(DownArgs),
    /// Measures how soon verdicts are known, over and over
    Latency(LatencyArgs),
    /// Measures how late verdicts are when thousands of publishers meet a host with twice the work it can do
    Overload(OverloadArgs),
    /// Does everything that can go wrong to every process, alone and in pairs, and counts what is lost and what is false
    Faults(FaultsArgs),
    /// Twenty agents over three brokers that fail one after the other, and what is judged of their targets; as root
    Swarm(SwarmArgs),
}

/// How to play.
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// The silence that is allowed, at least 1s
    #[arg(long, value_name = "SPAN", default_value = "50s", value_parser = threshold)]
    pub threshold: Duration,
    /// How messages travel
    #[arg(long, value_enum, default_value = "zmq")]
    pub transport: Transport,
    /// Ship to this InfluxDB, too, and check what it has: <http://user@host:8086/database>
    #[arg(long, value_name = "URL", help = INFLUX_HELP)]
    pub influx: Option<Influx>,
    /// Keep store, exports and logs in this folder, which must be empty or new
    #[arg(long, value_name = "DIR", value_parser = check_keep)]
    pub keep: Option<PathBuf>,
}

/// How to play, and how to go down.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// How to play.
    #[command(flatten)]
    pub play: PlayArgs,
    /// How publishers go down
    #[arg(long, value_enum, default_value = "kill")]
    pub how: How,
}

/// What to measure.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// The silence that is allowed, at least 1s
    #[arg(long, value_name = "SPAN", default_value = "3s", value_parser = threshold)]
    pub threshold: Duration,
    /// How messages travel
    #[arg(long, value_enum, default_value = "zmq")]
    pub transport: Transport,
    /// What happens to the publishers; may be given several times [default: all]
    #[arg(long, value_enum)]
    pub how: Vec<Measured>,
    /// How often
    #[arg(long, value_name = "TIMES", default_value = "20", value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,
    /// Keep store and logs in this folder, which must be empty or new
    #[arg(long, value_name = "DIR", value_parser = check_keep)]
    pub keep: Option<PathBuf>,
}

/// How much too much.
#[derive(Debug, Args)]
pub struct OverloadArgs {
    /// The silence that is allowed, at least 1s
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = threshold)]
    pub threshold: Duration,
    /// How messages travel
    #[arg(long, value_enum, default_value = "zmq")]
    pub transport: Transport,
    /// For how many publishers one process speaks
    #[arg(long, value_name = "COUNT", default_value = "10000", value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub publishers: u32,
    /// How many busy loops run beside them [default: twice as many as there are processors]
    #[arg(long, value_name = "COUNT")]
    pub busy: Option<usize>,
    /// Keep store and logs in this folder, which must be empty or new
    #[arg(long, value_name = "DIR", value_parser = check_keep)]
    pub keep: Option<PathBuf>,
}

const INFLUX_HELP: &str = "Ship to this InfluxDB, too, and check what it has: http://[user@]host:8086/database";

const AFTER_HELP: &str = "\
Starts a broker, two publishers and a subscriber on free ports of this host, and ends them all, whatever happens.

Environment:
  LASTBEAT_INFLUX_PASSWORD, LASTBEAT_INFLUX_TOKEN   secrets for --influx
  LASTBEAT_LOG   what the processes log: error, warn, info (default), debug
  NO_COLOR       no colours

Exit codes:
  0    verdicts, causes and all that was stored are right
  1    they are not, or it could not be played
  2    the command line is wrong
  130  interrupted";

fn threshold(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if span < Duration::from_secs(1) => Err("is less than 1s".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_defaults_are_those_of_the_task() {
        Cli::command().debug_assert();
        let Command::OneDown(down) = parse("lastbeat-scenarios one-down").unwrap().command else { panic!() };
        assert_eq!((down.play.threshold, down.how), (Duration::from_secs(50), How::Kill));
        assert_eq!(down.play.transport, Transport::Zmq);
    }

    #[test]
    fn wrong_values_are_named() {
        for (line, wanted) in [
            ("one-down --threshold 10ms", "less than 1s"),
            ("one-down --how explode", "explode"),
            ("both-alive --how kill", "--how"),
            ("both-alive --influx http://host", "names no database"),
            ("latency --runs 0", "0"),
        ] {
            let error = parse(&format!("lastbeat-scenarios {line}")).unwrap_err();
            assert!(error.to_string().contains(wanted), "{line}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
