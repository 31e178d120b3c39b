//! [`page`]: the table as a page of the documentation, with when, where and on what it was made.

use lastbeat_host::Clock;

use crate::faults::cast::{LOADED, Pace, QUIET};
use crate::faults::outcome::{Outcome, Row, table};
use crate::machine::{commit, machine};

/// The page.
pub fn page(rows: &[Row], pace: &Pace) -> String {
    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    let skipped = rows.iter().filter(|row| matches!(row.outcome, Outcome::Skipped(_))).count();
    let (loaded, rate, quiet) = (LOADED.len(), pace.rate, QUIET.len());
    let threshold = humantime::format_duration(pace.threshold);
    let (sent, stored) =
        rows.iter().fold((0, 0), |(sent, stored), row| (sent + row.counts.sent, stored + row.counts.stored));
    let unknown: u64 = rows.iter().map(|row| row.counts.lost_unknown()).sum();
    let lies: usize = rows.iter().map(|row| row.false_verdicts).sum();
    let mut text = format!(
        "# Faults on real processes\n\n\
         Made by `make faults` on {}, {}, commit {}. {loaded} publishers send {rate} readings a second each, {quiet} more only beat; \
         threshold {threshold}. What is done and what each column means stands in [scenarios](../scenarios/README.md).\n\n",
        Clock.now().utc.to_chrono().format("%Y-%m-%d"),
        machine(),
        commit(),
    );
    text.push_str(&format!(
        "{} cases, {skipped} of them skipped, {wrong} not as they must be. {sent} readings sent, {stored} stored, {unknown} lost without \
         anybody knowing; {lies} false verdicts.\n\n",
        rows.len()
    ));
    text.push_str(&table(rows));
    text
}
