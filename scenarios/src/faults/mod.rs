//! [`run`]: faults on real processes, one case after the other, and the table of what came of each.
//!
//! A case is data ([`fault::Case`], all of them in [`catalogue`]). It is played in a [`world::World`], which notes what was
//! really done ([`truth::Truth`]); a [`judge::Judge`] compares that with what the subscriber told.

mod actor;
pub mod args;
mod cast;
mod catalogue;
mod clock;
mod counts;
mod disk;
mod document;
mod fault;
mod judge;
mod outcome;
mod play;
mod truth;
mod world;

use anyhow::{Context, bail};

use crate::events::Events;
use crate::faults::args::FaultsArgs;
use crate::faults::cast::Pace;
use crate::faults::fault::Case;
use crate::faults::outcome::{Outcome, Row};
use crate::timeline::{Paint, say};

/// Plays all cases that are asked for; whether all were right.
///
/// # Errors
/// When there is no such case, a table can't be written, and on Ctrl-C.
pub fn run(args: &FaultsArgs) -> anyhow::Result<bool> {
    let cases: Vec<_> = catalogue::all().into_iter().filter(|case| args.asks_for(case)).collect();
    if cases.is_empty() {
        bail!("there is no such case; --list shows them all");
    }
    if args.list {
        for case in &cases {
            say(&case.label());
        }
        return Ok(true);
    }
    let pace = Pace { threshold: args.threshold, rate: args.rate };
    let events = Events::listen()?;
    if !args.json {
        say(&outcome::heading());
    }
    let mut rows = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        progress(number + 1, cases.len(), case);
        let row = play::play(case, &pace, args.keep.as_deref(), &events)?;
        tell(&row, args);
        rows.push(row);
    }
    if let Some(file) = &args.markdown {
        std::fs::write(file, document::page(&rows, &pace)).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(summarize(&rows, args))
}

fn progress(number: usize, all: usize, case: &Case) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K[{number}/{all}] {}", case.label());
    } else {
        eprintln!("[{number}/{all}] {}", case.label());
    }
}

fn tell(row: &Row, args: &FaultsArgs) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    say(&if args.json { row.json().to_string() } else { row.line() });
    if !row.logs.is_empty() {
        eprintln!("{}", row.logs);
    }
}

fn summarize(rows: &[Row], args: &FaultsArgs) -> bool {
    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    let skipped = rows.iter().filter(|row| matches!(row.outcome, Outcome::Skipped(_))).count();
    if !args.json {
        let paint = Paint::for_stdout();
        let played = rows.len() - skipped;
        let verdict = if wrong == 0 { paint.good("all right") } else { paint.bad(&format!("{wrong} NOT right")) };
        say(&format!("\n{played} cases played, {skipped} skipped: {verdict}"));
    }
    wrong == 0
}
