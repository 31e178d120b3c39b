//! Files that are cut, emptied, replaced or removed while they are replayed.

use std::time::Duration;

use lastbeat_publisher::source::csv::{CsvError, CsvSource};
use lastbeat_publisher::source::{Source, Step};

use crate::{Folder, Seen, csv_error, now, see, steps};

/// Longer than what is read ahead, so that the file's end is not in memory yet.
const ROWS: usize = 100_000;

fn long() -> String {
    "lux,place\n".to_owned() + &"1,kitchen\n".repeat(ROWS)
}

fn kitchen() -> Seen {
    Seen::Row("lux=1i place=\"kitchen\"".into())
}

fn later(source: &mut CsvSource) -> Duration {
    match source.advance(now()).unwrap() {
        Step::Later(wait) => wait,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_replayed_over_and_over() {
    let folder = Folder::new();
    let mut source = CsvSource::open(folder.write("lux\n1\n2\n").forever()).unwrap();
    let pass = [Seen::Row("lux=1i".into()), Seen::Row("lux=2i".into())];
    assert_eq!(steps(&mut source, 6), [pass.clone(), pass.clone(), pass].concat());
}

#[test]
fn a_file_that_is_cut_is_begun_anew() {
    let folder = Folder::new();
    let mut source = CsvSource::open(folder.write(long()).forever()).unwrap();
    assert_eq!(see(&mut source), kitchen());
    folder.write("lux,place\n1,kitchen\n1,kitchen\n");
    let mut rest: Vec<_> =
        std::iter::from_fn(|| Some(see(&mut source))).take_while(|step| *step == kitchen()).collect();
    assert!(rest.len() < ROWS / 2, "{} rows of a file that was cut", rest.len());
    // The step that said "later" ended the loop above.
    rest = steps(&mut source, 4);
    assert_eq!(rest, vec![kitchen(); 4]);
}

#[test]
fn a_file_that_is_cut_while_it_is_read_once_is_an_error() {
    let folder = Folder::new();
    let mut source = CsvSource::open(folder.write(long()).once()).unwrap();
    assert_eq!(see(&mut source), kitchen());
    folder.write("lux,place\n");
    let last = std::iter::from_fn(|| Some(source.advance(now()))).find_map(Result::err).unwrap();
    let error: CsvError = last.downcast().unwrap();
    assert!(matches!(error, CsvError::Truncated { length: 10, .. }), "{error}");
}

#[test]
fn a_file_that_is_replaced_is_read_to_its_end_and_then_as_what_it_is_now() {
    let folder = Folder::new();
    let mut source = CsvSource::open(folder.write("lux,place\n1,kitchen\n1,kitchen\n").forever()).unwrap();
    assert_eq!(see(&mut source), kitchen());
    let other = folder.0.path().join("other.csv");
    std::fs::write(&other, "2018-02-10;7.5\n").unwrap();
    std::fs::rename(other, folder.file()).unwrap();
    assert_eq!(
        steps(&mut source, 3),
        [
            kitchen(),
            Seen::Row("2018-02-10T00:00:00Z: value=7.5".into()),
            Seen::Row("2018-02-10T00:00:00Z: value=7.5".into())
        ]
    );
}

#[test]
fn a_file_that_is_gone_is_waited_for_longer_and_longer_and_then_read() {
    let folder = Folder::new();
    let mut source = CsvSource::open(folder.write("lux,place\n1,kitchen\n").forever()).unwrap();
    assert_eq!(see(&mut source), kitchen());
    std::fs::remove_file(folder.file()).unwrap();
    let waits: Vec<_> = (0..7).map(|_| later(&mut source).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    folder.write("lux,place\n1,kitchen\n");
    assert_eq!(see(&mut source), kitchen());
    folder.write("");
    assert_eq!(later(&mut source), Duration::from_secs(1), "what went well starts the waits anew");
}

#[test]
fn a_file_that_becomes_a_directory_is_waited_for() {
    let folder = Folder::new();
    let mut source = CsvSource::open(folder.write("lux,place\n1,kitchen\n").forever()).unwrap();
    assert_eq!(see(&mut source), kitchen());
    std::fs::remove_file(folder.file()).unwrap();
    std::fs::create_dir(folder.file()).unwrap();
    assert_eq!(steps(&mut source, 2), [Seen::Later, Seen::Later]);
}

#[test]
fn rows_that_are_appended_come_with_the_next_pass() {
    let folder = Folder::new();
    let mut source = CsvSource::open(folder.write("lux\n1\n").forever()).unwrap();
    assert_eq!(see(&mut source), Seen::Row("lux=1i".into()));
    folder.write("lux\n1\n2\n");
    let seen = steps(&mut source, 4);
    assert!(seen.contains(&Seen::Row("lux=2i".into())), "{seen:?}");
}

#[test]
fn a_missing_file_ends_a_replay_of_once_with_an_error() {
    let folder = Folder::new();
    folder.write("lux\n");
    let mut source = CsvSource::open(folder.once()).unwrap();
    assert!(matches!(csv_error(&mut source), CsvError::NothingToSend { .. }));
}
