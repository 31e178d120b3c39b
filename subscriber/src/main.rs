//! `lastbeat-subscriber`: watches publishers, keeps what they say, and tells who is alive and why.

mod announce;
mod board;
mod cli;
mod command;
mod config;
mod export;
mod follower;
mod history;
mod http;
mod influx;
mod intake;
mod logging;
mod memory;
mod metrics;
mod pace;
mod probe;
mod receipts;
mod record;
mod recover;
mod run;
mod service;
mod store;
mod table;
mod told;

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
