//! Sends ready-made messages, over `ZeroMQ` or MQTT, as fast as they are taken or at a rate. Loses none itself: what can't go
//! waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use lastbeat_host::Clock;
use lastbeat_transport::{Handed, Outbound, PublishOptions};
use lastbeat_wire::{Encoding, Kind, Monotonic, PublisherId};

use super::{TELL_EVERY, mqtt_server, zmq_address};
use crate::mqtt::{self, Incoming};
use crate::ready::{Ready, elsewhere};
use crate::tally::Tally;

/// How many messages at `QoS` 1 wait for their acknowledgement.
const IN_FLIGHT: u64 = 1_000;
/// How long nobody may take anything.
const PATIENCE: Duration = Duration::from_mins(1);
/// Messages between two looks at the clock.
const BURST: u64 = 64;

/// What, how fast, how long.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// zmq+tcp://… or mqtt://HOST:PORT
    #[arg(long)]
    to: String,
    /// The publisher's id, or what the ids of several begin with.
    #[arg(long)]
    id: String,
    /// For how many publishers it speaks, in turn.
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Messages a second; 0 for as many as are taken.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// How long.
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    span: Option<Duration>,
    /// How many messages at most.
    #[arg(long, default_value_t = u64::MAX)]
    messages: u64,
    /// The number of the first message.
    #[arg(long, default_value_t = 0)]
    number: u64,
    /// Which process it says it is, of a host that there is not [default: one of its own]
    #[arg(long)]
    process: Option<u32>,
    #[arg(long)]
    msgpack: bool,
    #[arg(long)]
    beats: bool,
    /// Topic and payload in one frame rather than two.
    #[arg(long)]
    one_frame: bool,
    #[arg(long, default_value_t = 0)]
    qos: u8,
}

/// Takes messages, one after the other.
trait Wire {
    fn send(&mut self, topic: &[u8], payload: &[u8]) -> anyhow::Result<()>;
    /// All that was given is on its way.
    fn flush(&mut self) -> anyhow::Result<()>;
    /// Waits until all of it has left this host's hands, or was acknowledged.
    fn finish(self: Box<Self>);
}

/// Sends all of it; tells how much that was.
pub fn send(args: &SendArgs) -> anyhow::Result<()> {
    let encoding = if args.msgpack { Encoding::MessagePack } else { Encoding::Json };
    let kind = if args.beats { Kind::Beat } else { Kind::Sensor };
    let process = elsewhere(args.process.unwrap_or_else(std::process::id));
    let ready = if args.beats { Ready::beat(encoding, process) } else { Ready::reading(encoding, process) };
    let topics = (0..args.publishers).map(|number| {
        let id = if args.publishers == 1 { args.id.clone() } else { format!("{}-{number}", args.id) };
        Ok(kind.topic(&id.parse::<PublisherId>()?))
    });
    let topics = topics.collect::<anyhow::Result<Vec<String>>>()?;
    let mut wire: Box<dyn Wire> = match mqtt_server(&args.to) {
        Some(server) => Box::new(Mqtt::connect(server?, &args.id, args.qos)?),
        // Keys stand in the URL; our own end knows them.
        None if args.to.contains('?') => Box::new(Ours::open(&args.to, &args.id)?),
        None => Box::new(Zmq::connect(zmq_address(&args.to), args.one_frame)?),
    };
    let tally = deliver(args, &ready, &topics, &mut *wire)?;
    wire.finish();
    Tally { done: true, ..tally }.tell()
}

fn deliver(args: &SendArgs, ready: &Ready, topics: &[String], wire: &mut dyn Wire) -> anyhow::Result<Tally> {
    let began = Clock.now().monotonic;
    let until = args.span.map_or(Monotonic(u64::MAX), |span| began.plus(span));
    let (mut tally, mut payload, mut told) = (Tally::default(), Vec::new(), began);
    let (mut numbers, mut publishers) = (args.number, topics.iter());
    loop {
        let now = Clock.now();
        if now.monotonic >= until || tally.count >= args.messages {
            break;
        }
        if now.monotonic.since(told) >= TELL_EVERY {
            told = now.monotonic;
            tally.tell()?;
        }
        let elapsed = now.monotonic.since(began);
        let due = match args.rate {
            0 => u64::MAX,
            rate => (elapsed.as_nanos() * u128::from(rate) / 1_000_000_000) as u64 + 1,
        };
        let burst = due.min(args.messages).saturating_sub(tally.count).min(BURST);
        for ahead in 0..burst {
            let topic = publishers.next().unwrap_or_else(|| {
                numbers += 1;
                publishers = topics.iter();
                publishers.next().expect("invariant: there is a publisher")
            });
            // No two messages of one publisher bear the same time: a database would keep one point of them.
            ready.write(&mut payload, numbers, now.utc.plus(Duration::from_nanos(ahead)));
            wire.send(topic.as_bytes(), &payload)?;
        }
        tally.add(burst);
        if burst < BURST {
            wire.flush()?;
        }
        if burst == 0 {
            let next = began.plus(Duration::from_nanos(tally.count * 1_000_000_000 / args.rate.max(1)));
            std::thread::park_timeout(next.since(Clock.now().monotonic).max(Duration::from_micros(20)));
        }
    }
    wire.flush()?;
    Ok(tally)
}

