//! [`Document`]: what is indexed of a record, and under which id.

use chrono::{DateTime, SecondsFormat};
use lastbeat_log::Position;
use lastbeat_swarm::Judgement;
use lastbeat_watchdog::Flip;
use lastbeat_wire::{Body, Header, Reading, Topic, UtcNanos, Value as Field, agent_name, field};
use serde_json::{Map, Value, json};

use super::name::IndexName;
use crate::announce::sentence;
use crate::record::{Message, Record};

/// Elasticsearch takes no longer ones.
const ID_BYTES: usize = 512;
/// Most of a refused message's payload that is indexed.
const PAYLOAD_CHARACTERS: usize = 1000;
/// The fields of a result that have a type of their own, and what they are called here.
const OF_A_PING: [(&str, &str); 17] = [
    (field::TARGET, "target"),
    (field::PROBE, "probe"),
    (field::SENT, "sent"),
    (field::RECEIVED, "received"),
    (field::LOSS, "loss"),
    (field::MIN, "min"),
    (field::AVG, "avg"),
    (field::MAX, "max"),
    (field::MDEV, "stddev"),
    (field::ERROR, "error"),
    (field::EVERY, "every"),
    (field::NETWORK, "network"),
    (field::CONNECT, "connect"),
    (field::TLS, "tls"),
    (field::FIRST_BYTE, "first_byte"),
    (field::WHOLE, "whole"),
    (field::STATUS, "status"),
];

/// A document, as the bulk API takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The index it goes to.
    pub index: String,
    /// Its id, the same whenever it is made of the same record.
    pub id: String,
    /// The action's line and that of its source, each with its line feed.
    pub lines: Vec<u8>,
}

/// What documents are made with.
#[derive(Debug)]
pub struct Maker {
    /// Which index is whose.
    pub name: IndexName,
    /// The name of the log, for ids.
    pub log: String,
}

/// What is said in a document, and the part of its id that its message bears.
struct Said {
    source: Map<String, Value>,
    identity: Option<String>,
}

impl Maker {
    /// The document of a record, if it has one: beats, readings without a target and the loop's own reports have none.
    ///
    /// It goes to the index of the day on which the record was made, whatever time its message bears: a clock that is wrong
    /// makes no indices.
    pub fn document(&self, record: &Record<'_>, position: Position) -> Option<Document> {
        let Said { source, identity } = match record {
            Record::Message(message) => said(message)?,
            Record::Refused { message, reason } => refused(message, reason),
            Record::Flip(flip) => self::flip(flip),
            Record::Judgement(judgement) => self::judgement(judgement),
            Record::Status(_) | Record::Unwatched(_) | Record::Notice(_) => return None,
        };
        let index = self.name.of(record.time()?);
        let id = identity
            .filter(|identity| identity.len() <= ID_BYTES)
            .unwrap_or_else(|| format!("{}-{}", self.log, position.0));
        let mut lines = json!({ "create": { "_index": index, "_id": id } }).to_string().into_bytes();
        lines.push(b'\n');
        lines.extend_from_slice(Value::Object(source).to_string().as_bytes());
        lines.push(b'\n');
        Some(Document { index, id, lines })
    }
}

/// A result or a will.
fn said(message: &Message<'_>) -> Option<Said> {
    // What can't be read was refused by the loop, and has a record of its own.
    let topic = Topic::parse(message.topic).ok()?;
    let decoded = lastbeat_wire::decode(topic.kind, message.payload).ok()?;
    let header = &decoded.header;
    let (kind, mut source) = match &decoded.body {
        Body::Reading(reading) => {
            // Without a time of its own a retained one is of no time at all.
            if message.retained && reading.time.or(header.sent_at).is_none() {
                return None;
            }
            ("ping", ping(header, reading, message.received_at)?)
        }
        Body::Rip => ("will", begin("will", message.received_at)),
        Body::Beat | Body::Start | Body::Fail | Body::Bye => return None,
    };
    source.insert("received_at".to_owned(), date(message.received_at));
    who(&mut source, topic.publisher, header.host.as_deref());
    if let Some(process) = &header.process {
        source.insert("pid".to_owned(), process.pid.into());
    }
    Some(Said { source, identity: identity(kind, header, topic.publisher) })
}

