//! Messages to bytes and back: JSON or MessagePack of one structure, and the bare payloads of foreign publishers.

use serde::Deserialize;

use crate::envelope::{Envelope, MARK, Outgoing, VERSION};
use crate::error::DecodeError;
use crate::message::{Body, Header, Message, Reading};
use crate::topic::Kind;
use crate::value::{Fields, Text};
use crate::{MAX_PAYLOAD_BYTES, Value, plain};

/// Room for a message of ten fields.
const USUAL_BYTES: usize = 448;

/// How an envelope is written. A reader tells them apart by the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Readable, and written by anything.
    #[default]
    Json,
    /// The same structure in fewer bytes.
    MessagePack,
}

/// Writes a message; its publisher travels in the topic.
///
/// # Panics
/// Never: each part of a message has a form in both encodings.
pub fn encode(message: &Message<'_>, encoding: Encoding) -> Vec<u8> {
    let envelope = Outgoing::of(message);
    // Most messages fit without being moved to a larger place: a tenth fewer instructions.
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    match encoding {
        Encoding::Json => {
            serde_json::to_writer(&mut bytes, &envelope).expect("invariant: an envelope has only string keys");
        }
        Encoding::MessagePack => {
            rmp_serde::encode::write_named(&mut bytes, &envelope).expect("invariant: writing to memory can't fail");
        }
    }
    bytes
}

/// Reads the payload of a topic of the given kind.
///
/// A payload without the key `lastbeat` is a foreign publisher's: on `sensor/` all of it becomes fields; on the other
/// topics it may be empty or anything, and is the report where the kind has one.
pub fn decode(kind: Kind, payload: &[u8]) -> Result<Message<'_>, DecodeError> {
    match plain::read(payload) {
        Some(envelope) if payload.len() <= MAX_PAYLOAD_BYTES => opened(kind, envelope),
        _ => decode_by_serde(kind, payload),
    }
}

/// The same by serde alone: what [`decode`] must agree with, in half the speed or less.
#[doc(hidden)]
pub fn decode_by_serde(kind: Kind, payload: &[u8]) -> Result<Message<'_>, DecodeError> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(DecodeError::TooLarge { bytes: payload.len() });
    }
    if !may_be_envelope(payload) {
        return bare(kind, payload);
    }
    let envelope = parse::<Envelope<'_>>(payload)?;
    match envelope.lastbeat {
        Some(VERSION) => opened(kind, envelope),
        Some(version) => Err(DecodeError::Version(version)),
        // The mark stood elsewhere, in a value say: a bare payload after all.
        None => bare(kind, payload),
    }
}

fn opened(kind: Kind, envelope: Envelope<'_>) -> Result<Message<'_>, DecodeError> {
    let body = match kind {
        Kind::Sensor => Body::Reading(Reading {
            time: envelope.time,
            row_time: envelope.row,
            fields: not_empty(envelope.fields.unwrap_or_default())?,
        }),
        other => wordless(other),
    };
    let header = Header {
        process: envelope.process,
        sequence: envelope.seq,
        sent_at: envelope.sent,
        uptime: envelope.up,
        host: envelope.host.map(|Text(host)| host),
    };
    let log = envelope.log.filter(|_| kind.has_log()).map(|Text(log)| log);
    Ok(Message { header, body, log })
}

fn bare(kind: Kind, payload: &[u8]) -> Result<Message<'_>, DecodeError> {
    let body = match kind {
        Kind::Sensor if payload.is_empty() => return Err(DecodeError::Empty),
        Kind::Sensor => Body::Reading(Reading { fields: not_empty(parse(payload)?)?, ..Reading::default() }),
        other => wordless(other),
    };
    let log = (kind.has_log() && !payload.is_empty()).then(|| String::from_utf8_lossy(payload));
    Ok(Message { body, log, ..Message::default() })
}

/// A reading whose every value was NaN is still a reading: the publisher spoke. One with nothing at all is a mistake.
fn not_empty(fields: Fields<'_>) -> Result<Fields<'_>, DecodeError> {
    if fields.is_empty() && fields.skipped() == 0 { Err(DecodeError::Empty) } else { Ok(fields) }
}

fn wordless(kind: Kind) -> Body<'static> {
    match kind {
        Kind::Sensor => Body::Reading(Reading::default()),
        Kind::Beat => Body::Beat,
        Kind::Start => Body::Start,
        Kind::Fail => Body::Fail,
        Kind::Bye => Body::Bye,
        Kind::Rip => Body::Rip,
    }
}

fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    if begins_messagepack_map(payload) {
        rmp_serde::from_slice(payload).map_err(|error| DecodeError::MessagePack(error.to_string()))
    } else {
        serde_json::from_slice(payload).map_err(|error| DecodeError::Json(error.to_string()))
    }
}

/// The first byte of a MessagePack map: fixmap, map 16, map 32. None of them starts a JSON text.
fn begins_messagepack_map(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(0x80..=0x8f | 0xde | 0xdf))
}

