//! Whatever the server does, nothing is lost, nothing is there twice, and what it refuses is set aside with its reason.

use serde_json::{Value as Json, json};

use super::*;
use crate::index::standin::Scripted;
use crate::standby::{Part, Permit, Stand};

/// Indexes a hundred results in a server that answers so first.
async fn indexed(scripted: Vec<Scripted>) -> (Lag, StandIn, tempfile::TempDir) {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().scripted = scripted.into();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    (0..100).for_each(|number| drop(append_ping(&mut log, number)));
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!((lag.records, &lag.trouble), (100, &None));
    (lag, server, dir)
}

fn set_aside(dir: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(dir.join("index.refused.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_busy_server_is_tried_again_with_all_of_it() {
    let busy = json!({ "error": { "type": "es_rejected_execution_exception", "reason": "full" }, "status": 429 });
    let answers = [(429, busy.to_string()), (503, String::new()), (502, "<html>proxy</html>".to_owned())];
    let (lag, server, _dir) = indexed(answers.map(|(status, body)| Scripted::Answer(status, body)).into()).await;
    assert_eq!((lag.set_aside, server.documents().len()), (0, 100));
    assert_eq!(server.contents().sizes, [100; 4]);
    assert_eq!(
        server.contents().templates_put,
        3,
        "behind the proxy that says 503 and 502 it may have come back empty"
    );
}

#[tokio::test]
async fn an_answer_that_is_nonsense_moves_nothing() {
    let written = json!({ "took": 1, "errors": false, "items": [{ "create": { "_id": "x", "status": 201 } }] });
    let answers = ["<html>welcome</html>", "[1,2", &written.to_string()];
    let (lag, server, _dir) = indexed(answers.map(|body| Scripted::Answer(200, body.to_owned())).into()).await;
    assert_eq!((lag.set_aside, server.documents().len()), (0, 100));
    assert_eq!(server.contents().sizes, [100; 4]);
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_nothing_twice() {
    let (lag, server, _dir) = indexed(vec![Scripted::Lost]).await;
    assert_eq!((lag.set_aside, server.documents().len()), (0, 100));
    let contents = server.contents();
    assert_eq!((contents.conflicts, contents.templates_put), (100, 2));
    // It may have been too long for whatever stands between.
    assert_eq!(contents.sizes, [100, 50, 50]);
}

#[tokio::test]
async fn documents_that_are_turned_away_are_sent_again_and_those_that_are_refused_are_not() {
    let later = Scripted::Items(4, 429, "es_rejected_execution_exception");
    let refused = Scripted::Items(5, 400, "document_parsing_exception");
    let (lag, server, dir) = indexed(vec![later, refused]).await;
    assert_eq!(server.contents().sizes, [100, 25]);
    assert_eq!((lag.set_aside, server.documents().len()), (5, 95));
    let entries = set_aside(dir.path());
    assert_eq!(entries.len(), 5);
    for entry in entries {
        assert_eq!(entry["reason"], "400: document_parsing_exception: as told");
        assert_eq!(entry["target"], format!("http://{}/?index=swarm", server.address));
    }
}

#[tokio::test]
async fn what_does_not_fit_the_template_is_set_aside_as_it_can_be_sent_again() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_result(&mut log, 1, &[("loss", Value::Text("much".into()))]);
    append_result(&mut log, 2, &[("avg", Value::Boolean(true))]);
    append_result(&mut log, 3, &[("avg", Value::Text("12.5".into())), ("sent", Value::Float(3.0))]);
    append_result(&mut log, 4, &[("avg", Value::Integer(12)), ("of my own", Value::Text("x".repeat(100_000).into()))]);
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!((lag.set_aside, server.documents().len()), (2, 2));
    let entries = set_aside(dir.path());
    let reasons: Vec<_> = entries.iter().map(|entry| entry["reason"].as_str().unwrap()).collect();
    let reason =
        |field: &str| format!("400: document_parsing_exception: failed to parse field [{field}] of type [double]");
    assert_eq!(reasons, [reason("loss"), reason("avg")]);
    let lines: Vec<Json> =
        entries[0]["line"].as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["create"]["_index"], &lines[1]["loss"]), (&json!("swarm"), &json!("much")));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_sent_in_halves_and_a_document_that_is_is_set_aside() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().max_bytes = Some(3_000);
    let mut log = open_log(&dir.path().join("log"), Position::START);
    for number in 0..100 {
        append_ping(&mut log, number);
    }
    append_result(&mut log, 100, &[("note", Value::Text("x".repeat(5_000).into()))]);
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!((lag.set_aside, server.documents().len()), (1, 100));
    assert_eq!(set_aside(dir.path())[0]["reason"], "longer than the server takes");
}

