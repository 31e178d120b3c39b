//! The history as its clients see it: over HTTP, from stores that have followed a log.

mod asking;
mod downloads;
mod measurements;
mod series;
mod telling;

use std::sync::Arc;
use std::time::Duration;

use lastbeat_log::Log;
use lastbeat_watchdog::{Cause, Evidence, Fact, Flip, Source, State, Unwatched};
use lastbeat_wire::{BootId, HostId, ProcessIdentity, UtcNanos};
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use utoipa_axum::router::OpenApiRouter;

use super::{History, routes};
use crate::follower::conformance::append_message;
use crate::record::Record;
use crate::store::tests::stored;

const SECOND: i64 = 1_000_000_000;

/// 2023-11-14T22:13:20Z and so many seconds.
fn at(seconds: i64) -> UtcNanos {
    UtcNanos((1_700_000_000 + seconds) * SECOND)
}

/// The routes on a port of their own.
struct Served {
    _dir: TempDir,
    history: Arc<History>,
    url: String,
    client: reqwest::Client,
    description: Value,
}

impl Served {
    /// The history of a log.
    async fn with(fill: impl FnOnce(&mut Log)) -> Self {
        let (dir, _) = stored(fill).await;
        Self::of(dir).await
    }

    /// The history of `store.db` in a directory.
    async fn of(dir: TempDir) -> Self {
        let history = History::new(&dir.path().join("store.db"), Duration::from_secs(10));
        let api = OpenApiRouter::new().nest("/api/v1", routes(Arc::clone(&history)));
        let (router, description) = api.split_for_parts();
        let router = router.layer(axum::middleware::from_fn(crate::http::unify));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        let client = reqwest::Client::new();
        Self { _dir: dir, history, url, client, description: serde_json::to_value(description).unwrap() }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// What is answered, which has to be as the API's description says.
    async fn json(&self, path: &str) -> (StatusCode, Value) {
        let response = self.get(path).await;
        let (status, media) = (response.status(), response.headers()["content-type"].to_str().unwrap().to_owned());
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        self.check(path, status, &media, &body);
        (status, body)
    }

    /// The answer to a good question.
    async fn good(&self, path: &str) -> Value {
        let (status, body) = self.json(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// What is said of a bad one.
    async fn bad(&self, path: &str) -> (u16, String) {
        let (status, body) = self.json(path).await;
        assert_eq!(body["status"], status.as_u16(), "{path}: {body}");
        assert_eq!(body["title"], status.canonical_reason().unwrap(), "{path}: {body}");
        (status.as_u16(), body["detail"].as_str().unwrap().to_owned())
    }

    fn check(&self, path: &str, status: StatusCode, media: &str, body: &Value) {
        let path = path.split('?').next().unwrap();
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let template = match segments[..] {
            ["publishers", _, last] => format!("/api/v1/publishers/{{id}}/{last}"),
            _ => format!("/api/v1{path}"),
        };
        let responses = &self.description["paths"][&template]["get"]["responses"];
        let schema = &responses[status.as_str()]["content"][media]["schema"];
        assert!(schema.is_object(), "{template} has no {status} {media}: {responses}");
        let mut schema = schema.clone();
        schema["components"] = self.description["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> = validator.iter_errors(body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}: {body}");
    }
}

/// Appends a reading without a time of its own.
fn reading(log: &mut Log, publisher: &str, time: UtcNanos, json: &str) {
    append_message(log, time, format!("sensor/{publisher}").as_bytes(), json.as_bytes());
}

fn append(log: &mut Log, record: &Record<'_>) -> u64 {
    let (kind, body) = record.encode();
    log.append(kind, &[&body]).unwrap().0
}

/// A flip that was noticed a millisecond later.
fn flip(publisher: &str, time: UtcNanos, from: State, to: State, cause: Cause) -> Flip {
    Flip {
        publisher: publisher.parse().unwrap(),
        host: Some("web-1".to_owned()),
        from,
        to,
        cause,
        at: time,
        noticed_at: time.plus(Duration::from_millis(1)),
        silence: Some(Duration::from_secs(50)),
        last_heard: Some(time.minus(Duration::from_secs(50))),
        process: Some(ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4242, start: 5 }),
        evidence: vec![Evidence { at: time, source: Source::Pidfd, fact: Fact::Gone }],
    }
}

fn unwatched(link: Option<&str>, from: UtcNanos, to: UtcNanos) -> Record<'static> {
    let reason = "the watchdog was not running".to_owned();
    Record::Unwatched(Unwatched { link: link.map(str::to_owned), from, to, reason })
}
