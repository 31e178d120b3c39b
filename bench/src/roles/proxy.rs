//! A bare `zmq::proxy`: what anybody would put between publishers and subscribers.

use std::io::Write;

use anyhow::Context;
use clap::Args;

/// How.
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// How many messages wait on each of its sides; libzmq's default is 1,000.
    #[arg(long)]
    high_water_mark: i32,
}

/// Passes on until it is killed. Its addresses are told as the broker tells its own.
pub fn proxy(args: &ProxyArgs) -> anyhow::Result<()> {
    let context = zmq::Context::new();
    let (front, back) = (context.socket(zmq::XSUB)?, context.socket(zmq::XPUB)?);
    front.set_rcvhwm(args.high_water_mark)?;
    back.set_sndhwm(args.high_water_mark)?;
    let bind = |socket: &zmq::Socket| -> anyhow::Result<String> {
        socket.bind("tcp://127.0.0.1:*")?;
        socket.get_last_endpoint()?.ok().context("no address")
    };
    let addresses = serde_json::json!({ "publishers": [bind(&front)?], "subscribers": [bind(&back)?] });
    writeln!(std::io::stdout(), "{addresses}")?;
    Ok(zmq::proxy(&front, &back)?)
}
