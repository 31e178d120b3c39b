//! Receives as the subscriber does, parses, tells the watchdog, and makes line protocol that goes nowhere: the subscriber
//! without its log.

use clap::Args;
use lastbeat_host::Clock;
use lastbeat_transport::{Arrival, Batch, Incoming, LinkIndex, SubscribeOptions, subscribe};
use lastbeat_watchdog::{Heard, LinkNumber, WatchRules, Watchdog};
use lastbeat_wire::{Body, Now, Topic, decode};
use tokio::sync::mpsc;

use super::TELL_EVERY;
use crate::tally::Tally;

/// Line protocol that is kept before it is thrown away.
const LINES_BYTES: usize = 1 << 20;

/// From where.
#[derive(Debug, Args)]
pub struct LinesArgs {
    #[arg(long)]
    from: String,
}

/// Until it is killed.
pub fn lines(args: &LinesArgs) -> anyhow::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<Incoming>(64);
    let _link = subscribe(&args.from.parse()?, SubscribeOptions::default(), LinkIndex(0), sender)?;
    let rules = WatchRules { links: vec![args.from.clone()], ..WatchRules::default() };
    let mut now = Clock.now();
    let mut watchdog = Watchdog::new(rules, now);
    let (mut out, mut tally, mut told) = (Vec::with_capacity(2 * LINES_BYTES), Tally::default(), now.monotonic);
    // Whoever waits for it knows that it listens.
    while let Some(incoming) = receiver.blocking_recv() {
        now = Clock.now();
        match incoming.arrival {
            Arrival::Up => watchdog.link_up(now, LinkNumber(0)),
            Arrival::Down { .. } | Arrival::RoundTrip(_) => {}
            Arrival::Batch(batch) => {
                tally.add(take(&mut watchdog, now, &batch, &mut out)?);
                watchdog.due(now);
                drop(watchdog.outputs());
            }
        }
        if receiver.is_empty() || now.monotonic.since(told) >= TELL_EVERY {
            told = now.monotonic;
            tally.tell()?;
        }
    }
    Ok(())
}

fn take(watchdog: &mut Watchdog, now: Now, batch: &Batch, out: &mut Vec<u8>) -> anyhow::Result<u64> {
    for delivery in batch.iter() {
        let topic = Topic::parse(delivery.topic)?;
        let message = decode(topic.kind, delivery.payload)?;
        watchdog.heard(
            now,
            &Heard {
                publisher: topic.publisher,
                kind: topic.kind,
                link: Some(LinkNumber(0)),
                retained: false,
                resent: false,
                readable: true,
                header: &message.header,
                log: None,
            },
        );
        if let Body::Reading(reading) = &message.body {
            let time = reading.point_time(&message.header, now.utc);
            lastbeat_subscriber::measured::line(out, topic.publisher, &message.header, reading, time);
        }
    }
    if out.len() >= LINES_BYTES {
        out.clear();
    }
    Ok(batch.len() as u64)
}
