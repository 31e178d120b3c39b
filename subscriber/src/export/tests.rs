//! The export, from a store and from a real InfluxDB, of the same readings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lastbeat_log::Position;
use lastbeat_wire::UtcNanos;
use tokio_util::sync::CancellationToken;

use super::{ExportArgs, Format, Measurement, parse_time, run};
use crate::follower::conformance::{append, append_message, open_log};
use crate::follower::start;
use crate::influx::influxd::Influxd;
use crate::store::Store;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: ExportArgs,
}

fn exported(dir: &Path, arguments: &[&str]) -> String {
    let out = dir.join("out");
    let mut line = vec!["export", "--out", out.to_str().unwrap()];
    line.extend_from_slice(arguments);
    let command = <Command as clap::Parser>::try_parse_from(line).unwrap();
    run(command.args).unwrap();
    std::fs::read_to_string(out).unwrap()
}

/// A store and a server that hold the same readings.
async fn both(dir: &Path) -> (PathBuf, Influxd) {
    let server = Influxd::start();
    let mut log = open_log(&dir.join("log"), Position::START);
    let second = |second: i64| UtcNanos(1_700_000_000_000_000_000 + second * 1_000_000_000);
    append_message(&mut log, second(0), b"sensor/kitchen", br#"{"celsius":21.5,"note":"a \"b\", c"}"#);
    append_message(&mut log, second(1), b"sensor/cellar", br#"{"error":"error","time":5,"open":true}"#);
    let row = br#"{"lastbeat":1,"host":"web-1","row":1000000000,"fields":{"celsius":19}}"#;
    append_message(&mut log, second(2), b"sensor/attic", row);
    append_message(&mut log, second(3), b"sensor/kitchen", br#"{"celsius":22.25}"#);
    let status = serde_json::json!({
        "publisher": "kitchen", "at": second(4).0, "state": "dead", "cause": "process_gone", "since": 1,
        "silence": {"secs": 51, "nanos": 500_000_000}, "threshold": {"secs": 50, "nanos": 0}, "pid": 42,
        "counts": {"messages": 9, "readings": 8, "refused": 0, "missed": 7, "duplicates": 0, "late": 0,
                   "retained": 0, "restarts": 0, "conflicts": 0},
    });
    log.append(crate::record::kind::STATUS, &[status.to_string().as_bytes()]).unwrap();
    let store = dir.join("store.db");
    let stop = CancellationToken::new();
    let mut into_store = start(Store::open(&store).unwrap(), log.handle().clone(), stop.clone()).unwrap();
    let mut into_server = start(server.follower(dir), log.handle().clone(), stop).unwrap();
    log.close(Duration::from_secs(10));
    into_store.ended().await.unwrap();
    into_server.ended().await.unwrap();
    (store, server)
}

#[test]
fn both_sources_give_a_table_as_a_person_expects_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (store, server) = runtime.block_on(both(dir.path()));
    let from_store = ["--store", store.to_str().unwrap()];
    let url = server.url();
    let from_server = ["--influx", url.as_str()];
    assert_eq!(
        exported(dir.path(), &from_store),
        "time,publisher,host,row_time,celsius,note,error,time_,open\n\
         2023-11-14T22:13:20Z,kitchen,,,21.5,\"a \"\"b\"\", c\",,,\n\
         2023-11-14T22:13:21Z,cellar,,,,,error,5,true\n\
         2023-11-14T22:13:22Z,attic,web-1,1970-01-01T00:00:01Z,19,,,,\n\
         2023-11-14T22:13:23Z,kitchen,,,22.25,,,,\n"
    );
    assert_eq!(
        exported(dir.path(), &from_server),
        "time,publisher,host,row_time,celsius,error,note,open,time_\n\
         2023-11-14T22:13:20Z,kitchen,,,21.5,,\"a \"\"b\"\", c\",,\n\
         2023-11-14T22:13:21Z,cellar,,,,error,,true,5\n\
         2023-11-14T22:13:22Z,attic,web-1,1970-01-01T00:00:01Z,19,,,,\n\
         2023-11-14T22:13:23Z,kitchen,,,22.25,,,,\n"
    );
    let window =
        ["--publisher", "kitchen", "--since", "2023-11-14T22:13:20.5Z", "--until", "2023-11-15", "--format", "jsonl"];
    for source in [from_store, from_server] {
        assert_eq!(
            exported(dir.path(), &[&source[..], &window].concat()),
            "{\"time\":\"2023-11-14T22:13:23Z\",\"publisher\":\"kitchen\",\"celsius\":22.25}\n"
        );
    }
    assert_eq!(
        exported(dir.path(), &[&from_store[..], &["--measurement", "heartbeat"]].concat()),
        "time,publisher,host,alive,state,cause,silence_s,threshold_s,pid,missed\n\
         2023-11-14T22:13:24Z,kitchen,,false,dead,process_gone,51.5,50.0,42,7\n"
    );
    assert_eq!(
        exported(dir.path(), &[&from_server[..], &["--measurement", "heartbeat"]].concat()),
        "time,publisher,host,alive,cause,duplicates,missed,pid,silence_s,state,threshold_s\n\
         2023-11-14T22:13:24Z,kitchen,,false,process_gone,0,7,42,51.5,dead,50\n"
    );
    let nothing = exported(dir.path(), &[&from_server[..], &["--since", "2100-01-01"]].concat());
    assert_eq!(nothing, "time,publisher,host\n");
}

#[test]
fn many_rows_come_in_pieces_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let server = Influxd::start();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    for number in 0..12_000 {
        append(&mut log, number);
    }
    let mut into_server = start(server.follower(dir.path()), log.handle().clone(), CancellationToken::new()).unwrap();
    log.close(Duration::from_secs(10));
    tokio::runtime::Runtime::new().unwrap().block_on(into_server.ended()).unwrap();
    let text = exported(dir.path(), &["--influx", &server.url()]);
    let lux: Vec<i64> = text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().parse().unwrap()).collect();
    assert_eq!(lux, (0..12_000).collect::<Vec<_>>());
}

