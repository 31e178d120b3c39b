//! The follower against a stand-in: what is written, and what becomes of it when the server is away, refuses, is slow of mind or
//! talks nonsense.

mod documents;
mod failures;

use std::path::Path;
use std::time::Duration;

use lastbeat_log::{Log, LogHandle, Position};
use lastbeat_wire::{Fields, UtcNanos, Value};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::document::date;
use super::standin::StandIn;
use super::{Index, IndexConfig};
use crate::certificates::Authority;
use crate::follower::conformance::{Row, Target, append_fields, conforms, open_log, time_of};
use crate::follower::{Following, Lag, start};
use crate::standby::alone;

struct Cluster {
    server: StandIn,
    state: tempfile::TempDir,
}

impl Target for Cluster {
    type Follower = Index;

    fn follower(&self) -> Index {
        index(&self.server.url("swarm"), self.state.path())
    }

    fn lose_cursor(&self) {
        std::fs::remove_file(self.state.path().join("index.cursor")).unwrap();
    }

    async fn rows(&self) -> Vec<Row> {
        let row = |(_, _, source): (String, String, serde_json::Value)| {
            // Times are there in milliseconds; the number says which they were made of.
            let number = source["sent"].as_i64().unwrap();
            assert_eq!(source["@timestamp"], date(time_of(number)));
            (source["publisher"].as_str().unwrap().to_owned(), time_of(number).0, number)
        };
        self.server.documents().into_iter().map(row).collect()
    }

    fn append(&self, log: &mut Log, number: i64) -> Row {
        append_ping(log, number)
    }
}

/// A follower that knows no secret.
fn index(url: &str, state: &Path) -> Index {
    Index::open(IndexConfig::parse(url, |_| None).unwrap(), state, alone()).unwrap()
}

fn append_ping(log: &mut Log, number: i64) -> Row {
    append_result(log, number, &[("sent", Value::Integer(number)), ("loss", Value::Float(0.5))])
}

/// Appends the numbered result of one of three agents.
fn append_result(log: &mut Log, number: i64, fields: &[(&str, Value<'static>)]) -> Row {
    let mut all: Fields<'_> = [("target".into(), Value::Text("a.example".into()))].into_iter().collect();
    for (name, value) in fields {
        all.push(*name, value.clone());
    }
    append_fields(log, number, format!("agent/city-{}", number % 3), all)
}

fn follow(server: &StandIn, state: &Path, log: &LogHandle) -> Following {
    start(index(&server.url("swarm"), state), log.clone(), CancellationToken::new()).unwrap()
}

/// Closes the log, and waits until all of it is taken.
async fn finish(mut following: Following, log: Log) -> Lag {
    let end = log.close(Duration::from_secs(10)).written;
    following.ended().await.unwrap();
    let lag = following.lag.borrow().clone();
    assert_eq!(lag.cursor, end);
    lag
}

#[tokio::test]
async fn an_index_follows_as_every_follower_does() {
    conforms(Cluster { server: StandIn::start().await, state: tempfile::tempdir().unwrap() }).await;
}

#[tokio::test]
async fn every_day_has_its_index_and_a_clock_that_is_wrong_makes_none() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let midnight = 1_700_006_400_000_000_000;
    let payload = br#"{"lastbeat":1,"sent":"2199-01-01T00:00:00.1239Z","fields":{"target":"a.example","loss":0}}"#;
    for at in [midnight - 1, midnight] {
        crate::follower::conformance::append_message(&mut log, UtcNanos(at), b"sensor/agent/paris", payload);
    }
    let url = format!("http://{}", server.address);
    let following = start(index(&url, dir.path()), log.handle().clone(), CancellationToken::new()).unwrap();
    finish(following, log).await;
    let found = server.documents();
    let days: Vec<_> = found.iter().map(|(index, ..)| index.as_str()).collect();
    assert_eq!(days, ["logstash-2023.11.14", "logstash-2023.11.15"]);
    assert!(found.iter().all(|(_, _, source)| source["@timestamp"] == json!("2199-01-01T00:00:00.123Z")), "{found:?}");
}

#[tokio::test]
async fn who_asks_is_told_to_the_server_and_a_wrong_key_is_said_clearly_and_loses_nothing() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().authorization = Some("ApiKey cmlnaHQ6a2V5".to_owned());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_ping(&mut log, 1);
    log.commit();
    let follower = |key: &str| {
        let secret = |name: &str| (name == "LASTBEAT_INDEX_API_KEY").then(|| key.to_owned());
        Index::open(IndexConfig::parse(&server.url("swarm"), secret).unwrap(), dir.path(), alone()).unwrap()
    };
    let stop = CancellationToken::new();
    let mut following = start(follower("d3Jvbmc6a2V5"), log.handle().clone(), stop.clone()).unwrap();
    let lag = following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap().clone();
    let error = lag.trouble.unwrap().error;
    assert!(error.contains("401 Unauthorized: security_exception: unable to") && !error.contains("d3Jv"), "{error}");
    assert_eq!(lag.cursor, Position::START);
    stop.cancel();
    following.ended().await.unwrap();
    assert_eq!(server.contents().heads.len(), 0, "it does not go on to send what would be refused");

    finish(start(follower("cmlnaHQ6a2V5"), log.handle().clone(), CancellationToken::new()).unwrap(), log).await;
    assert_eq!(server.documents().len(), 1);
}

#[tokio::test]
async fn a_user_goes_in_with_a_password() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().authorization = Some("Basic bWU6aHVudGVyMg==".to_owned());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_ping(&mut log, 1);
    let url = server.url("swarm").replace("http://", "http://me@");
    let config = IndexConfig::parse(&url, |name| name.ends_with("PASSWORD").then(|| "hunter2".to_owned())).unwrap();
    let follower = Index::open(config, dir.path(), alone()).unwrap();
    assert!(!format!("{follower:?}").contains("hunter2"), "{follower:?}");
    finish(start(follower, log.handle().clone(), CancellationToken::new()).unwrap(), log).await;
    assert_eq!(server.documents().len(), 1);
}

#[tokio::test]
async fn a_server_with_a_certificate_of_an_authority_of_ones_own_is_trusted_with_it_and_not_without() {
    let (ours, others) = (Authority::new(), Authority::new());
    let own = ours.sign("elasticsearch", "IP:127.0.0.1");
    let (server, dir) = (StandIn::start_https(&own.certificate, &own.key).await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_ping(&mut log, 1);
    log.commit();
    let url = |ca: &Authority| format!("https://{}/?index=swarm&ca={}", server.address, ca.certificate().display());
    let stop = CancellationToken::new();
    let mut following = start(index(&url(&others), dir.path()), log.handle().clone(), stop.clone()).unwrap();
    let lag = following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap().clone();
    let error = lag.trouble.unwrap().error;
    assert!(error.contains("certificate") && error.contains("UnknownIssuer"), "{error}");
    stop.cancel();
    following.ended().await.unwrap();
    let following = start(index(&url(&ours), dir.path()), log.handle().clone(), CancellationToken::new()).unwrap();
    finish(following, log).await;
    assert_eq!(server.documents().len(), 1);
}

#[test]
fn an_authority_that_can_not_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, "nonsense").unwrap();
    for path in [path.display().to_string(), "/no/such/ca.pem".to_owned()] {
        let config = IndexConfig::parse(&format!("https://127.0.0.1:1?ca={path}"), |_| None).unwrap();
        let error = format!("{:#}", Index::open(config, dir.path(), alone()).unwrap_err());
        assert!(error.starts_with(&format!("the index option ca={path}: ")), "{error}");
    }
}
