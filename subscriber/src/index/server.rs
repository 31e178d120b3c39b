//! [`Server`]: one Elasticsearch or OpenSearch through the official client, and what its answers mean.
//!
//! This version of the client sends plain `application/json`, asks no server what product it is and needs no header in its
//! answers: OpenSearch takes the same requests. Of a certificate's authorities it trusts the public ones always, and those of
//! `ca=` besides.
//!
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>)

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::RETRY_AFTER;
use elasticsearch::http::response::Response;
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::indices::IndicesPutIndexTemplateParts;
use elasticsearch::{BulkParts, Elasticsearch};
use serde::Deserialize;
use serde_json::Value;

use super::config::{Access, IndexConfig};
use super::document::Document;
use super::template;
use crate::influx::{chain, is_on_this_host};

const TIMEOUT: Duration = Duration::from_mins(1);
/// So long a server waits for a shard that is not there; then it says so, where by itself it would wait for as long as we do.
const SHARD_TIMEOUT: &str = "30s";
/// Most bytes of an answer that says how many it has. A document's part of it is some 200, its error a thousand or two.
const ANSWER_BYTES: u64 = 64 << 20;
/// Most of a reason that is kept.
const REASON_CHARACTERS: usize = 1000;

/// What a server says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It was taken in.
    Taken(T),
    /// Too many bytes for one request.
    TooLarge,
    /// No answer came, or not all of it.
    Away(String),
    /// Something answers in place of a server that is away.
    NobodyBehind {
        /// What was seen.
        reason: String,
        /// When it asks to be tried again.
        after: Option<Duration>,
    },
    /// Not now: it is overloaded, failing, or says what can't be understood.
    Later {
        /// What was seen.
        reason: String,
        /// When it asks to be tried again.
        after: Option<Duration>,
    },
    /// Not at all, until somebody changes something: credentials, rights, the URL.
    Never(String),
}

/// What becomes of one document of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there; it may have been there before.
    Written,
    /// It is not as its index wants it.
    Refused(String),
    /// Not now.
    Later(String),
    /// Not until somebody changes something, and it is not the document.
    Never(String),
}

/// A server to write to.
#[derive(Clone)]
pub struct Server {
    client: Elasticsearch,
    config: IndexConfig,
}

impl fmt::Debug for Server {
    /// Without the client, which would show the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct BulkAnswer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "_id")]
    id: String,
    status: u16,
    #[serde(default)]
    error: Value,
}

impl Server {
    /// Does not connect yet.
    ///
    /// # Errors
    /// When the file with the authorities can't be used; it is named.
    pub fn new(config: IndexConfig) -> anyhow::Result<Self> {
        // To a server on this host there is no network that could be short.
        let is_packed = !is_on_this_host(&config.base);
        Self::packing(config, is_packed)
    }

    /// The same, packed or not wherever it is.
    pub fn packing(config: IndexConfig, is_packed: bool) -> anyhow::Result<Self> {
        // The client brings a provider of cryptography of its own, ring; it takes ours where one is installed for the process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(config.base.clone()))
            .timeout(TIMEOUT)
            .request_body_compression(is_packed);
        match &config.access {
            Access::Open => {}
            Access::User(user, password) => {
                transport = transport.auth(Credentials::Basic(user.clone(), password.reveal().to_owned()));
            }
            Access::ApiKey(key) => transport = transport.auth(Credentials::EncodedApiKey(key.reveal().to_owned())),
        }
        if let Some(ca) = &config.ca {
            let name = || format!("the index option ca={}", ca.display());
            let text = std::fs::read(ca).with_context(name)?;
            let authorities = Certificate::from_pem(&text).with_context(name)?;
            anyhow::ensure!(!authorities.is_empty(), "{}: holds no certificate in PEM form", name());
            transport = transport.cert_validation(CertificateValidation::Full(authorities));
        }
        Ok(Self { client: Elasticsearch::new(transport.build().context("set up HTTP")?), config })
    }

    /// What it was made from.
    #[cfg(test)]
    pub fn config(&self) -> &IndexConfig {
        &self.config
    }

    /// The target, for people.
    pub fn target(&self) -> String {
        self.config.target()
    }

    /// Writes the index template, over one of that name that is there.
    pub async fn put_template(&self) -> Answer<()> {
        let name = self.config.index.template();
        let body = template::body(&self.config.index);
        let indices = self.client.indices();
        let request = indices.put_index_template(IndicesPutIndexTemplateParts::Name(&name)).body(body);
        let answer = match request.send().await {
            Ok(response) => self.body(&format!("_index_template/{name}"), response).await,
            Err(error) => Answer::Away(chain(&error)),
        };
        match answer {
            Answer::Never(reason) => Answer::Never(format!("can't write the index template {name}: {reason}")),
            other => other.map(drop),
        }
    }

