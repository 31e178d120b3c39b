//! [`main`]: parses, plays, and turns the outcome into an exit code.

use std::net::Ipv4Addr;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, DownArgs, LatencyArgs, OverloadArgs, PlayArgs};
use crate::events::Interrupted;
use crate::faults;
use crate::how::How;
use crate::measuring::measure;
use crate::network::free_port;
use crate::overload::{overload, twice_the_processors};
use crate::scenario::{Scenario, play};
use crate::stage::{Cast, Setting};
use crate::swarm::swarm;

/// What a shell shows for a program that SIGINT ended (128 + 2).
const INTERRUPTED: u8 = 130;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
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
            let cast = Cast::Nobody;
            let setting = Setting { threshold, transport, influx: None, how: None, keep, cast, page: None };
            measure(&how, runs, setting)
        }
        Command::Overload(OverloadArgs { threshold, transport, publishers, busy, keep }) => {
            let page = Some(free_port(Ipv4Addr::LOCALHOST)?);
            let setting = Setting { threshold, transport, influx: None, how: None, keep, cast: Cast::Nobody, page };
            overload(publishers, busy.unwrap_or_else(twice_the_processors), setting)
        }
        Command::Faults(args) => faults::run(&args),
        Command::Swarm(args) => swarm(&args),
    }
}

fn setting(args: PlayArgs, how: Option<How>) -> Setting {
    let PlayArgs { threshold, transport, influx, keep } = args;
    Setting { threshold, transport, influx, how, keep, cast: Cast::Two, page: None }
}