/// Whether the payload begins like a map, and the mark stands somewhere in it. Our own encoders put it first, so this ends
/// at once for them.
fn may_be_envelope(payload: &[u8]) -> bool {
    let is_map = begins_messagepack_map(payload) || payload.trim_ascii_start().starts_with(b"{");
    is_map && payload.windows(MARK.len()).any(|window| window == MARK)
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::{BootId, HostId, ProcessIdentity, UtcNanos};

    fn reading(payload: &[u8]) -> Vec<(String, Value<'_>)> {
        match decode(Kind::Sensor, payload).unwrap().body {
            Body::Reading(reading) => reading.fields.iter().map(|(n, v)| (n.to_owned(), v.clone())).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn example() -> Message<'static> {
        Message {
            header: Header {
                process: Some(ProcessIdentity {
                    host: HostId(0xabc),
                    boot: BootId(0xdef),
                    pid_namespace: 4_026_531_836,
                    pid: 4242,
                    start: 123_456,
                }),
                sequence: Some(7),
                sent_at: Some(UtcNanos(1_700_000_000_000_000_001)),
                uptime: Some(5_000_000_000),
                host: Some("web-1".into()),
            },
            body: Body::Reading(Reading {
                time: None,
                row_time: Some(UtcNanos(1)),
                fields: [("lux".into(), Value::Integer(19)), ("on".into(), Value::Boolean(true))].into_iter().collect(),
            }),
            log: None,
        }
    }

    #[test]
    fn json_bytes_are_these() {
        assert_eq!(
            String::from_utf8(encode(&example(), Encoding::Json)).unwrap(),
            r#"{"lastbeat":1,"seq":7,"sent":1700000000000000001,"up":5000000000,"host":"web-1","process":{"host":"0000000000000abc","boot":"00000000000000000000000000000def","pidns":4026531836,"pid":4242,"start":123456},"row":1,"fields":{"lux":19,"on":true}}"#
        );
    }

    #[test]
    fn both_encodings_come_back_as_they_went() {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            assert_eq!(decode(Kind::Sensor, &encode(&example(), encoding)).unwrap(), example());
        }
    }

    #[test]
    fn a_foreign_object_is_taken_whole_as_fields() {
        assert_eq!(
            reading(br#"{"celsius":21.5,"v":3}"#),
            [("celsius".to_owned(), Value::Float(21.5)), ("v".to_owned(), Value::Integer(3))]
        );
        assert_eq!(reading(b" 21.5 "), [("value".to_owned(), Value::Float(21.5))]);
        assert_eq!(
            reading(br#"{"a":{"b":1,"c":[true,null,"x"]},"n":null}"#),
            [
                ("a.b".to_owned(), Value::Integer(1)),
                ("a.c.0".to_owned(), Value::Boolean(true)),
                ("a.c.2".to_owned(), Value::Text("x".into()))
            ]
        );
        assert_eq!(reading(br#"{"from":"lastbeat"}"#), [("from".to_owned(), Value::Text("lastbeat".into()))]);
    }

    #[test]
    fn a_foreign_beat_may_be_empty_or_anything_and_is_a_report() {
        let log = |kind, payload| decode(kind, payload).unwrap().log;
        assert_eq!(log(Kind::Beat, b""), None);
        for text in
            ["hello", "{", "\"lastbeat\"", "lastbeat-publisher: disk full", r#"["lastbeat",1]"#, r#"{"v":"lastbeat"}"#]
        {
            assert_eq!(decode(Kind::Fail, text.as_bytes()).unwrap().body, Body::Fail);
            assert!(matches!(log(Kind::Fail, text.as_bytes()), Some(Cow::Borrowed(log)) if log == text), "{text}");
        }
        assert_eq!(log(Kind::Bye, b"\xff!").unwrap(), "\u{fffd}!");
        assert_eq!(log(Kind::Rip, b"its connection was lost"), None);
        assert_eq!(log(Kind::Sensor, b"21.5"), None);
    }

    #[test]
    fn an_envelope_carries_a_report_only_where_its_topic_has_one() {
        let payload = br#"{"lastbeat":1,"log":"","fields":{"a":1}}"#;
        for kind in Kind::ALL {
            let log = decode(kind, payload).unwrap().log;
            assert_eq!(log.as_deref(), kind.has_log().then_some(""), "{kind:?}");
        }
        let escaped = decode(Kind::Start, br#"{"lastbeat":1,"log":"a\nb"}"#).unwrap().log;
        assert_eq!(escaped.as_deref(), Some("a\nb"));
        let plain = decode(Kind::Start, br#"{"lastbeat":1,"log":"a b"}"#).unwrap().log;
        assert!(matches!(plain, Some(Cow::Borrowed("a b"))));
        let told = Message { body: Body::Fail, log: Some("disk full".into()), ..Message::default() };
        assert_eq!(encode(&told, Encoding::Json), br#"{"lastbeat":1,"log":"disk full"}"#);
        let out_of_place = Message { body: Body::Rip, ..told };
        assert_eq!(encode(&out_of_place, Encoding::Json), br#"{"lastbeat":1}"#);
        assert!(decode(Kind::Fail, br#"{"lastbeat":1,"log":5}"#).is_err());
    }

    #[test]
    fn errors_name_the_place_and_the_value() {
        let error = |payload: &[u8]| decode(Kind::Sensor, payload).unwrap_err().to_string();
        assert_eq!(error(b""), "a reading without fields");
        assert_eq!(error(b"{}"), "a reading without fields");
        assert_eq!(error(br#"{"lastbeat":2,"fields":{"a":1}}"#), "envelope version 2, only 1 is known");
        assert!(error(b"{\"a\":\n nope}").contains("line 2 column 3"), "{}", error(b"{\"a\":\n nope}"));
        assert!(error(br#"{"lastbeat":1,"sent":"soon","fields":{"a":1}}"#).contains("soon"));
        assert!(error(&vec![b' '; MAX_PAYLOAD_BYTES + 1]).contains("1048577 bytes"));
        let deep = "[".repeat(100);
        assert!(error(deep.as_bytes()).contains("nested deeper than 16"), "{}", error(deep.as_bytes()));
    }

    #[test]
    fn a_number_that_is_not_finite_is_left_out_and_counted() {
        let fields: Fields<'_> =
            [("bad".into(), Value::Float(f64::NAN)), ("good".into(), Value::Float(1.0))].into_iter().collect();
        assert_eq!((fields.len(), fields.skipped()), (1, 1));
    }
}
