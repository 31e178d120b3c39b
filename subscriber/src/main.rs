//! `lastbeat-subscriber`: watches publishers, keeps what they say, and tells who is alive and why.

mod announce;
mod cli;
mod config;
mod export;
mod follower;
#[cfg_attr(not(test), expect(dead_code, reason = "not mounted yet"))]
mod history;
mod influx;
mod intake;
mod logging;
mod memory;
mod overview;
mod pace;
mod probe;
mod receipts;
mod record;
mod run;
mod service;
mod store;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Settings;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::SampleConfig) => {
            print!("{}", config::SAMPLE);
            Ok(())
        }
        Some(Command::Export(args)) => {
            logging::begin(None);
            export::run(args)
        }
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
