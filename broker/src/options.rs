//! [`Options`]: what the broker is told on its command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use lastbeat_transport::{Endpoint, Way, ZmqEndpoint, zeromq::Lock};

/// Passes messages from publishers to subscribers over ZeroMQ (XSUB to XPUB).
///
/// Publishers and subscribers only need to know the broker; each may start, stop and restart in any order. What nobody
/// has subscribed to stays with its publisher. A subscriber that reads slowly slows the publishers down; one that does
/// not read at all is passed by once the broker's patience is used up, so that it can't hold up the others.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct Options {
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Where publishers connect to; may be given several times.
    ///
    /// `tcp://HOST:PORT` or `ipc:///PATH`. HOST is an address (`[::1]` for IPv6) or `*` for all; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "tcp://127.0.0.1:5555")]
    pub publishers: Vec<ZmqEndpoint>,

    /// Where subscribers connect to; may be given several times.
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "tcp://127.0.0.1:5556")]
    pub subscribers: Vec<ZmqEndpoint>,

    /// Most messages held for each peer: those received from a publisher, and those that a subscriber has not taken yet
    /// [default: 100000, with keys 20000].
    ///
    /// libzmq's own 1,000 is a millisecond of full load. At 200 bytes a message 100,000 are some 30 MB for a peer that
    /// is as far behind as it may be, and nothing for one that keeps up. A subscriber that is full must take half of them
    /// within the broker's patience; what is encrypted takes it longer.
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub high_water_mark: Option<u32>,

    /// How long a full subscriber is waited for before messages pass it by.
    ///
    /// While it is waited for, nobody gets anything, and publishers hold what they have. Each message that goes out
    /// without a wait gives the whole patience back.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    pub patience: Duration,

    /// A peer that was not heard for so long is dead: its connection is closed. Peers are pinged three times as often.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = keepalive)]
    pub keepalive: Duration,

    /// How long what is on its way may take to leave when the broker is told to stop (SIGTERM, SIGINT).
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub drain: Duration,

    /// How much of the latest messages is kept in memory, to be sent again to subscribers that lost them; 0 keeps nothing.
    ///
    /// What is not kept here is asked of the publishers.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub keep: usize,

    /// How long messages are kept at most.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub keep_for: Duration,

    /// Threads that move bytes; one moves about a million small messages a second.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub io_threads: u8,

    /// Key pair (see `keygen`): publishers and subscribers then need its public half, and all that travels is encrypted.
    ///
    /// Without it the key pair in `LASTBEAT_KEY`, if there is an allow-list.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Whose keys come in, which ids each may publish as, and which may subscribe (TOML). Without it all keys do all.
    ///
    /// Read again at SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub allow: Option<PathBuf>,

    /// Prints one line of JSON with the addresses on stdout once they are open.
    #[arg(long)]
    pub json: bool,
}

/// What the broker's program does besides passing messages on.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a key pair for ZeroMQ CURVE: writes FILE, which only its owner may read, and FILE.pub, and prints the public
    /// key. Overwrites nothing.
    Keygen {
        /// Where to.
        #[arg(long, value_name = "FILE", default_value = "lastbeat.key")]
        out: PathBuf,
    },
}

impl Options {
    /// Most messages held for each peer.
    pub fn high_water_mark(&self) -> usize {
        let default = if self.lock() == Lock::Open { 100_000 } else { 20_000 };
        self.high_water_mark.unwrap_or(default) as usize
    }

    /// Which keys are asked for.
    pub fn lock(&self) -> Lock {
        match (&self.key, &self.allow) {
            (None, None) => Lock::Open,
            (key, allow) => Lock::Server { key: key.clone(), allow: allow.clone() },
        }
    }
}

