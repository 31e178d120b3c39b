//! Finds what stands between the cells of a CSV text, and whether its first row is names.

use csv::{ByteRecord, ReaderBuilder};

use super::column::{ColumnType, cell_type};
use super::moment::TimeFormat;

/// Between cells, in the order of preference among equals: a comma is also found inside of numbers and sentences.
const DELIMITERS: [u8; 4] = [b';', b'\t', b'|', b','];

/// The rows of a text, at most `most` of them, with cells parted by `delimiter`.
pub fn rows(text: &[u8], delimiter: u8, most: usize) -> Vec<ByteRecord> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text);
    // Reading from memory, with rows of any length allowed, fails never.
    reader.byte_records().take(most).map_while(Result::ok).collect()
}

/// The delimiter that parts most rows into the same number of cells, two at least; among equals the one whose cells make
/// most sense.
pub fn find_delimiter(text: &[u8], most: usize) -> u8 {
    let mut best = (b',', (0, 0));
    for delimiter in DELIMITERS {
        let rows = rows(text, delimiter, most);
        let alike = most_alike(&rows);
        let score = (alike, if alike == 0 { 0 } else { sensible_cells(&rows) });
        if score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

/// How many rows have the commonest number of cells, leaving out single cells.
fn most_alike(rows: &[ByteRecord]) -> usize {
    let mut widths: Vec<_> = rows.iter().map(ByteRecord::len).filter(|width| *width > 1).collect();
    widths.sort_unstable();
    widths.chunk_by(|one, other| one == other).map(<[usize]>::len).max().unwrap_or(0)
}

fn sensible_cells(rows: &[ByteRecord]) -> usize {
    rows.iter().flat_map(ByteRecord::iter).filter(|cell| !is_plain_text(cell)).count()
}

/// Whether the first row is names: none of its cells is a value, and either some column below it has values, or each cell
/// has a name of its own.
pub fn has_header(rows: &[ByteRecord]) -> bool {
    let Some((first, rest)) = rows.split_first() else { return false };
    let some_cell_is_a_name = first.iter().any(|cell| !cell.trim_ascii().is_empty());
    if !some_cell_is_a_name || !first.iter().all(is_plain_text) {
        return false;
    }
    let some_column_has_values = rest.iter().flat_map(ByteRecord::iter).any(|cell| !is_plain_text(cell));
    let mut names: Vec<_> = first.iter().map(<[u8]>::trim_ascii).collect();
    names.sort_unstable();
    let each_its_own = names.windows(2).all(|pair| pair[0] != pair[1]) && !names[0].is_empty();
    some_column_has_values || each_its_own
}

/// Whether a cell is neither a number nor a boolean nor a time; an empty one is plain, `NaN` is not.
fn is_plain_text(cell: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(cell) else { return true };
    let value = match cell_type(cell) {
        None => !text.trim_ascii().is_empty(),
        Some(kind) => kind != ColumnType::Text,
    };
    !value && !TimeFormat::candidates(None).iter().any(|format| format.fits(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimiter(text: &str) -> char {
        find_delimiter(text.as_bytes(), 1000).into()
    }

    fn header(text: &str) -> bool {
        has_header(&rows(text.as_bytes(), b',', 1000))
    }

    #[test]
    fn finds_what_parts_the_cells() {
        assert_eq!(delimiter("time,value\n2018-02-10,1\n"), ',');
        assert_eq!(delimiter("time;value\n2018-02-10;1,5\n2018-02-11;2\n"), ';');
        assert_eq!(delimiter("2018-02-10 09:50;1,5\n2018-02-10 09:55;2,5\n"), ';');
        assert_eq!(delimiter("a\tb\n1\t2\n"), '\t');
        assert_eq!(delimiter("2018-02-10,\"hello; world\"\n2018-02-11,\"bye; moon\"\n"), ',');
        assert_eq!(delimiter("19\n20\n"), ',');
        assert_eq!(delimiter(""), ',');
    }

    #[test]
    fn a_first_row_of_names_is_a_header() {
        assert!(header("timestamp,value\n2018-02-10,1\n"));
        assert!(header(",a,b\n0,1,2\n"), "the index column of a data frame has no name");
        assert!(header("value,value\n1,2\n"));
        assert!(header("name,place\nlamp,kitchen\n"));
        assert!(header("value\n1\n"));
    }

    #[test]
    fn a_first_row_with_a_value_is_not() {
        assert!(!header("2/10/2018 9:50,19\n2/10/2018 9:55,19\n"));
        assert!(!header("19\n20\n"));
        assert!(!header("NaN,lamp\n1,lamp\n"));
        assert!(!header("lamp,lamp\nlamp,lamp\n"));
        assert!(!header(""));
    }
}
