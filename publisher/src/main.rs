//! The program `lastbeat-publisher`: parses, runs, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use lastbeat_publisher::cli::Cli;
use lastbeat_publisher::{Failure, run};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .with_env_filter(
            EnvFilter::try_from_env("LASTBEAT_LOG").unwrap_or_else(|_| EnvFilter::new("info,paho_mqtt=error")),
        )
        .init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            match failure {
                Failure::Usage(_) | Failure::BadRow(_) => ExitCode::from(2),
                Failure::Runtime(_) => ExitCode::FAILURE,
            }
        }
    }
}
