//! The export as a download.

use futures_util::StreamExt;

use super::*;
use crate::follower::conformance;
use crate::history::EXPORTS;
use crate::history::stream::ExportQuestion;

#[tokio::test]
async fn a_download_is_what_the_command_exports() {
    let served = Served::with(|log| {
        reading(log, "site/Küche", at(0), r#"{"celsius":21.5,"note":"a, b"}"#);
        reading(log, "cellar", at(1), r#"{"open":true}"#);
    })
    .await;
    let response = served.get("/export").await;
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"lastbeat-sensor.csv\"");
    assert_eq!(
        response.text().await.unwrap(),
        "time,publisher,host,celsius,note,open\n\
         2023-11-14T22:13:20Z,site/Küche,,21.5,\"a, b\",\n\
         2023-11-14T22:13:21Z,cellar,,,,true\n"
    );
    let response = served.get("/export?publisher=site/K%C3%BCche&format=jsonl&until=2023-11-14T22:13:21Z").await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let name = "attachment; filename=\"lastbeat-sensor-site_K_che.jsonl\"";
    assert_eq!(response.headers()["content-disposition"], name);
    let line = r#"{"time":"2023-11-14T22:13:20Z","publisher":"site/Küche","celsius":21.5,"note":"a, b"}"#;
    assert_eq!(response.text().await.unwrap(), format!("{line}\n"));
    let nothing = served.get("/export?format=jsonl&since=2100-01-01").await;
    assert_eq!((nothing.status(), nothing.text().await.unwrap().as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_told_before_it_begins() {
    let served = Served::with(|log| reading(log, "a", at(0), r#"{"n":1}"#)).await;
    for (query, status, detail) in [
        ("publisher=nobody", 404, "publisher \"nobody\" is not in the store"),
        ("publisher=a%2F", 400, "publisher=a/: has an empty level, or . or .. as a level"),
        ("format=xlsx", 400, "format=xlsx: it has to be csv or jsonl"),
        ("measurement=all", 400, "measurement=all: it has to be sensor or heartbeat"),
        (
            "since=2024-01-01&until=2023-01-01",
            400,
            "since=2024-01-01: that is 2024-01-01T00:00:00Z, not before the end",
        ),
    ] {
        let (told_status, told) = served.bad(&format!("/export?{query}")).await;
        assert!(told_status == status && told.starts_with(detail), "{query}: {told_status} {told}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_breaks_the_download_off() {
    let (dir, _) = stored(|log| (0..9).for_each(|second| reading(log, "a", at(second), r#"{"n":1}"#))).await;
    let db = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    db.execute("UPDATE readings SET fields = '{' WHERE time_ns = ?1", [at(5).0]).unwrap();
    let served = Served::of(dir).await;
    let whole = async { served.client.get(format!("{}/export", served.url)).send().await?.text().await };
    assert!(whole.await.is_err(), "a table that is cut short must not pass for a whole one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_let_go_and_not_told_that_this_was_all() {
    let (dir, _) = stored(|log| {
        for number in 0..20_000 {
            conformance::append(log, number);
        }
    })
    .await;
    let mut history = History::new(&dir.path().join("store.db"), Duration::from_secs(10));
    Arc::get_mut(&mut history).unwrap().stall = Duration::from_millis(1);
    let download = history.export(ExportQuestion::parse(None, at(0)).unwrap()).await.unwrap();
    // Its thread ends while the body is still there.
    drop(history.exports.acquire_many(u32::try_from(EXPORTS).unwrap()).await.unwrap());
    let told: Vec<_> = download.body.into_data_stream().collect().await;
    assert!(told.len() > 1 && told[..told.len() - 1].iter().all(Result::is_ok), "{} pieces", told.len());
    let error = told.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(error.contains("the client took nothing for too long"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_ends_when_its_client_goes_away() {
    const MANY: i64 = 60_000;
    let served = Served::with(|log| {
        for number in 0..MANY {
            conformance::append(log, number);
        }
    })
    .await;
    let whole = served.get("/export").await.text().await.unwrap();
    assert_eq!(whole.lines().count(), usize::try_from(MANY).unwrap() + 1);

    // Each reads one piece of some MB and stops; there are as many as may be.
    let mut halves = Vec::new();
    for _ in 0..EXPORTS {
        let mut half = served.history.export(ExportQuestion::parse(None, at(0)).unwrap()).await.unwrap();
        let body = std::mem::take(&mut half.body);
        halves.push(body.into_data_stream());
    }
    let (status, told) = served.bad("/export").await;
    assert_eq!((status, told.as_str()), (503, "4 exports are being answered already; try again later"));
    drop(halves);
    let all = u32::try_from(EXPORTS).unwrap();
    // Their threads end; without that this waits for ever.
    let free = served.history.exports.acquire_many(all).await.unwrap();
    drop(free);
    assert_eq!(served.get("/export?publisher=light-1").await.status(), StatusCode::OK);
}
