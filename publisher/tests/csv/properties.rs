//! What holds for every file.

use lastbeat_publisher::source::csv::{CsvSource, Header, Settings};
use proptest::prelude::*;

use crate::{Folder, Seen, all, see};

/// Bytes as files have them: much that means something to a reader of CSV, and anything else.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => "[0-9.,;:/\t\" \r\n+-]{0,12}".prop_map(String::into_bytes),
        2 => prop_oneof!["time", "value", "NaN", "true", "2/10/2018 9:50", "2018-02-10T09:50:00Z"].prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A cell that must be quoted as often as not.
fn text() -> impl Strategy<Value = String> {
    "[a-z ,;\"\n\r\t|]{0,12}[a-z]"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic_or_run_for_ever(content in content(), forever in any::<bool>()) {
        let folder = Folder::new();
        folder.write(&content);
        let settings = if forever { folder.forever() } else { folder.once() };
        if let Ok(mut source) = CsvSource::open(settings) {
            // A pass has at most as many steps as bytes; in the second one, everything has been seen.
            let steps = 2 * content.len() + 2;
            let ended = (0..steps).map(|_| see(&mut source)).any(|step| matches!(step, Seen::End | Seen::Failed(_)));
            prop_assert!(ended || forever);
        }
    }

    #[test]
    fn every_good_row_comes_through_in_order(rows in prop::collection::vec((any::<i64>(), text()), 1..60)) {
        let folder = Folder::new();
        let mut writer = csv::Writer::from_path(folder.file()).unwrap();
        writer.write_record(["number", "text"]).unwrap();
        for (number, text) in &rows {
            writer.write_record([number.to_string(), text.clone()]).unwrap();
        }
        writer.flush().unwrap();
        // With what stands between cells known; to find it in such texts is luck.
        let settings = Settings { delimiter: Some(b','), header: Header::Present, ..folder.once() };
        let types = vec![("text".to_owned(), lastbeat_publisher::source::csv::ColumnType::Text)];
        let expected = rows.iter().map(|(number, text)| Seen::Row(format!("number={number}i text={text:?}")));
        prop_assert_eq!(all(Settings { types, ..settings }), expected.chain([Seen::End]).collect::<Vec<_>>());
    }

    #[test]
    fn a_bad_row_takes_no_good_one_with_it(bad in prop::collection::btree_set(0_usize..400, 0..20)) {
        let folder = Folder::new();
        let cell = |row: usize| if bad.contains(&row) { format!("x{row}") } else { row.to_string() };
        folder.write((0..400).fold("lux\n".to_owned(), |text, row| text + &cell(row) + "\n"));
        let expected = (0..400).map(|row| {
            if bad.contains(&row) {
                return Seen::Bad(format!("a.csv row {}: column \"lux\": bad integer \"x{row}\"", row + 2));
            }
            Seen::Row(format!("lux={row}i"))
        });
        prop_assert_eq!(all(folder.once()), expected.chain([Seen::End]).collect::<Vec<_>>());
    }

    #[test]
    fn floats_come_through_as_they_are(rows in prop::collection::vec(-1e300_f64..1e300, 1..40)) {
        let folder = Folder::new();
        folder.write(rows.iter().fold("value\n0.5\n".to_owned(), |text, value| text + &value.to_string() + "\n"));
        let expected = std::iter::once(&0.5).chain(&rows).map(|value| Seen::Row(format!("value={value}")));
        prop_assert_eq!(all(folder.once()), expected.chain([Seen::End]).collect::<Vec<_>>());
    }
}
