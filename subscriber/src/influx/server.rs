//! [`Server`]: one InfluxDB over HTTP, and what its answers mean.
//!
//! Lines are posted with reqwest: of an error the `influxdb` crate keeps only the status, and the reason in the body is
//! what tells a refused point from a missing database; nor does it compress. Statements go through the crate.
//!
//! Lines travel compressed, but to a server on this host: there is no network there that could be short, and a line costs
//! 0.37 µs to compress and its server 0.3 µs to get back, of the 5 µs it takes it in all.

use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};

use super::config::{Access, InfluxConfig};

const TIMEOUT: Duration = Duration::from_mins(1);
/// A long export takes long.
const QUERY_TIMEOUT: Duration = Duration::from_hours(24);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most of a reason that is kept.
const REASON_CHARACTERS: usize = 1000;

/// What a server says to lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// They are stored.
    Taken,
    /// At least one of them is refused; others may be stored.
    Refused {
        /// In the server's words.
        reason: String,
        /// How many it says it dropped.
        dropped: Option<usize>,
    },
    /// Too many bytes for one request.
    TooLarge,
    /// There is no such database or bucket.
    NoDatabase(String),
    /// Not now: it is away, overloaded or failing.
    Later {
        /// What was seen.
        reason: String,
        /// When it asks to be tried again.
        after: Option<Duration>,
    },
    /// Not at all, until somebody changes something: credentials, rights, the URL.
    Never(String),
}

/// How lines travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    Plain,
    /// Compressed.
    Gzip,
}

/// A server to post to.
#[derive(Debug, Clone)]
pub struct Server {
    http: reqwest::Client,
    config: InfluxConfig,
    /// How it gets its lines.
    pub packing: Packing,
}

impl Server {
    /// Does not connect yet.
    ///
    /// # Errors
    /// When the file with the authorities can't be used; it is named.
    pub fn new(config: InfluxConfig) -> anyhow::Result<Self> {
        let mut http = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        if let Some(ca) = &config.ca {
            let name = || format!("the InfluxDB option ca={}", ca.display());
            let text = std::fs::read(ca).with_context(name)?;
            let authorities = reqwest::Certificate::from_pem_bundle(&text).with_context(name)?;
            anyhow::ensure!(!authorities.is_empty(), "{}: holds no certificate in PEM form", name());
            http = http.tls_certs_only(authorities);
        }
        let packing = if config.is_on_this_host() { Packing::Plain } else { Packing::Gzip };
        Ok(Self { http: http.build().context("set up HTTP")?, config, packing })
    }

    /// The target, for people.
    pub fn target(&self) -> String {
        self.config.target()
    }

    /// Posts lines, packed as it gets them.
    pub async fn write(&self, body: Bytes) -> Answer {
        let mut request = self.write_request().header(CONTENT_TYPE, "text/plain; charset=utf-8").body(body);
        if self.packing == Packing::Gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Answer::Later { reason: chain(&error.without_url()), after: None },
        };
        let status = response.status();
        if status.is_success() {
            return Answer::Taken;
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let header =
            response.headers().get("X-Influxdb-Error").and_then(|value| value.to_str().ok().map(str::to_owned));
        let body = response.text().await.unwrap_or_default();
        let reason = reason_in(&body).or(header).unwrap_or(body);
        let reason = reason.trim().chars().take(REASON_CHARACTERS).collect();
        judge(status, reason, after.map(Duration::from_secs))
    }

    fn write_request(&self) -> RequestBuilder {
        let base = &self.config.base;
        let (path, query) = match &self.config.access {
            Access::V1 { database, retention, .. } => {
                let mut query = vec![("db", database.as_str()), ("precision", "ns")];
                query.extend(retention.as_deref().map(|retention| ("rp", retention)));
                ("write", query)
            }
            Access::V2 { org, bucket, .. } => {
                ("api/v2/write", vec![("org", org.as_str()), ("bucket", bucket.as_str()), ("precision", "ns")])
            }
        };
        self.admit(self.http.post(with_query(&format!("{base}/{path}"), &query)))
    }

    /// Runs a query; the answer comes in pieces, each a line of JSON, with times in nanoseconds.
    pub async fn query(&self, statement: &str) -> anyhow::Result<reqwest::Response> {
        let url = format!("{}/query", self.config.base);
        let pairs =
            [("q", statement), ("epoch", "ns"), ("chunked", "true"), ("chunk_size", "5000"), ("db", self.database())];
        let mut url = with_query(&url, &pairs);
        if let Access::V1 { retention: Some(retention), .. } = &self.config.access {
            url = with_query(&url, &[("rp", retention)]);
        }
        let request = self.http.get(url).timeout(QUERY_TIMEOUT);
        let response = self.admit(request).send().await.map_err(reqwest::Error::without_url)?;
        let status = response.status();
        if !status.is_success() {
            let body = response.text().await.unwrap_or_default();
            anyhow::bail!("{status}: {}", reason_in(&body).unwrap_or(body));
        }
        Ok(response)
    }

