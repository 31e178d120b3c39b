//! What an agent of a swarm finds out about a target, on `ping/<target>`: read as a reading of the publisher `agent/<agent>`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::codec::decode;
use crate::error::DecodeError;
use crate::message::{Body, Message, Reading};
use crate::publisher::{InvalidPublisherId, PublisherId};
use crate::target::{InvalidTarget, Target};
use crate::topic::Kind;
use crate::value::{Fields, Value};

/// What the topics of results begin with.
pub const PING_PREFIX: &str = "ping/";
/// The topic of the list of targets, a retained text.
pub const WATCH_TOPIC: &str = "watch";
/// What the ids of agents begin with: the agent `paris` is the publisher `agent/paris`, its will is on `rip/agent/paris`.
pub const AGENT_PREFIX: &str = "agent/";

/// The fields of a result. Times are in milliseconds, with fractions.
pub mod field {
    /// Who measured: the publisher's id without `agent/`. In an envelope on `ping/` only.
    pub const AGENT: &str = "agent";
    /// What was measured, as text. Stands in the topic, and as a field in what is stored.
    pub const TARGET: &str = "target";
    /// How: `icmp`, `tcp`, `http`, `https`.
    pub const PROBE: &str = "probe";
    /// How many probes were sent.
    pub const SENT: &str = "sent";
    /// How many were answered.
    pub const RECEIVED: &str = "received";
    /// How many were not, in percent, 0 to 100.
    pub const LOSS: &str = "loss";
    /// The shortest round trip.
    pub const MIN: &str = "min";
    /// The mean of the round trips.
    pub const AVG: &str = "avg";
    /// The longest round trip.
    pub const MAX: &str = "max";
    /// Their standard deviation.
    pub const MDEV: &str = "mdev";
    /// Why it could not be measured, or, where nothing was answered, what the last probe ended in.
    pub const ERROR: &str = "error";
    /// After how many seconds this agent measures this target again.
    pub const EVERY: &str = "every";
    /// A name that agents behind the same provider or at the same site have in common.
    pub const NETWORK: &str = "network";
    /// Of a page, on the mean: until the connection stood.
    pub const CONNECT: &str = "connect";
    /// Of a page, on the mean: until TLS was agreed on.
    pub const TLS: &str = "tls";
    /// Of a page, on the mean: until its first byte came.
    pub const FIRST_BYTE: &str = "first_byte";
    /// Of a page, on the mean: until it had come whole.
    pub const WHOLE: &str = "whole";
    /// Of a page: the status of the last answer.
    pub const STATUS: &str = "status";
}

/// Why a message on `ping/` is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// Its topic names no target.
    #[error(transparent)]
    Target(#[from] InvalidTarget),
    /// It names no agent.
    #[error("a result without an agent")]
    NoAgent,
    /// It names an agent that can't be one.
    #[error("agent: {0}")]
    Agent(#[from] InvalidPublisherId),
    /// Its topic names another agent than its payload.
    #[error("topic of the agent {topic:?}, result of the agent {payload:?}")]
    Other {
        /// The one that the broker let through.
        topic: String,
        /// The one that it says it is.
        payload: String,
    },
    /// Its payload can't be read.
    #[error(transparent)]
    Payload(#[from] DecodeError),
}

/// A result as `athoune/swarming` writes it: agent, `ok` or `error`, and the figures or an error's text.
#[derive(Deserialize)]
struct Array<'a>(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Told<'a>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Told<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    #[serde(borrow)]
    Figures(Figures<'a>),
}

/// Its figures; each may be missing.
#[derive(Serialize, Deserialize, Default)]
struct Figures<'a> {
    #[serde(rename = "Error", default, borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss: Option<f64>,
    #[serde(rename = "Round trip", default, skip_serializing_if = "Option::is_none")]
    round_trip: Option<[f64; 4]>,
}

/// The publisher that an agent is.
///
/// # Errors
/// If the name can't be part of a topic.
pub fn agent(name: &str) -> Result<PublisherId, InvalidPublisherId> {
    PublisherId::try_from(format!("{AGENT_PREFIX}{name}").as_str())
}

/// The name of the agent that a publisher is, if it is one.
pub fn agent_name(publisher: &str) -> Option<&str> {
    publisher.strip_prefix(AGENT_PREFIX)
}

/// Reads what came on `ping/<target>` or `ping/<target>/<agent>`, our own envelope or the array of `athoune/swarming`, as a reading of the agent that
/// measured: its field `agent` is taken off, a field `target` put first. `None` for a topic of another sort.
pub fn decode_ping<'a>(topic: &[u8], payload: &'a [u8]) -> Option<Result<(PublisherId, Message<'a>), PingError>> {
    let name = topic.strip_prefix(PING_PREFIX.as_bytes())?;
    let end = name.iter().position(|byte| *byte == b'/');
    let (target, named) = end.map_or((name, None), |end| (&name[..end], Some(&name[end + 1..])));
    Some(Target::unescaped(target).map_err(PingError::from).and_then(|target| read(&target, named, payload)))
}

