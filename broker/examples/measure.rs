//! Measures the transports on this machine: `measure throughput [MESSAGES]`, `measure latency`, `measure mqtt URL [MESSAGES]`.
//!
//! Everything runs on the machine at hand, publishers and subscriber beside the broker: figures are of all of them together.

#![expect(clippy::cast_precision_loss, reason = "rates for people to read")]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use lastbeat_host::Clock;
use lastbeat_transport::{
    Arrival, Batch, Endpoint, Handed, Incoming, LinkIndex, Outbound, PublishOptions, SubscribeOptions, Subscription,
    publish, subscribe, zeromq::KeyPair,
};
use tokio::sync::mpsc::{self, Receiver};

const PATIENCE: Duration = Duration::from_mins(1);
const PUBLISHERS: u64 = 2;
const PAYLOAD_BYTES: usize = 200;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |count| count.parse());
    match arguments.first().map(String::as_str) {
        Some("proxy") => bare_proxy(),
        Some("throughput") => {
            let total = count(1, 2_000_000)?;
            throughput("bare zmq::proxy", &Between::proxy()?, total)?;
            throughput("lastbeat-broker that keeps nothing", &Between::broker(&["--keep", "0"])?, total)?;
            throughput("lastbeat-broker", &Between::broker(&[])?, total)?;
            throughput("lastbeat-broker with keys", &Between::locked()?, total)
        }
        Some("latency") => latency(&Between::broker(&[])?),
        Some("mqtt") => mqtt(arguments.get(1).context("measure mqtt URL")?, count(2, 20_000)?),
        _ => bail!("usage: measure throughput [MESSAGES] | latency | mqtt URL [MESSAGES]"),
    }
}

/// What stands between publishers and subscriber, in a process of its own.
struct Between {
    child: Child,
    publishers: String,
    subscribers: String,
    /// The folder with its keys, for as long as it runs.
    keys: Option<tempfile::TempDir>,
}

impl Between {
    fn broker(options: &[&str]) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("../lastbeat-broker");
        let any = "tcp://127.0.0.1:0";
        Self::start(Command::new(program).args(["--json", "--publishers", any, "--subscribers", any]).args(options))
    }

    /// The broker with a key and a list with one entry, which all ends share.
    fn locked() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let key = KeyPair::generate()?;
        key.write(&folder.path().join("key"))?;
        let entry = format!("[all]\nkey = \"{}\"\npublish = ['0', '1', 'site/*']\nsubscribe = true\n", key.public());
        std::fs::write(folder.path().join("allow"), entry)?;
        let program = std::env::current_exe()?.with_file_name("../lastbeat-broker");
        let any = "tcp://127.0.0.1:0";
        let keys = ["--key", &path("key"), "--allow", &path("allow")];
        let mut command = Command::new(program);
        let mut between = Self::start(command.args(["--json", "--publishers", any, "--subscribers", any]).args(keys))?;
        for url in [&mut between.publishers, &mut between.subscribers] {
            *url += &format!("?key={}&server={}", path("key"), path("key.pub"));
        }
        between.keys = Some(folder);
        Ok(between)
    }

    fn proxy() -> anyhow::Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).arg("proxy"))
    }

    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?}"))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let addresses: serde_json::Value = serde_json::from_str(&line)?;
        let first = |name: &str| addresses[name][0].as_str().map(|address| format!("zmq+{address}"));
        let (Some(publishers), Some(subscribers)) = (first("publishers"), first("subscribers")) else {
            bail!("no addresses in {line:?}")
        };
        Ok(Self { child, publishers, subscribers, keys: None })
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.keys.take());
    }
}

fn bare_proxy() -> anyhow::Result<()> {
    let context = zmq::Context::new();
    let (front, back) = (context.socket(zmq::XSUB)?, context.socket(zmq::XPUB)?);
    front.set_rcvhwm(100_000)?;
    back.set_sndhwm(100_000)?;
    let bind = |socket: &zmq::Socket| -> anyhow::Result<String> {
        socket.bind("tcp://127.0.0.1:*")?;
        socket.get_last_endpoint()?.ok().context("no address")
    };
    let addresses = serde_json::json!({ "publishers": [bind(&front)?], "subscribers": [bind(&back)?] });
    writeln!(std::io::stdout(), "{addresses}")?;
    Ok(zmq::proxy(&front, &back)?)
}

fn open(subscribers: &str) -> anyhow::Result<(Subscription, Receiver<Incoming>)> {
    let (incoming, receiver) = mpsc::channel(64);
    let endpoint: Endpoint = subscribers.parse()?;
    Ok((subscribe(&endpoint, SubscribeOptions::default(), LinkIndex(0), incoming)?, receiver))
}

fn publisher(url: &str, client: u64) -> anyhow::Result<Box<dyn Outbound>> {
    let high_water_mark = std::env::var("HIGH_WATER_MARK").map_or(Ok(1_000), |mark| mark.parse())?;
    let options = PublishOptions { client: format!("measure-{client}"), high_water_mark, ..PublishOptions::default() };
    Ok(publish(&url.parse()?, options)?)
}

fn send(publisher: &mut dyn Outbound, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
    while publisher.try_send(topic, payload)? == Handed::NotNow {
        if !publisher.wait_ready(topic, PATIENCE) {
            bail!("{topic}: nobody to give it to");
        }
    }
    Ok(())
}

