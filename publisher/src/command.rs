//! [`run`]: from the command line to the parts that do it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use lastbeat_host::{Clock, Own};
use lastbeat_transport::{Endpoint, PublishOptions};
use lastbeat_wire::{Kind, PublisherId, WATCH_TOPIC, agent};
use rand::seq::SliceRandom;

use crate::cli::{Cli, Command, CsvArgs, HostArgs, LinkArgs, PingArgs, RecordArgs, SendArgs, TimeArg};
use crate::destination::{Destination, SWARM};
use crate::failure::Failure;
use crate::letterhead::Letterhead;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::ping::list::List;
use crate::ping::measuring::{Measuring, Method};
use crate::ping::name::Name;
use crate::ping::plan::{Plan, Rounds};
use crate::ping::politeness::Politeness;
use crate::ping::probe::Trust;
use crate::publish::publish;
use crate::publisher::{BadRows, Parts, Publisher};
use crate::record::{Recording, record};
use crate::sensors::Sensors;
use crate::source::Source;
use crate::source::csv::{CsvError, CsvSource, Header, PointTime, Repeat, Settings, TimeColumn, Untimed};
use crate::source::host::HostSource;
use crate::source::ping::PingSource;
use crate::spool::{Bounds, Place, Spool, folder_name};
use crate::stop::Stop;

/// How much of what was sent is kept, however short the time.
const KEPT_BYTES: u64 = 64 << 20;

/// Does what the command line asks for, until it is done or a signal ends it.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let stop = Stop::on_signals()?;
    match cli.command {
        Command::Csv(args) => run_csv(*args, &stop),
        Command::Host(args) => run_host(&args, &stop),
        Command::Ping(args) => run_ping(*args, &stop),
        Command::Record(args) => run_record(&args, &stop),
    }
}

fn run_csv(args: CsvArgs, stop: &Stop) -> Result<(), Failure> {
    let bad_rows = if args.strict { BadRows::Stop } else { BadRows::Skip };
    let pace = args.speed.map_or_else(|| Pace::every(args.every), Pace::own);
    if args.time == TimeArg::File && !args.once {
        tracing::warn!("--time file without --once writes the same points again with each pass through the file");
    }
    let (settings, link) = settings(args);
    let source = CsvSource::open(settings).map_err(|error| match error {
        CsvError::Settings { .. } => Failure::Usage(error.into()),
        other => Failure::Runtime(other.into()),
    })?;
    run_source(Box::new(source), pace, bad_rows, &Link::from(&link), stop)
}

fn run_host(args: &HostArgs, stop: &Stop) -> Result<(), Failure> {
    let source = HostSource::open(Clock.now())?;
    let pace = Pace::every(args.every.max(Sensors::SHORTEST_INTERVAL));
    run_source(Box::new(source), pace, BadRows::Skip, &Link::from(&args.link), stop)
}

fn run_ping(args: PingArgs, stop: &Stop) -> Result<(), Failure> {
    let PingArgs { to, send, targets, once, .. } = args;
    let mut to = to.concat();
    let usage = |error: String| Failure::Usage(anyhow!(error));
    if let Some(other) = to.iter().find(|endpoint| !matches!(endpoint, Endpoint::Mqtt(_))) {
        return Err(usage(format!("--to {other}: an agent of a swarm publishes over MQTT only, mqtt:// or mqtts://")));
    }
    let politeness = Politeness::new(args.probes, args.interval, args.pause).map_err(usage)?;
    let trust = Trust::new(args.ca.as_deref()).map_err(Failure::Usage)?;
    let folder = spool_folder(&send);
    let host = Own::read().context("finding out which process this is")?.host_name;
    let name = args.agent.map_or_else(|| Name::usual(&host, folder.as_deref()), Name::given);
    let id = agent(&name.text).map_err(|error| Failure::Usage(error.into()))?;
    let list = List::new(folder.map(|folder| folder.join(format!("{}.targets", folder_name(&id, SWARM)))));
    let targets = if targets.is_empty() { list.load() } else { targets };
    if once && targets.is_empty() {
        return Err(usage("--once needs targets".to_owned()));
    }
    if targets.is_empty() {
        tracing::info!("there are no targets yet: they are waited for on the topic {WATCH_TOPIC}");
    }
    let rounds = if once { Rounds::Once } else { Rounds::Forever };
    let plan = Plan::new(targets, rounds, politeness.slot(), politeness.pause, rand::random());
    let measuring = Measuring::start(plan, Method { politeness, trust })?;
    let source = PingSource::new(measuring, list, name.text.clone(), args.network, args.format.into());
    // Agents that are started together don't go all to one broker.
    to.shuffle(&mut rand::rng());
    let listen = if once { Vec::new() } else { vec![WATCH_TOPIC.to_owned()] };
    let named = args.named_topics.then_some(name.text.clone());
    let to = Destination::OneOf { brokers: &to, listen, named };
    run_source(Box::new(source), Pace::live(), BadRows::Skip, &Link { id, to, send: &send }, stop)
}

