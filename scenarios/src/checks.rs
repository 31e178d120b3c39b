//! [`Checks`]: what was expected, what was seen, and whether that is right.

use crate::timeline::{Paint, say};

/// The widest column.
const WIDEST: usize = 60;

/// A table of checks.
#[derive(Debug, Default)]
pub struct Checks(Vec<Check>);

#[derive(Debug)]
struct Check {
    what: String,
    expected: String,
    seen: String,
    ok: bool,
}

impl Checks {
    /// Right if both are the same.
    pub fn same(&mut self, what: impl Into<String>, expected: impl Into<String>, seen: impl Into<String>) {
        let (expected, seen) = (expected.into(), seen.into());
        let ok = expected == seen;
        self.0.push(Check { what: what.into(), expected, seen, ok });
    }

    /// Right if `ok`.
    pub fn that(&mut self, ok: bool, what: impl Into<String>, expected: impl Into<String>, seen: impl Into<String>) {
        self.0.push(Check { what: what.into(), expected: expected.into(), seen: seen.into(), ok });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many are not right.
    pub fn failed(&self) -> usize {
        self.0.iter().filter(|check| !check.ok).count()
    }

    /// Prints the table.
    pub fn print(&self, paint: Paint) {
        let heading = ["check", "expected", "seen"].map(str::to_owned);
        let cells = |check: &Check| [check.what.clone(), check.expected.clone(), check.seen.clone()];
        let rows: Vec<_> = std::iter::once(heading).chain(self.0.iter().map(cells)).collect();
        // One that is wider, an error, sticks out and leaves the others where they are.
        let width_of = |cell: &String| Some(cell.chars().count()).filter(|width| *width <= WIDEST);
        let width = |column: usize| rows.iter().filter_map(|row| width_of(&row[column])).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        let line = |row: &[String; 3]| {
            let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ")
        };
        say(&format!("\n{}", paint.bold(&format!("{}  ok", line(&rows[0])))));
        for (row, check) in rows[1..].iter().zip(&self.0) {
            let ok = if check.ok { paint.good("yes") } else { paint.bad("NO") };
            say(&format!("{}  {ok}", line(row)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_right() {
        let mut checks = Checks::default();
        checks.same("a", "1", "1");
        checks.same("b", "1", "2");
        checks.that(false, "c", "more", "less");
        assert_eq!((checks.len(), checks.failed()), (3, 2));
    }
}
