//! What documents there are of a record.

use lastbeat_log::Position;
use lastbeat_wire::{
    Body, BootId, Encoding, Header, HostId, Message, ProcessIdentity, Reading, UtcNanos, Value, encode,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::index::document::{Document, Maker};
use crate::index::name::IndexName;
use crate::index::template;
use crate::record::{self, Record};

const AT: UtcNanos = UtcNanos(1_700_000_000_123_999_999);

fn document(record: &Record<'_>) -> Option<Document> {
    Maker { name: IndexName::default(), log: "00ff".to_owned() }.document(record, Position(77))
}

/// The id of a record's document, and its source, whose fields all have a type.
fn made(record: &Record<'_>) -> (String, Json) {
    let document = document(record).unwrap();
    let lines = String::from_utf8(document.lines).unwrap();
    let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "create": { "_index": "logstash-2023.11.14", "_id": document.id } }));
    let properties = template::properties();
    for name in lines[1].as_object().unwrap().keys() {
        assert!(properties.contains_key(name), "{name} is not in the template");
    }
    (document.id, lines[1].clone())
}

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> record::Message<'a> {
    let flag = false;
    let topic = topic.as_bytes();
    record::Message { received_at: AT, clock: None, retained: flag, late: flag, resent: flag, topic, payload }
}

fn header() -> Header<'static> {
    let process = ProcessIdentity {
        host: HostId(0xfeed),
        boot: BootId(0xb001),
        pid_namespace: 4_026_531_836,
        pid: 4242,
        start: 123,
    };
    Header { process: Some(process), sequence: Some(9), host: Some("web-1".into()), ..Header::default() }
}

fn payload(body: Body<'_>) -> Vec<u8> {
    encode(&Message { header: header(), body, log: None }, Encoding::Json)
}