fn read<'a>(target: &Target, named: Option<&[u8]>, payload: &'a [u8]) -> Result<(PublisherId, Message<'a>), PingError> {
    let mut message =
        if payload.trim_ascii_start().starts_with(b"[") { array(payload)? } else { decode(Kind::Sensor, payload)? };
    let Body::Reading(reading) = &mut message.body else { return Err(PingError::NoAgent) };
    let named = named.map(|named| String::from_utf8_lossy(named)).map(|named| agent(&named)).transpose()?;
    let mut said = None;
    let mut fields = Fields::with_capacity(reading.fields.len());
    fields.push(field::TARGET, Value::Text(target.as_str().to_owned().into()));
    for (name, value) in std::mem::take(&mut reading.fields) {
        match (&*name, value) {
            (field::AGENT, Value::Text(name)) => said = Some(agent(&name)?),
            (field::AGENT | field::TARGET, _) => {}
            (_, value) => fields.push(name, value),
        }
    }
    reading.fields = fields;
    match (named, said) {
        (Some(topic), Some(payload)) if topic != payload => {
            let name = |agent: PublisherId| agent_name(agent.as_str()).unwrap_or_default().to_owned();
            Err(PingError::Other { topic: name(topic), payload: name(payload) })
        }
        (named, said) => Ok((named.or(said).ok_or(PingError::NoAgent)?, message)),
    }
}

fn array(payload: &[u8]) -> Result<Message<'_>, DecodeError> {
    if payload.len() > crate::MAX_PAYLOAD_BYTES {
        return Err(DecodeError::TooLarge { bytes: payload.len() });
    }
    let Array(agent, said, told) =
        serde_json::from_slice(payload).map_err(|error| DecodeError::Json(error.to_string()))?;
    let mut fields = Fields::with_capacity(8);
    fields.push(field::AGENT, Value::Text(agent));
    let figures = match told {
        Told::Text(text) => Figures { error: Some(text), ..Figures::default() },
        Told::Figures(figures) => figures,
    };
    if let Some(loss) = figures.loss {
        fields.push(field::LOSS, Value::Float(loss));
    }
    for (name, millis) in
        [field::MIN, field::AVG, field::MAX, field::MDEV].into_iter().zip(figures.round_trip.iter().flatten())
    {
        fields.push(name, Value::Float(*millis));
    }
    match figures.error {
        Some(error) => fields.push(field::ERROR, Value::Text(error)),
        None if said == "error" => fields.push(field::ERROR, Value::Text("error".into())),
        None => {}
    }
    Ok(Message { body: Body::Reading(Reading { fields, ..Reading::default() }), ..Message::default() })
}

