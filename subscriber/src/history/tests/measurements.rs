//! How long answers take from stores of the size that a week makes. Not run unless asked for:
//! `cargo test --release -p lastbeat-subscriber history::tests::measurements -- --ignored --nocapture`

use lastbeat_host::Clock;
use rusqlite::Connection;

use super::*;
use crate::store::Store;

/// 7 days before 2023-11-14T22:13:20Z.
const WEEK: i64 = 7 * 86_400;

/// A store that a script has filled.
async fn filled(script: &str) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(Store::open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    db.execute_batch(&format!("PRAGMA synchronous = OFF; BEGIN; {script}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)"))
        .unwrap();
    drop(db);
    println!("{} MiB", std::fs::metadata(&path).unwrap().len() >> 20);
    Served::of(dir).await
}

/// Asks three times; the least time is that of a store in the system's memory.
async fn measured(served: &Served, what: &str, path: &str) -> Value {
    let mut millis = Vec::new();
    let mut answer = Value::Null;
    for _ in 0..3 {
        let begin = Clock.now().monotonic;
        let response = served.get(path).await;
        let status = response.status();
        let bytes = response.bytes().await.unwrap();
        millis.push(Clock.now().monotonic.since(begin).as_millis());
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
        answer = serde_json::from_slice(&bytes).unwrap();
    }
    println!("{what}: {millis:?} ms");
    answer
}

