//! `lastbeat-subscriber targets`: tells the agents of a swarm what to measure, by a retained message on every broker.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lastbeat_host::Own;
use lastbeat_transport::{Endpoint, Handed, PublishOptions, publish};
use lastbeat_wire::{Target, WATCH_TOPIC};

/// What to measure, and which brokers to tell.
#[derive(Debug, Clone, clap::Args)]
pub struct TargetsArgs {
    /// An MQTT broker; to be given for each that agents connect to.
    #[arg(long, value_name = "URL", required = true)]
    pub from: Vec<String>,
    /// How long each broker may take.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = humantime::parse_duration)]
    pub within: Duration,
    /// Nothing is to be measured any more.
    #[arg(long, conflicts_with = "targets")]
    pub none: bool,
    /// Host names and addresses (ICMP), with a port (TCP), or pages (http://…, https://…). They take the place of all before.
    #[arg(value_name = "TARGET", required_unless_present = "none")]
    pub targets: Vec<String>,
}

/// The same, checked.
#[derive(Debug)]
pub struct Wanted {
    brokers: Vec<Endpoint>,
    list: String,
    count: usize,
    within: Duration,
}

impl TargetsArgs {
    /// Checks every URL and every target.
    ///
    /// # Errors
    /// The first that is none; a broker that keeps no messages.
    pub fn wanted(&self) -> anyhow::Result<Wanted> {
        let mut brokers = Vec::new();
        for url in &self.from {
            let broker: Endpoint = url.parse()?;
            ensure!(
                !matches!(broker, Endpoint::Zmq(_)),
                "--from {broker}: only an MQTT broker keeps a list for its agents"
            );
            brokers.push(broker);
        }
        let targets = self.targets.iter().map(|target| target.parse()).collect::<Result<Vec<Target>, _>>()?;
        let words: Vec<&str> = targets.iter().map(Target::as_str).collect();
        Ok(Wanted { brokers, list: words.join(" "), count: targets.len(), within: self.within })
    }
}

/// Tells each broker, all at once, and says of each what became of it.
///
/// # Errors
/// When one of them could not be told; the others were.
pub fn run(wanted: &Wanted) -> anyhow::Result<()> {
    let own = Own::read().context("find out about this process")?;
    let tell = |broker| tell(broker, &own, wanted);
    let told: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = wanted.brokers.iter().map(|broker| scope.spawn(move || tell(broker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("invariant: telling does not panic")).collect()
    });
    let mut failed = 0;
    for (broker, told) in wanted.brokers.iter().zip(told) {
        match told {
            Ok(()) => println!("{broker}: {} targets", wanted.count),
            Err(error) => {
                failed += 1;
                tracing::error!("{broker}: not told: {error:#}");
            }
        }
    }
    if failed > 0 {
        bail!(
            "{failed} of {} brokers were not told: agents that move there go by the list before; tell them when they are back",
            wanted.brokers.len()
        );
    }
    Ok(())
}

fn tell(broker: &Endpoint, own: &Own, wanted: &Wanted) -> anyhow::Result<()> {
    let client = format!("targets-{}-{}", own.host_name, own.process.pid);
    let mut outbound = publish(broker, PublishOptions { client, retain: true, ..PublishOptions::default() })?;
    if outbound.try_send(WATCH_TOPIC, wanted.list.as_bytes())? == Handed::NotNow {
        ensure!(outbound.wait_ready(WATCH_TOPIC, wanted.within), "no connection within {:?}", wanted.within);
        let handed = outbound.try_send(WATCH_TOPIC, wanted.list.as_bytes())?;
        ensure!(handed == Handed::Taken, "the connection was lost");
    }
    ensure!(outbound.close(wanted.within).0 == 0, "not acknowledged within {:?}", wanted.within);
    Ok(())
}