const AFTER_HELP: &str = r#"Examples:
  lastbeat-broker
      Publishers connect to tcp://127.0.0.1:5555, subscribers to tcp://127.0.0.1:5556.
  lastbeat-broker --publishers 'tcp://*:5555' --subscribers 'tcp://*:5556' --subscribers ipc:///run/lastbeat.sock
      Both are open to the network, and subscribers on this machine may use a socket file. Without --key there is no
      encryption and no password in this: open it to networks that you trust.
  lastbeat-broker keygen --out broker.key
  lastbeat-broker --key broker.key --allow allow.toml
      Only who has a key on the list comes in. allow.toml has a table for each key, called by its name:
        [kitchen]
        key = "…"                             # the line in kitchen.key.pub
        publish = ["kitchen", "site-a/*"]     # the ids it may publish as; "*" for all
        [watch]
        key = "…"
        subscribe = true
      Publishers and subscribers name both keys: zmq+tcp://HOST:5555?key=kitchen.key&server=broker.key.pub

The log goes to stderr: traffic, drops and peers each 10 s in which there were any. LASTBEAT_LOG=debug shows more,
NO_COLOR=1 takes the colours out.

Exit codes: 0 after SIGTERM or SIGINT; 1 when an address or a key can't be opened or forwarding fails; 2 on bad usage."#;

fn address(text: &str) -> Result<ZmqEndpoint, String> {
    // libzmq's own way to write a free port.
    let with_port = text.strip_suffix(":*").map_or_else(|| text.to_owned(), |rest| format!("{rest}:0"));
    if !with_port.starts_with("tcp://") && !with_port.starts_with("ipc://") {
        return Err("is neither tcp://HOST:PORT nor ipc:///PATH".to_owned());
    }
    match format!("zmq+{with_port}?bind").parse() {
        Ok(Endpoint::Zmq(endpoint)) if endpoint.way == Way::Bind => Ok(endpoint),
        Ok(other) => Err(format!("{other} is no address to bind")),
        Err(error) => Err(error.to_string()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("{other:?} is no unit: B, KiB, MiB or GiB")),
    };
    let count: u64 = digits.parse().map_err(|error| format!("{digits:?}: {error}"))?;
    let bytes = count.checked_mul(unit).and_then(|bytes| usize::try_from(bytes).ok());
    match bytes {
        Some(bytes) if bytes == 0 || bytes >= 1 << 20 => Ok(bytes),
        Some(_) => Err("is less than 1MiB".to_owned()),
        None => Err("is more than there can be".to_owned()),
    }
}

fn keepalive(text: &str) -> Result<Duration, String> {
    let keepalive = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if keepalive < Duration::from_millis(100) { Err("is less than 100ms".to_owned()) } else { Ok(keepalive) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once(&"lastbeat-broker").chain(arguments))
    }

    #[test]
    fn says_nothing_that_it_does_not_do() {
        Options::command().debug_assert();
    }

    #[test]
    fn takes_several_addresses_of_each_kind() {
        let options =
            parse(&["--publishers", "tcp://[::1]:5555", "--publishers", "tcp://*:*", "--subscribers", "ipc:///run/x"])
                .unwrap();
        let addresses: Vec<_> = options.publishers.iter().map(|endpoint| endpoint.address.as_str()).collect();
        assert_eq!(addresses, ["tcp://[::1]:5555", "tcp://*:0"]);
        assert_eq!(options.subscribers[0].address, "ipc:///run/x");
        assert_eq!(options.keep, 64 << 20);
        assert_eq!(parse(&["--keep", "0"]).unwrap().keep, 0);
        assert_eq!(parse(&["--keep", "2GiB"]).unwrap().keep, 2 << 30);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for arguments in [
            ["--publishers", "127.0.0.1:5555"],
            ["--publishers", "tcp://127.0.0.1"],
            ["--subscribers", "ipc://"],
            ["--subscribers", "mqtt://host"],
            ["--high-water-mark", "0"],
            ["--keepalive", "1ms"],
            ["--patience", "soon"],
            ["--keep", "1 MB"],
            ["--keep", "MiB"],
            ["--keep", "7KiB"],
            ["--keep", "99999999999GiB"],
        ] {
            let error = parse(&arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(arguments[1]), "{error}");
        }
    }
}
