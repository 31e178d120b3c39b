//! [`Budget`]: how much of what was refused the store keeps: the newest, for it is there to be looked at; what had to make
//! room for it is counted.

use rusqlite::{Connection, OptionalExtension, params};

/// So many bytes of refused messages are kept: of topics, reasons and payloads.
pub(super) const BYTES: i64 = 64 << 20;
/// What a row costs beside these.
const ROW_BYTES: i64 = 64;
/// Rows that make room at once.
const ROWS: i64 = 256;
/// One row's part of the budget.
const SIZE: &str = "coalesce(octet_length(topic), 0) + octet_length(reason) + coalesce(octet_length(payload), 0) + 64";

/// What there is, and what there may be.
#[derive(Debug)]
pub(super) struct Budget {
    most: i64,
    /// What is there; `None` until it is counted.
    bytes: Option<i64>,
    /// Rows that had to make room since the store was made.
    pub dropped: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

impl Budget {
    /// With so many bytes.
    pub(super) fn of(most: i64) -> Self {
        Self { most, bytes: None, dropped: 0 }
    }

    /// To be counted anew: a transaction was rolled back.
    pub(super) fn forget(&mut self) {
        self.bytes = None;
    }

    /// Takes note of a row that was added, and makes room for it.
    pub(super) fn add(&mut self, db: &Connection, bytes: usize) -> rusqlite::Result<()> {
        let held = match self.bytes {
            Some(held) => held.saturating_add(ROW_BYTES + i64::try_from(bytes).unwrap_or(i64::MAX)),
            None => self.count(db)?,
        };
        self.bytes = Some(held);
        if held > self.most {
            self.make_room(db)?;
        }
        Ok(())
    }

    fn count(&mut self, db: &Connection) -> rusqlite::Result<i64> {
        let dropped = "SELECT value FROM meta WHERE key = 'refused_dropped'";
        let dropped: Option<i64> = db.query_row(dropped, (), |row| row.get(0)).optional()?;
        self.dropped = dropped.unwrap_or_default().cast_unsigned();
        db.query_row(&format!("SELECT coalesce(sum({SIZE}), 0) FROM refused"), (), |row| row.get(0))
    }

    fn make_room(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let oldest = format!(
            "DELETE FROM refused WHERE position IN (SELECT position FROM refused ORDER BY position LIMIT ?1) RETURNING {SIZE}"
        );
        let mut statement = db.prepare_cached(&oldest)?;
        while let Some(held) = self.bytes.filter(|held| *held > self.most / 8 * 7) {
            let sizes: Vec<i64> = statement.query_map([ROWS], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            if sizes.is_empty() {
                self.bytes = Some(0);
                break;
            }
            self.bytes = Some(held - sizes.iter().sum::<i64>());
            let before = self.dropped;
            self.dropped += sizes.len() as u64;
            if before.checked_ilog10() != self.dropped.checked_ilog10() {
                tracing::warn!(
                    dropped = self.dropped,
                    "store: of refused messages the oldest make room for newer ones"
                );
            }
        }
        db.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('refused_dropped', ?1)")?
            .execute(params![self.dropped.cast_signed()])
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_others_counted() {
        let dir = tempfile::tempdir().unwrap();
        let db = super::super::file::open(&dir.path().join("store.db")).unwrap();
        let mut budget = Budget::of(1 << 20);
        let mut most = 0;
        for position in 0..5_000_i64 {
            db.execute("INSERT INTO refused VALUES (?1, 1, 'é', 'why', ?2)", params![position, [0_u8; 1_000]]).unwrap();
            budget.add(&db, 2 + 3 + 1_000).unwrap();
            let held: i64 = db.query_row(&format!("SELECT sum({SIZE}) FROM refused"), (), |row| row.get(0)).unwrap();
            assert_eq!(budget.bytes, Some(held));
            most = most.max(held);
        }
        assert!((900_000..=1 << 20).contains(&most), "{most}");
        let (rows, first): (i64, i64) = db
            .query_row("SELECT count(*), min(position) FROM refused", (), |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let dropped = budget.dropped.cast_signed();
        assert_eq!((rows + dropped, first), (5_000, dropped), "the oldest went");
        let mut again = Budget::of(1 << 20);
        again.add(&db, 0).unwrap();
        assert_eq!((again.bytes, again.dropped), (budget.bytes, budget.dropped), "it outlives a restart");
    }
}
