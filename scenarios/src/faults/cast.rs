//! [`Cast`]: who plays in a case, and with which addresses, files and options. Starts nobody.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::events::Feed;
use crate::faults::actor::{Actor, Reading, Recipe, Surroundings};
use crate::faults::clock::WallClock;
use crate::faults::disk::Disk;
use crate::faults::fault::{Case, Fault, Who};
use crate::hub::{self, Transport};
use crate::influxd;
use crate::network::{Network, free_port, near_address};
use crate::process::Reads;
use crate::programs;

/// The publishers that send readings at a rate; faults are done to them.
pub const LOADED: [&str; 2] = ["light-1", "light-2"];
/// Those that only beat; nothing is done to them.
pub const QUIET: [&str; 3] = ["quiet-1", "quiet-2", "quiet-3"];
/// The numbers that a publisher's readings bear begin here in its second life, at twice as much in its third.
pub const NUMBERS_A_LIFE: u64 = 10_000_000;
/// For how long the files last that are replayed.
const FILE_SECONDS: u64 = 240;

/// How a case is played.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The silence that is allowed.
    pub threshold: Duration,
    /// Readings a second of each loaded publisher.
    pub rate: u32,
}

/// Everybody, not yet started.
pub struct Cast {
    /// Loaded ones first.
    pub publishers: Vec<Actor>,
    /// The broker.
    pub broker: Actor,
    /// The subscriber.
    pub subscriber: Actor,
    /// `InfluxDB`.
    pub influx: Actor,
    /// Where `InfluxDB` answers.
    pub influx_at: SocketAddr,
    /// Where the subscriber answers, if it can be reached.
    pub page: Option<SocketAddr>,
    /// The subscriber's store.
    pub store: PathBuf,
}

/// What each of them is given.
struct Stagehand<'a> {
    case: &'a Case,
    pace: &'a Pace,
    folder: &'a Path,
    feed: &'a Feed,
    networks: u32,
}

impl Cast {
    /// Lays networks, mounts disks, finds ports, writes files.
    ///
    /// # Errors
    /// What can't be had here.
    pub fn gather(case: &Case, pace: &Pace, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        let mut hand = Stagehand { case, pace, folder, feed, networks: 0 };
        let around = [Who::Publisher(0), Who::Publisher(1), Who::Broker, Who::Subscriber, Who::Influx];
        let [first, second, broker, subscriber, influx] = around.map(|who| hand.surroundings(who));
        let (first, second, broker, subscriber, influx) = (first?, second?, broker?, subscriber?, influx?);
        let host = |own: &Surroundings, peers: &[&Surroundings]| match &own.network {
            Some(network) => network.far(),
            None if peers.iter().any(|peer| peer.network.is_some()) => near_address(),
            None => Ipv4Addr::LOCALHOST,
        };
        let broker_host = host(&broker, &[&first, &second, &subscriber]);
        let influx_host = host(&influx, &[&subscriber]);
        let at = [free_port(broker_host)?, free_port(broker_host)?];
        let (influx_at, rpc) = (free_port(influx_host)?, free_port(influx_host)?);
        let metrics_at = subscriber.network.is_none().then(|| free_port(Ipv4Addr::LOCALHOST)).transpose()?;
        let scheme = if case.transport == Transport::Zmq { "zmq+tcp" } else { "mqtt" };
        let [to, from] = at.map(|at| format!("{scheme}://{at}"));
        let store = hand.place(Who::Subscriber).join("lastbeat.db");

        let mut publishers = vec![hand.loaded(0, &to, first), hand.loaded(1, &to, second)];
        for id in QUIET {
            publishers.push(hand.quiet(id, &to));
        }
        let subscriber = hand.subscriber(&from, &store, influx_at, metrics_at, subscriber);
        let broker = hand.broker(at, broker);
        let data = hand.place(Who::Influx);
        let influx = hand.actor("influxd", Box::new(move |_| influxd::command(&data, influx_at, rpc)), None, influx);
        Ok(Self { publishers, broker, subscriber, influx, influx_at, page: metrics_at, store })
    }
}

