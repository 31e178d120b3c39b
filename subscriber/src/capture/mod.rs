//! `lastbeat-subscriber capture`: records when messages come, without what they say, beside a subscriber that runs.
//!
//! [`Writer`] writes the file line by line, [`Reader`] reads it event by event, for whoever asks what would have become of
//! these arrivals under other rules.

mod line;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_host::{Clock, Own};
use lastbeat_transport::{Arrival, Endpoint, Incoming, LinkIndex, Session, SubscribeOptions, Subscription, subscribe};
use lastbeat_wire::Monotonic;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::run::stop_on_signals;
pub use reader::{Captured, Event, Reader, What};
pub use writer::{Summary, Writer};

/// Batches that wait to be written, 512 messages each; with ZeroMQ 100,000 more messages wait in its socket.
const INCOMING: usize = 64;
/// How long what was written may stay in this process.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The longest `--for`.
const LONGEST: Duration = Duration::from_hours(8784);

/// What to record, and where to.
#[derive(Debug, Clone, clap::Args)]
pub struct CaptureArgs {
    /// Where messages come from; may be given several times.
    #[arg(long, value_name = "URL", required = true)]
    pub from: Vec<String>,
    /// Into this file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// For so long; until SIGINT or SIGTERM without it.
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub span: Option<Duration>,
}

/// Records until the span is over or it is told to stop, and says what it has.
pub fn run(args: &CaptureArgs) -> anyhow::Result<()> {
    if args.from.len() > 64 {
        bail!("{} links are given, at most 64 are possible", args.from.len());
    }
    if args.span.is_some_and(|span| !(Duration::from_millis(1)..=LONGEST).contains(&span)) {
        let span = args.span.unwrap_or_default();
        bail!("--for is {}, it may be 1ms to 366days", humantime::format_duration(span));
    }
    // Not by clap, whose errors would show a password.
    let from = args.from.iter().map(|url| url.parse()).collect::<Result<Vec<Endpoint>, _>>()?;
    let began = Clock.now();
    let writer = Writer::create(&args.out, began, from.iter().map(ToString::to_string).collect())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let summary = runtime.context("start a runtime")?.block_on(record(&from, args.span, writer, began.monotonic))?;
    let spent = Duration::from_millis(millis(Clock.now().monotonic.since(began.monotonic)));
    let spent = humantime::format_duration(spent);
    let Summary { messages, unreadable, publishers, bytes } = summary;
    println!(
        "{messages} messages of {publishers} publishers in {spent}, {unreadable} of them unreadable: {bytes} bytes in {}",
        args.out.display()
    );
    Ok(())
}

async fn record(
    from: &[Endpoint],
    span: Option<Duration>,
    mut writer: Writer,
    began: Monotonic,
) -> anyhow::Result<Summary> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let (sender, mut incoming) = mpsc::channel(INCOMING);
    let subscriptions = open_links(from, &sender)?;
    let end = span.map(|span| began.plus(span));
    let mut flush_at = began.plus(FLUSH_EVERY);
    loop {
        let wake = end.map_or(flush_at, |end| end.min(flush_at));
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(one) = incoming.recv() => write(&mut writer, one)?,
            () = tokio::time::sleep_until(Clock.instant(wake).into()) => {}
        }
        let now = Clock.now().monotonic;
        if end.is_some_and(|end| end <= now) {
            break;
        }
        if flush_at <= now {
            writer.flush()?;
            flush_at = now.plus(FLUSH_EVERY);
        }
    }
    // What the links had handed over was captured; closing the channel lets their threads end.
    incoming.close();
    while let Ok(one) = incoming.try_recv() {
        write(&mut writer, one)?;
    }
    let ended = Clock.now();
    drop(incoming);
    tokio::task::spawn_blocking(move || drop(subscriptions)).await.context("close the links")?;
    writer.end(ended)
}

/// Links of their own: over MQTT a session that nobody else has and that the broker forgets, so that nothing is taken from
/// a subscriber that runs; over ZeroMQ each subscriber gets everything anyway.
fn open_links(from: &[Endpoint], sender: &mpsc::Sender<Incoming>) -> anyhow::Result<Vec<Subscription>> {
    let host = Own::read().context("find out about this process")?.host_name;
    let client = format!("{host}-capture-{:016x}", rand::random::<u64>());
    let open = |(link, endpoint): (LinkIndex, &Endpoint)| {
        let options =
            SubscribeOptions { client: client.clone(), session: Session::Clean, ..SubscribeOptions::default() };
        Ok(subscribe(endpoint, options, link, sender.clone())?)
    };
    (0u16..).map(LinkIndex).zip(from).map(open).collect()
}

fn write(writer: &mut Writer, Incoming { link, arrival }: Incoming) -> anyhow::Result<()> {
    let now = Clock.now();
    match arrival {
        Arrival::Up => {
            tracing::info!("link {} up", link.0);
            writer.link_up(now, link)
        }
        Arrival::Down { reason } => {
            tracing::warn!("link {} down: {reason}", link.0);
            writer.link_down(now, link, &reason)
        }
        Arrival::RoundTrip(_) => Ok(()),
        Arrival::Batch(mut batch) => {
            for delivery in batch.iter() {
                writer.message(now, link, delivery)?;
            }
            // The session is our own: nobody else waits for this message.
            if let Some(receipt) = batch.receipt.take() {
                receipt.give();
            }
            Ok(())
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
