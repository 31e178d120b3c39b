//! [`main`]: parses, starts the broker, runs it until a signal, exits. The forwarding is in `broker.rs`.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use lastbeat_transport::zeromq::{Curve, KeyPair};
use tracing_subscriber::EnvFilter;

use crate::{
    broker::Broker,
    options::{Command, Options},
    signals,
};

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    // clap ends with exit code 2 on bad usage.
    let options = Options::parse();
    log_to_stderr();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(Command::Keygen { out }) = &options.command {
        return generate_key(out);
    }
    let curve = Curve::read(&options.lock())?;
    let (broker, stopper) = Broker::start(options, &curve)?;
    signals::listen(stopper, curve.allowed().cloned())?;
    match &curve {
        Curve::Server { key, allowed: None } => {
            tracing::warn!("public key {}; without --allow everyone who knows it may come in", key.public());
        }
        Curve::Server { key, .. } => tracing::info!("public key {}", key.public()),
        Curve::Off | Curve::Client { .. } => {}
    }
    let addresses = broker.addresses();
    tracing::info!("ready: {addresses}");
    if options.json {
        // Whoever started us may have closed the other end; then nobody reads it.
        let _ = writeln!(std::io::stdout(), "{}", addresses.to_json());
    }
    broker.run()
}

fn generate_key(out: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let public = key.write(out).context("can't write a key file")?;
    tracing::info!("wrote {} and {}", out.display(), public.display());
    writeln!(std::io::stdout(), "{}", key.public()).context("can't print the public key")
}

fn log_to_stderr() {
    let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let filter = EnvFilter::try_from_env("LASTBEAT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colors).init();
}
