//! [`StandIn`]: stands in for an Elasticsearch, which can't be had for tests. Written from the published API
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>,
//! <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-put-index-template>), it refuses what that
//! says is refused, keeps documents in memory, and answers as it is told where a test wants a failure. `rsyslog.rs` checks
//! it with a client that is none of ours.

mod bulk;
mod mapping;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, put};
use axum_server::tls_rustls::RustlsConfig;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use mapping::Template;

/// A server on a free port of loopback. Ends when it is dropped.
pub struct StandIn {
    /// Where it listens: `127.0.0.1:PORT`.
    pub address: String,
    cluster: Cluster,
    serving: JoinHandle<()>,
}

/// What it holds; may be given to another server, as after a restart.
#[derive(Clone, Default)]
pub struct Cluster(Arc<Inner>);

#[derive(Default)]
struct Inner {
    contents: Mutex<Contents>,
    /// Told of each request.
    asked: Notify,
    /// Told when a client is to die.
    killed: Notify,
}

/// The parts of a cluster that a test may look at and change.
#[derive(Default)]
pub struct Contents {
    /// Of each index the documents by their ids.
    pub indices: BTreeMap<String, BTreeMap<String, Value>>,
    templates: BTreeMap<String, Template>,
    /// What is answered to the next requests for `_bulk`, one each, instead of what would be.
    pub scripted: VecDeque<Scripted>,
    /// The `Authorization` that is wanted.
    pub authorization: Option<String>,
    /// The header of this name of each request so far for `_bulk`: `authorization`, `content-encoding`, …
    pub heads: Vec<HeaderMap>,
    /// How many documents each request for `_bulk` had.
    pub sizes: Vec<usize>,
    /// How many times a template was written.
    pub templates_put: usize,
    /// How many times a document was there already.
    pub conflicts: usize,
    /// Requests with more bytes are too large.
    pub max_bytes: Option<usize>,
    /// Asked at each request what becomes of it; without it each is answered.
    pub fate: Option<Box<dyn FnMut() -> Fate + Send>>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// Its client is killed before it is looked at.
    Unheard,
    /// Its client is killed before it is answered.
    Unanswered,
}

/// An answer that is told beforehand.
#[derive(Debug, Clone)]
pub enum Scripted {
    /// This status with this body, and nothing is written.
    Answer(u16, String),
    /// Nothing is ever answered.
    Silent,
    /// Everything is written, and then the connection is dropped without an answer.
    Lost,
    /// Of each document whose number in the request is divisible by this, this error; the others are written.
    Items(usize, u16, &'static str),
}

impl StandIn {
    /// An empty one.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0", Cluster::default()).await
    }

