//! Points as line protocol: `sensor,host=…,publisher=… <fields> <time>`, `heartbeat,… <fields> <time>`,
//! `flip,…,to=… <fields> <time>`, and of a swarm `ping,agent=…,host=…,target=… <fields> <time>`,
//! `target,level=…,reach=…,target=… <fields> <time>`, `agent,agent=…,link=… <fields> <time>`.
//!
//! Tags stand in the order of their names: where they don't, InfluxDB sorts them, line by line (3 % of all it does).
//!
//! What line protocol can't carry is changed where it must be: a tag or key that ends in a backslash would swallow the
//! separator behind it, so there U+FF3C stands for the backslash, and so it does in a field's name before a comma, an equals
//! sign, a space or a quote; control characters in tags and keys become U+FFFD; a
//! field called `time`, `publisher` or `host`, which InfluxDB would drop or confuse with its own, gets a `_` at its end.
//!
//! Every number of a reading is written as a float. InfluxDB refuses an integer where it has a float and the other way
//! round, and all publishers share one measurement: a light sensor that counts 19 would keep out the thermometer's 21.5
//! under the same name. Beyond 2^53 a float is inexact; the store has the integer.
//! (<https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/>)

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use lastbeat_swarm::{Judgement, TargetJudgement};
use lastbeat_watchdog::{Flip, Status};
use lastbeat_wire::{Header, Reading, UtcNanos, Value, agent_name, field};
use serde::Serialize;

use crate::announce::sentence;

/// The row's own time, where it is not the point's: an integer field, nanoseconds since 1970.
pub const ROW_TIME: &str = "row_time_ns";
const RESERVED: [&str; 4] = ["time", "publisher", "host", ROW_TIME];

/// Adds the line of a reading. Says whether there is one: a reading may have had nothing but NaN.
pub fn reading(out: &mut Vec<u8>, publisher: &str, header: &Header<'_>, reading: &Reading<'_>, time: UtcNanos) -> bool {
    if reading.fields.is_empty() {
        return false;
    }
    let pinged = agent_name(publisher).zip(target(reading));
    match pinged {
        Some((agent, target)) => {
            out.extend_from_slice(b"ping");
            let host = header.host.as_deref().unwrap_or_default();
            for (name, value) in [("agent", agent), ("host", host), ("target", target)] {
                tag(out, name, value);
            }
        }
        None => tags(out, "sensor", publisher, header.host.as_deref()),
    }
    let mut separator = b' ';
    for (name, value) in reading.fields.iter().filter(|(name, _)| pinged.is_none() || *name != field::TARGET) {
        out.push(separator);
        separator = b',';
        name_of(out, name);
        out.push(b'=');
        value_of(out, value);
    }
    if let Some(row_time) = reading.row_time {
        out.push(b',');
        out.extend_from_slice(ROW_TIME.as_bytes());
        out.push(b'=');
        number(out, row_time.0);
        out.push(b'i');
    }
    out.push(b' ');
    number(out, time.0);
    out.push(b'\n');
    true
}

/// Adds the line of a status.
pub fn heartbeat(out: &mut Vec<u8>, status: &Status) {
    tags(out, "heartbeat", status.publisher.as_str(), status.host.as_deref());
    out.push(b' ');
    if let Some(alive) = status.state.alive() {
        put(out, format_args!("alive={alive},"));
    }
    put(out, format_args!("state=\"{}\",cause=\"{}\"", status.state.word(), status.cause.word()));
    seconds(out, "silence_s", status.silence);
    seconds(out, "threshold_s", Some(status.threshold));
    if let Some(pid) = status.pid {
        put(out, format_args!(",pid={pid}i"));
    }
    let counts = &status.counts;
    put(out, format_args!(",missed={}i,duplicates={}i {}\n", counts.missed, counts.duplicates, status.at.0));
}

/// Adds the line of a flip, at the time at which it happened.
///
/// The state it leads to is a tag: a publisher can flip twice at one instant (its threshold passed, and with that its link
/// was found down), and InfluxDB keeps one point per series and time. There are ten states, so the series stay few.
pub fn flip(out: &mut Vec<u8>, flip: &Flip) {
    tags(out, "flip", flip.publisher.as_str(), flip.host.as_deref());
    put(out, format_args!(",to={} from=\"{}\",cause=\"{}\"", flip.to.word(), flip.from.word(), flip.cause.word()));
    seconds(out, "silence_s", flip.silence);
    seconds(out, "latency_s", Some(flip.noticed_at.since(flip.at)));
    if let Some(process) = &flip.process {
        put(out, format_args!(",pid={}i", process.pid));
    }
    out.extend_from_slice(b",text=");
    value_of(out, &Value::Text(sentence(flip).into()));
    put(out, format_args!(" {}\n", flip.at.0));
}

