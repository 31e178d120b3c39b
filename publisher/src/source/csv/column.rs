//! [`Column`]: a column's name and type, and its cells as values. Knows nothing of rows or files.

use std::str::{FromStr, from_utf8};

/// Of a hundred cells, how many must fit for a column to be of a type; the others are reported as bad. One typing error
/// should not turn a column of numbers into text, which a database then refuses.
const FITTING_PERCENT: usize = 95;

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers with a decimal point.
    Float,
    /// `true` and `false`, in any case.
    Boolean,
    /// Anything in UTF-8.
    Text,
}

/// A column that becomes a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The field's name.
    pub name: String,
    /// Its type; `None` as long as no cell of it was seen.
    pub kind: Option<ColumnType>,
}

/// The value of a cell; text stays in the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// Empty, or a word for that.
    Absent,
    /// A whole number.
    Integer(i64),
    /// A number, maybe infinite.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// The record's text, which is valid UTF-8.
    Text,
}

/// What the cells seen so far could be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    integers: usize,
    floats: usize,
    booleans: usize,
    texts: usize,
}

impl ColumnType {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Text => "string",
        }
    }

    /// The value of a cell; `None` when it does not fit.
    pub fn parse(self, cell: &[u8]) -> Option<Cell> {
        if cell.is_empty() {
            return Some(Cell::Absent);
        }
        let text = from_utf8(cell).ok()?;
        if self == Self::Text {
            return Some(Cell::Text);
        }
        let text = text.trim_ascii();
        let value = match self {
            Self::Integer => text.parse().map(Cell::Integer).ok(),
            Self::Float => {
                text.parse().map(|value: f64| if value.is_nan() { Cell::Absent } else { Cell::Float(value) }).ok()
            }
            _ if text.eq_ignore_ascii_case("true") => Some(Cell::Boolean(true)),
            _ if text.eq_ignore_ascii_case("false") => Some(Cell::Boolean(false)),
            _ => None,
        };
        value.or_else(|| stands_for_nothing(text).then_some(Cell::Absent))
    }
}

impl FromStr for ColumnType {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "integer" | "int" => Self::Integer,
            "float" | "number" => Self::Float,
            "boolean" | "bool" => Self::Boolean,
            "string" | "text" => Self::Text,
            other => return Err(format!("type {other:?} is none of integer, float, boolean, string")),
        })
    }
}

impl std::fmt::Display for ColumnType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Column {
    /// The value of a cell; `Err` with the type that it does not fit.
    ///
    /// A column of which no cell was seen yet takes the type of this one; a whole number then makes it a float, for
    /// nobody knows what comes.
    pub fn read(&mut self, cell: &[u8]) -> Result<Cell, ColumnType> {
        if self.kind.is_none() {
            let mut tally = Tally::default();
            tally.add(cell);
            self.kind = tally.kind().map(|kind| if kind == ColumnType::Integer { ColumnType::Float } else { kind });
        }
        self.kind.map_or(Ok(Cell::Absent), |kind| kind.parse(cell).ok_or(kind))
    }
}

impl Tally {
    /// Counts a cell; one that stands for nothing says nothing.
    pub fn add(&mut self, cell: &[u8]) {
        let count = match cell_type(cell) {
            None => return,
            Some(ColumnType::Integer) => &mut self.integers,
            Some(ColumnType::Float) => &mut self.floats,
            Some(ColumnType::Boolean) => &mut self.booleans,
            Some(ColumnType::Text) => &mut self.texts,
        };
        *count += 1;
    }

    /// The narrowest type that takes nearly all of the cells; `None` when there was none.
    pub fn kind(&self) -> Option<ColumnType> {
        let numbers = self.integers + self.floats;
        let total = numbers + self.booleans + self.texts;
        let nearly_all = |count: usize| count * 100 >= total * FITTING_PERCENT;
        Some(match () {
            () if total == 0 => return None,
            () if nearly_all(numbers) && self.floats == 0 => ColumnType::Integer,
            () if nearly_all(numbers) => ColumnType::Float,
            () if nearly_all(self.booleans) => ColumnType::Boolean,
            () => ColumnType::Text,
        })
    }
}

/// The narrowest type of one cell; `None` when it stands for nothing.
pub fn cell_type(cell: &[u8]) -> Option<ColumnType> {
    let text = from_utf8(cell).map(str::trim_ascii);
    if text.is_ok_and(|text| text.is_empty() || stands_for_nothing(text)) {
        return None;
    }
    [ColumnType::Integer, ColumnType::Float, ColumnType::Boolean]
        .into_iter()
        .find(|kind| kind.parse(cell).is_some())
        .or(Some(ColumnType::Text))
}

/// What other programs write for a value that isn't there.
fn stands_for_nothing(text: &str) -> bool {
    text.len() <= 4 && ["nan", "na", "n/a", "null", "none", ""].iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(cells: &[&str]) -> Option<ColumnType> {
        let mut tally = Tally::default();
        for cell in cells {
            tally.add(cell.as_bytes());
        }
        tally.kind()
    }

    #[test]
    fn integers_widen_to_floats_and_these_to_text() {
        assert_eq!(kind_of(&["1", "-2", "+3"]), Some(ColumnType::Integer));
        assert_eq!(kind_of(&["1", "2.5", "1e3"]), Some(ColumnType::Float));
        assert_eq!(kind_of(&["9223372036854775807"]), Some(ColumnType::Integer));
        assert_eq!(kind_of(&["9223372036854775808"]), Some(ColumnType::Float));
        assert_eq!(kind_of(&["1", "2.5", "warm"]), Some(ColumnType::Text));
        assert_eq!(kind_of(&["true", "FALSE"]), Some(ColumnType::Boolean));
        assert_eq!(kind_of(&["true", "1"]), Some(ColumnType::Text));
    }

    #[test]
    fn what_stands_for_nothing_decides_nothing() {
        assert_eq!(kind_of(&["", "NaN", "N/A", " "]), None);
        assert_eq!(kind_of(&["", "nan", "4"]), Some(ColumnType::Integer));
        for kind in [ColumnType::Integer, ColumnType::Float, ColumnType::Boolean] {
            for cell in ["", "NaN", "na", " ", "null"] {
                assert_eq!(kind.parse(cell.as_bytes()), Some(Cell::Absent), "{kind} {cell:?}");
            }
        }
        assert_eq!(ColumnType::Text.parse(b"NA"), Some(Cell::Text), "Namibia");
    }

    #[test]
    fn one_cell_in_twenty_may_be_bad_but_not_one_in_nineteen() {
        let mut cells = vec!["1"; 19];
        cells.push("x");
        assert_eq!(kind_of(&cells), Some(ColumnType::Integer));
        assert_eq!(kind_of(&cells[1..]), Some(ColumnType::Text));
    }

    #[test]
    fn a_column_seen_empty_takes_the_type_of_its_first_cell() {
        let mut column = Column { name: "late".into(), kind: None };
        assert_eq!(column.read(b""), Ok(Cell::Absent));
        assert_eq!(column.read(b"3"), Ok(Cell::Float(3.0)));
        assert_eq!(column.read(b"3.5"), Ok(Cell::Float(3.5)));
        assert_eq!(column.read(b"warm"), Err(ColumnType::Float));
    }

    #[test]
    fn bytes_that_are_not_utf_8_fit_no_type() {
        for kind in [ColumnType::Integer, ColumnType::Float, ColumnType::Boolean, ColumnType::Text] {
            assert_eq!(kind.parse(b"\xff1"), None);
        }
    }
}
