//! Posts ready-made line protocol to an `InfluxDB` 1.x: what it takes from somebody who has nothing to encode.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use lastbeat_host::Clock;

use crate::page::Connection;
use crate::ready::Lines;
use crate::tally::Tally;

/// Where to, how many at once, how much.
#[derive(Debug, Args)]
pub struct PostArgs {
    #[arg(long)]
    to: SocketAddr,
    #[arg(long)]
    database: String,
    #[arg(long, default_value_t = 2)]
    writers: u64,
    /// Points a request.
    #[arg(long, default_value_t = 5_000)]
    batch: usize,
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    span: Option<Duration>,
    /// At most so many points, all writers together.
    #[arg(long, default_value_t = u64::MAX)]
    points: u64,
}

/// Posts all of it; tells how much that was.
pub fn post(args: &PostArgs) -> anyhow::Result<()> {
    let asked = AtomicU64::new(0);
    let tallies = std::thread::scope(|scope| {
        let asked = &asked;
        let writers: Vec<_> = (0..args.writers).map(|number| scope.spawn(move || write(args, number, asked))).collect();
        let joined = writers.into_iter().map(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?);
        joined.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let first = tallies.iter().map(|tally| tally.first).min().unwrap_or_default();
    let last = tallies.iter().map(|tally| tally.last).max().unwrap_or_default();
    Tally { count: tallies.iter().map(|tally| tally.count).sum(), first, last, done: true }.tell()
}

fn write(args: &PostArgs, number: u64, asked: &AtomicU64) -> anyhow::Result<Tally> {
    let mut connection = Connection::open(args.to)?;
    let mut lines = Lines::new(&format!("ready-{number}"), args.batch);
    let path = format!("/write?db={}&precision=ns", args.database);
    let began = Clock.now();
    let until = args.span.map(|span| began.monotonic.plus(span));
    let batch = args.batch as u64;
    // From the first request on, not from the first answer on.
    let mut tally = Tally { first: began.monotonic.0, ..Tally::default() };
    while until.is_none_or(|until| Clock.now().monotonic < until)
        && asked.fetch_add(batch, Ordering::Relaxed) + batch <= args.points
    {
        let time = began.utc.plus(Duration::from_nanos(tally.count));
        connection.post(&path, lines.from(time))?;
        tally.add(batch);
    }
    Ok(tally)
}
