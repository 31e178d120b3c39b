//! One publisher that beats, with its own process, until it is killed.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use lastbeat_host::{Clock, Own};
use lastbeat_wire::{Encoding, Kind, PublisherId};

use super::{mqtt_server, zmq_address};
use crate::mqtt::{self, PING};
use crate::ready::Ready;

/// Who, where to, how often.
#[derive(Debug, Args)]
pub struct BeatArgs {
    /// zmq+tcp://… beats; mqtt://HOST:PORT only holds the connection, with a will under `rip/`.
    #[arg(long)]
    to: String,
    #[arg(long)]
    id: PublisherId,
    #[arg(long, value_parser = humantime::parse_duration)]
    every: Duration,
    /// MQTT's keepalive, in seconds.
    #[arg(long, default_value_t = 1)]
    keepalive: u16,
}

/// Beats until it is killed.
pub fn beat(args: &BeatArgs) -> anyhow::Result<()> {
    if let Some(server) = mqtt_server(&args.to) {
        let will = Kind::Rip.topic(&args.id);
        let mut stream = mqtt::connect(server?, args.id.as_str(), args.keepalive, Some(&will))?;
        println!("{{}}");
        loop {
            stream.write_all(&PING)?;
            std::thread::park_timeout(args.every);
        }
    }
    let socket = zmq::Context::new().socket(zmq::XPUB)?;
    socket.connect(zmq_address(&args.to))?;
    socket.recv_bytes(0)?;
    let ready = Ready::beat(Encoding::Json, Own::read()?.process);
    let (topic, mut payload) = (Kind::Beat.topic(&args.id), Vec::new());
    for number in 0.. {
        ready.write(&mut payload, number, Clock.now().utc);
        socket.send_multipart([topic.as_bytes(), &payload], 0)?;
        std::thread::park_timeout(args.every);
    }
    Ok(())
}
