//! [`Row`]: what came of a case, and the table of all of them, for a terminal, for programs and for the documentation.

use std::time::Duration;

use serde_json::json;

use crate::faults::counts::Counts;
use crate::faults::fault::Case;
use crate::timeline::milliseconds;

/// The columns after the case's name.
const HEADS: [&str; 9] =
    ["sent", "stored", "shipped", "doubled", "lost, known", "lost, unknown", "false verdicts", "latest verdict", "ok"];
/// The columns' widths in a terminal, the name's first.
const WIDTHS: [usize; 9] = [46, 8, 8, 8, 8, 12, 14, 15, 15];

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as it must be.
    Right,
    /// What was not.
    Wrong(Vec<String>),
    /// It could not be played here, and why.
    Skipped(String),
}

/// One case with what came of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name, the transport first.
    pub label: String,
    /// How many messages.
    pub counts: Counts,
    /// How many verdicts were told that are not true.
    pub false_verdicts: usize,
    /// How long after it could be known the latest verdict was told.
    pub latest: Option<Duration>,
    /// Whether all that was right.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// The ends of the logs, if something was wrong.
    pub logs: String,
}

impl Row {
    /// One that was not played yet.
    pub fn of(case: &Case) -> Self {
        Self {
            label: case.label(),
            counts: Counts::default(),
            false_verdicts: 0,
            latest: None,
            outcome: Outcome::Right,
            took: Duration::ZERO,
            logs: String::new(),
        }
    }

    /// Whether nothing was wrong.
    pub fn is_right(&self) -> bool {
        !matches!(self.outcome, Outcome::Wrong(_))
    }

    /// For a terminal.
    pub fn line(&self) -> String {
        let mut line = format!("{:<width$}", self.label, width = WIDTHS[0]);
        let cells = self.cells();
        for (cell, width) in cells.iter().zip(&WIDTHS[1..]) {
            line.push_str(&format!("{cell:>width$}"));
        }
        format!("{line}  {}", cells[HEADS.len() - 1])
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let counts = &self.counts;
        let (outcome, reasons) = match &self.outcome {
            Outcome::Right => ("ok", vec![]),
            Outcome::Wrong(reasons) => ("wrong", reasons.clone()),
            Outcome::Skipped(reason) => ("skipped", vec![reason.clone()]),
        };
        json!({
            "case": self.label, "outcome": outcome, "reasons": reasons, "sent": counts.sent, "stored": counts.stored,
            "shipped": counts.shipped, "doubled": counts.doubled, "missed": counts.missed, "refused": counts.refused,
            "lost_known": counts.lost_known(), "lost_unknown": counts.lost_unknown(),
            "false_verdicts": self.false_verdicts, "latest_verdict_seconds": self.latest.map(|span| span.as_secs_f64()),
            "took_seconds": self.took.as_secs_f64(),
        })
    }

    /// For the documentation.
    pub fn markdown(&self) -> String {
        format!("| {} | {} |", self.label, self.cells().join(" | "))
    }

    fn cells(&self) -> [String; HEADS.len()] {
        let counts = &self.counts;
        let outcome = match &self.outcome {
            Outcome::Right => "yes".to_owned(),
            Outcome::Wrong(reasons) => format!("NO: {}", reasons.join("; ")),
            Outcome::Skipped(reason) => return skipped(reason),
        };
        let number = |number: u64| number.to_string();
        [
            number(counts.sent),
            number(counts.stored),
            number(counts.shipped),
            number(counts.doubled),
            number(counts.lost_known()),
            number(counts.lost_unknown()),
            self.false_verdicts.to_string(),
            self.latest.map_or_else(|| "-".to_owned(), milliseconds),
            outcome,
        ]
    }
}

fn skipped(reason: &str) -> [String; HEADS.len()] {
    let mut cells = [const { String::new() }; HEADS.len()].map(|_: String| "-".to_owned());
    cells[HEADS.len() - 1] = format!("skipped: {reason}");
    cells
}

/// The heading of the table in a terminal.
pub fn heading() -> String {
    let mut line = format!("{:<width$}", "", width = WIDTHS[0]);
    for (head, width) in HEADS.iter().zip(&WIDTHS[1..]) {
        line.push_str(&format!("{head:>width$}"));
    }
    format!("{line}  ok")
}

/// The whole table for the documentation.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!("| case | {} |\n|---|{}\n", HEADS.join(" | "), "---:|".repeat(HEADS.len() - 1) + "---|");
    for row in rows {
        text.push_str(&row.markdown());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_failed_and_what_was_left_out() {
        let mut row = Row::of(&crate::faults::catalogue::all()[0]);
        assert!(row.is_right() && row.line().ends_with("yes"));
        row.outcome = Outcome::Wrong(vec!["3 readings lost".to_owned()]);
        assert!(!row.is_right() && row.markdown().ends_with("| NO: 3 readings lost |"), "{}", row.markdown());
        row.outcome = Outcome::Skipped("needs root".to_owned());
        assert!(row.is_right() && row.line().ends_with("skipped: needs root"));
        assert_eq!(row.markdown().matches('|').count(), heading_cells());
    }

    fn heading_cells() -> usize {
        table(&[]).lines().next().unwrap().matches('|').count()
    }
}
