//! The reports as a table for people.

use std::io::{self, Write};
use std::time::Duration;

use super::estimate::{Estimate, Report};

const TITLES: [&str; 6] = ["THRESHOLD", "", "EXCEEDED", "FALSE ALARMS A MONTH", "BY THE TAIL", "KNOWN AFTER"];

/// Writes each report: what was seen, the thresholds beside each other, what is to be minded.
pub fn write(out: &mut impl Write, reports: &[Report]) -> io::Result<()> {
    for (place, report) in reports.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        let Report { publisher, gaps, .. } = report;
        writeln!(out, "{publisher}: {gaps} gaps in {}", span(report.watched_s))?;
        let figures = [
            ("usually", report.usual_s),
            ("median", report.median_s),
            ("99 %", report.p99_s),
            ("longest", report.longest_s),
        ];
        let figures = figures.map(|(name, seconds)| format!("{name} {}", span(seconds)));
        writeln!(out, "  {}", figures.join(", "))?;
        let rows: Vec<_> = report.thresholds.iter().map(row).collect();
        let rows = || std::iter::once(TITLES.map(str::to_owned)).chain(rows.iter().cloned());
        let widths: Vec<_> =
            (0..TITLES.len()).map(|at| rows().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
        for row in rows() {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells
                .map(|(at, (cell, width))| if at == 1 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
            writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  "))?;
        }
        for warning in &report.warnings {
            writeln!(out, "  ! {warning}")?;
        }
    }
    Ok(())
}

fn row(estimate: &Estimate) -> [String; 6] {
    let seen = format!("{}{}", if estimate.at_most { "at most " } else { "" }, number(estimate.alarms_a_month));
    [
        span(estimate.threshold_s),
        estimate.how.to_owned(),
        estimate.exceeded.to_string(),
        seen,
        estimate.by_tail_a_month.map_or_else(|| "-".to_owned(), number),
        span(estimate.known_after_s),
    ]
}

/// To about three digits.
fn number(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        ..0.001 => "under 0.001".to_owned(),
        ..1.0 => format!("{number:.3}"),
        ..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// To about three digits: `1.37s`, `41.2ms`, `2m 5s`.
fn span(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.0}us", seconds * 1e6),
        ..0.1 => format!("{:.1}ms", seconds * 1e3),
        ..1.0 => format!("{:.0}ms", seconds * 1e3),
        ..10.0 => format!("{seconds:.2}s"),
        ..120.0 => format!("{seconds:.1}s"),
        _ => {
            let whole = Duration::try_from_secs_f64(seconds.round()).unwrap_or(Duration::MAX);
            humantime::format_duration(whole).to_string()
        }
    }
}
