//! [`main`]: what the program does with its command line, and its exit code.

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Settings;
use crate::{capture, config, export, logging, run, simulate, targets, thresholds};

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::SampleConfig) => {
            print!("{}", config::SAMPLE);
            Ok(())
        }
        Some(Command::Export(args)) => logged(|| export::run(args)),
        Some(Command::Capture(args)) => logged(|| capture::run(&args)),
        Some(Command::Thresholds(args)) => logged(|| thresholds::run(&args)),
        Some(Command::Targets(args)) => match args.wanted() {
            Ok(wanted) => logged(|| targets::run(&wanted)),
            Err(error) => {
                eprintln!("lastbeat-subscriber: {error:#}");
                return ExitCode::from(2);
            }
        },
        Some(Command::Simulate(args)) => match args.wanted() {
            Ok(wanted) => simulate::run(&args, &wanted),
            Err(error) => {
                eprintln!("lastbeat-subscriber: {error:#}");
                return ExitCode::from(2);
            }
        },
        None => match Settings::load(&cli.watch) {
            Ok(settings) => run::run(settings, &cli.watch),
            Err(error) => {
                eprintln!("lastbeat-subscriber: {error:#}");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lastbeat-subscriber: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command that logs to stderr, and ends when all it logged is there.
fn logged(command: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let stderr = logging::begin(None);
    let done = command();
    run::flush([stderr]);
    done
}
