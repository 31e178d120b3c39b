//! [`Shipment`]: lines that travel in one request, and where the cursor stands once they are taken.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use lastbeat_log::{Batch, Position};
use lastbeat_wire::{Body, Topic, UtcNanos};

use super::line;
use crate::record::Record;

/// Most lines in one request.
const LINES: usize = 10_000;
/// Most bytes in one request, unless a single line is longer: far below the 25 MB that InfluxDB takes.
const BYTES: usize = 8 << 20;

/// Lines of line protocol, made from records that stand in a row in the log.
#[derive(Debug, Default)]
pub struct Shipment {
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    /// How many records it was made from.
    pub records: u64,
    /// Where the cursor stands once all of this is taken.
    pub end: Position,
    /// The time of the newest of these records.
    pub until: Option<UtcNanos>,
}

impl Shipment {
    /// The lines of a batch's records before `end`, from its first one on until the shipment is full.
    pub fn of(batch: &Batch<'_>, end: Position) -> Self {
        let mut shipment = Self { end, ..Self::default() };
        for record in batch.iter().take_while(|record| record.position < end) {
            if shipment.ends.len() == LINES || shipment.text.len() >= BYTES {
                shipment.end = record.position;
                break;
            }
            shipment.records += 1;
            shipment.add(record.kind, record.body);
        }
        shipment
    }

    /// A shipment of these lines, each with its line feed or without, that moves no cursor.
    pub fn from_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut shipment = Self::default();
        for line in lines {
            shipment.text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            shipment.text.push(b'\n');
            shipment.ends.push(shipment.text.len());
        }
        shipment
    }

    fn add(&mut self, kind: u8, body: &[u8]) {
        let record = Record::decode(kind, body);
        self.until = self.until.max(record.as_ref().ok().and_then(Record::time));
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
            Ok(_) | Err(_) => false,
        };
        if has_line {
            self.ends.push(self.text.len());
        }
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

    /// Some of the lines as the body of a request, compressed.
    pub fn body(&self, lines: &[usize]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let written = if lines.len() == self.len() {
            gzip.write_all(&self.text)
        } else {
            lines.iter().try_for_each(|number| gzip.write_all(self.line(*number)))
        };
        written.and_then(|()| gzip.finish()).expect("invariant: writing to memory can't fail")
    }
}