/// The id of a message that bears its process and its number.
fn identity(kind: &str, header: &Header<'_>, publisher: &str) -> Option<String> {
    let (process, sequence) = header.process.zip(header.sequence)?;
    let (host, boot, namespace) = (process.host, process.boot, process.pid_namespace);
    let (pid, start) = (process.pid, process.start);
    Some(format!("{kind}-{host}-{boot}-{namespace}-{pid}-{start}-{sequence}-{publisher}"))
}

fn ping(header: &Header<'_>, reading: &Reading<'_>, received_at: UtcNanos) -> Option<Map<String, Value>> {
    reading.fields.iter().find(|(name, value)| *name == field::TARGET && matches!(value, Field::Text(_)))?;
    let mut source = begin("ping", reading.point_time(header, received_at));
    let mut others = Map::new();
    for (name, value) in reading.fields.iter() {
        let value = match value {
            // JSON has no form for what is not finite: null, which is no value.
            Field::Float(value) => Value::from(*value),
            Field::Integer(value) => Value::from(*value),
            Field::Boolean(value) => Value::from(*value),
            Field::Text(text) => Value::from(&**text),
        };
        match OF_A_PING.iter().find(|(known, _)| *known == name) {
            Some((_, ours)) => source.insert((*ours).to_owned(), value),
            None => others.insert(name.to_owned(), value),
        };
    }
    if !others.is_empty() {
        source.insert("fields".to_owned(), Value::Object(others));
    }
    Some(source)
}

fn refused(message: &Message<'_>, reason: &str) -> Said {
    let mut source = begin("refused", message.received_at);
    let text = |bytes| String::from_utf8_lossy(bytes).chars().take(PAYLOAD_CHARACTERS).collect::<String>();
    source.insert("topic".to_owned(), text(message.topic).into());
    source.insert("error".to_owned(), reason.into());
    source.insert("payload".to_owned(), text(message.payload).into());
    Said { source, identity: None }
}

fn flip(flip: &Flip) -> Said {
    let mut source = begin("flip", flip.at);
    who(&mut source, flip.publisher.as_str(), flip.host.as_deref());
    source.insert("from".to_owned(), flip.from.word().into());
    source.insert("to".to_owned(), flip.to.word().into());
    source.insert("cause".to_owned(), flip.cause.word().into());
    if let Some(silence) = flip.silence {
        source.insert("silence_s".to_owned(), silence.as_secs_f64().into());
    }
    source.insert("latency_s".to_owned(), flip.noticed_at.since(flip.at).as_secs_f64().into());
    if let Some(process) = &flip.process {
        source.insert("pid".to_owned(), process.pid.into());
    }
    source.insert("text".to_owned(), sentence(flip).into());
    Said { source, identity: None }
}

fn judgement(judgement: &Judgement) -> Said {
    let mut source;
    match judgement {
        Judgement::Target(judged) => {
            source = begin("judgement", judged.at);
            source.insert("target".to_owned(), judged.target.as_str().into());
            source.insert("level".to_owned(), judged.level.word().into());
            source.insert("reach".to_owned(), judged.reach.word().into());
            source.insert("witnesses".to_owned(), judged.witnesses.into());
            source.insert("reaching".to_owned(), judged.reaching.into());
            source.insert("slow".to_owned(), judged.slow.into());
            source.insert("own_links".to_owned(), judged.own_links.into());
            if let Some(error) = &judged.error {
                source.insert("error".to_owned(), error.as_str().into());
            }
        }
        Judgement::Agent(judged) => {
            source = begin("judgement", judged.at);
            source.insert("agent".to_owned(), judged.agent.as_str().into());
            source.insert("link".to_owned(), judged.link.word().into());
            source.insert("targets".to_owned(), judged.targets.into());
            source.insert("failing".to_owned(), judged.failing.into());
        }
    }
    source.insert("text".to_owned(), judgement.to_string().into());
    Said { source, identity: None }
}

fn begin(kind: &str, time: UtcNanos) -> Map<String, Value> {
    [("@timestamp".to_owned(), date(time)), ("kind".to_owned(), kind.into())].into_iter().collect()
}

fn who(source: &mut Map<String, Value>, publisher: &str, host: Option<&str>) {
    source.insert("publisher".to_owned(), publisher.into());
    if let Some(agent) = agent_name(publisher) {
        source.insert("agent".to_owned(), agent.into());
    }
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        source.insert("host".to_owned(), host.into());
    }
}

/// A time in UTC with milliseconds, as `strict_date_optional_time` takes it.
pub fn date(time: UtcNanos) -> Value {
    DateTime::from_timestamp_nanos(time.0).to_rfc3339_opts(SecondsFormat::Millis, true).into()
}