#[test]
fn a_result_has_its_figures_under_their_names_and_what_is_not_known_beside() {
    let fields = [
        ("target", Value::Text("a.example".into())),
        ("min", Value::Float(1.5)),
        ("avg", Value::Float(2.5)),
        ("max", Value::Float(3.5)),
        ("mdev", Value::Float(0.5)),
        ("loss", Value::Integer(10)),
        ("error", Value::Text("no answer".into())),
        ("@timestamp", Value::Text("mine".into())),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let reading = Reading { time: Some(UtcNanos(1_500_000_000_000_000_000)), fields, ..Reading::default() };
    let payload = payload(Body::Reading(reading));
    let (id, source) = made(&Record::Message(message("sensor/agent/paris", &payload)));
    assert_eq!(id, "ping-000000000000feed-0000000000000000000000000000b001-4026531836-4242-123-9-agent/paris",);
    let expected = json!({
        "@timestamp": "2017-07-14T02:40:00.000Z", "received_at": "2023-11-14T22:13:20.123Z", "kind": "ping",
        "publisher": "agent/paris", "agent": "paris", "host": "web-1", "pid": 4242,
        "target": "a.example", "min": 1.5, "avg": 2.5, "max": 3.5, "stddev": 0.5, "loss": 10, "error": "no answer",
        "fields": { "@timestamp": "mine" },
    });
    assert_eq!(source, expected);
}

#[test]
fn a_will_is_of_whom_it_was_of_and_what_is_no_result_is_left_out() {
    let will = payload(Body::Rip);
    let (_, source) = made(&Record::Message(message("rip/agent/paris", &will)));
    assert_eq!((&source["kind"], &source["agent"], &source["pid"]), (&json!("will"), &json!("paris"), &json!(4242)));
    let lux = [("lux".into(), Value::Integer(5))].into_iter().collect();
    let reading = payload(Body::Reading(Reading { fields: lux, ..Reading::default() }));
    for (topic, payload) in [("sensor/light", &*reading), ("beat/agent/paris", b""), ("sensor/light", b"{broken")] {
        assert_eq!(document(&Record::Message(message(topic, payload))), None, "{topic}");
    }
}

#[test]
fn without_a_number_an_id_is_of_the_log_and_a_retained_result_without_a_time_is_none() {
    let payload = br#"{"lastbeat":1,"fields":{"target":"a.example","loss":0}}"#;
    let plain = message("sensor/agent/paris", payload);
    assert_eq!(made(&Record::Message(plain)).0, "00ff-77");
    assert_eq!(document(&Record::Message(record::Message { retained: true, ..plain })), None);
}

#[test]
fn a_refused_message_has_its_reason_and_what_it_began_with() {
    let payload = [b"\xff\"".as_slice(), &[b'x'; 5_000]].concat();
    let record = Record::Refused { message: message("ping/-c", &payload), reason: "no target".into() };
    let (id, source) = made(&record);
    assert_eq!((id.as_str(), &source["kind"], &source["error"]), ("00ff-77", &json!("refused"), &json!("no target")));
    let kept = source["payload"].as_str().unwrap();
    assert!(kept.starts_with("\u{fffd}\"xx") && kept.chars().count() == 1_000);
}

#[test]
fn a_flip_and_a_judgement_are_at_the_time_at_which_it_happened() {
    let told = json!({
        "publisher": "agent/paris", "host": "web-1", "from": "alive", "to": "silent", "cause": "process_runs",
        "at": AT.0 - 1_000_000_000, "noticed_at": AT.0, "silence": { "secs": 50, "nanos": 0 }, "last_heard": 1,
        "process": null, "evidence": [],
    });
    let (_, source) = made(&Record::Flip(serde_json::from_value(told).unwrap()));
    assert!(source["text"].as_str().unwrap().starts_with("agent/paris  alive → silent"));
    assert_eq!(source["@timestamp"], "2023-11-14T22:13:19.123Z");
    assert_eq!(
        (&source["to"], &source["agent"], &source["latency_s"]),
        (&json!("silent"), &json!("paris"), &json!(1.0))
    );

    let target = json!({ "target": {
        "at": AT.0, "target": "a.example", "reach": "some", "level": "warn", "witnesses": 3, "reaching": 2, "slow": 0,
        "failing": ["paris"], "common": [], "own_links": 0, "error": "no answer",
    } });
    let (_, source) = made(&Record::Judgement(serde_json::from_value(target).unwrap()));
    assert_eq!(
        (&source["kind"], &source["level"], &source["reach"]),
        (&json!("judgement"), &json!("warn"), &json!("some"))
    );
    let agent = json!({ "agent": { "at": AT.0, "agent": "paris", "link": "down", "targets": 3, "failing": 3 } });
    let (_, source) = made(&Record::Judgement(serde_json::from_value(agent).unwrap()));
    assert_eq!((&source["agent"], &source["link"]), (&json!("paris"), &json!("down")));
}

proptest! {
    #[test]
    fn whatever_fields_there_are_a_document_is_two_lines_of_json(
        names in prop::collection::vec(".{0,12}|min|loss|target|kind", 0..8), text in ".*", number: f64, at: i64,
    ) {
        let mut fields: lastbeat_wire::Fields<'_> = [("target".into(), Value::Text("a.example".into()))].into_iter().collect();
        for (place, name) in names.iter().enumerate() {
            fields.push(&**name, if place % 2 == 0 { Value::Float(number) } else { Value::Text((&*text).into()) });
        }
        let payload = payload(Body::Reading(Reading { fields, ..Reading::default() }));
        let record = Record::Message(record::Message { received_at: UtcNanos(at), ..message("sensor/agent/p", &payload) });
        if let Some(document) = document(&record) {
            prop_assert!(document.index.starts_with("logstash-"));
            let lines: Vec<&[u8]> = document.lines.split(|byte| *byte == b'\n').collect();
            prop_assert_eq!((lines.len(), lines[2].len()), (3, 0));
            for line in &lines[..2] {
                prop_assert!(serde_json::from_slice::<Json>(line).unwrap().is_object());
            }
        }
    }
}
