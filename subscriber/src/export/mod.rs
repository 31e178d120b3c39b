//! `lastbeat-subscriber export`: readings or heartbeats as a table, from the store or from InfluxDB.
//!
//! Rows are read and written one by one: memory stays the same for ten million of them.

mod influx;
mod store;
mod table;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use lastbeat_host::Clock;
use lastbeat_wire::{PublisherId, UtcNanos};

use crate::influx::InfluxConfig;
pub use store::export as from_store;
pub use table::Table;

/// What to export, from where, and where to.
#[derive(Debug, Clone, clap::Args)]
pub struct ExportArgs {
    /// What to export.
    #[arg(long, value_enum, default_value_t = Measurement::Sensor)]
    pub measurement: Measurement,
    /// Only this publisher; may be given several times. All by default.
    #[arg(long = "publisher", value_name = "ID")]
    pub publishers: Vec<PublisherId>,
    /// From this time on: a span before now (90s, 1h, 2days), a date, or an RFC 3339 time.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this time, given like --since.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// How the table is written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub format: Format,
    /// Into this file instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The store to read from.
    #[arg(long, value_name = "FILE", conflicts_with = "influx")]
    pub store: Option<PathBuf>,
    /// Read from this InfluxDB instead: `http://user@host:8086/database`, or `http://host:8086?org=…&bucket=…`;
    /// `https://…?ca=FILE` for an authority of your own.
    #[arg(long, value_name = "URL")]
    pub influx: Option<String>,
}

/// What there is to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Measurement {
    /// The readings.
    Sensor,
    /// How the publishers stood.
    Heartbeat,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// Which rows.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of what.
    pub measurement: Measurement,
    /// Of whom; of all when empty.
    pub publishers: Vec<PublisherId>,
    /// From this time on.
    pub since: UtcNanos,
    /// Before this time.
    pub until: UtcNanos,
}

/// Exports, and says on stderr how many rows there were.
///
/// # Errors
/// When an argument, the source or the output is not as it should be. That standard output was closed is no error.
pub fn run(args: ExportArgs) -> anyhow::Result<()> {
    let now = Clock.now().utc;
    let time = |text: &Option<String>, otherwise| text.as_deref().map_or(Ok(otherwise), |text| parse_time(text, now));
    let wanted = Wanted {
        measurement: args.measurement,
        publishers: args.publishers,
        since: time(&args.since, UtcNanos(i64::MIN)).context("--since")?,
        until: time(&args.until, UtcNanos(i64::MAX)).context("--until")?,
    };
    let out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(File::create(path).with_context(|| format!("create {}", path.display()))?),
        None => Box::new(io::stdout()),
    };
    let mut table = Table::new(args.format, out);
    let result = match (&args.store, &args.influx) {
        (_, Some(url)) => influx::export(InfluxConfig::from_env(url)?, &wanted, &mut table),
        (Some(path), None) => crate::store::open_read_only(path)
            .map_err(anyhow::Error::from)
            .and_then(|db| from_store(&db, &wanted, &mut table).with_context(|| format!("store {}", path.display()))),
        (None, None) => bail!("export from where? Give --store FILE or --influx URL"),
    };
    match result.and_then(|()| table.finish()) {
        Ok(rows) => {
            tracing::info!(rows, "exported");
            Ok(())
        }
        Err(error) if is_broken_pipe(&error) => Ok(()),
        Err(error) => Err(error.context("export")),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = match cause.downcast_ref::<csv::Error>().map(csv::Error::kind) {
            Some(csv::ErrorKind::Io(error)) => Some(error.kind()),
            _ => cause.downcast_ref::<io::Error>().map(io::Error::kind),
        };
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

/// A time from a text: a span before `now` (90s, 1h, 2days), a date, or an RFC 3339 time.
///
/// # Errors
/// When it is none of these; the text says so.
pub fn parse_time(text: &str, now: UtcNanos) -> anyhow::Result<UtcNanos> {
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(now.minus(span));
    }
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let midnight = date.and_then(|date| date.and_hms_opt(0, 0, 0)).map(|time| time.and_utc());
    let time = midnight.or_else(|| chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()));
    time.as_ref().and_then(UtcNanos::from_chrono).with_context(|| {
        format!("{text:?} is no span like 1h, no date like 2024-05-01, and no time like 2024-05-01T12:00:00Z")
    })
}