    /// Adds who asks.
    fn admit(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.config.access {
            Access::V1 { user: Some((user, password)), .. } => request.basic_auth(user, Some(password.reveal())),
            Access::V1 { user: None, .. } => request,
            Access::V2 { token, .. } => request.header("Authorization", format!("Token {}", token.reveal())),
        }
    }

    /// 2.x answers queries of 1.x about a bucket under its own name.
    fn database(&self) -> &str {
        match &self.config.access {
            Access::V1 { database, .. } => database,
            Access::V2 { bucket, .. } => bucket,
        }
    }

    /// Creates the database, where that can be done. The error is for people.
    pub async fn create_database(&self) -> Result<(), String> {
        let Access::V1 { database, user, .. } = &self.config.access else {
            return Err("create the bucket by hand".to_owned());
        };
        let mut client =
            influxdb::Client::new(&self.config.base, database.as_str()).with_http_client(self.http.clone());
        if let Some((user, password)) = user {
            client = client.with_auth(user, password.reveal());
        }
        let statement = format!("CREATE DATABASE {}", quoted(database));
        client.query(influxdb::ReadQuery::new(statement)).await.map(drop).map_err(|error| error.to_string())
    }
}

/// An identifier in `InfluxQL`.
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn with_query(url: &str, pairs: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

/// The message in an error's body: 1.x has `error`, 2.x `message`, 3.x `error` and `data`.
fn reason_in(body: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    let text = ["message", "error"].into_iter().find_map(|key| value[key].as_str())?;
    Some(if value["data"].is_null() { text.to_owned() } else { format!("{text}: {}", value["data"]) })
}

fn judge(status: StatusCode, reason: String, after: Option<Duration>) -> Answer {
    // What says that points are at fault, and not the request as a whole.
    const POINTS: [&str; 5] =
        ["partial write", "unable to parse", "type conflict", "beyond retention policy", "parsing failed"];
    let with_status = |reason: &str| if reason.is_empty() { status.to_string() } else { format!("{status}: {reason}") };
    match status.as_u16() {
        400 | 422 if status.as_u16() == 422 || POINTS.iter().any(|words| reason.contains(words)) => {
            let dropped = reason.rsplit_once("dropped=").and_then(|(_, count)| count.trim().parse().ok());
            Answer::Refused { reason, dropped }
        }
        404 if reason.contains("database not found") || reason.contains("bucket") => Answer::NoDatabase(reason),
        413 => Answer::TooLarge,
        408 | 429 | 500.. => Answer::Later { reason: with_status(&reason), after },
        _ => Answer::Never(with_status(&reason)),
    }
}

/// An error with what caused it: reqwest's own words alone are "error sending request".
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Answer {
        judge(StatusCode::from_u16(status).unwrap(), reason_in(body).unwrap_or_default(), None)
    }

    #[test]
    fn each_answer_of_a_server_has_its_meaning() {
        let conflict = "partial write: field type conflict: input field \"value\" on measurement \"hb\" is type string, \
                        already exists as type integer dropped=1";
        let body = serde_json::json!({ "error": conflict }).to_string();
        assert_eq!(judged(400, &body), Answer::Refused { reason: conflict.to_owned(), dropped: Some(1) });
        let body = r#"{"code":"invalid","message":"unable to parse 'x': missing fields"}"#;
        assert!(matches!(judged(400, body), Answer::Refused { dropped: None, .. }));
        assert!(matches!(judged(422, r#"{"message":"points beyond"}"#), Answer::Refused { .. }));
        assert!(matches!(judged(400, r#"{"error":"database is required"}"#), Answer::Never(_)));
        assert!(matches!(judged(404, r#"{"error":"database not found: \"nope\""}"#), Answer::NoDatabase(_)));
        assert!(matches!(judged(404, "404 page not found"), Answer::Never(_)));
        assert_eq!(
            judged(401, r#"{"error":"authorization failed"}"#),
            Answer::Never("401 Unauthorized: authorization failed".to_owned())
        );
        assert!(matches!(judged(413, ""), Answer::TooLarge));
        assert!(matches!(judged(503, ""), Answer::Later { .. }));
        assert!(matches!(judged(429, ""), Answer::Later { .. }));
    }
}