    /// Writes documents, and says of each, in their order, what became of it.
    pub async fn bulk(&self, documents: &[&Document]) -> Answer<Vec<Outcome>> {
        let lines: Vec<&[u8]> = documents.iter().map(|document| &*document.lines).collect();
        let answer = match self.client.bulk(BulkParts::None).timeout(SHARD_TIMEOUT).body(lines).send().await {
            Ok(response) => self.body("_bulk", response).await,
            Err(error) => Answer::Away(chain(&error)),
        };
        match answer {
            Answer::Taken(body) => outcomes(&body, documents),
            other => other.map(|_| Vec::new()),
        }
    }

    /// The body of a good answer to a request for this path.
    async fn body(&self, path: &str, response: Response) -> Answer<Bytes> {
        let mut url = response.url().clone();
        url.set_query(None);
        if self.config.base.join(path).is_ok_and(|asked| asked != url) {
            // The client follows, and may have asked there for something else: after most redirects it gets instead of writing.
            return Answer::Never(format!("it sends to {url}: name the server that answers there"));
        }
        if let Some(bytes) = response.content_length().filter(|bytes| *bytes > ANSWER_BYTES) {
            return Answer::Later {
                reason: format!("an answer of {bytes} bytes, more than {ANSWER_BYTES}"),
                after: None,
            };
        }
        if !response.status_code().is_success() {
            return judge(response).await;
        }
        response.bytes().await.map_or_else(|error| Answer::Away(chain(&error)), Answer::Taken)
    }
}

impl<T> Answer<T> {
    /// The same answer with something else taken in.
    fn map<U>(self, taken: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Taken(before) => Answer::Taken(taken(before)),
            Self::TooLarge => Answer::TooLarge,
            Self::Away(reason) => Answer::Away(reason),
            Self::NobodyBehind { reason, after } => Answer::NobodyBehind { reason, after },
            Self::Later { reason, after } => Answer::Later { reason, after },
            Self::Never(reason) => Answer::Never(reason),
        }
    }
}

/// What a good answer says of each document.
fn outcomes(body: &[u8], documents: &[&Document]) -> Answer<Vec<Outcome>> {
    let not_understood =
        |what: String| Answer::Later { reason: format!("its answer is none of the bulk API: {what}"), after: None };
    let answer: BulkAnswer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => return not_understood(error.to_string()),
    };
    if answer.items.len() != documents.len() {
        return not_understood(format!("{} items for {} documents", answer.items.len(), documents.len()));
    }
    let mut outcomes = Vec::with_capacity(documents.len());
    for (Item { create }, document) in answer.items.into_iter().zip(documents) {
        if create.id != document.id {
            return not_understood(format!("an item of {:?} for the document {:?}", create.id, document.id));
        }
        outcomes.push(outcome(create.status, &create.error));
    }
    Answer::Taken(outcomes)
}

fn outcome(status: u16, error: &Value) -> Outcome {
    // Of the index or of the cluster, and none that another document would not meet.
    const OF_THE_INDEX: [&str; 5] = [
        "index_closed_exception",
        "invalid_index_name_exception",
        "cluster_block_exception",
        "security_exception",
        // Too many shards.
        "validation_exception",
    ];
    // These have no type of their own.
    const LACKING: [&str; 2] = ["no write index is defined for alias", "pipeline with id ["];
    let is_of_the_index = || {
        error["type"].as_str().is_some_and(|kind| OF_THE_INDEX.contains(&kind))
            || error["reason"].as_str().is_some_and(|reason| LACKING.iter().any(|words| reason.starts_with(words)))
    };
    let reason = || format!("{status}: {}", reason_of(error));
    match status {
        // Made by whoever sent it before: us.
        200..=299 | 409 => Outcome::Written,
        401 | 403 | 404 => Outcome::Never(reason()),
        400 if is_of_the_index() => Outcome::Never(reason()),
        429 => Outcome::Later(reason()),
        400..=499 => Outcome::Refused(reason()),
        // 5xx, and what no server says of a document.
        _ => Outcome::Later(reason()),
    }
}

/// What an answer means that is not good.
async fn judge<T>(response: Response) -> Answer<T> {
    let status = response.status_code();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let after = after.map(Duration::from_secs);
    let body = response.text().await.unwrap_or_default();
    let error = serde_json::from_str::<Value>(&body).ok().map(|value| reason_of(&value["error"]));
    let reason = error.filter(|error| !error.is_empty()).unwrap_or_else(|| shortened(&body));
    let reason = if reason.is_empty() { status.to_string() } else { format!("{status}: {reason}") };
    match status.as_u16() {
        413 => Answer::TooLarge,
        502..=504 => Answer::NobodyBehind { reason, after },
        408 | 429 | 500.. => Answer::Later { reason, after },
        _ => Answer::Never(reason),
    }
}