struct Zmq {
    socket: zmq::Socket,
    one_frame: bool,
    whole: Vec<u8>,
}

impl Zmq {
    /// Waits until somebody listens.
    fn connect(address: &str, one_frame: bool) -> anyhow::Result<Self> {
        let mut socket = zmq::Context::new().socket(zmq::XPUB)?;
        lastbeat_zmq_nodrop::set_xpub_nodrop(&mut socket, true)?;
        socket.set_linger(-1)?;
        socket.connect(address)?;
        socket.recv_bytes(0)?;
        Ok(Self { socket, one_frame, whole: Vec::new() })
    }
}

impl Wire for Zmq {
    fn send(&mut self, topic: &[u8], payload: &[u8]) -> anyhow::Result<()> {
        if self.one_frame {
            self.whole.clear();
            self.whole.extend_from_slice(topic);
            self.whole.extend_from_slice(payload);
            return Ok(self.socket.send(&self.whole, 0)?);
        }
        self.socket.send(topic, zmq::SNDMORE)?;
        Ok(self.socket.send(payload, 0)?)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) {
        // Its context waits for what is still under way.
        drop(self);
    }
}

/// The publisher's own end of a link.
struct Ours(Box<dyn Outbound>);

impl Ours {
    fn open(url: &str, client: &str) -> anyhow::Result<Self> {
        let options = PublishOptions { client: client.to_owned(), ..PublishOptions::default() };
        Ok(Self(lastbeat_transport::publish(&url.parse()?, options)?))
    }
}

impl Wire for Ours {
    fn send(&mut self, topic: &[u8], payload: &[u8]) -> anyhow::Result<()> {
        let topic = std::str::from_utf8(topic)?;
        while self.0.try_send(topic, payload)? == Handed::NotNow {
            ensure!(self.0.wait_ready(topic, PATIENCE), "{topic}: nobody to give it to");
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) {
        self.0.close(PATIENCE);
    }
}

struct Mqtt {
    stream: std::net::TcpStream,
    out: Vec<u8>,
    qos: u8,
    sent: u64,
    acknowledged: Arc<AtomicU64>,
}

impl Mqtt {
    fn connect(server: SocketAddr, id: &str, qos: u8) -> anyhow::Result<Self> {
        let stream = mqtt::connect(server, id, 0, None)?;
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut incoming = Incoming::new(stream.try_clone()?, Duration::from_hours(1))?;
        let (count, sender) = (acknowledged.clone(), std::thread::current());
        std::thread::spawn(move || {
            while incoming.read().is_ok() {
                while incoming.next_packet().is_some() {
                    count.fetch_add(1, Ordering::Release);
                }
                sender.unpark();
            }
        });
        Ok(Self { stream, out: Vec::new(), qos, sent: 0, acknowledged })
    }

    fn wait_until_in_flight(&self, most: u64) {
        while self.qos > 0 && self.sent - self.acknowledged.load(Ordering::Acquire) > most {
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
}

impl Wire for Mqtt {
    fn send(&mut self, topic: &[u8], payload: &[u8]) -> anyhow::Result<()> {
        if self.qos > 0 && self.sent - self.acknowledged.load(Ordering::Acquire) >= IN_FLIGHT {
            self.flush()?;
            self.wait_until_in_flight(IN_FLIGHT - 1);
        }
        // No two ids in flight are the same, for there are far fewer of them than ids.
        let id = (self.qos > 0).then(|| (self.sent % 65_535 + 1) as u16);
        mqtt::publish(&mut self.out, topic, payload, id);
        self.sent += 1;
        if self.out.len() >= 1 << 15 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        std::io::Write::write_all(&mut self.stream, &self.out)?;
        self.out.clear();
        Ok(())
    }

    fn finish(self: Box<Self>) {
        self.wait_until_in_flight(0);
    }
}
