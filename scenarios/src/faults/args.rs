//! [`FaultsArgs`]: which cases are played, and how.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::faults::fault::Case;
use crate::folder::check_keep;
use crate::hub::Transport;

/// Which cases, and how.
#[derive(Debug, Args)]
pub struct FaultsArgs {
    /// Only the cases whose name has this in it, as `--list` shows them; may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub only: Vec<String>,
    /// Only those over this transport
    #[arg(long, value_enum)]
    pub transport: Option<Transport>,
    /// Only the few that are played with every change
    #[arg(long)]
    pub short: bool,
    /// The silence that is allowed, at least 2s
    #[arg(long, value_name = "SPAN", default_value = "3s", value_parser = threshold)]
    pub threshold: Duration,
    /// Readings a second of each of the two loaded publishers
    #[arg(long, value_name = "READINGS", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Show the names of the cases, and play none
    #[arg(long)]
    pub list: bool,
    /// One JSON object a case on stdout, rather than a table
    #[arg(long)]
    pub json: bool,
    /// Write the table to this file, too, for the documentation
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Keep stores and logs, each case's in a folder of its own in this one, which must be empty or new
    #[arg(long, value_name = "DIR", value_parser = check_keep)]
    pub keep: Option<PathBuf>,
}

impl FaultsArgs {
    /// Whether a case is to be played.
    pub fn asks_for(&self, case: &Case) -> bool {
        let label = case.label();
        (self.only.is_empty() || self.only.iter().any(|part| label.contains(part.as_str())))
            && self.transport.is_none_or(|transport| transport == case.transport)
            && (!self.short || case.short)
    }
}

/// MQTT counts its keepalives in whole seconds: with less than this it would notice nothing in time.
fn threshold(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if span < Duration::from_secs(2) => Err("is less than 2s".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}
