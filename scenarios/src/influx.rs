//! [`Influx`]: the InfluxDB that the subscriber ships to, as it is named on the command line, asked what it holds.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chrono::DateTime;
use influxdb::{Client, ReadQuery};
use lastbeat_wire::UtcNanos;
use serde_json::Value;
use url::Url;

use crate::stored::Heartbeat;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Secrets come from here, as they do for the subscriber.
const PASSWORD: &str = "LASTBEAT_INFLUX_PASSWORD";
const TOKEN: &str = "LASTBEAT_INFLUX_TOKEN";

/// A database of an InfluxDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Influx {
    url: String,
    base: String,
    database: String,
    access: Access,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Access {
    Free,
    /// InfluxDB 1.x.
    User(String),
    /// InfluxDB 2.x and later.
    Token,
}

impl FromStr for Influx {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("is not http://host:8086/database".to_owned());
        }
        let bucket = url.query_pairs().find(|(name, _)| name == "bucket").map(|(_, bucket)| bucket.into_owned());
        let path = url.path().trim_matches('/');
        let (database, access) = match (bucket, path) {
            (Some(bucket), "") => (bucket, Access::Token),
            (None, path) if !path.is_empty() && !path.contains('/') => {
                let user = url.username().to_owned();
                (path.to_owned(), if user.is_empty() { Access::Free } else { Access::User(user) })
            }
            _ => return Err("names no database: http://host:8086/database".to_owned()),
        };
        let mut base = url.clone();
        base.set_path("");
        base.set_query(None);
        base.set_username("").and_then(|()| base.set_password(None)).map_err(|()| "names no host".to_owned())?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url: text.to_owned(), base, database, access })
    }
}

impl Influx {
    /// As it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A publisher's heartbeats since `began`, oldest first.
    ///
    /// # Errors
    /// What the server refuses, or when it doesn't answer.
    pub fn heartbeats(&self, publisher: &str, began: UtcNanos) -> anyhow::Result<Vec<Heartbeat>> {
        let query = format!(
            "SELECT state, cause, alive FROM heartbeat WHERE publisher = '{publisher}' AND time >= {} ORDER BY time",
            began.0
        );
        self.ask(&query)?.iter().map(|row| heartbeat(row).with_context(|| format!("InfluxDB's row {row}"))).collect()
    }

    /// How many readings of a publisher it has since `began`.
    ///
    /// # Errors
    /// What the server refuses, or when it doesn't answer.
    pub fn readings(&self, publisher: &str, began: UtcNanos) -> anyhow::Result<u64> {
        let query = format!("SELECT * FROM sensor WHERE publisher = '{publisher}' AND time >= {}", began.0);
        Ok(self.ask(&query)?.len() as u64)
    }

    /// How many readings of a publisher it has that have this field, of all times.
    ///
    /// # Errors
    /// What the server refuses, or when it doesn't answer.
    pub fn count(&self, publisher: &str, field: &str) -> anyhow::Result<u64> {
        let query = format!("SELECT count(\"{field}\") FROM sensor WHERE publisher = '{publisher}'");
        let rows = self.ask(&query)?;
        // Without a point there is no row.
        Ok(rows.first().and_then(|row| row[1].as_u64()).unwrap_or_default())
    }

    /// The rows of the answer, each an array that begins with the time.
    fn ask(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let mut client = Client::new(&self.base, &self.database);
        let secret = |name| std::env::var(name).unwrap_or_default();
        match &self.access {
            Access::Free => {}
            Access::User(user) => client = client.with_auth(user, secret(PASSWORD)),
            Access::Token => client = client.with_token(secret(TOKEN)),
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("ask InfluxDB")?;
        let asked = async { tokio::time::timeout(LIMIT, client.query(ReadQuery::new(query))).await };
        let place = || format!("ask InfluxDB {}/{}: {query}", self.base, self.database);
        let answer =
            runtime.block_on(asked).with_context(place)?.map_err(|error| anyhow!("{error}")).with_context(place)?;
        rows(&answer).with_context(place)
    }
}

fn rows(answer: &str) -> anyhow::Result<Vec<Value>> {
    let answer: Value = serde_json::from_str(answer).context("its answer is no JSON")?;
    let result = &answer["results"][0];
    if let Some(error) = result["error"].as_str() {
        bail!("{error}");
    }
    // Without a point there is no series.
    Ok(result["series"][0]["values"].as_array().cloned().unwrap_or_default())
}

fn heartbeat(row: &Value) -> anyhow::Result<Heartbeat> {
    let text = |place: usize| row[place].as_str().with_context(|| format!("column {place} is no text"));
    let time = DateTime::parse_from_rfc3339(text(0)?)?;
    let at = UtcNanos::from_chrono(&time).context("its time is out of range")?;
    Ok(Heartbeat { at, state: text(1)?.to_owned(), cause: text(2)?.to_owned(), alive: row[3].as_bool() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_urls_that_the_subscriber_takes() {
        let influx = |text: &str| text.parse::<Influx>().unwrap();
        let free = influx("http://127.0.0.1:8086/lastbeat");
        assert_eq!((free.base.as_str(), free.database.as_str()), ("http://127.0.0.1:8086", "lastbeat"));
        assert_eq!(free.access, Access::Free);
        let user = influx("https://kim@influx.example:8086/lastbeat");
        assert_eq!((user.base.as_str(), user.access), ("https://influx.example:8086", Access::User("kim".to_owned())));
        let token = influx("http://influx.example:8086?org=home&bucket=lastbeat");
        assert_eq!((token.database.as_str(), token.access), ("lastbeat", Access::Token));
        for wrong in ["influx:8086", "http://influx:8086", "http://influx:8086/a/b", "ftp://influx/x"] {
            assert!(wrong.parse::<Influx>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_rows_an_empty_answer_and_an_error() {
        let answer = r#"{"results":[{"series":[{"name":"heartbeat","columns":["time","state","cause","alive"],
            "values":[["1970-01-01T00:00:01.5Z","alive","heard",true],["1970-01-01T00:00:02Z","unknown","no_identity",null]]}]}]}"#;
        let read: Vec<_> = rows(answer).unwrap().iter().map(|row| heartbeat(row).unwrap()).collect();
        assert_eq!((read[0].at, read[0].alive), (UtcNanos(1_500_000_000), Some(true)));
        assert_eq!((read[1].state.as_str(), read[1].alive), ("unknown", None));
        assert!(rows(r#"{"results":[{"statement_id":0}]}"#).unwrap().is_empty());
        assert!(rows(r#"{"results":[{"error":"database not found: \"x\""}]}"#).is_err());
    }
}
