//! [`Known`]: which publishers and fields are in the store already, so that a reading asks SQLite for neither. A publisher takes
//! some 50 bytes of it, however long its name and however many its fields, where others have the same ones.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::num::NonZeroU64;

use lastbeat_wire::{Fields, Value};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sets::{SetId, Sets};

/// What is in the tables `publishers` and `fields`. To be forgotten when a transaction is rolled back.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By two keyed hashes of the name, which no two publishers share.
    publishers: HashMap<[u64; 2], Publisher>,
    sets: Sets,
    hashers: [RandomState; 2],
}

/// A publisher's row, its host's name as a keyed hash, and the fields it is known to have, each with its type.
#[derive(Debug, Clone, Copy)]
struct Publisher {
    row: u32,
    fields: SetId,
    host: Option<NonZeroU64>,
}

/// A publisher that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// In the table `publishers`.
    pub(super) id: i64,
    key: [u64; 2],
}

impl Known {
    pub(super) fn forget(&mut self) {
        self.publishers = HashMap::new();
        self.sets = Sets::default();
    }

    /// The row of a publisher, made if it is new, with its host if that is told anew.
    pub(super) fn publisher(&mut self, db: &Connection, name: &str, host: Option<&str>) -> rusqlite::Result<Entry> {
        let key = self.key(name);
        let told = host.and_then(|host| self.hash(host));
        if !self.publishers.contains_key(&key) {
            let (row, host) = load(db, name)?;
            let host = host.and_then(|host| self.hash(&host));
            let row = u32::try_from(row).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, row))?;
            self.publishers.insert(key, Publisher { row, fields: SetId::default(), host });
        }
        let publisher = self.publishers.get_mut(&key).expect("invariant: inserted above");
        if told.is_some() && publisher.host != told {
            db.prepare_cached("UPDATE publishers SET host = ?2 WHERE id = ?1")?
                .execute(params![publisher.row, host])?;
            publisher.host = told;
        }
        Ok(Entry { id: publisher.row.into(), key })
    }

    /// Notes the fields of a reading that its publisher has not had before.
    pub(super) fn fields(&mut self, db: &Connection, entry: Entry, fields: &Fields<'_>) -> rusqlite::Result<()> {
        let Some(publisher) = self.publishers.get(&entry.key).copied() else { return Ok(()) };
        let mut all = self.hashers[0].build_hasher();
        fields.iter().for_each(|(name, value)| (name, type_of(value)).hash(&mut all));
        let sequence = all.finish();
        if self.sets.covers(publisher.fields, sequence) {
            return Ok(());
        }
        let mut fresh = Vec::new();
        for (name, value) in fields.iter() {
            let field = self.hashers[0].hash_one((name, type_of(value)));
            if !self.sets.contains(publisher.fields, field) {
                db.prepare_cached("INSERT OR IGNORE INTO fields (publisher, name, type) VALUES (?1, ?2, ?3)")?
                    .execute(params![publisher.row, name, type_of(value)])?;
                fresh.push(field);
            }
        }
        let grown = self.sets.grow(publisher.fields, fresh);
        self.sets.note_covered(grown, sequence);
        self.publishers.insert(entry.key, Publisher { fields: grown, ..publisher });
        Ok(())
    }

    fn key(&self, name: &str) -> [u64; 2] {
        [self.hashers[0].hash_one(name), self.hashers[1].hash_one(name)]
    }

    fn hash(&self, host: &str) -> Option<NonZeroU64> {
        NonZeroU64::new(self.hashers[0].hash_one(host))
    }
}

/// The row of a publisher, made if it is new, and its host.
fn load(db: &Connection, name: &str) -> rusqlite::Result<(i64, Option<String>)> {
    let found = db
        .prepare_cached("SELECT id, host FROM publishers WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    db.prepare_cached("INSERT INTO publishers (name) VALUES (?1)")?.execute([name])?;
    Ok((db.last_insert_rowid(), None))
}

fn type_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Integer(_) => "integer",
        Value::Float(_) => "float",
        Value::Boolean(_) => "boolean",
        Value::Text(_) => "text",
    }
}