fn run_record(args: &RecordArgs, stop: &Stop) -> Result<(), Failure> {
    let recording = Recording { out: &args.out, every: args.every, span: args.span };
    let rows = record(&recording, stop)?;
    tracing::info!("{}: {rows} rows written", args.out.display());
    Ok(())
}

/// Who publishes, where to, and how.
struct Link<'a> {
    id: PublisherId,
    to: Destination<'a>,
    send: &'a SendArgs,
}

impl<'a> From<&'a LinkArgs> for Link<'a> {
    fn from(args: &'a LinkArgs) -> Self {
        Self { id: args.id.clone(), to: Destination::One(&args.to), send: &args.send }
    }
}

fn run_source(
    source: Box<dyn Source>,
    pace: Pace,
    bad_rows: BadRows,
    link: &Link<'_>,
    stop: &Stop,
) -> Result<(), Failure> {
    let now = Clock.now();
    let own = Own::read().context("finding out which process this is")?;
    let Link { id, to, send } = link;
    let beat_every = send.beat_every.unwrap_or((send.threshold / 5).max(Duration::from_nanos(1)));
    tracing::info!("publishing as {id} to {to}, a beat every {}", humantime::format_duration(beat_every));
    let spool = open_spool(link);
    let process = own.process;
    let letterhead = Letterhead::new(own, send.encoding.into(), now);
    let options = PublishOptions {
        client: id.as_str().to_owned(),
        will: Some((Kind::Rip.topic(id), letterhead.will())),
        keepalive: beat_every,
        ..PublishOptions::default()
    };
    let outbound = to.open(options).context("opening the transport")?;
    let mut outbox = Outbox::new(outbound, id, process, spool);
    if let Destination::OneOf { named: Some(agent), .. } = to {
        outbox = outbox.with_named_topics(agent.clone());
    }
    let publisher = Publisher::new(Parts { source, pace, letterhead, outbox, beat_every, bad_rows }, now);
    publish(publisher, stop, send.drain)
}

/// The folder that spools are in, if they are in any.
fn spool_folder(send: &SendArgs) -> Option<PathBuf> {
    match &send.spool {
        Some(Place::Off) => None,
        Some(Place::Below(folder)) => Some(folder.clone()),
        None => Place::usual(|name| std::env::var_os(name)),
    }
}

/// Opens the spool of this publisher and destination. Where that can't be done, messages are held in memory: a publisher
/// that sends is better than one that does not start.
fn open_spool(link: &Link<'_>) -> Spool {
    let Link { id, to, send } = link;
    let bounds = Bounds { unsent: send.buffer.0, kept: KEPT_BYTES, keep: send.keep };
    let Some(below) = spool_folder(send) else {
        if send.spool != Some(Place::Off) {
            tracing::warn!("there is no folder to keep messages in (--spool); they are held in memory only");
        }
        return Spool::in_memory(bounds);
    };
    let folder = below.join(folder_name(id, &to.kept_as()));
    // Where nothing is acknowledged, what is lost is known by what comes after it.
    let again = matches!(to, Destination::One(Endpoint::Zmq(_)));
    match Spool::open(&folder, bounds, again) {
        Ok(spool) => {
            tracing::info!("messages are kept in {} until they are through", folder.display());
            if spool.held() > 0 {
                tracing::info!("{} messages of an earlier run are sent first", spool.held());
            }
            spool
        }
        Err(error) => {
            tracing::warn!("no message can be kept on the disk, they are held in memory only: {error}");
            Spool::in_memory(bounds)
        }
    }
}

/// What the command line says of the file, and the rest of it.
fn settings(args: CsvArgs) -> (Settings, LinkArgs) {
    let point_time = match args.time {
        TimeArg::Sent => PointTime::Sent,
        TimeArg::File => PointTime::Row,
    };
    let needs_times = args.speed.is_some() || point_time == PointTime::Row;
    let settings = Settings {
        path: args.file,
        delimiter: args.delimiter,
        header: match (args.header, args.no_header) {
            (true, _) => Header::Present,
            (_, true) => Header::Absent,
            _ => Header::Detect,
        },
        columns: args.columns,
        types: args.types,
        time_column: match args.time_column {
            None => TimeColumn::Detect,
            Some(none) if none == "none" => TimeColumn::Nowhere,
            Some(column) => TimeColumn::Named(column),
        },
        time_format: args.time_format,
        zone: args.zone,
        point_time,
        untimed: if needs_times { Untimed::Refused } else { Untimed::Allowed },
        repeat: if args.once { Repeat::Once } else { Repeat::Forever },
    };
    (settings, args.link)
}
