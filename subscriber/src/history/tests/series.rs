//! Readings as series, and the fields there are.

use serde_json::json;

use super::*;
use crate::history::fields;

fn kitchen(log: &mut Log) {
    reading(log, "site/kitchen", at(0), r#"{"celsius":21,"on":true,"note":"a"}"#);
    reading(log, "site/kitchen", at(2), r#"{"celsius":22.5,"on":false}"#);
    // Out of the order of time, and two of one time.
    reading(log, "site/kitchen", at(1), r#"{"celsius":-3}"#);
    reading(log, "site/kitchen", at(2), r#"{"on":true,"note":"b"}"#);
}

/// The range of these tests.
const RANGE: &str = "since=2023-11-14T22:13:20Z&until=2023-11-14T22:13:30Z";

#[tokio::test]
async fn few_readings_come_as_they_are() {
    let served = Served::with(kitchen).await;
    let answer = served.good(&format!("/publishers/site%2Fkitchen/readings?{RANGE}")).await;
    let expected = json!({
        "publisher": "site/kitchen", "from": "2023-11-14T22:13:20Z", "to": "2023-11-14T22:13:30Z",
        "rows": 4, "bucket_s": null,
        "time": [1_700_000_000.0, 1_700_000_001.0, 1_700_000_002.0, 1_700_000_002.0],
        "fields": {
            "celsius": {"type": "float", "values": [21, -3, 22.5, null]},
            "on": {"type": "boolean", "values": [1, null, 0, 1]},
            "note": {"type": "text", "values": ["a", null, null, "b"]},
        },
    });
    assert_eq!(answer, expected);
    let one = served.good(&format!("/publishers/site%2Fkitchen/readings?{RANGE}&field=on&points=4&field=on")).await;
    assert_eq!(one["fields"], json!({"on": {"type": "boolean", "values": [1, null, 0, 1]}}));
    let none = served.good("/publishers/site%2Fkitchen/readings?since=1h&field=celsius").await;
    assert_eq!((&none["rows"], &none["time"]), (&json!(0), &json!([])));
    assert_eq!(none["fields"], json!({"celsius": {"type": "float", "values": []}}));
}

#[tokio::test]
async fn many_readings_are_drawn_together() {
    let served = Served::with(kitchen).await;
    let answer = served.good(&format!("/publishers/site%2Fkitchen/readings?{RANGE}&points=3")).await;
    assert_eq!((&answer["rows"], answer["bucket_s"].as_f64().unwrap()), (&json!(4), 3.333_333_334));
    assert_eq!(answer["time"], json!([1_700_000_000.0]));
    let expected = json!({
        "celsius": {"type": "float", "min": [-3.0], "max": [22.5], "mean": [13.5]},
        "on": {"type": "boolean", "min": [0.0], "max": [1.0], "mean": [0.666_666_666_666_666_6]},
    });
    assert_eq!(answer["fields"], expected, "a text has no figures");
}

#[tokio::test]
async fn the_end_of_a_range_is_not_in_it() {
    let served = Served::with(|log| (0..10).for_each(|second| reading(log, "a", at(second), r#"{"n":1}"#))).await;
    for (until, rows) in [("22:13:29Z", 9), ("22:13:29.000000001Z", 10), ("22:13:20.000000001Z", 1)] {
        let path = format!("/publishers/a/readings?since=2023-11-14T22:13:20Z&until=2023-11-14T{until}");
        assert_eq!(served.good(&path).await["rows"], rows);
    }
}

#[tokio::test]
async fn numbers_that_a_sum_would_make_infinite_stay_finite() {
    let served = Served::with(|log| {
        for (second, number) in (0..).zip(["1e308", "1.7e308", "-1.7e308", "1e308", "1e308"]) {
            reading(log, "a", at(second), &format!(r#"{{"n":{number}}}"#));
        }
    })
    .await;
    let answer = served.good(&format!("/publishers/a/readings?{RANGE}&points=1")).await;
    let figures = &answer["fields"]["n"];
    assert_eq!((&figures["min"], &figures["max"]), (&json!([-1.7e308]), &json!([1.7e308])));
    let mean = figures["mean"][0].as_f64().unwrap();
    assert!((mean - 6e307).abs() < 1e295, "{mean}");
}

#[tokio::test]
async fn wrong_parameters_are_named_with_their_values() {
    let served = Served::with(kitchen).await;
    let path = |query: &str| format!("/publishers/site%2Fkitchen/readings?{query}");
    for (query, detail) in [
        ("points=0", "points=0: it has to be a whole number from 1 to 5000"),
        ("points=5001", "points=5001: it has to be a whole number from 1 to 5000"),
        ("points=-1", "points=-1: it has to be a whole number from 1 to 5000"),
        ("points=4&points=5", "points=5: it is given twice"),
        ("since=yesterday", "since=yesterday: \"yesterday\" is no span like 1h, no date like 2024-05-01, and no time"),
        ("until=%00", "until=\0: \"\\0\" is no span like 1h"),
        ("since=1h&until=2h", "since=1h: that is "),
        ("field=lux", "field=lux: publisher \"site/kitchen\" never sent a field of this name"),
        ("point=4", "point=4: there is no such parameter, only since, until, points, field"),
    ] {
        let (status, told) = served.bad(&path(query)).await;
        assert!(status == 400 && told.starts_with(detail), "{query}: {told}");
    }
    let (status, told) = served.bad("/publishers/kitchen/readings").await;
    assert_eq!((status, told.as_str()), (404, "publisher \"kitchen\" is not in the store"));
    let (status, told) = served.bad("/publishers/%ff/readings").await;
    assert!(status == 400 && told.contains("%ff"), "{told}");
}

#[tokio::test]
async fn an_answer_of_too_many_values_is_refused() {
    let fields: Vec<_> = (0..300).map(|number| format!(r#""f{number}":{number}"#)).collect();
    let json = format!("{{{}}}", fields.join(","));
    let served = Served::with(|log| reading(log, "wide", at(0), &json)).await;
    let (status, told) = served.bad("/publishers/wide/readings?points=5000").await;
    assert!(status == 400 && told.starts_with("points=5000: of 300 fields that makes more than 1000000"), "{told}");
    let all = served.good(&format!("/publishers/wide/readings?{RANGE}")).await;
    assert_eq!(all["fields"].as_object().unwrap().len(), 300);
    let one = served.good(&format!("/publishers/wide/readings?{RANGE}&points=5000&field=f299&field=f7")).await;
    let expected = json!({"f299": {"type": "integer", "values": [299]}, "f7": {"type": "integer", "values": [7]}});
    assert_eq!(one["fields"], expected);
}

#[tokio::test]
async fn fields_have_their_latest_values() {
    let long = "ä".repeat(300);
    let served = Served::with(|log| {
        kitchen(log);
        reading(log, "site/kitchen", at(9), &format!(r#"{{"celsius":"broken","long":"{long}"}}"#));
    })
    .await;
    let fields = served.history.ask(|db| fields::latest(db, "site/kitchen")).await.unwrap();
    let shown: Vec<_> = fields.iter().map(|field| serde_json::to_value(field).unwrap()).collect();
    let expected = [
        json!({"name": "celsius", "type": "text", "latest": "broken", "latest_at": "2023-11-14T22:13:29Z"}),
        json!({"name": "on", "type": "boolean", "latest": true, "latest_at": "2023-11-14T22:13:22Z"}),
        json!({"name": "note", "type": "text", "latest": "b", "latest_at": "2023-11-14T22:13:22Z"}),
        json!({"name": "long", "type": "text", "latest": format!("{}…", "ä".repeat(256)), "latest_at": "2023-11-14T22:13:29Z"}),
    ];
    assert_eq!(shown, expected);
}
