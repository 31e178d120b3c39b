//! The forms that a good file may have.

use std::path::Path;

use chrono_tz::Tz;
use lastbeat_publisher::source::csv::{ColumnType, CsvSource, Header, PointTime, Repeat, Settings, TimeColumn};
use lastbeat_publisher::source::{Source, Step};

use crate::{Folder, failure, now, rows, rows_with};

#[test]
fn a_light_sensor_without_a_header_and_with_american_dates() {
    assert_eq!(
        rows("2/10/2018 9:50,19\n2/10/2018 10:00,89\n"),
        ["2018-02-10T09:50:00Z: value=19i", "2018-02-10T10:00:00Z: value=89i"]
    );
}

#[test]
fn a_machine_temperature_with_a_header() {
    assert_eq!(
        rows("timestamp,value\n2013-12-02 21:15:00,73.96732207\n2013-12-02 21:20:00,74\n"),
        ["2013-12-02T21:15:00Z: value=73.96732207", "2013-12-02T21:20:00Z: value=74"]
    );
}

#[test]
fn every_type_in_one_row() {
    assert_eq!(
        rows("a,b,c,d\n1,2.5,TRUE,kitchen\n-3,4,false,\"a \"\"b\"\"\"\n"),
        ["a=1i b=2.5 c=true d=\"kitchen\"", "a=-3i b=4 c=false d=\"a \\\"b\\\"\""]
    );
}

#[test]
fn a_bom_crlf_blank_lines_and_no_end_of_line_at_the_end_change_nothing() {
    let plain = rows("time,lux\n2018-02-10,1\n2018-02-11,2\n");
    assert_eq!(rows("\u{feff}time,lux\r\n2018-02-10,1\r\n\r\n2018-02-11,2"), plain);
    assert_eq!(rows("\u{feff}\"time\";\"lux\"\r\n2018-02-10;1\r\n2018-02-11;2\r\n"), plain);
    assert_eq!(rows("time\tlux\n2018-02-10\t1\n2018-02-11\t2\n"), plain);
}

#[test]
fn a_quoted_cell_may_hold_delimiters_and_line_ends() {
    assert_eq!(
        rows("lux,note\n1,\"dark,\r\nvery\"\n2,ok\n"),
        ["lux=1i note=\"dark,\\r\\nvery\"", "lux=2i note=\"ok\""]
    );
}

#[test]
fn a_cell_that_is_empty_or_nan_is_no_field() {
    assert_eq!(rows("a,b,c\n1,2.5,x\n,NaN,y\n3,,\n"), ["a=1i b=2.5 c=\"x\"", "c=\"y\"", "a=3i"]);
}

#[test]
fn columns_without_names_are_named_by_their_place() {
    assert_eq!(rows("1.5\n2.5\n"), ["value=1.5", "value=2.5"]);
    assert_eq!(rows("2018-02-10,1,2\n"), ["2018-02-10T00:00:00Z: column_2=1i column_3=2i"]);
    assert_eq!(rows(",a,a\n7,1,2\n"), ["column_1=7i a=1i a_2=2i"]);
}

#[test]
fn names_types_and_header_can_be_set() {
    let named = |settings| Settings { columns: Some(vec!["at".into(), "lux".into()]), ..settings };
    assert_eq!(rows_with("2018-02-10,1\n", named), ["2018-02-10T00:00:00Z: lux=1i"]);
    let float = |settings| Settings { types: vec![("value".into(), ColumnType::Float)], ..settings };
    assert_eq!(rows_with("2018-02-10,1\n", float), ["2018-02-10T00:00:00Z: value=1"]);
    let no_header = |settings| Settings { header: Header::Absent, ..settings };
    assert_eq!(rows_with("a,b\nc,d\n", no_header).len(), 2);
    let header = |settings| Settings { header: Header::Present, ..settings };
    assert_eq!(rows_with("1,2\n3,4\n", header), ["1=3i 2=4i"]);
    let delimiter = |settings| Settings { delimiter: Some(b'|'), ..settings };
    assert_eq!(rows_with("a|b;c\n1|2;3\n", delimiter), ["a=1i b;c=\"2;3\""]);
}