/// Calls `on_batch` with each batch until it says that this was the last.
fn listen(receiver: &mut Receiver<Incoming>, mut on_batch: impl FnMut(&Batch) -> bool) -> anyhow::Result<()> {
    loop {
        match receiver.blocking_recv().context("the link has ended")?.arrival {
            Arrival::Up => {}
            Arrival::Down { reason } => bail!("the link is down: {reason}"),
            Arrival::Batch(mut batch) => {
                if let Some(receipt) = batch.receipt.take() {
                    receipt.give();
                }
                if on_batch(&batch) {
                    return Ok(());
                }
            }
        }
    }
}

fn throughput(name: &str, between: &Between, messages: u64) -> anyhow::Result<()> {
    let (subscription, mut receiver) = open(&between.subscribers)?;
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let url = between.publishers.clone();
            thread::spawn(move || -> anyhow::Result<()> {
                let mut outbound = publisher(&url, number)?;
                let topic = format!("sensor/{number}");
                // As an envelope begins, so that the broker keeps it.
                let payload = format!("{:x<PAYLOAD_BYTES$}", "{\"lastbeat\":1,");
                for _ in 0..messages / PUBLISHERS {
                    send(&mut *outbound, &topic, payload.as_bytes())?;
                }
                // Whoever sends loses nothing, but a proxy in between may: the end is told until it is heard.
                while outbound.wait_ready("bye/", PATIENCE) {
                    send(&mut *outbound, &format!("bye/{number}"), b"")?;
                    thread::park_timeout(Duration::from_millis(50));
                }
                Ok(())
            })
        })
        .collect();
    let (mut start, mut end, mut heard, mut batches) = (None, None, 0_u64, 0_u64);
    let mut ended = std::collections::BTreeSet::new();
    listen(&mut receiver, |batch| {
        let now = Clock.now().monotonic;
        start.get_or_insert(now);
        batches += 1;
        for delivery in batch.iter() {
            if delivery.topic.starts_with(b"bye/") {
                ended.insert(delivery.topic.to_vec());
            } else {
                heard += 1;
                end = Some(now);
            }
        }
        ended.len() as u64 == PUBLISHERS
    })?;
    let span = end.zip(start).map(|(end, start)| end.since(start).as_secs_f64()).context("nothing came")?;
    let rate = heard as f64 / span;
    println!(
        "{name}: {heard} of {messages} in {span:.2} s = {rate:.0} messages/s, {:.0} a batch, {} lost",
        heard as f64 / batches as f64,
        messages - heard
    );
    // The publishers' threads are still telling their end to nobody.
    drop((publishing, subscription));
    Ok(())
}

fn latency(between: &Between) -> anyhow::Result<()> {
    const MESSAGES: u64 = 20_000;
    let every = Duration::from_micros(500);
    let (_subscription, mut receiver) = open(&between.subscribers)?;
    let url = between.publishers.clone();
    let sender = thread::spawn(move || -> anyhow::Result<()> {
        let mut outbound = publisher(&url, 0)?;
        send(&mut *outbound, "sensor/0", &[0; PAYLOAD_BYTES])?;
        let start = Clock.now().monotonic;
        for number in 0..MESSAGES {
            let due = start.plus(every * u32::try_from(number)?);
            loop {
                let left = due.since(Clock.now().monotonic);
                if left.is_zero() {
                    break;
                }
                thread::park_timeout(left);
            }
            let mut payload = [0; PAYLOAD_BYTES];
            payload[..8].copy_from_slice(&Clock.now().monotonic.0.to_le_bytes());
            send(&mut *outbound, "sensor/0", &payload)?;
        }
        outbound.close(PATIENCE);
        Ok(())
    });
    let mut nanos = Vec::new();
    listen(&mut receiver, |batch| {
        let now = Clock.now().monotonic.0;
        for delivery in batch.iter() {
            let sent = u64::from_le_bytes(delivery.payload[..8].try_into().expect("invariant: 200 bytes were sent"));
            if sent != 0 {
                nanos.push(now - sent);
            }
        }
        nanos.len() as u64 == MESSAGES
    })?;
    sender.join().expect("the sender does not panic")?;
    nanos.sort_unstable();
    let at = |share: usize| nanos[(nanos.len() - 1) * share / 1000] as f64 / 1e3;
    println!(
        "latency through the broker at 2,000 messages/s, in µs: p50 {:.0}, p99 {:.0}, p99.9 {:.0}, worst {:.0}",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    Ok(())
}

fn mqtt(url: &str, messages: u64) -> anyhow::Result<()> {
    let (_subscription, mut receiver) = open(url)?;
    while !matches!(receiver.blocking_recv().context("the link has ended")?.arrival, Arrival::Up) {}
    let mut outbound = publisher(url, 0)?;
    let sender = thread::spawn(move || -> anyhow::Result<()> {
        for _ in 0..messages {
            send(&mut *outbound, "sensor/0", &[b'x'; PAYLOAD_BYTES])?;
        }
        outbound.close(PATIENCE);
        Ok(())
    });
    let (mut start, mut heard) = (None, 0);
    listen(&mut receiver, |batch| {
        start.get_or_insert_with(|| Clock.now().monotonic);
        heard += batch.len() as u64;
        heard == messages
    })?;
    let span = Clock.now().monotonic.since(start.context("nothing came")?).as_secs_f64();
    println!("MQTT with receipts at once: {heard} in {span:.2} s = {:.0} messages/s", heard as f64 / span);
    sender.join().expect("the sender does not panic")
}