#[tokio::test]
async fn what_is_told_of_a_failure_ends_with_it_though_the_last_document_is_set_aside() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().scripted = [503, 413].map(|status| Scripted::Answer(status, String::new())).into();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_ping(&mut log, 1);
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!((lag.trouble, lag.set_aside), (None, 1));
}

#[tokio::test]
async fn a_server_that_sends_elsewhere_is_told_by_name_and_nothing_is_taken_for_written() {
    let (elsewhere, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?index=swarm", listener.local_addr().unwrap());
    let target = format!("http://{}/", elsewhere.address);
    let redirect = axum::Router::new().fallback(async move || axum::response::Redirect::to(&target));
    let serving = tokio::spawn(async move { axum::serve(listener, redirect).await.unwrap() });
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_ping(&mut log, 1);
    log.commit();
    let stop = CancellationToken::new();
    let mut following = start(index(&url, dir.path()), log.handle().clone(), stop.clone()).unwrap();
    let lag = following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap().clone();
    let error = lag.trouble.unwrap().error;
    assert!(error.contains(&format!("it sends to http://{}/", elsewhere.address)), "{error}");
    assert_eq!(lag.cursor, Position::START);
    stop.cancel();
    following.ended().await.unwrap();
    serving.abort();
}

#[tokio::test]
async fn while_the_server_is_away_what_waits_for_it_is_told_as_it_grows() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_ping(&mut log, 0);
    log.commit();
    let url = server.url("swarm");
    let (address, cluster) = server.stop().await;
    let mut following = start(index(&url, dir.path()), log.handle().clone(), CancellationToken::new()).unwrap();
    following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap();
    append_ping(&mut log, 1);
    log.commit();
    let all = log.end().0;
    following.lag.wait_for(|lag| lag.behind_bytes == all).await.unwrap();
    let server = StandIn::start_at(&address, cluster).await;
    let lag = finish(following, log).await;
    assert_eq!((lag.behind_bytes, server.documents().len()), (0, 2));
}

#[tokio::test]
async fn an_index_that_may_not_be_written_keeps_everything_in_the_log() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().scripted = vec![Scripted::Items(1, 403, "cluster_block_exception"); 100].into();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    (0..10).for_each(|number| drop(append_ping(&mut log, number)));
    log.commit();
    let mut following = follow(&server, dir.path(), log.handle());
    let lag = following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap().clone();
    let error = lag.trouble.unwrap().error;
    assert!(error.contains("?index=swarm: 403: cluster_block_exception: as told"), "{error}");
    assert_eq!((lag.cursor, lag.set_aside), (Position::START, 0));
    server.contents().scripted.clear();
    let lag = finish(following, log).await;
    assert_eq!((lag.trouble, lag.set_aside, server.documents().len()), (None, 0, 10));
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for_and_gets_its_template_again() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let mut following = follow(&server, dir.path(), log.handle());
    append_ping(&mut log, 0);
    log.commit();
    server.until(|contents| contents.indices.contains_key("swarm")).await;
    let (address, cluster) = server.stop().await;
    (1..1_000).for_each(|number| drop(append_ping(&mut log, number)));
    log.commit();
    let refused = |lag: &Lag| lag.trouble.as_ref().is_some_and(|trouble| trouble.error.contains("refused"));
    let lag = following.lag.wait_for(refused).await.unwrap().clone();
    assert!(lag.behind_bytes > 0 || lag.records <= 1);
    let server = StandIn::start_at(&address, cluster).await;
    let lag = finish(following, log).await;
    assert_eq!((lag.trouble, lag.records, lag.set_aside), (None, 1_000, 0));
    assert_eq!(server.documents().len(), 1_000);
    assert_eq!(server.contents().templates_put, 2);
}