/// Adds the line of a judgement of a swarm. What it is judged to be is a tag, as with a flip.
pub fn judgement(out: &mut Vec<u8>, judgement: &Judgement) {
    let at = match judgement {
        Judgement::Target(judged) => {
            out.extend_from_slice(b"target");
            for (name, value) in
                [("level", judged.level.word()), ("reach", judged.reach.word()), ("target", &judged.target)]
            {
                tag(out, name, value);
            }
            let TargetJudgement { witnesses, reaching, slow, own_links, .. } = judged;
            put(
                out,
                format_args!(" witnesses={witnesses}i,reaching={reaching}i,slow={slow}i,own_links={own_links}i,text="),
            );
            judged.at
        }
        Judgement::Agent(judged) => {
            out.extend_from_slice(b"agent");
            for (name, value) in [("agent", &*judged.agent), ("link", judged.link.word())] {
                tag(out, name, value);
            }
            put(out, format_args!(" targets={}i,failing={}i,text=", judged.targets, judged.failing));
            judged.at
        }
    };
    value_of(out, &Value::Text(judgement.to_string().into()));
    put(out, format_args!(" {}\n", at.0));
}

/// The target of a result.
fn target<'a>(reading: &'a Reading<'_>) -> Option<&'a str> {
    reading.fields.iter().find_map(|(name, value)| match value {
        Value::Text(text) if name == field::TARGET => Some(&**text),
        _ => None,
    })
}

/// Adds a tag, if it has a value.
fn tag(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        put(out, format_args!(",{name}="));
        key(out, value);
    }
}

/// Adds a span as a further field, a float.
fn seconds(out: &mut Vec<u8>, name: &str, span: Option<Duration>) {
    if let Some(span) = span {
        put(out, format_args!(",{name}="));
        value_of(out, &Value::Float(span.as_secs_f64()));
    }
}

fn tags(out: &mut Vec<u8>, measurement: &str, publisher: &str, host: Option<&str>) {
    out.extend_from_slice(measurement.as_bytes());
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        out.extend_from_slice(b",host=");
        key(out, host);
    }
    out.extend_from_slice(b",publisher=");
    key(out, publisher);
}

fn name_of(out: &mut Vec<u8>, name: &str) {
    if is_plain(name) && !RESERVED.contains(&name) {
        out.extend_from_slice(name.as_bytes());
    } else {
        key(out, &stored_field(name));
    }
}

/// What a field's name is in InfluxDB, where line protocol can't carry it as it is.
pub fn stored_field(name: &str) -> Cow<'_, str> {
    if RESERVED.contains(&name) {
        return format!("{name}_").into();
    }
    let stored = stored_tag(name);
    // In a field's name these lose a backslash before them, or their own meaning.
    let lost = [',', '=', ' ', '"'];
    if !stored.contains('\\') {
        return stored;
    }
    let next = stored.chars().skip(1).map(Some).chain([None]);
    let keep = |(character, next): (char, Option<char>)| match next {
        Some(next) if character == '\\' && lost.contains(&next) => '\u{ff3c}',
        _ => character,
    };
    stored.chars().zip(next).map(keep).collect::<String>().into()
}

/// A tag's value or a field's name.
pub fn key(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for character in stored_tag(text).chars() {
        if matches!(character, ',' | '=' | ' ') {
            out.push(b'\\');
        }
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Whether a tag's value or a field's name stands in a line as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte > b' ' && !matches!(byte, b',' | b'=' | b'\\' | 0x7f) && byte < 0x80)
}

/// What a tag's value or a field's name is in InfluxDB, where line protocol can't carry it as it is.
pub fn stored_tag(text: &str) -> Cow<'_, str> {
    let body = text.trim_end_matches('\\');
    if body.len() == text.len() && !text.contains(char::is_control) {
        return text.into();
    }
    let mut stored: String = body.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    stored.extend(std::iter::repeat_n('\u{ff3c}', text.len() - body.len()));
    stored.into()
}

fn value_of(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Integer(integer) => number(out, *integer),
        Value::Float(float) => number(out, *float),
        Value::Boolean(boolean) => out.extend_from_slice(if *boolean { b"true" } else { b"false" }),
        Value::Text(text) => {
            out.push(b'"');
            let mut rest = text.as_bytes();
            while let Some(special) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
                out.extend_from_slice(&rest[..special]);
                out.extend_from_slice(&[b'\\', rest[special]]);
                rest = &rest[special + 1..];
            }
            out.extend_from_slice(rest);
            out.push(b'"');
        }
    }
}

