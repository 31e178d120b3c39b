//! Topics and payloads: read or refused; what was read, or made, comes back from both encodings as it went.

use arbitrary::Arbitrary;
use lastbeat_wire::{
    Body, BootId, Encoding, Header, HostId, Kind, MAX_FIELD_NAME_BYTES, MAX_FIELDS, MAX_PAYLOAD_BYTES, Message,
    ProcessIdentity, PublisherId, Reading, Topic, UtcNanos, Value, decode, decode_by_serde, encode,
};

/// Any bytes as a topic: refused, or a kind and an id that make the same topic again.
pub fn topic(bytes: &[u8]) {
    match Topic::parse(bytes) {
        Ok(topic) => {
            let id: PublisherId = topic.publisher.parse().expect("a topic's publisher is an id");
            assert_eq!(topic.kind.topic(&id).as_bytes(), bytes);
            assert_eq!(topic.to_string().as_bytes(), bytes);
            assert!(id.as_str().len() <= PublisherId::MAX_BYTES);
        }
        // It is shown to people: short, and without control characters that act on a terminal.
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.len() < 1000 && !shown.chars().any(char::is_control), "{shown:?}");
        }
    }
}

/// Any payload on any kind of topic: the first byte is the kind.
pub fn decode_any(bytes: &[u8]) {
    let Some((first, payload)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let message = match (decode(kind, payload), decode_by_serde(kind, payload)) {
        (Ok(message), Ok(by_serde)) => {
            assert_eq!(message, by_serde);
            message
        }
        (Err(_), Err(_)) => return,
        (one, other) => panic!("{one:?} and {other:?}"),
    };
    assert_eq!(message.body.kind(), kind);
    assert!(message.log.is_none() || kind.has_log());
    if let Body::Reading(reading) = &message.body {
        assert!(reading.fields.len() <= MAX_FIELDS);
        for (name, value) in reading.fields.iter() {
            assert!(name.len() <= MAX_FIELD_NAME_BYTES);
            assert!(!matches!(value, Value::Float(float) if !float.is_finite()));
        }
        if reading.fields.is_empty() {
            // Nothing but NaN: it says that the publisher spoke, and can't be said again.
            return;
        }
    }
    comes_back(kind, &message);
}

/// A message made up, as any publisher could send it.
#[derive(Debug, Arbitrary)]
struct Made {
    kind: u8,
    process: Option<(u64, u128, u64, u32, u64)>,
    sequence: Option<u64>,
    sent: Option<i64>,
    up: Option<u64>,
    host: Option<String>,
    time: Option<i64>,
    row: Option<i64>,
    fields: Vec<(String, MadeValue)>,
    log: Option<String>,
}

/// A field's value made up.
#[derive(Debug, Clone, Arbitrary)]
pub enum MadeValue {
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Text(String),
}

impl From<MadeValue> for Value<'static> {
    fn from(made: MadeValue) -> Self {
        match made {
            MadeValue::Integer(integer) => Self::Integer(integer),
            MadeValue::Float(float) => Self::Float(float),
            MadeValue::Boolean(boolean) => Self::Boolean(boolean),
            MadeValue::Text(text) => Self::Text(text.into()),
        }
    }
}

/// A structured message comes back as it went.
pub fn round_trip(bytes: &[u8]) {
    let Some(made) = crate::made_of::<Made>(bytes) else { return };
    let kind = Kind::ALL[usize::from(made.kind) % Kind::ALL.len()];
    let short = |(name, _): &(String, MadeValue)| (1..=MAX_FIELD_NAME_BYTES).contains(&name.len());
    let fields = made.fields.into_iter().filter(short).take(MAX_FIELDS);
    let reading = Reading {
        time: made.time.map(UtcNanos),
        row_time: made.row.map(UtcNanos),
        fields: fields.map(|(name, value)| (name.into(), value.into())).collect(),
    };
    let body = match kind {
        Kind::Sensor if reading.fields.is_empty() => return,
        Kind::Sensor => Body::Reading(reading),
        Kind::Beat => Body::Beat,
        Kind::Start => Body::Start,
        Kind::Fail => Body::Fail,
        Kind::Bye => Body::Bye,
        Kind::Rip => Body::Rip,
    };
    let process = made.process.map(|(host, boot, pid_namespace, pid, start)| ProcessIdentity {
        host: HostId(host),
        boot: BootId(boot),
        pid_namespace,
        pid,
        start,
    });
    let header = Header {
        process,
        sequence: made.sequence,
        sent_at: made.sent.map(UtcNanos),
        uptime: made.up,
        host: made.host.map(Into::into),
    };
    let log = made.log.filter(|_| kind.has_log()).map(Into::into);
    comes_back(kind, &Message { header, body, log });
}

fn comes_back(kind: Kind, message: &Message<'_>) {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let written = encode(message, encoding);
        if written.len() > MAX_PAYLOAD_BYTES {
            continue;
        }
        let mut again = decode(kind, &written).expect("what was written is read");
        let mut message = message.clone();
        // How many values were left out is told once.
        for message in [&mut again, &mut message] {
            if let Body::Reading(reading) = &mut message.body {
                let fields: Vec<_> =
                    reading.fields.iter().map(|(name, value)| (name.to_owned().into(), value.clone())).collect();
                reading.fields = fields.into_iter().collect();
            }
        }
        assert_eq!(again, message);
    }
}
