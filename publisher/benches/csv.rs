//! Rows a second of the CSV source alone, and of the source with writing JSON or MessagePack behind it.
//!
//! `cargo bench -p lastbeat-publisher`

#![allow(missing_docs, reason = "a benchmark has no readers of its documentation")]

use std::fmt::Write as _;

use lastbeat_host::{Clock, Own};
use lastbeat_publisher::source::csv::{CsvSource, Repeat, Settings};
use lastbeat_publisher::source::{Source, Step};
use lastbeat_wire::{Body, Encoding, Header, Message, Reading, encode};

const ROWS: u32 = 2_000_000;

fn main() {
    let narrow = file("narrow", "timestamp,value", |text, row| {
        let (minute, second) = (row / 60 % 60, row % 60);
        writeln!(text, "2013-12-02 21:{minute:02}:{second:02},{}.{:06}", 70 + row % 30, row % 1_000_000)
    });
    let american = file("american", "", |text, row| writeln!(text, "2/10/2018 9:{:02},{}", row % 60, row % 500));
    let wide = file("wide", "time,a,b,c,d,on,place", |text, row| {
        let (second, odd) = (row % 60, row % 2 == 1);
        writeln!(
            text,
            "2013-12-02T21:15:{second:02}Z,{row},{row}.5,{},{}.25,{odd},\"kitchen, left\"",
            row % 7,
            row % 11
        )
    });
    for (name, settings) in [("narrow", narrow), ("american", american), ("wide", wide)] {
        measure(name, "source alone", &settings, |_| 0);
        let own = Own::read().expect("this process has an identity");
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let header = |sequence| Header {
                process: Some(own.process),
                sequence: Some(sequence),
                sent_at: Some(lastbeat_wire::UtcNanos(1_700_000_000_000_000_000)),
                uptime: Some(sequence),
                host: Some(own.host_name.as_str().into()),
            };
            let mut sequence = 0;
            measure(name, &format!("and {encoding:?}"), &settings, |reading| {
                sequence += 1;
                encode(&Message { header: header(sequence), body: Body::Reading(reading), log: None }, encoding).len()
            });
        }
    }
}

fn file(name: &str, header: &str, row: impl Fn(&mut String, u32) -> std::fmt::Result) -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().expect("a folder for the benchmark");
    let path = folder.path().join(format!("{name}.csv"));
    let mut text = if header.is_empty() { String::new() } else { format!("{header}\n") };
    for number in 0..ROWS {
        row(&mut text, number).expect("writing to memory");
    }
    std::fs::write(&path, text).expect("writing the benchmark's file");
    (folder, Settings { repeat: Repeat::Once, ..Settings::new(path) })
}

fn measure(name: &str, what: &str, file: &(tempfile::TempDir, Settings), mut take: impl FnMut(Reading<'_>) -> usize) {
    let mut source = CsvSource::open(file.1.clone()).expect("the benchmark's file is good");
    let start = Clock.now();
    let (mut rows, mut bytes) = (0_u32, 0);
    while let Step::Reading { .. } = source.advance(start).expect("the benchmark's file is good") {
        rows += 1;
        bytes += take(source.reading());
    }
    let seconds = Clock.now().monotonic.since(start.monotonic).as_secs_f64();
    assert_eq!(rows, ROWS);
    #[expect(clippy::cast_precision_loss, reason = "a rate is not exact to begin with")]
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{name:>9}, {what:<16}: {:>9.0} rows/s, {:>5.1} MB/s of messages",
        f64::from(rows) / seconds,
        megabytes / seconds
    );
}