#[test]
fn what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let args = |store, influx: Option<String>, since: Option<&str>| ExportArgs {
        measurement: Measurement::Sensor,
        publishers: vec!["nobody".parse().unwrap()],
        since: since.map(str::to_owned),
        until: None,
        format: Format::Csv,
        out: Some(dir.path().join("out")),
        store,
        influx,
    };
    let failure = |args| format!("{:#}", run(args).unwrap_err());
    assert!(failure(args(None, None, None)).contains("Give --store FILE or --influx URL"));
    assert!(failure(args(None, None, Some("yesterday"))).starts_with("--since: \"yesterday\" is no span"));
    let missing = failure(args(Some(dir.path().join("none.db")), None, None));
    assert!(missing.contains("none.db"), "{missing}");
    let path = dir.path().join("store.db");
    drop(Store::open(&path).unwrap());
    let unknown = failure(args(Some(path), None, None));
    assert!(unknown.contains("store.db: no publisher \"nobody\" in it"), "{unknown}");
    let away = failure(args(None, Some("http://127.0.0.1:1/db".to_owned()), None));
    assert!(away.contains("InfluxDB http://127.0.0.1:1/db"), "{away}");
}

#[test]
fn times_are_spans_dates_or_rfc_3339() {
    let now = UtcNanos(7_200_000_000_000);
    for (text, time) in
        [("1h", 3_600_000_000_000), ("1970-01-02", 86_400_000_000_000), ("1970-01-01T01:00:00+01:00", 0)]
    {
        assert_eq!(parse_time(text, now).unwrap(), UtcNanos(time));
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p lastbeat-subscriber export::tests::measure -- --ignored --nocapture"]
fn measure_rows_a_second_and_memory() {
    const ROWS: i64 = 3_000_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = lastbeat_log::Log::open(&dir.path().join("log"), lastbeat_log::LogOptions::default()).unwrap();
    let path = dir.path().join("store.db");
    let mut into_store = start(Store::open(&path).unwrap(), log.handle().clone(), CancellationToken::new()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for number in 0..ROWS {
        append(&mut log, number);
        if number % 50_000 == 0 {
            log.commit();
            runtime.block_on(log.handle().when_written(Position(log.end().0 - 1))).ok();
        }
    }
    log.close(Duration::from_secs(10));
    runtime.block_on(into_store.ended()).unwrap();
    let peak_kib = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
        line.trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let (before, begin) = (peak_kib(), lastbeat_host::Clock.now().monotonic);
    let out = dir.path().join("out");
    let line = ["export", "--out", out.to_str().unwrap(), "--store", path.to_str().unwrap()];
    run(<Command as clap::Parser>::try_parse_from(line).unwrap().args).unwrap();
    let seconds = lastbeat_host::Clock.now().monotonic.since(begin).as_secs_f64();
    let grown = peak_kib() - before;
    println!("{ROWS} rows in {seconds:.2} s; the process's peak of {before} KiB grew by {grown} KiB");
}
