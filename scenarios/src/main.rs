//! The program `lastbeat-scenarios`: parses, plays, and turns the outcome into an exit code.

mod checks;
mod cli;
mod events;
mod export;
mod faults;
mod folder;
mod how;
mod hub;
mod influx;
mod measuring;
mod network;
mod player;
mod process;
mod programs;
mod sample;
mod scenario;
mod stage;
mod stored;
mod timeline;
mod verdicts;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, DownArgs, LatencyArgs, PlayArgs};
use crate::events::Interrupted;
use crate::how::How;
use crate::measuring::measure;
use crate::scenario::{Scenario, play};
use crate::stage::{Cast, Setting};

/// What a shell shows for a program that SIGINT ended (128 + 2).
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lastbeat-scenarios: {error:#}");
            if error.is::<Interrupted>() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::BothAlive(args) => play(Scenario::BothAlive, How::Kill, setting(args, None)),
        Command::OneDown(DownArgs { play: args, how }) => play(Scenario::OneDown, how, setting(args, Some(how))),
        Command::BothDown(DownArgs { play: args, how }) => play(Scenario::BothDown, how, setting(args, Some(how))),
        Command::Latency(LatencyArgs { threshold, transport, how, runs, keep }) => {
            let setting = Setting { threshold, transport, influx: None, how: None, keep, cast: Cast::Nobody };
            measure(&how, runs, setting)
        }
        Command::Faults(args) => faults::run(&args),
    }
}

fn setting(args: PlayArgs, how: Option<How>) -> Setting {
    let PlayArgs { threshold, transport, influx, keep } = args;
    Setting { threshold, transport, influx, how, keep, cast: Cast::Two }
}
