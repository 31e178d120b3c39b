//! [`Hub`]: what stands between publishers and subscriber: our ZeroMQ broker, or Mosquitto.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;

use crate::events::Feed;
use crate::network::free_port;
use crate::process::{Lines, Process, Program, Reads};
use crate::programs;

/// How long a broker may take to start on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_secs(10);
/// How often a Mosquitto is started until it is taken to be unable to.
const TRIES: u32 = 3;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// ZeroMQ, through lastbeat-broker
    Zmq,
    /// MQTT, through a Mosquitto of its own
    Mqtt,
}

impl Transport {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zmq => "zmq",
            Self::Mqtt => "mqtt",
        }
    }
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
    /// Starts a broker to which publishers come by `address` and subscribers by the loopback, both on free ports, and
    /// waits until it can be reached.
    pub fn start(transport: Transport, address: Ipv4Addr, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        match transport {
            Transport::Zmq => Self::zeromq(address, folder, feed),
            Transport::Mqtt => Self::mosquitto(address, "", folder, feed),
        }
    }

    /// The same with a Mosquitto, `more` added to its configuration.
    pub fn mosquitto(address: Ipv4Addr, more: &str, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        // Between finding free ports and taking them somebody else may take them.
        (1..TRIES)
            .find_map(|_| Self::try_mosquitto(address, more, folder, feed).ok())
            .map_or_else(|| Self::try_mosquitto(address, more, folder, feed), Ok)
    }

    fn zeromq(address: Ipv4Addr, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        let mut command = programs::own("lastbeat-broker")?;
        command.args(["--json", "--publishers", &format!("tcp://{address}:0"), "--subscribers", "tcp://127.0.0.1:0"]);
        let (lines, line) = hear(|line| line.starts_with('{'));
        let program = Program { name: "lastbeat-broker".to_owned(), command, reads: Reads::Stdout(lines) };
        let process = Process::start(program, folder, feed)?;
        let line = wait_for(&line, &process)?;
        let addresses: Value = serde_json::from_str(&line).with_context(|| format!("lastbeat-broker said {line}"))?;
        let url = |side: &str| {
            let address = addresses[side][0].as_str().with_context(|| format!("lastbeat-broker said {line}"))?;
            anyhow::Ok(format!("zmq+{address}"))
        };
        Ok(Self { process, publishers: url("publishers")?, subscribers: url("subscribers")? })
    }

    fn try_mosquitto(address: Ipv4Addr, more: &str, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        let (publishers, subscribers) = (free_port(address)?, free_port(Ipv4Addr::LOCALHOST)?);
        let command = mosquitto(folder, &[publishers, subscribers], more)?;
        let (lines, line) = hear(|line| line.ends_with(" running"));
        let program = Program { name: "mosquitto".to_owned(), command, reads: Reads::Stderr(lines) };
        let process = Process::start(program, folder, feed)?;
        wait_for(&line, &process)?;
        Ok(Self { process, publishers: format!("mqtt://{publishers}"), subscribers: format!("mqtt://{subscribers}") })
    }
}

/// Hears the line by which a broker says that it can be reached.
fn hear(is_ready: fn(&str) -> bool) -> (Lines, Receiver<String>) {
    let (sender, receiver) = sync_channel(1);
    let lines: Lines = Box::new(move |line| {
        if is_ready(line) {
            // Only the first one is waited for.
            let _ = sender.try_send(line.to_owned());
        }
    });
    (lines, receiver)
}

fn wait_for(line: &Receiver<String>, process: &Process) -> anyhow::Result<String> {
    line.recv_timeout(STARTED_WITHIN)
        .with_context(|| format!("{} can't be reached: {}", process.name(), process.log_tail(3)))
}

/// A Mosquitto with a configuration and a data folder of its own; `more` is added to the configuration.
pub fn mosquitto(folder: &Path, listeners: &[SocketAddr], more: &str) -> anyhow::Result<Command> {
    let mut command = programs::installed("mosquitto", "mosquitto")?;
    let data = folder.join("mosquitto");
    std::fs::create_dir_all(&data).with_context(|| format!("make {}", data.display()))?;
    let place = data.display();
    let mut config = format!("persistence true\npersistence_location {place}/\nallow_anonymous true\n{more}");
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
