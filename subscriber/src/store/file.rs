//! The SQLite file: opened, set up, and checked to be one of ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// `PRAGMA user_version`: the schema's.
const VERSION: i64 = 3;
/// What brings a file to each version from the one before; the first makes a new one.
const STEPS: [(i64, &str); 3] =
    [(1, include_str!("schema.sql")), (2, include_str!("reports.sql")), (3, include_str!("swarm.sql"))];
/// `PRAGMA application_id`: `LBst`.
const APPLICATION: i64 = 0x4c42_7374;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite or the system refused.
    #[error("store {}: cannot {doing}: {source}", path.display())]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The directory could not be made.
    #[error("store {}: cannot create its directory: {source}", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An SQLite file of something else.
    #[error("store {}: an SQLite file of another application (id {found:#x})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application id.
        found: i64,
    },
    /// Written by another version of this program.
    #[error("store {}: schema version {found}, only those up to {VERSION} are known", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

/// Opens the file for the one who writes it, made or brought to this version if need be.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let directory = |source| StoreError::Directory { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(directory)?;
    }
    let failed = |doing| move |source| StoreError::Sqlite { doing, path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(failed("open it"))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed("set it up"))?;
    let is_new = {
        let tables = "SELECT count(*) FROM sqlite_schema";
        connection.query_row(tables, (), |row| row.get::<_, i64>(0)).map_err(failed("read it"))? == 0
    };
    let found = if is_new { 0 } else { check(&connection, path)? };
    if found < VERSION {
        let transaction = connection.transaction().map_err(failed("set it up"))?;
        let pragmas = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
        for (_, step) in STEPS.iter().filter(|(version, _)| *version > found) {
            transaction.execute_batch(step).map_err(failed("create its tables"))?;
        }
        transaction.execute_batch(&pragmas).map_err(failed("create its tables"))?;
        transaction.commit().map_err(failed("create its tables"))?;
    }
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA wal_autocheckpoint = 8192;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -32768;
             -- What a killed process left in the kernel shall be on the disk before its cursor counts as durable.
             PRAGMA wal_checkpoint(PASSIVE);",
        )
        .map_err(failed("set it up"))?;
    Ok(connection)
}

/// Opens the file for looking only, beside the one who writes it. One of an earlier version lacks what came later.
pub fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let failed = |doing| move |source| StoreError::Sqlite { doing, path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed("open it"))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed("set it up"))?;
    check(&connection, path)?;
    Ok(connection)
}

/// The file's version, if it is a store that this program knows.
fn check(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let pragma = |name| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(|source| StoreError::Sqlite {
            doing: "read it",
            path: path.to_owned(),
            source,
        })
    };
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION, found @ 1..=VERSION) => Ok(found),
        (APPLICATION, found) => Err(StoreError::Version { path: path.to_owned(), found }),
        (found, _) => Err(StoreError::Foreign { path: path.to_owned(), found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_an_earlier_version_keeps_its_rows_and_gets_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let tables = |db: &Connection| -> Vec<String> {
            let mut statement = db.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
            let rows = statement.query_map((), |row| row.get::<_, Option<String>>(0)).unwrap();
            rows.map(|sql| sql.unwrap().unwrap_or_default()).collect()
        };
        let new = tables(&open(&dir.path().join("new.db")).unwrap());
        // Some stores of version 1 had the index already.
        for (name, more) in [("plain.db", ""), ("indexed.db", "CREATE INDEX flips_by_publisher ON flips (publisher);")]
        {
            let path = dir.path().join(name);
            let pragmas = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1;");
            let row = "INSERT INTO publishers (name) VALUES ('light-1');";
            Connection::open(&path).unwrap().execute_batch(&[STEPS[0].1, &pragmas, row, more].concat()).unwrap();
            open_read_only(&path).unwrap();
            let opened = open(&path).unwrap();
            assert_eq!(tables(&opened), new);
            assert_eq!(opened.query_row("SELECT name FROM publishers", (), |row| row.get(0)), Ok("light-1".to_owned()));
            assert_eq!(check(&opened, &path).unwrap(), VERSION);
            drop(opened);
            open(&path).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_by_name_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text.db");
        std::fs::write(&text, "not a database, but long enough to look at").unwrap();
        let error = open(&text).unwrap_err().to_string();
        assert!(error.contains("text.db") && error.contains("not a database"), "{error}");

        let foreign = dir.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
        assert!(matches!(open(&foreign), Err(StoreError::Foreign { found: 0, .. })));

        let newer = dir.path().join("newer.db");
        open(&newer).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
        assert!(matches!(open(&newer), Err(StoreError::Version { found: 9, .. })));
        assert!(matches!(open_read_only(&newer), Err(StoreError::Version { found: 9, .. })));
    }
}
