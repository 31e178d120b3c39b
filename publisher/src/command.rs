//! [`run`]: from the command line to the parts that do it.

use std::time::Duration;

use anyhow::Context;
use lastbeat_host::{Clock, Own};
use lastbeat_transport::{Endpoint, PublishOptions};
use lastbeat_wire::Kind;

use crate::cli::{Cli, Command, CsvArgs, HostArgs, LinkArgs, RecordArgs, TimeArg};
use crate::failure::Failure;
use crate::letterhead::Letterhead;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::publish::publish;
use crate::publisher::{BadRows, Parts, Publisher};
use crate::record::{Recording, record};
use crate::sensors::Sensors;
use crate::source::Source;
use crate::source::csv::{CsvError, CsvSource, Header, PointTime, Repeat, Settings, TimeColumn, Untimed};
use crate::source::host::HostSource;
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
    run_source(Box::new(source), pace, bad_rows, &link, stop)
}

fn run_host(args: &HostArgs, stop: &Stop) -> Result<(), Failure> {
    let source = HostSource::open(Clock.now())?;
    let pace = Pace::every(args.every.max(Sensors::SHORTEST_INTERVAL));
    run_source(Box::new(source), pace, BadRows::Skip, &args.link, stop)
}

fn run_record(args: &RecordArgs, stop: &Stop) -> Result<(), Failure> {
    let recording = Recording { out: &args.out, every: args.every, span: args.span };
    let rows = record(&recording, stop)?;
    tracing::info!("{}: {rows} rows written", args.out.display());
    Ok(())
}

fn run_source(
    source: Box<dyn Source>,
    pace: Pace,
    bad_rows: BadRows,
    link: &LinkArgs,
    stop: &Stop,
) -> Result<(), Failure> {
    let now = Clock.now();
    let own = Own::read().context("finding out which process this is")?;
    let beat_every = link.beat_every.unwrap_or((link.threshold / 5).max(Duration::from_nanos(1)));
    tracing::info!("publishing as {} to {}, a beat every {}", link.id, link.to, humantime::format_duration(beat_every));
    let spool = open_spool(link);
    let process = own.process;
    let letterhead = Letterhead::new(own, link.encoding.into(), now);
    let options = PublishOptions {
        client: link.id.as_str().to_owned(),
        will: Some((Kind::Rip.topic(&link.id), letterhead.will())),
        keepalive: beat_every,
        ..PublishOptions::default()
    };
    let outbound = lastbeat_transport::publish(&link.to, options).context("opening the transport")?;
    let outbox = Outbox::new(outbound, &link.id, process, spool);
    let publisher = Publisher::new(Parts { source, pace, letterhead, outbox, beat_every, bad_rows }, now);
    publish(publisher, stop, link.drain)
}

/// Opens the spool of this publisher and destination. Where that can't be done, messages are held in memory: a publisher
/// that sends is better than one that does not start.
fn open_spool(link: &LinkArgs) -> Spool {
    let bounds = Bounds { unsent: link.buffer.0, kept: KEPT_BYTES, keep: link.keep };
    let below = match &link.spool {
        Some(Place::Off) => return Spool::in_memory(bounds),
        Some(Place::Below(folder)) => Some(folder.clone()),
        None => Place::usual(|name| std::env::var_os(name)),
    };
    let Some(below) = below else {
        tracing::warn!("there is no folder to keep messages in (--spool); they are held in memory only");
        return Spool::in_memory(bounds);
    };
    let folder = below.join(folder_name(&link.id, &link.to));
    // Where nothing is acknowledged, what is lost is known by what comes after it.
    let again = matches!(link.to, Endpoint::Zmq(_));
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