/// The type and the reason of an error, with what caused it; some errors are a text.
fn reason_of(error: &Value) -> String {
    let mut text = match (&error["type"], &error["reason"]) {
        (Value::String(kind), Value::String(reason)) => format!("{kind}: {reason}"),
        _ => error.as_str().unwrap_or_default().to_owned(),
    };
    if let Some(cause) = error["caused_by"]["reason"].as_str() {
        text = format!("{text}: {cause}");
    }
    shortened(&text)
}

/// One line, of a bearable length, that can do nothing to a terminal.
fn shortened(text: &str) -> String {
    let words = text.split(|one: char| one.is_whitespace() || one.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(REASON_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(id: &str) -> Document {
        Document { index: "swarm".to_owned(), id: id.to_owned(), lines: Vec::new() }
    }

    #[test]
    fn each_status_of_a_document_has_its_meaning() {
        let error = |kind: &str| json!({ "type": kind, "reason": "why", "caused_by": { "reason": "because" } });
        for (status, kind, expected) in [
            (201, "", Outcome::Written),
            (409, "version_conflict_engine_exception", Outcome::Written),
            (429, "es_rejected_execution_exception", Outcome::Later(String::new())),
            (503, "unavailable_shards_exception", Outcome::Later(String::new())),
            (403, "security_exception", Outcome::Never(String::new())),
            (404, "index_not_found_exception", Outcome::Never(String::new())),
            (400, "validation_exception", Outcome::Never(String::new())),
            // What no server says of a document.
            (0, "", Outcome::Later(String::new())),
            (100, "", Outcome::Later(String::new())),
            (302, "", Outcome::Later(String::new())),
            (400, "mapper_parsing_exception", Outcome::Refused(String::new())),
            (400, "document_parsing_exception", Outcome::Refused(String::new())),
            (400, "illegal_argument_exception", Outcome::Refused(String::new())),
        ] {
            let found = outcome(status, &error(kind));
            assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&expected), "{status} {kind}");
            if let Outcome::Refused(reason) = found {
                assert_eq!(reason, format!("400: {kind}: why: because"));
            }
        }
    }

    #[test]
    fn what_an_alias_or_a_pipeline_lacks_is_no_fault_of_a_document() {
        for reason in [
            "no write index is defined for alias [swarm]. The write index may be explicitly disabled using is_write_index=false",
            "pipeline with id [swarm] does not exist",
        ] {
            let found = outcome(400, &json!({ "type": "illegal_argument_exception", "reason": reason }));
            assert_eq!(found, Outcome::Never(format!("400: illegal_argument_exception: {reason}")));
        }
    }

    #[test]
    fn what_a_server_says_is_one_line_of_the_log() {
        assert_eq!(shortened(" busy\r\n\u{1b}[31m now\u{7}\n"), "busy [31m now");
        assert_eq!(shortened(&"x".repeat(5_000)).len(), 1_000);
    }

    #[test]
    fn an_answer_that_is_none_of_the_bulk_api_moves_nothing() {
        let (one, other) = (document("a"), document("b"));
        let good = json!({ "took": 3, "errors": false, "items": [
            { "create": { "_index": "swarm", "_id": "a", "status": 201 } }, { "create": { "_id": "b", "status": 409 } },
        ] });
        let written = Answer::Taken(vec![Outcome::Written, Outcome::Written]);
        assert_eq!(outcomes(good.to_string().as_bytes(), &[&one, &other]), written);
        let long = "[".repeat(100_000);
        for (body, documents) in [
            (good.to_string().as_str(), vec![&other, &one]),
            (good.to_string().as_str(), vec![&one]),
            ("", vec![&one]),
            ("<html>welcome</html>", vec![&one]),
            ("{}", vec![]),
            (r#"{"items":[{}]}"#, vec![&one]),
            (r#"{"items":[{"index":{"_id":"a","status":200}}]}"#, vec![&one]),
            (r#"{"items":[{"create":{"_id":"a","status":-1}}]}"#, vec![&one]),
            (long.as_str(), vec![&one]),
        ] {
            let answer = outcomes(body.as_bytes(), &documents);
            assert!(
                matches!(&answer, Answer::Later { reason, .. } if reason.contains("bulk API")),
                "{body}: {answer:?}"
            );
        }
    }
}