/// Writes the fields of a result as `athoune/swarming` does: `["paris","ok",{"Error":null,"loss":0.0,"Round trip":[1.0,2.0,3.0,0.5]}]`.
/// Without a loss it is an `error`; 100 % loss is a result.
///
/// # Panics
/// Never: each part has a form in JSON.
pub fn encode_swarming(agent: &str, fields: &Fields<'_>) -> Vec<u8> {
    let number = |name: &str| {
        fields.iter().find(|(known, _)| *known == name).and_then(|(_, value)| match value {
            Value::Float(value) => Some(*value),
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            Value::Integer(value) => Some(*value as f64),
            Value::Boolean(_) | Value::Text(_) => None,
        })
    };
    let error = fields.iter().find_map(|(name, value)| match value {
        Value::Text(text) if name == field::ERROR => Some(Cow::Borrowed(&**text)),
        _ => None,
    });
    let times = [field::MIN, field::AVG, field::MAX, field::MDEV].map(number);
    let round_trip = match times {
        [Some(min), Some(avg), Some(max), Some(mdev)] => Some([min, avg, max, mdev]),
        _ => None,
    };
    let loss = number(field::LOSS);
    let said = if loss.is_some() { "ok" } else { "error" };
    serde_json::to_vec(&(agent, said, Figures { error, loss, round_trip }))
        .expect("invariant: writing to memory can't fail")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Encoding, encode};
    use crate::message::Header;

    fn fields<'a>(message: &'a Message<'_>) -> Vec<(&'a str, Value<'a>)> {
        match &message.body {
            Body::Reading(reading) => reading.fields.iter().map(|(name, value)| (name, value.clone())).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn ping<'a>(topic: &str, payload: &'a [u8]) -> Result<(PublisherId, Message<'a>), PingError> {
        decode_ping(topic.as_bytes(), payload).expect("a topic of results")
    }

    #[test]
    fn an_envelope_becomes_a_reading_of_its_agent() {
        let sent = Message {
            header: Header { sequence: Some(3), ..Header::default() },
            body: Body::Reading(Reading {
                fields: [("agent".into(), "paris".into()), ("loss".into(), Value::Float(10.0))].into_iter().collect(),
                ..Reading::default()
            }),
            log: None,
        };
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let payload = encode(&sent, encoding);
            let (agent, message) = ping("ping/a.example", &payload).unwrap();
            assert_eq!((agent.as_str(), message.header.sequence), ("agent/paris", Some(3)));
            assert_eq!(fields(&message), [("target", "a.example".into()), ("loss", Value::Float(10.0))]);
        }
    }

    #[test]
    fn the_array_of_the_original_is_read_whether_it_went_well_or_not() {
        let well = br#"["paris","ok",{"loss":0.0,"Round trip":[1.0,2.0,3.0,0.5],"Error":null}]"#;
        let (agent, message) = ping("ping/a.example", well).unwrap();
        assert_eq!(agent.as_str(), "agent/paris");
        let expected = [("loss", 0.0), ("min", 1.0), ("avg", 2.0), ("max", 3.0), ("mdev", 0.5)];
        assert_eq!(fields(&message)[1..], expected.map(|(name, value)| (name, Value::Float(value))));
        let (_, lost) = ping("ping/a.example", br#"["paris","ok",{"loss":100.0}]"#).unwrap();
        assert_eq!(fields(&lost)[1..], [("loss", Value::Float(100.0))]);
        for told in [r#"["paris","error","unknown host"]"#, r#"["paris","error",{"Error":"unknown host"}]"#] {
            let (_, failed) = ping("ping/a.example", told.as_bytes()).unwrap();
            assert_eq!(fields(&failed)[1..], [("error", "unknown host".into())], "{told}");
        }
        let (_, mute) = ping("ping/a.example", br#"["paris","error",{}]"#).unwrap();
        assert_eq!(fields(&mute)[1..], [("error", "error".into())]);
    }

    #[test]
    fn what_is_no_result_is_refused_in_words() {
        for (topic, payload, words) in [
            ("ping/-c", &b"[]"[..], "\"-c\""),
            ("ping/a.example", br#"{"lastbeat":1,"fields":{"loss":1}}"#, "without an agent"),
            ("ping/a.example", br#"{"lastbeat":1,"fields":{"agent":"","loss":1}}"#, "agent: "),
            ("ping/a.example", br#"["a/+","ok",{}]"#, "wildcard"),
            ("ping/a.example", b"[1,2,3]", "JSON"),
            ("ping/a.example", b"", "without fields"),
            ("ping/a.example", &[b'['; 2000], "JSON"),
        ] {
            let error = ping(topic, payload).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(decode_ping(b"sensor/a", b"1"), None);
    }

    #[test]
    fn whose_name_stands_in_the_topic_can_not_be_another() {
        let result = br#"["paris","ok",{"loss":0.0}]"#;
        assert_eq!(ping("ping/a.example/paris", result).unwrap().0.as_str(), "agent/paris");
        let forged = ping("ping/a.example/oslo", result).unwrap_err().to_string();
        assert_eq!(forged, r#"topic of the agent "oslo", result of the agent "paris""#);
        let unnamed = br#"{"lastbeat":1,"fields":{"loss":0.0}}"#;
        assert_eq!(ping("ping/a.example/oslo", unnamed).unwrap().0.as_str(), "agent/oslo");
        assert!(ping("ping/a.example/", unnamed).is_err());
    }

    #[test]
    fn what_is_written_like_the_original_is_read_again() {
        let figures = |agent: &str, payload: &[u8]| {
            let (id, message) = ping("ping/a.example", payload).unwrap();
            let Body::Reading(reading) = message.body else { panic!("no reading") };
            assert_eq!(agent_name(id.as_str()), Some(agent));
            String::from_utf8(encode_swarming(agent, &reading.fields)).unwrap()
        };
        for text in [
            r#"["paris","ok",{"Error":null,"loss":0.0,"Round trip":[1.0,2.0,3.0,0.5]}]"#,
            r#"["paris","ok",{"Error":null,"loss":100.0}]"#,
            r#"["paris","error",{"Error":"no such host"}]"#,
        ] {
            assert_eq!(figures("paris", text.as_bytes()), text);
        }
    }
}
