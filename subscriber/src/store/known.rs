//! [`Known`]: which publishers and fields are in the store already, so that a reading asks SQLite for neither.

use std::collections::HashMap;

use lastbeat_wire::{Fields, Value};
use rusqlite::{Connection, OptionalExtension, params};

/// So many fields of a publisher are looked through one by one.
const FEW: usize = 32;

/// A publisher's row and the fields it is known to have.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// In the table `publishers`.
    pub(super) id: i64,
    host: Option<String>,
    /// In the order they first came, which is mostly the order they come in again.
    fields: Vec<(String, &'static str)>,
    /// Those behind the first few, by name: who has many would be looked through for each of them.
    more: HashMap<String, Vec<&'static str>>,
}

/// What is in the tables `publishers` and `fields`. To be forgotten when a transaction is rolled back.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, Publisher>);

impl Known {
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// A publisher, its row made if it is new, with its host if that is told anew.
    pub(super) fn publisher(
        &mut self,
        db: &Connection,
        name: &str,
        host: Option<&str>,
    ) -> rusqlite::Result<&mut Publisher> {
        if !self.0.contains_key(name) {
            let publisher = load(db, name)?;
            self.0.insert(name.to_owned(), publisher);
        }
        let publisher = self.0.get_mut(name).expect("invariant: inserted above");
        if host.is_some() && publisher.host.as_deref() != host {
            db.prepare_cached("UPDATE publishers SET host = ?2 WHERE id = ?1")?.execute(params![publisher.id, host])?;
            publisher.host = host.map(str::to_owned);
        }
        Ok(publisher)
    }
}

impl Publisher {
    /// Notes the fields of a reading that the publisher has not had before.
    pub(super) fn has(&mut self, db: &Connection, fields: &Fields<'_>) -> rusqlite::Result<()> {
        for (at, (name, value)) in fields.iter().enumerate() {
            let is = |(known, kind): &(String, &str)| known == name && *kind == type_of(value);
            let more = || self.more.get(name).is_some_and(|kinds| kinds.contains(&type_of(value)));
            if self.fields.get(at).is_some_and(is) || self.fields.iter().any(is) || more() {
                continue;
            }
            db.prepare_cached("INSERT OR IGNORE INTO fields (publisher, name, type) VALUES (?1, ?2, ?3)")?
                .execute(params![self.id, name, type_of(value)])?;
            if self.fields.len() < FEW {
                self.fields.push((name.to_owned(), type_of(value)));
            } else {
                self.more.entry(name.to_owned()).or_default().push(type_of(value));
            }
        }
        Ok(())
    }
}

fn load(db: &Connection, name: &str) -> rusqlite::Result<Publisher> {
    let found = db
        .prepare_cached("SELECT id, host FROM publishers WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, host)) = found else {
        db.prepare_cached("INSERT INTO publishers (name) VALUES (?1)")?.execute([name])?;
        return Ok(Publisher { id: db.last_insert_rowid(), ..Publisher::default() });
    };
    Ok(Publisher { id, host, ..Publisher::default() })
}

fn type_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Integer(_) => "integer",
        Value::Float(_) => "float",
        Value::Boolean(_) => "boolean",
        Value::Text(_) => "text",
    }
}
