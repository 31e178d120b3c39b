//! [`Rows`]: records of the log to rows of the store.

use lastbeat_log::Position;
use lastbeat_swarm::Judgement;
use lastbeat_watchdog::{Flip, Notice, Status, Unwatched};
use lastbeat_wire::{Body, Kind, Topic, UtcNanos};
use rusqlite::{CachedStatement, Connection, params};

use super::known::Known;
use super::refused::Budget;
use crate::record::{Message, Record};

/// Of a report, so many bytes are kept.
const REPORT_BYTES: usize = 100_000;

/// The statements of one transaction.
pub(super) struct Rows<'a> {
    db: &'a Connection,
    known: &'a mut Known,
    refused: &'a mut Budget,
    reading: CachedStatement<'a>,
    heartbeat: CachedStatement<'a>,
    /// A reading's fields as JSON.
    json: Vec<u8>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(db: &'a Connection, known: &'a mut Known, refused: &'a mut Budget) -> rusqlite::Result<Self> {
        // What is read twice is there already. To replace it takes a fifth more of each insert: a copy of every page that it
        // changes, lest the second of its two changes fail.
        let reading = db.prepare_cached(
            "INSERT INTO readings VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (position) DO NOTHING",
        )?;
        let heartbeat = db.prepare_cached(
            "INSERT INTO heartbeats VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (position) DO NOTHING",
        )?;
        Ok(Self { db, known, refused, reading, heartbeat, json: Vec::new() })
    }

    /// Writes the row of a record, if it is one that has a row.
    pub(super) fn add(&mut self, position: Position, kind: u8, body: &[u8]) -> rusqlite::Result<()> {
        let position = position.0.cast_signed();
        match Record::decode(kind, body) {
            Ok(Record::Message(message)) => self.message(position, &message),
            Ok(Record::Refused { message, reason }) => self.refused(position, &message, &reason),
            Ok(Record::Status(status)) => self.status(position, &status),
            Ok(Record::Flip(flip)) => self.flip(position, &flip),
            Ok(Record::Unwatched(span)) => self.unwatched(position, &span),
            Ok(Record::Notice(notice)) => self.notice(position, &notice),
            Ok(Record::Judgement(judgement)) => self.judgement(position, &judgement),
            Err(error) => {
                let error = error.to_string();
                self.db
                    .prepare_cached("INSERT OR REPLACE INTO refused VALUES (?1, NULL, NULL, ?2, ?3)")?
                    .execute(params![position, error, body])?;
                self.refused.add(self.db, error.len() + body.len())
            }
        }
    }

    fn message(&mut self, position: i64, message: &Message<'_>) -> rusqlite::Result<()> {
        let topic = match Topic::parse(message.topic) {
            Ok(topic) => topic,
            Err(error) => return self.refused(position, message, &error.to_string()),
        };
        let decoded = match lastbeat_wire::decode(topic.kind, message.payload) {
            Ok(decoded) => decoded,
            Err(error) => return self.refused(position, message, &error.to_string()),
        };
        let host = decoded.header.host.as_deref();
        let known = self.known.publisher(self.db, topic.publisher, host)?;
        let publisher = known.id;
        let Body::Reading(reading) = &decoded.body else {
            return self.report(position, publisher, message, topic.kind, &decoded);
        };
        if message.retained && reading.time.or(decoded.header.sent_at).is_none() {
            return Ok(());
        }
        self.known.fields(self.db, known, &reading.fields)?;
        self.json.clear();
        serde_json::to_writer(&mut self.json, &reading.fields).expect("invariant: fields have string keys");
        let fields = std::str::from_utf8(&self.json).expect("invariant: JSON is UTF-8");
        let row = params![
            position,
            publisher,
            reading.point_time(&decoded.header, message.received_at).0,
            message.received_at.0,
            reading.row_time.map(|time| time.0),
            decoded.header.sequence.map(u64::cast_signed),
            message.late,
            fields,
        ];
        self.reading.execute(row).map(drop)
    }

    /// Each start and failure has a row, a beat or goodbye only if it came with a report.
    fn report(
        &self,
        position: i64,
        publisher: i64,
        message: &Message<'_>,
        kind: Kind,
        decoded: &lastbeat_wire::Message<'_>,
    ) -> rusqlite::Result<()> {
        let wanted = matches!(kind, Kind::Start | Kind::Fail) || decoded.log.is_some();
        let sent_at = decoded.header.sent_at;
        if !wanted || (message.retained && sent_at.is_none()) {
            return Ok(());
        }
        let log = decoded.log.as_deref().unwrap_or_default();
        let body = &log[..log.floor_char_boundary(REPORT_BYTES)];
        let time = sent_at.unwrap_or(message.received_at);
        self.db
            .prepare_cached("INSERT OR REPLACE INTO reports VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![position, publisher, time.0, kind.word(), body, body.len() < log.len()])
            .map(drop)
    }

    fn refused(&mut self, position: i64, message: &Message<'_>, reason: &str) -> rusqlite::Result<()> {
        let topic = String::from_utf8_lossy(message.topic);
        self.db.prepare_cached("INSERT OR REPLACE INTO refused VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
            position,
            message.received_at.0,
            topic,
            reason,
            message.payload
        ])?;
        self.refused.add(self.db, topic.len() + reason.len() + message.payload.len())
    }

    fn status(&mut self, position: i64, status: &Status) -> rusqlite::Result<()> {
        let publisher = self.known.publisher(self.db, status.publisher.as_str(), status.host.as_deref())?.id;
        let row = params![
            position,
            publisher,
            status.at.0,
            status.state.word(),
            status.cause.word(),
            status.state.alive(),
            status.since.0,
            status.silence.map(|silence| silence.as_secs_f64()),
            status.threshold.as_secs_f64(),
            nanos(status.last_heard),
            status.pid,
            status.counts.missed.cast_signed(),
            json(&status.counts),
        ];
        self.heartbeat.execute(row).map(drop)
    }

    fn flip(&mut self, position: i64, flip: &Flip) -> rusqlite::Result<()> {
        let publisher = self.known.publisher(self.db, flip.publisher.as_str(), flip.host.as_deref())?.id;
        let row = params![
            position,
            publisher,
            flip.at.0,
            flip.noticed_at.0,
            flip.from.word(),
            flip.to.word(),
            flip.cause.word(),
            flip.silence.map(|silence| silence.as_secs_f64()),
            nanos(flip.last_heard),
            flip.process.as_ref().map(json),
            json(&flip.evidence),
        ];
        self.db
            .prepare_cached("INSERT OR REPLACE INTO flips VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?
            .execute(row)
            .map(drop)
    }

    fn unwatched(&self, position: i64, span: &Unwatched) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO unwatched VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![position, span.link, span.from.0, span.to.0, span.reason])
            .map(drop)
    }

    fn notice(&mut self, position: i64, notice: &Notice) -> rusqlite::Result<()> {
        let (publisher, at) = match notice {
            Notice::Restarted { publisher, at, .. }
            | Notice::Conflict { publisher, at, .. }
            | Notice::Contradiction { publisher, at, .. }
            | Notice::Maintenance { publisher, at, .. } => (publisher, at),
        };
        let publisher = self.known.publisher(self.db, publisher.as_str(), None)?.id;
        let details = serde_json::to_value(notice).expect("invariant: notices have string keys");
        let word = details["notice"].as_str().unwrap_or_default().to_owned();
        self.db
            .prepare_cached("INSERT OR REPLACE INTO notices VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![position, publisher, at.0, word, details.to_string()])
            .map(drop)
    }

    fn judgement(&self, position: i64, judgement: &Judgement) -> rusqlite::Result<()> {
        let (at, kind, name, verdict, level, details) = match judgement {
            Judgement::Target(target) => {
                let level = Some(target.level.word());
                (target.at, "target", &target.target, target.reach.word(), level, json(target))
            }
            Judgement::Agent(agent) => (agent.at, "agent", &agent.agent, agent.link.word(), None, json(agent)),
        };
        self.db
            .prepare_cached("INSERT OR REPLACE INTO judgements VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![position, at.0, kind, name, verdict, level, judgement.to_string(), details])
            .map(drop)
    }
}

fn nanos(time: Option<UtcNanos>) -> Option<i64> {
    time.map(|time| time.0)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("invariant: what is stored as JSON has string keys")
}