#[tokio::test]
async fn what_two_followers_of_one_log_index_is_there_once() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    (0..100).for_each(|number| drop(append_ping(&mut log, number)));
    // A result without process and number, and a message that was refused: their ids are of the log.
    let payload = br#"["paris","ok",{"loss":0.0}]"#;
    let reading = br#"{"lastbeat":1,"fields":{"target":"a.example","loss":0}}"#;
    crate::follower::conformance::append_message(&mut log, UtcNanos(1), b"sensor/agent/paris", reading);
    let refused = crate::record::Message {
        received_at: UtcNanos(2),
        clock: None,
        retained: false,
        late: false,
        resent: false,
        topic: b"ping/-c",
        payload,
    };
    let (kind, body) = crate::record::Record::Refused { message: refused, reason: "no".into() }.encode();
    log.append(kind, &[&body]).unwrap();
    let stop = CancellationToken::new();
    let mut first = start(index(&server.url("swarm"), dir.path()), log.handle().clone(), stop.clone()).unwrap();
    log.commit();
    first.lag.wait_for(|lag| lag.records == 102).await.unwrap();
    stop.cancel();
    first.ended().await.unwrap();
    std::fs::remove_file(dir.path().join("index.cursor")).unwrap();
    finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!((server.documents().len(), server.contents().conflicts), (102, 102));
}

#[tokio::test]
async fn who_stops_does_not_wait_for_a_server_that_does_not_answer() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    server.contents().scripted = [Scripted::Silent].into();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    (0..10).for_each(|number| drop(append_ping(&mut log, number)));
    log.commit();
    let stop = CancellationToken::new();
    let mut following = start(index(&server.url("swarm"), dir.path()), log.handle().clone(), stop.clone()).unwrap();
    server.until(|contents| !contents.sizes.is_empty()).await;
    stop.cancel();
    following.ended().await.unwrap();
    assert_eq!(following.lag.borrow().cursor, Position::START);
    finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!(server.documents().len(), 10);
}

#[tokio::test]
async fn what_travels_compressed_is_the_same() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    (0..100).for_each(|number| drop(append_ping(&mut log, number)));
    let packed = index(&server.url("swarm"), dir.path()).packed();
    finish(start(packed, log.handle().clone(), CancellationToken::new()).unwrap(), log).await;
    assert_eq!(server.documents().len(), 100);
    let contents = server.contents();
    assert_eq!(contents.heads[0]["content-encoding"], "gzip");
}

#[tokio::test]
async fn what_the_leader_has_indexed_is_passed_over_what_it_may_index_waits_and_goes_when_it_is_gone() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    (0..30).for_each(|number| drop(append_ping(&mut log, number)));
    log.commit();
    let held = |skip_before| Stand {
        part: Part::Holding,
        permit: Permit { ship_until: UtcNanos(i64::MIN), skip_before },
        why: "the leader ships".into(),
    };
    let (stand, standing) = tokio::sync::watch::channel(held(UtcNanos(i64::MIN)));
    let config = IndexConfig::parse(&server.url("swarm"), |_| None).unwrap();
    let follower = Index::open(config, dir.path(), standing).unwrap().in_batches_of(700);
    let mut following = start(follower, log.handle().clone(), CancellationToken::new()).unwrap();
    following.lag.wait_for(|lag| lag.held.is_some() && lag.behind_bytes > 0).await.unwrap();
    stand.send_replace(held(time_of(20)));
    let lag = following.lag.wait_for(|lag| lag.records == 20).await.unwrap().clone();
    assert_eq!((lag.until, server.contents().sizes.len()), (Some(time_of(19)), 0), "nothing was sent");
    stand.send_replace(Stand::alone());
    following.lag.wait_for(|lag| lag.records == 30 && lag.held.is_none()).await.unwrap();
    let numbers = server.documents().into_iter().map(|(.., source)| source["sent"].as_i64().unwrap());
    assert!(numbers.collect::<std::collections::BTreeSet<_>>().into_iter().eq(20..30));
    // It does not hold up the end of the log, and what it holds back is there at the next start.
    stand.send_replace(held(UtcNanos(i64::MIN)));
    let end = log.end();
    append_ping(&mut log, 30);
    log.close(Duration::from_secs(10));
    following.ended().await.unwrap();
    assert_eq!(following.lag.borrow().cursor, end);
}