#[test]
fn the_time_may_stand_in_any_column_and_be_left_alone() {
    assert_eq!(rows("lux,when\n1,2018-02-10\n"), ["2018-02-10T00:00:00Z: lux=1i"]);
    let nowhere = |settings| Settings { time_column: TimeColumn::Nowhere, ..settings };
    assert_eq!(rows_with("lux,when\n1,2018-02-10\n", nowhere), ["lux=1i when=\"2018-02-10\""]);
    let second = |name: &str| {
        let time_column = TimeColumn::Named(name.into());
        rows_with("begun,ended\n2018-02-10,2018-02-11\n", |settings| Settings {
            time_column: time_column.clone(),
            ..settings
        })
    };
    assert_eq!(second("ended"), ["2018-02-11T00:00:00Z: begun=\"2018-02-10\""]);
    assert_eq!(second("2"), second("ended"));
    assert_eq!(rows("ts,lux\n1518256200,1\n"), ["2018-02-10T09:50:00Z: lux=1i"]);
}

#[test]
fn a_pattern_and_a_zone_are_applied() {
    let settings = |settings| Settings {
        time_format: Some("%d-%b-%y %H.%M".parse().unwrap()),
        zone: Tz::Europe__Berlin,
        ..settings
    };
    assert_eq!(rows_with("lux,at\n1,10-Feb-18 09.50\n", settings), ["2018-02-10T08:50:00Z: lux=1i"]);
}

#[test]
fn day_first_is_found_once_a_day_is_beyond_the_twelfth() {
    assert_eq!(rows("2/10/2018,1\n3/10/2018,2\n")[1], "2018-03-10T00:00:00Z: value=2i");
    assert_eq!(rows("2/10/2018,1\n13/10/2018,2\n")[0], "2018-10-02T00:00:00Z: value=1i");
}

#[test]
fn the_row_s_time_becomes_the_point_s_when_asked() {
    let settings = |settings| Settings { point_time: PointTime::Row, ..settings };
    assert_eq!(rows_with("2018-02-10,1\n", settings), ["point at 2018-02-10T00:00:00Z: value=1i"]);
}

#[test]
fn what_is_said_of_a_file_must_fit_it() {
    let folder = Folder::new();
    folder.write("time,lux\n2018-02-10,1\n");
    let types = vec![("watt".to_owned(), ColumnType::Float)];
    assert_eq!(failure(Settings { types, ..folder.once() }), "a.csv: --type: no column \"watt\"; there are time, lux");
    let time_column = TimeColumn::Named("when".into());
    assert_eq!(
        failure(Settings { time_column, ..folder.once() }),
        "a.csv: --time-column: no column \"when\"; there are time, lux"
    );
    assert_eq!(
        failure(Settings { columns: Some(vec!["a".into()]), ..folder.once() }),
        "a.csv: --columns names 1 columns, the file has 2"
    );
}

/// The project's own recordings, and the two files that it grew up with where they are at hand.
#[test]
fn the_sample_files_come_through_whole() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, rows, fields) in [
        ("data/machine-quiet.csv", 960, 17),
        ("data/machine-busy.csv", 960, 17),
        ("../shared/data/light-sensor.csv", 562, 1),
        ("../shared/data/machine_temperature.csv", 22_695, 1),
    ] {
        let path = project.join(name);
        if name.starts_with("..") && !path.exists() {
            eprintln!("{} is not here: its part of this test is left out", path.display());
            continue;
        }
        let settings = Settings { repeat: Repeat::Once, ..Settings::new(path) };
        let mut source = CsvSource::open(settings).unwrap();
        let mut count = 0;
        loop {
            match source.advance(now()).unwrap() {
                Step::Reading { row_time } => {
                    assert!(row_time.is_some() && source.reading().fields.len() == fields, "{}", source.place());
                    count += 1;
                }
                Step::End => break,
                other => panic!("{other:?} at {}", source.place()),
            }
        }
        assert_eq!(count, rows, "{name}");
    }
}