    /// One with contents, at an address.
    pub async fn start_at(address: &str, cluster: Cluster) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = routes(&cluster);
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, cluster, serving }
    }

    /// An empty one behind a certificate and its key, both PEM files.
    pub async fn start_https(certificate: &std::path::Path, key: &std::path::Path) -> Self {
        let cluster = Cluster::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tls = RustlsConfig::from_pem_file(certificate, key).await.unwrap();
        let routes = routes(&cluster).into_make_service();
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
        let serving = tokio::spawn(async move { server.serve(routes).await.unwrap() });
        Self { address, cluster, serving }
    }

    /// Goes away, with all its connections; gives where it was and what it holds.
    pub async fn stop(mut self) -> (String, Cluster) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        (self.address.clone(), self.cluster.clone())
    }

    /// Where an index is, for `--index`.
    pub fn url(&self, index: &str) -> String {
        format!("http://{}/?index={index}", self.address)
    }

    /// What it holds.
    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        self.cluster.0.contents.lock().unwrap()
    }

    /// Waits until this holds.
    pub async fn until(&self, holds: impl Fn(&Contents) -> bool) {
        loop {
            let asked = self.cluster.0.asked.notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            if holds(&self.contents()) {
                return;
            }
            asked.await;
        }
    }

    /// Waits until its client is to die.
    pub async fn killed(&self) {
        self.cluster.0.killed.notified().await;
    }

    /// Every document there is, with its index and its id.
    pub fn documents(&self) -> Vec<(String, String, Value)> {
        let contents = self.contents();
        let of_one = |(index, documents): (&String, &BTreeMap<String, Value>)| {
            let one = |(id, source): (&String, &Value)| (index.clone(), id.clone(), source.clone());
            documents.iter().map(one).collect::<Vec<_>>()
        };
        contents.indices.iter().flat_map(of_one).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn routes(cluster: &Cluster) -> Router {
    Router::new()
        .route("/_bulk", any(bulk_of_all))
        .route("/{index}/_bulk", any(bulk_of_one))
        .route("/_index_template/{name}", put(put_template))
        .fallback(other)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(cluster.clone())
}

/// An error as the API has it.
struct Refusal(StatusCode, Value);

impl Refusal {
    fn new(status: u16, kind: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let cause = json!({ "type": kind, "reason": reason });
        let error = json!({ "root_cause": [cause], "type": kind, "reason": reason });
        Self(StatusCode::from_u16(status).unwrap(), json!({ "error": error, "status": status }))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer(self.0, &self.1)
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [("content-type", "application/json"), ("x-elastic-product", "Elasticsearch")];
    (status, headers, body.to_string()).into_response()
}

async fn bulk_of_all(State(cluster): State<Cluster>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    cluster.answer(async || bulk(&cluster, &method, None, &headers, &body).await).await
}

async fn bulk_of_one(
    State(cluster): State<Cluster>,
    Path(index): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    bulk(&cluster, &method, Some(&index), &headers, &body).await
}

impl Cluster {
    /// Answers a request, as far as its client is there to hear it.
    async fn answer(&self, answer: impl AsyncFnOnce() -> Response) -> Response {
        let fate = self.0.contents.lock().unwrap().fate.as_mut().map_or(Fate::Answered, |fate| fate());
        if fate != Fate::Unheard {
            let response = answer().await;
            if fate == Fate::Answered {
                return response;
            }
        }
        self.0.killed.notify_one();
        std::future::pending().await
    }
}

async fn bulk(cluster: &Cluster, method: &Method, index: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Response {
    let result = cluster.0.contents.lock().unwrap().bulk(method, index, headers, body);
    cluster.0.asked.notify_waiters();
    match result {
        Ok(Some(response)) => response,
        Ok(None) => std::future::pending().await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn put_template(
    State(cluster): State<Cluster>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let put = async || {
        let mut contents = cluster.0.contents.lock().unwrap();
        match contents.admit(&headers).and_then(|()| contents.put_template(name, &headers, &body)) {
            Ok(()) => answer(StatusCode::OK, &json!({ "acknowledged": true })),
            Err(refusal) => refusal.into_response(),
        }
    };
    cluster.answer(put).await
}

/// `GET /` and `HEAD /` tell that it is there; what else there is is not needed here.
async fn other(State(cluster): State<Cluster>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if let Err(refusal) = cluster.0.contents.lock().unwrap().admit(&headers) {
        return refusal.into_response();
    }
    if uri.path() == "/" && matches!(method, Method::GET | Method::HEAD) {
        return answer(StatusCode::OK, &json!({ "tagline": "You Know, for Search", "version": { "number": "9.0.0" } }));
    }
    if uri.path() == "/_cat/health" {
        return answer(StatusCode::OK, &json!([{ "status": "green" }]));
    }
    let reason = format!("no handler found for uri [{uri}] and method [{method}]");
    answer(StatusCode::BAD_REQUEST, &json!({ "error": reason, "status": 400 }))
}

impl Contents {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if self.authorization.is_some() && self.authorization.as_deref() != given {
            return Err(Refusal::new(401, "security_exception", "unable to authenticate user"));
        }
        Ok(())
    }

    /// No response where there is to be none.
    fn bulk(
        &mut self,
        method: &Method,
        index: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<Response>, Refusal> {
        self.heads.push(headers.clone());
        self.admit(headers)?;
        if !matches!(*method, Method::POST | Method::PUT) {
            let reason = format!("Incorrect HTTP method for uri [/_bulk] and method [{method}], allowed: [POST, PUT]");
            return Ok(Some(answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": reason, "status": 405 }))));
        }
        content_type(headers, &["application/json", "application/x-ndjson"])?;
        if self.max_bytes.is_some_and(|most| body.len() > most) {
            return Ok(Some(StatusCode::PAYLOAD_TOO_LARGE.into_response()));
        }
        let body = &unpacked(headers, body);
        let operations = bulk::parse(body, index)?;
        self.sizes.push(operations.len());
        let scripted = self.scripted.pop_front();
        if let Some(Scripted::Answer(status, body)) = scripted {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = [("content-type", "application/json"), ("retry-after", "0")];
            return Ok(Some((status, headers, body).into_response()));
        }
        if matches!(scripted, Some(Scripted::Silent)) {
            return Ok(None);
        }
        let mut items = Vec::new();
        for (number, operation) in operations.into_iter().enumerate() {
            items.push(match scripted {
                Some(Scripted::Items(every, status, kind)) if number % every == 0 => {
                    operation.failed(status, kind, "as told")
                }
                _ => self.run(&operation),
            });
        }
        if matches!(scripted, Some(Scripted::Lost)) {
            // A body that ends before its length is reached is what a connection that is cut looks like.
            let lost = axum::body::Body::from_stream(futures_util::stream::once(async { Err::<Bytes, _>("cut") }));
            return Ok(Some(lost.into_response()));
        }
        let errors =
            items.iter().any(|item| item.as_object().unwrap().values().any(|result| !result["error"].is_null()));
        Ok(Some(answer(StatusCode::OK, &json!({ "took": 1, "errors": errors, "items": items }))))
    }

    fn put_template(&mut self, name: String, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        content_type(headers, &["application/json"])?;
        let template = Template::parse(&unpacked(headers, body))?;
        if let Some((other, _)) =
            self.templates.iter().find(|(other, there)| **other != name && there.rivals(&template))
        {
            let reason = format!(
                "index template [{name}] has index patterns matching patterns from existing templates [{other}] that have the \
                 same priority"
            );
            return Err(Refusal::new(400, "illegal_argument_exception", reason));
        }
        self.templates.insert(name, template);
        self.templates_put += 1;
        Ok(())
    }
}

fn unpacked<'a>(headers: &HeaderMap, body: &'a [u8]) -> Cow<'a, [u8]> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return body.into();
    }
    let mut bytes = Vec::new();
    GzDecoder::new(body).read_to_end(&mut bytes).expect("a client that packs well");
    bytes.into()
}

fn content_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let plain = given.split(';').next().unwrap_or_default().trim();
    if allowed.contains(&plain) {
        return Ok(());
    }
    let reason = format!("Content-Type header [{given}] is not supported");
    Err(Refusal(StatusCode::NOT_ACCEPTABLE, json!({ "error": reason, "status": 406 })))
}
