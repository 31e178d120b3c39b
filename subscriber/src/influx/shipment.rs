//! [`Load`] and [`Shipment`]: lines that travel in one request, and where the cursor stands once they are taken.

use std::io::Write;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use lastbeat_log::{Batch, Position};
use lastbeat_wire::{Body, Topic};

use super::line;
use super::server::Packing;
use crate::follower::course::Stretch;
use crate::record::Record;

/// A request with so many lines is full.
const LINES: usize = 10_000;
/// A request with so many bytes is full: far below the 25 MB that InfluxDB takes, whatever one more batch brings.
const BYTES: usize = 8 << 20;

/// A shipment that is being made, from records that stand in a row in the log.
#[derive(Debug, Default)]
pub struct Load {
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    /// What it was made from.
    pub stretch: Stretch,
}

/// Lines of line protocol.
#[derive(Debug, Default)]
pub struct Shipment {
    text: Bytes,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Load {
    /// With room for so many bytes of lines, so that what is there need not move to make room.
    pub fn with_room(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Whether it is time to send it off.
    pub fn is_full(&self) -> bool {
        self.ends.len() >= LINES || self.text.len() >= BYTES
    }

    /// Adds the lines of a batch's records before `end`.
    pub fn take(&mut self, batch: &Batch<'_>, end: Position) {
        for record in batch.iter().take_while(|record| record.position < end) {
            self.stretch.records += 1;
            self.add(record.kind, record.body);
        }
        self.stretch.end = end;
    }

    /// The lines, to be sent.
    pub fn into_shipment(self) -> Shipment {
        Shipment { text: self.text.into(), ends: self.ends }
    }

    fn add(&mut self, kind: u8, body: &[u8]) {
        let record = Record::decode(kind, body);
        self.stretch.until = self.stretch.until.max(record.as_ref().ok().and_then(Record::time));
        let has_line = match record {
            Ok(Record::Message(message)) => {
                // What can't be read was refused by the loop, and is in the store with its reason.
                let Ok(topic) = Topic::parse(message.topic) else { return };
                let Ok(decoded) = lastbeat_wire::decode(topic.kind, message.payload) else { return };
                let Body::Reading(reading) = &decoded.body else { return };
                if message.retained && reading.time.or(decoded.header.sent_at).is_none() {
                    return;
                }
                let time = reading.point_time(&decoded.header, message.received_at);
                line::reading(&mut self.text, topic.publisher, &decoded.header, reading, time)
            }
            Ok(Record::Status(status)) => {
                line::heartbeat(&mut self.text, &status);
                true
            }
            Ok(Record::Flip(flip)) => {
                line::flip(&mut self.text, &flip);
                true
            }
            Ok(Record::Judgement(judgement)) => {
                line::judgement(&mut self.text, &judgement);
                true
            }
            Ok(_) | Err(_) => false,
        };
        if has_line {
            self.ends.push(self.text.len());
        }
    }
}

impl Shipment {
    /// A shipment of these lines, each with its line feed or without.
    pub fn from_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for line in lines {
            text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            text.push(b'\n');
            ends.push(text.len());
        }
        Self { text: text.into(), ends }
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A line, with its line feed.
    pub fn line(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// Some of the lines as the body of a request.
    pub fn body(&self, lines: &[usize], packing: Packing) -> Bytes {
        let text = if lines.len() == self.len() {
            self.text.clone()
        } else {
            lines.iter().flat_map(|number| self.line(*number)).copied().collect()
        };
        match packing {
            Packing::Plain => text,
            Packing::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
                let written = gzip.write_all(&text).and_then(|()| gzip.finish());
                written.expect("invariant: writing to memory can't fail").into()
            }
        }
    }
}