/// A number, which JSON writes as line protocol does, and several times as fast as `write!`.
fn number(out: &mut Vec<u8>, number: impl Serialize) {
    serde_json::to_writer(out, &number).expect("invariant: writing to memory can't fail");
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("invariant: writing to memory can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(publisher: &str, host: Option<&str>, fields: &[(&str, Value<'static>)]) -> String {
        let header = Header { host: host.map(|host| host.to_owned().into()), ..Header::default() };
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned().into(), value.clone())).collect();
        let mut out = Vec::new();
        reading(&mut out, publisher, &header, &Reading { fields, ..Reading::default() }, UtcNanos(7));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_type_of_field_has_its_form() {
        let fields = [
            ("i", Value::Integer(-3)),
            ("f", Value::Float(21.0)),
            ("big", Value::Float(1e300)),
            ("b", Value::Boolean(true)),
            ("t", Value::Text("say \"hi\" \\ there\nplease".into())),
        ];
        assert_eq!(
            line("light-1", Some("web-1"), &fields),
            "sensor,host=web-1,publisher=light-1 i=-3,f=21.0,big=1e+300,b=true,t=\"say \\\"hi\\\" \\\\ there\nplease\" 7\n"
        );
    }

    #[test]
    fn tags_and_names_are_escaped_and_what_cannot_be_is_replaced() {
        let field = [("a b,c=d\\", Value::Integer(1)), ("time", Value::Integer(2))];
        assert_eq!(
            line("Küche, links\\\\", Some("a\tb\\c"), &field),
            "sensor,host=a\u{fffd}b\\c,publisher=Küche\\,\\ links＼＼ a\\ b\\,c\\=d＼=1,time_=2 7\n"
        );
        assert_eq!(line("p", Some(""), &field[1..]), "sensor,publisher=p time_=2 7\n");
        let field = [("a\\ b\\=c\\,d\\e\\\\ f\\\"", Value::Integer(1))];
        assert_eq!(line("p\\ q", None, &field), "sensor,publisher=p\\\\ q a＼\\ b＼\\=c＼\\,d\\e\\＼\\ f＼\"=1 7\n");
    }

    #[test]
    fn a_reading_without_fields_has_no_line_and_the_rows_own_time_is_a_field() {
        assert_eq!(line("p", None, &[]), "");
        let row = Reading {
            row_time: Some(UtcNanos(5)),
            fields: [("v".into(), Value::Integer(1))].into_iter().collect(),
            ..Reading::default()
        };
        let mut out = Vec::new();
        assert!(reading(&mut out, "p", &Header::default(), &row, UtcNanos(7)));
        assert_eq!(String::from_utf8(out).unwrap(), "sensor,publisher=p v=1,row_time_ns=5i 7\n");
    }

    #[test]
    fn a_status_is_a_heartbeat() {
        let status = serde_json::json!({
            "publisher": "light-1", "host": "web-1", "at": 9, "state": "dead", "cause": "process_gone", "since": 1,
            "silence": {"secs": 51, "nanos": 500_000_000}, "threshold": {"secs": 50, "nanos": 0}, "pid": 42,
            "counts": {"messages": 9, "readings": 8, "refused": 0, "missed": 7, "duplicates": 2, "late": 0,
                       "retained": 0, "restarts": 0, "conflicts": 0},
        });
        let mut status: Status = serde_json::from_value(status).unwrap();
        let mut out = Vec::new();
        heartbeat(&mut out, &status);
        (status.state, status.silence, status.pid, status.host) = (lastbeat_watchdog::State::Unseen, None, None, None);
        heartbeat(&mut out, &status);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "heartbeat,host=web-1,publisher=light-1 alive=false,state=\"dead\",cause=\"process_gone\",silence_s=51.5,\
             threshold_s=50.0,pid=42i,missed=7i,duplicates=2i 9\n\
             heartbeat,publisher=light-1 state=\"unseen\",cause=\"process_gone\",threshold_s=50.0,missed=7i,duplicates=2i 9\n"
        );
    }

    #[test]
    fn a_flip_tells_both_states_the_latency_and_the_whole_sentence() {
        let told = serde_json::json!({
            "publisher": "light 1", "host": "web-1", "from": "alive", "to": "dead", "cause": "process_gone",
            "at": 1_500_000_000, "noticed_at": 1_750_000_000, "silence": {"secs": 0, "nanos": 500_000_000},
            "last_heard": 1_000_000_000,
            "process": {"host": "0000000000000001", "boot": "00000000000000000000000000000002", "pid": 42, "start": 3},
            "evidence": [{"at": 1_750_000_000, "source": "pidfd", "fact": "gone"}],
        });
        let mut told: Flip = serde_json::from_value(told).unwrap();
        let mut out = Vec::new();
        flip(&mut out, &told);
        (told.host, told.silence, told.process, told.evidence) = (None, None, None, Vec::new());
        flip(&mut out, &told);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "flip,host=web-1,publisher=light\\ 1,to=dead from=\"alive\",cause=\"process_gone\",silence_s=0.5,latency_s=0.25,\
             pid=42i,text=\"light 1  alive → dead: its process is gone; silent for 500ms; no such process (by pidfd, \
             1970-01-01T00:00:01.750Z)\" 1500000000\n\
             flip,publisher=light\\ 1,to=dead from=\"alive\",cause=\"process_gone\",latency_s=0.25,\
             text=\"light 1  alive → dead: its process is gone\" 1500000000\n"
        );
    }
}
