//! `lastbeat-subscriber thresholds`: what thresholds would mean for each publisher of a capture, and which one is suggested.

mod estimate;
mod gaps;
mod observe;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_watchdog::Bounds;
use lastbeat_wire::PublisherId;

use crate::capture::Reader;
use crate::threshold;
use estimate::Report;
use observe::Observed;

/// What to look at, and what is wanted.
#[derive(Debug, Clone, clap::Args)]
pub struct ThresholdsArgs {
    /// The capture to look at; `lastbeat-subscriber capture` records one.
    #[arg(long, value_name = "FILE")]
    pub capture: PathBuf,
    /// Only this publisher.
    #[arg(long, value_name = "ID")]
    pub publisher: Option<PublisherId>,
    /// So many false alarms a month are put up with, of each publisher.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.1)]
    pub false_alarms_a_month: f64,
    /// The fixed threshold to compare with.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration, default_value = "50s")]
    pub threshold: Duration,
    /// As JSON, one object a publisher.
    #[arg(long)]
    pub json: bool,
}

/// Reads the capture and tells of each publisher.
pub fn run(args: &ThresholdsArgs) -> anyhow::Result<()> {
    let wanted = args.false_alarms_a_month;
    if !(wanted.is_finite() && (1e-6..=1e6).contains(&wanted)) {
        bail!("--false-alarms-a-month is {wanted}, it may be 0.000001 to 1000000");
    }
    if args.threshold.is_zero() {
        bail!("--threshold is 0s, it may be anything longer");
    }
    let reports = reports(Reader::open(&args.capture)?, args)?;
    if reports.is_empty() {
        let whose = args.publisher.as_ref().map(|id| format!(" of publisher {id}")).unwrap_or_default();
        bail!("{}: no sign of life{whose} is in it", args.capture.display());
    }
    match tell(io::stdout().lock(), &reports, args.json) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told.context("stdout"),
    }
}

/// Reads a capture to its end; what there is to tell of each publisher.
///
/// # Errors
/// Those of the [`Reader`].
pub fn reports<R: BufRead>(mut reader: Reader<R>, args: &ThresholdsArgs) -> anyhow::Result<Vec<Report>> {
    let bounds: Bounds = threshold::BOUNDS;
    let only = args.publisher.clone();
    let mut observed = Observed::new(reader.links(), reader.began(), args.threshold, bounds, only);
    while let Some(event) = reader.next_event()? {
        observed.take(&event);
    }
    if let Some(line) = reader.torn() {
        tracing::warn!("{} line {line} is cut off, and left out", args.capture.display());
    }
    if observed.left_out > 0 {
        tracing::warn!("{} messages of too many publishers were left out", observed.left_out);
    }
    let report = |(id, gaps)| Report::of(id, &gaps, args.threshold, args.false_alarms_a_month);
    Ok(observed.end().into_iter().map(report).collect())
}

/// Writes the reports as a table, or as JSON, one object a line.
pub fn tell(out: impl Write, reports: &[Report], json: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    if json {
        for report in reports {
            serde_json::to_writer(&mut out, report)?;
            writeln!(out)?;
        }
    } else {
        table::write(&mut out, reports)?;
    }
    out.flush()
}
