//! [`Hub`]: what stands between publishers and subscriber: our ZeroMQ broker, or Mosquitto.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use clap::ValueEnum;

use crate::events::Feed;
use crate::network::free_port;
use crate::process::{Process, Program};
use crate::programs;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// ZeroMQ, through lastbeat-broker
    Zmq,
    /// MQTT, through a Mosquitto of its own
    Mqtt,
}

/// A running broker.
pub struct Hub {
    /// Its process.
    pub process: Process,
    /// Where publishers connect.
    pub publishers: String,
    /// Where subscribers connect.
    pub subscribers: String,
}

impl Hub {
    /// Starts a broker to which publishers come by `address` and subscribers by the loopback, both on free ports.
    pub fn start(transport: Transport, address: Ipv4Addr, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        let (near, far) = (free_port(Ipv4Addr::LOCALHOST)?, free_port(address)?);
        let (scheme, name, command) = match transport {
            Transport::Zmq => {
                let mut command = programs::own("lastbeat-broker")?;
                command.args(["--publishers", &format!("tcp://{far}"), "--subscribers", &format!("tcp://{near}")]);
                ("zmq+tcp", "lastbeat-broker", command)
            }
            Transport::Mqtt => ("mqtt", "mosquitto", mosquitto(folder, &[near, far])?),
        };
        let process = Process::start(Program { name: name.to_owned(), command, lines: None }, folder, feed)?;
        Ok(Self { process, publishers: format!("{scheme}://{far}"), subscribers: format!("{scheme}://{near}") })
    }
}

/// A Mosquitto with a configuration and a data folder of its own.
fn mosquitto(folder: &Path, listeners: &[std::net::SocketAddr]) -> anyhow::Result<Command> {
    let mut command = programs::installed("mosquitto", "mosquitto")?;
    let data = folder.join("mosquitto");
    std::fs::create_dir(&data).with_context(|| format!("make {}", data.display()))?;
    let mut config = format!("persistence true\npersistence_location {}/\nallow_anonymous true\n", data.display());
    if rustix::process::geteuid().is_root() {
        // Else it becomes a user who can't write there.
        config.push_str("user root\n");
    }
    for listener in listeners {
        config.push_str(&format!("listener {} {}\n", listener.port(), listener.ip()));
    }
    let file = data.join("mosquitto.conf");
    std::fs::write(&file, config).with_context(|| format!("write {}", file.display()))?;
    command.arg("-c").arg(file);
    Ok(command)
}
