//! [`Server`]: one Elasticsearch or OpenSearch through the official client, and what its answers mean.
//!
//! This version of the client sends plain `application/json`, asks no server what product it is and needs no header in its
//! answers: OpenSearch takes the same requests. Of a certificate's authorities it trusts the public ones always, and those of
//! `ca=` besides.
//!
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>)

use std::time::Duration;

use anyhow::Context;
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
/// Most of a reason that is kept.
const REASON_CHARACTERS: usize = 1000;

/// What a server says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It was taken in.
    Taken(T),
    /// Too many bytes for one request.
    TooLarge,
    /// Nobody answers there.
    Away(String),
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
#[derive(Debug, Clone)]
pub struct Server {
    client: Elasticsearch,
    config: IndexConfig,
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
        match request.send().await {
            Ok(response) if response.status_code().is_success() => Answer::Taken(()),
            Ok(response) => match judge(response).await {
                Answer::Never(reason) => Answer::Never(format!("can't write the index template {name}: {reason}")),
                other => other,
            },
            Err(error) => Answer::Away(chain(&error)),
        }
    }

    /// Writes documents, and says of each, in their order, what became of it.
    pub async fn bulk(&self, documents: &[&Document]) -> Answer<Vec<Outcome>> {
        let lines: Vec<&[u8]> = documents.iter().map(|document| &*document.lines).collect();
        let response = match self.client.bulk(BulkParts::None).body(lines).send().await {
            Ok(response) => response,
            Err(error) => return Answer::Away(chain(&error)),
        };
        let status = response.status_code();
        if !status.is_success() {
            return judge(response).await;
        }
        match response.bytes().await {
            Ok(body) => outcomes(&body, documents),
            Err(error) => Answer::Away(chain(&error)),
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
    let reason = || format!("{status}: {}", reason_of(error));
    match status {
        // Made by whoever sent it before: us.
        200..=299 | 409 => Outcome::Written,
        429 | 500.. => Outcome::Later(reason()),
        401 | 403 | 404 => Outcome::Never(reason()),
        _ if error["type"].as_str().is_some_and(|kind| OF_THE_INDEX.contains(&kind)) => Outcome::Never(reason()),
        _ => Outcome::Refused(reason()),
    }
}

/// What an answer means that is not good.
async fn judge<T>(response: Response) -> Answer<T> {
    let status = response.status_code();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.text().await.unwrap_or_default();
    let error = serde_json::from_str::<Value>(&body).ok().map(|value| reason_of(&value["error"]));
    let reason = error.filter(|error| !error.is_empty()).unwrap_or_else(|| shortened(&body));
    let reason = if reason.is_empty() { status.to_string() } else { format!("{status}: {reason}") };
    match status.as_u16() {
        413 => Answer::TooLarge,
        408 | 429 | 500.. => Answer::Later { reason, after: after.map(Duration::from_secs) },
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

fn shortened(text: &str) -> String {
    text.trim().chars().take(REASON_CHARACTERS).collect()
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
