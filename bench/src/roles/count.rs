//! Receives and only counts: what a broker passes to somebody who has nothing to do.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use lastbeat_host::Clock;
use lastbeat_transport::{Arrival, Incoming, LinkIndex, SubscribeOptions, subscribe};
use tokio::sync::mpsc;

use super::{TELL_EVERY, mqtt_server, zmq_address};
use crate::mqtt;
use crate::tally::Tally;

/// Messages between two looks at the clock.
const BURST: u64 = 256;

/// From where.
#[derive(Debug, Args)]
pub struct CountArgs {
    /// zmq+tcp://… or mqtt://HOST:PORT
    #[arg(long)]
    from: String,
    /// Be connected to rather than connect; the address is told first.
    #[arg(long)]
    bind: bool,
    #[arg(long, default_value_t = 1_000)]
    high_water_mark: i32,
    #[arg(long, default_value_t = 0)]
    qos: u8,
    /// What the topics begin with.
    #[arg(long, default_value = "sensor/")]
    topic: String,
}

/// Counts until it is killed.
pub fn count(args: &CountArgs) -> anyhow::Result<()> {
    match mqtt_server(&args.from) {
        Some(server) => over_mqtt(server?, args),
        None if args.from.contains('?') => over_our_own(args),
        None => over_zmq(args),
    }
}

fn over_zmq(args: &CountArgs) -> anyhow::Result<()> {
    let socket = zmq::Context::new().socket(zmq::SUB)?;
    socket.set_rcvhwm(args.high_water_mark)?;
    if args.bind {
        socket.bind(zmq_address(&args.from))?;
        let address = socket.get_last_endpoint()?.unwrap_or_default();
        writeln!(std::io::stdout(), "{}", serde_json::json!({ "address": address }))?;
    } else {
        socket.connect(zmq_address(&args.from))?;
    }
    socket.set_subscribe(args.topic.as_bytes())?;
    socket.set_rcvtimeo(TELL_EVERY.as_millis() as i32)?;
    let (mut tally, mut told, mut pending, mut message) =
        (Tally::default(), Clock.now().monotonic, 0, zmq::Message::new());
    loop {
        let waits = match socket.recv(&mut message, zmq::DONTWAIT) {
            Ok(()) => {
                pending += u64::from(!message.get_more());
                false
            }
            Err(zmq::Error::EAGAIN) => true,
            Err(error) => return Err(error.into()),
        };
        if waits || pending >= BURST {
            tally.add(std::mem::take(&mut pending));
            let now = Clock.now().monotonic;
            if now.since(told) >= TELL_EVERY {
                told = now;
                tally.tell()?;
            }
        }
        if waits {
            match socket.recv(&mut message, 0) {
                Ok(()) => pending += u64::from(!message.get_more()),
                Err(zmq::Error::EAGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Over the subscriber's own end of a link, which knows the keys that stand in the URL.
fn over_our_own(args: &CountArgs) -> anyhow::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<Incoming>(64);
    let _link = subscribe(&args.from.parse()?, SubscribeOptions::default(), LinkIndex(0), sender)?;
    let (mut tally, mut told) = (Tally::default(), Clock.now().monotonic);
    while let Some(incoming) = receiver.blocking_recv() {
        if let Arrival::Batch(batch) = incoming.arrival {
            tally.add(batch.len() as u64);
        }
        let now = Clock.now().monotonic;
        if receiver.is_empty() || now.since(told) >= TELL_EVERY {
            told = now;
            tally.tell()?;
        }
    }
    Ok(())
}

fn over_mqtt(server: std::net::SocketAddr, args: &CountArgs) -> anyhow::Result<()> {
    let mut stream = mqtt::connect(server, "count", 0, None)?;
    mqtt::subscribe(&mut stream, &format!("{}#", args.topic), args.qos)?;
    let mut incoming = mqtt::Incoming::new(stream.try_clone()?, Duration::from_millis(50))?;
    let (mut tally, mut told, mut out) = (Tally::default(), Clock.now().monotonic, Vec::new());
    tally.tell()?;
    loop {
        incoming.read()?;
        let mut came = 0;
        while let Some(packet) = incoming.next_packet() {
            if packet.0 & 0xf0 == 0x30 {
                came += 1;
                if let Some(id) = mqtt::id_of(packet) {
                    mqtt::acknowledge(&mut out, id);
                }
            }
        }
        stream.write_all(&out)?;
        out.clear();
        tally.add(came);
        let now = Clock.now().monotonic;
        if now.since(told) >= TELL_EVERY {
            told = now;
            tally.tell()?;
        }
    }
}
