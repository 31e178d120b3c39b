//! [`Envelope`]: the structure on the wire, as serde reads and writes it.

use serde::{Deserialize, Serialize};

use crate::message::{Body, Message};
use crate::process::ProcessIdentity;
use crate::time::UtcNanos;
use crate::value::{Fields, Text};

/// The key whose presence makes a payload an envelope, and whose value is the envelope's version.
pub(crate) const MARK: &[u8] = b"lastbeat";
pub(crate) const VERSION: u64 = 1;

/// An envelope that came; every key but `lastbeat` may be missing.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Envelope<'a> {
    pub lastbeat: Option<u64>,
    pub seq: Option<u64>,
    pub sent: Option<UtcNanos>,
    pub up: Option<u64>,
    #[serde(borrow)]
    pub host: Option<Text<'a>>,
    pub process: Option<ProcessIdentity>,
    pub time: Option<UtcNanos>,
    pub row: Option<UtcNanos>,
    #[serde(borrow)]
    pub fields: Option<Fields<'a>>,
    #[serde(borrow)]
    pub log: Option<Text<'a>>,
}

/// The same on its way out, nothing of it copied.
#[derive(Serialize)]
pub(crate) struct Outgoing<'a> {
    lastbeat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<UtcNanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessIdentity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<UtcNanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<UtcNanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a Fields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

impl<'a> Outgoing<'a> {
    pub fn of(message: &'a Message<'_>) -> Self {
        let Message { header, body, log } = message;
        let reading = if let Body::Reading(reading) = body { Some(reading) } else { None };
        Self {
            lastbeat: VERSION,
            seq: header.sequence,
            sent: header.sent_at,
            up: header.uptime,
            host: header.host.as_deref(),
            process: header.process,
            time: reading.and_then(|reading| reading.time),
            row: reading.and_then(|reading| reading.row_time),
            fields: reading.map(|reading| &reading.fields),
            log: log.as_deref().filter(|_| body.kind().has_log()),
        }
    }
}
