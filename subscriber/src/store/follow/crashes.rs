//! The store's follower, killed at every write of its file.
//!
//! SQLite writes a transaction by adding frames to the end of its journal (WAL); what a kill leaves is a beginning of it.

use std::path::Path;

use lastbeat_log::Position;
use rusqlite::Connection;

use super::Store;
use crate::follower::conformance::{Row, append, open_log};

/// A frame of the journal: a page and its head (<https://www.sqlite.org/fileformat2.html#walformat>).
const FRAME: usize = 4096 + 24;
const HEADER: usize = 32;

fn rows(path: &Path) -> Vec<Row> {
    let db = Connection::open(path).unwrap();
    let mut statement = db.prepare("SELECT publisher, time_ns, fields ->> 'lux' FROM sensor ORDER BY time_ns").unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_kill_at_any_write_leaves_each_record_stored_once_or_still_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let (main, journal) = (dir.path().join("store.db"), dir.path().join("store.db-wal"));
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let mut reader = log.handle().reader(Position::START).unwrap();
    let mut store = Store::open(&main).unwrap();
    let (mut expected, mut cursors) = (Vec::new(), vec![store.cursor]);
    for transaction in 0..4 {
        expected.extend((transaction * 25..(transaction + 1) * 25).map(|number| append(&mut log, number)));
        log.commit();
        reader.wait_blocking().unwrap();
        while store.cursor < log.end() {
            store.take(&mut reader).unwrap();
        }
        cursors.push(store.cursor);
    }
    let (bytes, frames) = (std::fs::read(&main).unwrap(), std::fs::read(&journal).unwrap());
    drop(store);
    let bounds = (0..).map(|frame| HEADER + frame * FRAME).take_while(|end| *end <= frames.len());
    let mut met = std::collections::BTreeSet::new();
    for end in bounds.flat_map(|end| [end.saturating_sub(FRAME / 2), end]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        std::fs::write(&path, &bytes).unwrap();
        std::fs::write(dir.path().join("store.db-wal"), &frames[..end]).unwrap();
        let mut store = Store::open(&path).unwrap();
        let taken = rows(&path);
        assert!(expected.starts_with(&taken), "cut at {end}");
        let transaction = cursors.iter().position(|cursor| *cursor == store.cursor).expect("a cursor that was saved");
        assert_eq!(taken.len(), transaction * 25, "cut at {end}: the rows are those before the cursor");
        met.insert(transaction);
        while store.cursor < log.end() {
            store.take(&mut reader).unwrap();
        }
        assert_eq!(rows(&path), expected, "cut at {end}");
    }
    assert_eq!(met.len(), cursors.len(), "a kill before, between and after all of them");
}