#[tokio::test]
#[ignore = "a measurement"]
async fn a_million_readings_over_a_week() {
    // One reading a second of one publisher, and in between those of another.
    let start = at(-WEEK).0;
    let served = filled(&format!(
        r#"INSERT INTO publishers (id, name) VALUES (1, 'light-1'), (2, 'light-2');
           INSERT INTO fields (publisher, name, type) VALUES (1, 'lux', 'float'), (2, 'lux', 'float');
           WITH RECURSIVE second(s) AS (SELECT 0 UNION ALL SELECT s + 1 FROM second WHERE s < {WEEK} - 1)
           INSERT INTO readings SELECT s * 1000, 1, {start} + s * {SECOND}, {start} + s * {SECOND}, NULL, s, 0,
               '{{"lux":' || ((s % 1000) * 0.25) || '}}' FROM second;
           INSERT INTO readings SELECT position + 500, 2, time_ns, received_ns, NULL, sequence, 0, fields
           FROM readings WHERE sequence < 400000"#
    ))
    .await;
    let path = |since: &str| format!("/publishers/light-1/readings?since={since}&until=2023-11-14T22:13:20Z&field=lux");
    let week = measured(&served, "one field, a week of one a second", &path("2023-11-07T22:13:20Z")).await;
    assert_eq!((&week["rows"], week["time"].as_array().unwrap().len()), (&serde_json::json!(WEEK), 600));
    let hour = measured(&served, "one field, an hour of them", &path("2023-11-14T21:13:20Z")).await;
    assert_eq!(hour["rows"], 3600);
    let exact = format!("{}&points=5000", path("2023-11-14T21:13:20Z"));
    measured(&served, "the same, exact", &exact).await;
    let history = Arc::clone(&served.history);
    let begin = Clock.now().monotonic;
    let sql = "SELECT count(*), min(v), max(v), avg(v) FROM
        (SELECT time_ns, json_extract(fields, '$.lux') AS v FROM readings WHERE publisher = 1)";
    history.ask(move |db| Ok(db.query_row(sql, (), |row| row.get::<_, f64>(1))?)).await.unwrap();
    println!("the same week by SQLite's json_extract alone: {} ms", Clock.now().monotonic.since(begin).as_millis());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_download_of_three_million_rows() {
    const ROWS: i64 = 3_000_000;
    let start = at(-ROWS).0;
    let served = filled(&format!(
        r#"INSERT INTO publishers (id, name) VALUES (1, 'light-1');
           INSERT INTO fields (publisher, name, type) VALUES (1, 'lux', 'integer');
           WITH RECURSIVE row(s) AS (SELECT 0 UNION ALL SELECT s + 1 FROM row WHERE s < {ROWS} - 1)
           INSERT INTO readings SELECT s, 1, {start} + s * {SECOND}, {start} + s * {SECOND}, NULL, s, 0,
               '{{"lux":' || s || '}}' FROM row"#
    ))
    .await;
    let peak_kib = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
        line.trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let (before, begin, mut bytes) = (peak_kib(), Clock.now().monotonic, 0);
    let mut response = served.get("/export").await;
    while let Some(piece) = response.chunk().await.unwrap() {
        bytes += piece.len();
    }
    let seconds = Clock.now().monotonic.since(begin).as_secs_f64();
    let grown = peak_kib() - before;
    println!("{ROWS} rows, {bytes} bytes in {seconds:.2} s; the process's peak of {before} KiB grew by {grown} KiB");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn a_week_of_sixty_fields() {
    const ROWS: i64 = WEEK / 6;
    let start = at(-WEEK).0;
    let names: Vec<_> = (0..60).map(|field| format!("(1, 'field-{field}', 'float')")).collect();
    let cells: Vec<_> =
        (0..60).map(|field| format!(r#""field-{field}":' || ((s % 1000 + {field}) * 0.25) || '"#)).collect();
    let served = filled(&format!(
        "INSERT INTO publishers (id, name) VALUES (1, 'wide');
         INSERT INTO fields (publisher, name, type) VALUES {};
         WITH RECURSIVE row(s) AS (SELECT 0 UNION ALL SELECT s + 1 FROM row WHERE s < {ROWS} - 1)
         INSERT INTO readings SELECT s, 1, {start} + s * 6 * {SECOND}, {start} + s * 6 * {SECOND}, NULL, s, 0,
             '{{{}}}' FROM row",
        names.join(", "),
        cells.join(",")
    ))
    .await;
    let path = "/publishers/wide/readings?since=2023-11-07T22:13:20Z&until=2023-11-14T22:13:20Z";
    println!("{ROWS} rows");
    measured(&served, "all 60 fields", path).await;
    measured(&served, "one of them", &format!("{path}&field=field-30")).await;
    measured(
        &served,
        "five of them",
        &format!("{path}&field=field-1&field=field-7&field=field-9&field=field-30&field=field-50"),
    )
    .await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn the_rates_of_sixty_among_ten_thousand() {
    // An hour of heartbeats every 10 s; a day would be 86 million rows.
    let start = at(-3600).0;
    let served = filled(&format!(
        r#"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
           INSERT INTO publishers (id, name) SELECT n, 'light-' || n FROM n;
           WITH RECURSIVE beat(b) AS (SELECT 0 UNION ALL SELECT b + 1 FROM beat WHERE b < 359)
           INSERT INTO heartbeats SELECT b * 10000 + id, id, {start} + b * 10 * {SECOND} + id * 1000000, 'alive', 'heard', 1,
               {start}, 0.5, 50.0, {start}, 4242, 0,
               '{{"messages":' || (b * 10) || ',"readings":' || (b * 9) || ',"refused":0,"missed":0,"duplicates":0,"late":0,' ||
               '"retained":0,"restarts":0,"conflicts":0}}' FROM beat, publishers"#
    ))
    .await;
    let ids: Vec<_> = (0..60).map(|number| format!("id=light-{}", number * 160 + 1)).collect();
    let path = format!("/rates?{}&since=2023-11-14T21:43:20Z&until=2023-11-14T22:13:20Z&points=30", ids.join("&"));
    let answer = measured(&served, "60 publishers, 30 points over 30 min, of 3.6 million heartbeats", &path).await;
    let rates = answer["rates"].as_object().unwrap();
    let is_one = |rate: &Value| (rate.as_f64().unwrap() - 1.0).abs() < 1e-9;
    assert_eq!(rates.len(), 60);
    assert!(rates.values().all(|rates| rates.as_array().unwrap().iter().all(is_one)), "{answer}");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn flips_among_a_million() {
    let start = at(-1_000_000).0;
    let served = filled(&format!(
        r#"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
           INSERT INTO publishers (id, name) SELECT n, 'light-' || n FROM n;
           WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 999999)
           INSERT INTO flips SELECT n, 1 + n % 10000, {start} + n * {SECOND}, {start} + n * {SECOND},
               iif(n / 10000 % 2, 'blind', 'alive'), iif(n / 10000 % 2, 'alive', 'blind'),
               iif(n / 10000 % 2, 'heard', 'link_down'), 1.5, {start},
               '{{"host":"0000000000000001","boot":"00000000000000000000000000000002","pidns":3,"pid":4242,"start":5}}',
               '[{{"at":1,"source":"watchdog","fact":{{"link_down":{{"reason":"mqtt://lab: connection reset by peer"}}}}}}]'
           FROM n"#
    ))
    .await;
    measured(&served, "the newest 100", "/flips").await;
    measured(&served, "those of the last hour, at most 1,000", "/flips?since=2023-11-14T21:13:20Z&limit=1000").await;
    measured(&served, "those of the last hour, all read", "/flips?since=2023-11-14T22:00:00Z&limit=1000").await;
    measured(&served, "one publisher's", "/publishers/light-7/flips").await;
    let states = "/publishers/light-7/states?since=2023-11-01&until=2023-11-14T22:13:20Z";
    measured(&served, "one publisher's states over two weeks", states).await;
}
