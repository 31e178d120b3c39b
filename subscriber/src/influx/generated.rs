//! Names and texts made at random of what line protocol has a meaning for, written to a real InfluxDB and read back.

use std::collections::BTreeMap;
use std::time::Duration;

use lastbeat_log::Position;
use lastbeat_wire::{Body, Encoding, Fields, Header, Message, PublisherId, Reading, UtcNanos, Value, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::influxd::Influxd;
use super::line::stored_field;
use super::stored_tag;
use crate::follower::conformance::{append_message, open_log};
use crate::follower::start;

const POINTS: usize = 400;

/// Short texts of what is special somewhere, and of letters between.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        ",", " ", "=", "\"", "'", "\\", "\\\\", "\n", "\r", "\t", "\0", "\u{7f}", "\u{85}", "#", "/", ";", "{", "}", "%",
        "a", "b", "7", "i", "t", "ü", "Ω", "🜁", "\u{feff}", "\u{202e}", "\u{fffd}", "-", ".", "$", "time", "_field", "1e5",
    ]);
    vec(pieces, 1..8).prop_map(|pieces| pieces.concat())
}

/// One point: its publisher, its host, its fields. A name has always the same type, for InfluxDB wants it so.
fn point() -> impl Strategy<Value = (PublisherId, String, Vec<(String, Value<'static>)>)> {
    let id = text().prop_filter_map("an id", |id| PublisherId::try_from(id.as_str()).ok());
    let fields = vec((text(), text(), any::<f64>(), any::<bool>(), any::<i32>()), 1..5);
    let typed = |(name, text, float, boolean, integer): (String, String, f64, bool, i32)| {
        let value = match name.bytes().map(u32::from).sum::<u32>() % 3 {
            0 => Value::Text(text.into()),
            1 => Value::Boolean(boolean),
            _ if float.is_finite() => Value::Float(float),
            _ => Value::Integer(integer.into()),
        };
        (name, value)
    };
    (id, text(), fields.prop_map(move |fields| fields.into_iter().map(typed).collect()))
}

#[tokio::test]
async fn what_is_made_of_all_that_is_special_comes_back_as_it_went() {
    let (server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let mut runner = TestRunner::deterministic();
    let mut expected = Vec::new();
    // By the name that InfluxDB has: two may become one, and then the one type counts.
    let mut types = BTreeMap::new();
    for time in 1..=i64::try_from(POINTS).unwrap() {
        let (publisher, host, fields) = point().new_tree(&mut runner).unwrap().current();
        let mut row = BTreeMap::from([("time".to_owned(), json!(time))]);
        row.insert("publisher".to_owned(), stored_tag(publisher.as_str()).into());
        row.insert("host".to_owned(), stored_tag(&host).into());
        let mut kept = Fields::new();
        for (name, value) in fields {
            let stored = stored_field(&name).into_owned();
            let kind = std::mem::discriminant(&value);
            let number = matches!(value, Value::Integer(_) | Value::Float(_));
            if row.contains_key(&stored) || *types.entry(stored.clone()).or_insert((kind, number)) != (kind, number) {
                continue;
            }
            row.insert(stored, match &value {
                Value::Text(text) => json!(text),
                Value::Boolean(boolean) => json!(boolean),
                Value::Float(float) => json!(float),
                Value::Integer(integer) => json!(f64::from(i32::try_from(*integer).unwrap())),
            });
            kept.push(name, value);
        }
        if kept.is_empty() {
            continue;
        }
        let header = Header { host: Some(host.into()), ..Header::default() };
        let body = Body::Reading(Reading { time: Some(UtcNanos(time)), fields: kept, ..Reading::default() });
        let payload = encode(&Message { header, body, log: None }, Encoding::Json);
        append_message(&mut log, UtcNanos(1), format!("sensor/{publisher}").as_bytes(), &payload);
        expected.push(row);
    }
    assert!(expected.len() > POINTS / 2, "{}", expected.len());
    let mut following = start(server.follower(dir.path()), log.handle().clone(), CancellationToken::new()).unwrap();
    log.close(Duration::from_secs(10));
    following.ended().await.unwrap();
    assert_eq!(following.lag.borrow().set_aside, 0, "{:?}", std::fs::read_to_string(dir.path().join("influx.refused.jsonl")));
    let rows = server.rows("SELECT * FROM \"sensor\"").await;
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        let as_floats = |row: &BTreeMap<String, serde_json::Value>| -> BTreeMap<String, serde_json::Value> {
            row.iter().map(|(name, value)| (name.clone(), value.as_f64().map_or(value.clone(), |float| json!(float)))).collect()
        };
        assert_eq!(as_floats(row), as_floats(expected));
    }
}
