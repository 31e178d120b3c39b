//! [`Cli`]: what may stand on the command line. Its help is the user's documentation.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Publishes readings and beats from CSV files and from this machine's sensors.
#[derive(Debug, Parser)]
#[command(name = "lastbeat-publisher", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes this machine's sensors to a CSV file
    Record(RecordArgs),
}

/// How to record.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The file to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A row every so often
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = humantime::parse_duration)]
    pub every: Duration,
    /// How long; until SIGINT when not given
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub span: Option<Duration>,
}
