//! Rows and files that can't be read.

use chrono_tz::Tz;
use lastbeat_publisher::source::csv::{CsvError, Settings, Untimed};

use crate::{Folder, Seen, all, csv_error, failure, see, steps};

fn bad(content: impl AsRef<[u8]>, set: impl Fn(Settings) -> Settings) -> Vec<String> {
    let folder = Folder::new();
    let seen = all(set(folder.write(content).once()));
    seen.into_iter().filter_map(|step| if let Seen::Bad(fault) = step { Some(fault) } else { None }).collect()
}

/// Twenty good rows, and then this.
fn after_twenty(row: &str) -> String {
    format!("time,lux\n{}{row}\n", "2018-02-10 09:50,1\n".repeat(20))
}

#[test]
fn a_bad_cell_is_told_by_file_row_column_and_value() {
    let same = |settings| settings;
    assert_eq!(bad(after_twenty("2018-02-10 09:51,x"), same), ["a.csv row 22: column \"lux\": bad integer \"x\""]);
    assert_eq!(bad(after_twenty("2018-02-10 09:51,1.5"), same), Vec::<String>::new(), "it is in the sample");
    assert_eq!(bad(after_twenty("tomorrow,1"), same), ["a.csv row 22: column \"time\": bad time \"tomorrow\""]);
    assert_eq!(bad(after_twenty("2018-02-10 09:51,1,2"), same), ["a.csv row 22: 3 cells, 2 columns"]);
    assert_eq!(bad(after_twenty("2018-02-10 09:51"), same), ["a.csv row 22: 1 cells, 2 columns"]);
    let bytes = [b"name\nlamp\n".as_slice(), b"\xff\xfe\n"].concat();
    assert_eq!(bad(bytes, same), ["a.csv row 3: column \"name\": bad string \"\u{fffd}\u{fffd}\""]);
}

#[test]
fn a_type_that_shows_after_the_sample_is_a_bad_cell() {
    let content = format!("lux\n{}1.5\n2\n", "1\n".repeat(1000));
    assert_eq!(bad(content, |settings| settings), ["a.csv row 1002: column \"lux\": bad integer \"1.5\""]);
    let content = format!("lux\n{}1.5\n2\n", "1\n".repeat(999));
    assert_eq!(bad(content, |settings| settings), Vec::<String>::new());
}

#[test]
fn a_time_that_a_zone_skips_is_a_bad_cell() {
    let content = "time,lux\n2018-03-25 01:55,1\n2018-03-25 02:00,2\n2018-03-25 03:00,3\n";
    assert_eq!(
        bad(content, |settings| Settings { zone: Tz::Europe__Berlin, ..settings }),
        ["a.csv row 3: column \"time\": time \"2018-03-25 02:00\" does not exist in Europe/Berlin"]
    );
}

#[test]
fn a_row_without_a_time_is_bad_only_where_times_are_needed() {
    let content = after_twenty(",1");
    assert_eq!(bad(&content, |settings| settings), Vec::<String>::new());
    let refused = |settings| Settings { untimed: Untimed::Refused, ..settings };
    assert_eq!(bad(&content, refused), ["a.csv row 22: column \"time\": bad time \"\""]);
    let folder = Folder::new();
    folder.write("lux\n1\n");
    assert!(failure(refused(folder.once())).starts_with("a.csv: no column with times was found"));
}

#[test]
fn a_row_with_nothing_in_it_is_no_reading_and_no_fault() {
    let folder = Folder::new();
    let seen = all(folder.write("a,b\n1,2\n,\nNaN,\n").once());
    assert_eq!(seen, [Seen::Row("a=1i b=2i".into()), Seen::Nothing, Seen::Nothing, Seen::End]);
}

#[test]
fn a_quote_left_open_does_not_take_the_rest_of_the_file_into_memory() {
    let folder = Folder::new();
    folder.write(format!("lux,note\n1,ok\n2,\"open\n{}", "3,ok\n".repeat(1_000_000)));
    let fault = "a.csv row 3: longer than 2097152 bytes; is a quote left open? The rest of the file is left out";
    let row = Seen::Row("lux=1i note=\"ok\"".into());
    assert_eq!(all(folder.once()), [row.clone(), Seen::Bad(fault.into()), Seen::End]);
    let mut source = lastbeat_publisher::source::csv::CsvSource::open(folder.forever()).unwrap();
    assert_eq!(steps(&mut source, 3), [row.clone(), Seen::Bad(fault.into()), row]);
}

#[test]
fn files_that_are_none_are_told_at_once() {
    let folder = Folder::new();
    assert_eq!(failure(folder.once()), "a.csv: No such file or directory (os error 2)");
    assert_eq!(failure(folder.write("").forever()), "a.csv: is empty");
    assert_eq!(failure(folder.write("\n\r\n").forever()), "a.csv: is empty");
    assert_eq!(failure(folder.write("\u{feff}").forever()), "a.csv: is empty");
    assert_eq!(failure(folder.write(b"\xff\xfea\0").forever()), "a.csv: is in UTF-16; convert it to UTF-8");
    assert_eq!(failure(Settings::new("/")), "/: is a directory, not a file".trim_start_matches('/'));
    assert_eq!(failure(Settings::new("/dev/null")), "null: is a pipe or device, not a file");
    assert!(failure(folder.write("2018-02-10\n2018-02-11\n").once()).contains("no column but that of the time"));
    assert!(failure(folder.write(format!("{}\n", ",".repeat(1024))).once()).contains("1025 columns"));
    assert!(failure(folder.write(format!("{}\n1\n", "x".repeat(256))).once()).contains("has a name of 256 bytes"));
}

#[test]
fn a_file_without_a_good_row_is_an_error_once_and_waited_for_otherwise() {
    let folder = Folder::new();
    let settings = |settings| Settings { untimed: Untimed::Refused, ..settings };
    folder.write("time,lux\n2018-02-10,1\n");
    let mut once = lastbeat_publisher::source::csv::CsvSource::open(settings(folder.once())).unwrap();
    let mut forever = lastbeat_publisher::source::csv::CsvSource::open(settings(folder.forever())).unwrap();
    assert!(matches!((see(&mut once), see(&mut forever)), (Seen::Row(_), Seen::Row(_))));
    assert_eq!(see(&mut once), Seen::End);

    folder.write("time,lux\n");
    let mut once = lastbeat_publisher::source::csv::CsvSource::open(folder.once()).unwrap();
    assert!(matches!(csv_error(&mut once), CsvError::NothingToSend { bad: 0, .. }));
    assert_eq!(see(&mut once), Seen::End);
    assert_eq!(steps(&mut forever, 3), [Seen::Later, Seen::Later, Seen::Later]);
}