impl Stagehand<'_> {
    /// Where one keeps its files.
    fn place(&self, who: Who) -> PathBuf {
        self.folder.join(match who {
            Who::Publisher(number) => format!("{}.spool", LOADED[number]),
            Who::Broker => "broker".to_owned(),
            Who::Subscriber => "store".to_owned(),
            Who::Influx => "influx".to_owned(),
        })
    }

    fn surroundings(&mut self, who: Who) -> anyhow::Result<Surroundings> {
        let mut around = Surroundings::default();
        if self.case.does(who, |fault| fault == Fault::Cut) {
            self.networks += 1;
            around.network = Some(Network::lay(self.networks, near_address())?);
        }
        if self.case.does(who, |fault| fault == Fault::Fill) {
            around.disk = Some(Disk::mount(&self.place(who))?);
        }
        if self.case.does(who, |fault| matches!(fault, Fault::Clock(_))) {
            around.clock = Some(WallClock::make(&self.folder.join("clock"))?);
        }
        Ok(around)
    }

    fn actor(&self, name: &str, recipe: Recipe, reading: Option<Reading>, around: Surroundings) -> Actor {
        let reading = reading.unwrap_or_else(|| Box::new(|| Reads::Nothing));
        Actor::new(name, recipe, reading, around, (self.folder.to_owned(), self.feed.clone()))
    }

    fn loaded(&self, number: usize, to: &str, around: Surroundings) -> Actor {
        let (id, to, threshold) = (LOADED[number], to.to_owned(), spell(self.pace.threshold));
        let every = spell(Duration::from_secs(1) / self.pace.rate);
        let rows = u64::from(self.pace.rate) * FILE_SECONDS;
        let (folder, spool) = (self.folder.to_owned(), self.place(Who::Publisher(number)));
        let recipe = move |life: usize| {
            let file = folder.join(format!("{id}.{life}.csv"));
            write_rows(&file, life as u64 * NUMBERS_A_LIFE, rows)?;
            let mut command = programs::own("lastbeat-publisher")?;
            command.arg("csv").arg(&file).args(["--id", id, "--to", &to, "--threshold", &threshold, "--every", &every]);
            command.args(["--header", "--time-column", "none"]);
            command.arg("--spool").arg(&spool);
            Ok(command)
        };
        self.actor(id, Box::new(recipe), None, around)
    }

    fn quiet(&self, id: &'static str, to: &str) -> Actor {
        let (to, threshold, folder) = (to.to_owned(), spell(self.pace.threshold), self.folder.to_owned());
        let recipe = move |_| {
            let file = folder.join(format!("{id}.csv"));
            write_rows(&file, 0, 1)?;
            let mut command = programs::own("lastbeat-publisher")?;
            command.arg("csv").arg(&file).args(["--id", id, "--to", &to, "--threshold", &threshold, "--every", "1h"]);
            command.args(["--header", "--time-column", "none"]);
            command.arg("--spool").arg(folder.join(format!("{id}.spool")));
            Ok(command)
        };
        self.actor(id, Box::new(recipe), None, Surroundings::default())
    }

    fn subscriber(
        &self,
        from: &str,
        store: &Path,
        influx: SocketAddr,
        page: Option<SocketAddr>,
        around: Surroundings,
    ) -> Actor {
        let (from, store, threshold) = (from.to_owned(), store.to_owned(), spell(self.pace.threshold));
        let recipe = move |_| {
            let mut command = programs::own("lastbeat-subscriber")?;
            command.args(["--json", "--name", "faults", "--from", &from, "--threshold", &threshold]);
            command.arg("--store").arg(&store).args(["--influx", &format!("http://{influx}/lastbeat")]);
            command.arg("--http").arg(page.map_or_else(|| "off".to_owned(), |page| page.to_string()));
            Ok(command)
        };
        let feed = self.feed.clone();
        self.actor("subscriber", Box::new(recipe), Some(Box::new(move || Reads::Stdout(feed.flips()))), around)
    }

    fn broker(&self, at: [SocketAddr; 2], around: Surroundings) -> Actor {
        let folder = self.place(Who::Broker);
        let (keepalive, patience) = (spell(self.pace.threshold / 5), spell(self.pace.threshold / 10));
        let zeromq = move |_| {
            let mut command = programs::own("lastbeat-broker")?;
            let [publishers, subscribers] = at.map(|at| format!("tcp://{at}"));
            command.args(["--publishers", &publishers, "--subscribers", &subscribers]);
            command.args(["--keepalive", &keepalive, "--patience", &patience]);
            Ok(command)
        };
        match self.case.transport {
            Transport::Zmq => self.actor("lastbeat-broker", Box::new(zeromq), None, around),
            Transport::Mqtt => {
                // Its default holds 1,000 messages for a subscriber that is away, and drops the rest.
                let mosquitto = move |_| hub::mosquitto(&folder, &at, "max_queued_messages 0\n");
                self.actor("mosquitto", Box::new(mosquitto), None, around)
            }
        }
    }
}

/// Readings with a number each, so that every single one can be found again.
fn write_rows(file: &Path, from: u64, rows: u64) -> anyhow::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut text = String::from("n,celsius,door\n");
    for n in from..from + rows {
        let _ = writeln!(text, "{n},21.5,shut");
    }
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

fn spell(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}
