//! The doors by which `bench/` comes to what is measured alone. No part of the program uses them.

use std::path::Path;

use lastbeat_log::Reader;
use lastbeat_wire::{Header, Reading, UtcNanos};

use crate::influx;
use crate::record::{Message, Record};
use crate::store::Store;

/// Adds the line protocol of a reading; whether there is any.
pub fn line(out: &mut Vec<u8>, publisher: &str, header: &Header<'_>, reading: &Reading<'_>, time: UtcNanos) -> bool {
    influx::line::reading(out, publisher, header, reading, time)
}

/// The embedded store, given transaction by transaction what the log has.
#[derive(Debug)]
pub struct Taking(Store);

impl Taking {
    /// Opens the file, made if need be.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(Store::open(path)?))
    }

    /// One transaction with what the log has next; how many records those are.
    pub fn take(&mut self, reader: &mut Reader) -> anyhow::Result<u64> {
        self.0.take_next(reader)
    }
}

/// The kind and the bytes by which the log keeps a message.
pub fn record(received_at: UtcNanos, topic: &[u8], payload: &[u8]) -> (u8, Vec<u8>) {
    let message = Message { received_at, clock: None, retained: false, late: false, resent: false, topic, payload };
    Record::Message(message).encode()
}
