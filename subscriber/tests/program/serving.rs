//! The live figures over HTTP, maintenance, and beats.

use std::process::Command;

use lastbeat_wire::Header;
use reqwest::Method;
use serde_json::Value;

use crate::support::http::Api;
use crate::support::{Publisher, Subscriber, bound, child, count};

fn row<'a>(overview: &'a Value, id: &str) -> &'a Value {
    overview["publishers"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap()
}

#[tokio::test]
async fn a_publisher_that_is_killed_flips_on_the_event_stream_and_in_the_overview() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from]);
    let api = Api::at(&url).await;
    let mut events = api.events().await;
    let (mut child, process) = child();
    let header = Header { process: Some(process), host: Some("web-1".into()), ..Header::default() };
    let mut publisher = Publisher::connect(&to, "site/light", header);
    publisher.reading(1);
    let flip = events.wait_for(&api, "flip", |flip| flip["to"] == "alive").await;
    assert_eq!((&flip["publisher"], &flip["host"]), (&"site/light".into(), &"web-1".into()));
    child.kill().unwrap();
    let flip = events.wait_for(&api, "flip", |flip| flip["to"] == "dead").await;
    assert_eq!(flip["evidence"][0]["source"], "pidfd", "{flip:#}");
    assert!(flip["text"].as_str().unwrap().contains("site/light"), "{flip:#}");
    // What the stream told is in the overview by then.
    let overview = api.get("/api/v1/publishers?state=dead,silent").await;
    let dead = row(&overview, "site/light");
    assert_eq!((&dead["alive"], &dead["cause"]), (&false.into(), &"process_gone".into()));
    assert_eq!(overview["states"]["dead"], 1);
    let one = api.get("/api/v1/publishers/site%2Flight").await;
    assert_eq!(one["process"]["pid"], process.pid);
    assert_eq!(one["evidence"][0]["fact"], "gone");
    child.wait().unwrap();
    assert_eq!(subscriber.stop().code(), Some(0));
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn who_is_merely_heard_is_told_in_few_bytes_and_with_a_rising_revision() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    let mut events = api.events().await;
    for id in ["quiet", "busy"] {
        assert_eq!(api.ask(Method::GET, &format!("/api/v1/beat/{id}"), "").await, (200, "ok\n".to_owned()));
    }
    let both = |update: &Value| update["states"]["alive"] == 2;
    let before = events.wait_for(&api, "update", both).await;
    let overview = api.get("/api/v1/publishers").await;
    let busy = row(&overview, "busy")["index"].clone();
    assert!(overview["revision"].as_u64() >= before["revision"].as_u64(), "the overview is no older than the stream");
    api.ask(Method::POST, "/api/v1/beat/busy", "").await;
    let heard = |update: &Value| update["heard"].as_array().is_some_and(|heard| heard.iter().any(|one| one[4] == 2));
    let update = events.wait_for(&api, "update", heard).await;
    assert!(update["revision"].as_u64() > before["revision"].as_u64());
    assert_eq!(update["rows"], serde_json::json!([]), "nothing but a message came");
    assert_eq!(update["heard"].as_array().unwrap().len(), 1, "who is untouched is not sent: {update:#}");
    assert_eq!(update["heard"][0][0], busy);
}

#[tokio::test]
async fn a_job_is_watched_by_what_it_says_and_its_reports_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    let say = async |what: &str, report: &str| api.ask(Method::POST, &format!("/api/v1/beat/job{what}"), report).await;
    assert_eq!(say("/start", "").await, (200, "ok\n".to_owned()));
    assert_eq!(api.get("/api/v1/publishers/job").await["state"], "alive");
    // Larger than what is kept, and than what a message may hold.
    let report = format!("disk full\n{}", "é".repeat(2 << 20));
    assert_eq!(say("/fail", &report).await, (200, "ok\n".to_owned()));
    let job = api.get("/api/v1/publishers/job").await;
    assert_eq!((&job["state"], &job["cause"], &job["alive"]), (&"failed".into(), &"reported".into(), &false.into()));
    let evidence = job["evidence"][0]["text"].as_str().unwrap();
    assert!(evidence.contains("disk full"), "{evidence}");
    say("/start", "again").await;
    assert_eq!(api.get("/api/v1/publishers/job").await["state"], "failed", "to begin is not to succeed");
    assert_eq!(api.ask(Method::GET, "/api/v1/beat/job", "").await.0, 200);
    assert_eq!(api.get("/api/v1/publishers/job").await["state"], "alive");
    let log = loop {
        // The store is a little behind, and may not even know the job.
        let (_, log) = api.ask(Method::GET, "/api/v1/publishers/job/log", "").await;
        let log: Value = serde_json::from_str(&log).unwrap();
        if log["entries"].as_array().is_some_and(|entries| entries.len() == 4) {
            break log;
        }
    };
    let kinds: Vec<_> = log["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["beat", "start", "fail", "start"], "newest first");
    assert_eq!((&log["entries"][1]["body"], &log["entries"][1]["truncated"]), (&"again".into(), &false.into()));
    let failure = &log["entries"][2];
    assert_eq!(failure["truncated"], true);
    let body = failure["body"].as_str().unwrap();
    assert!(report.starts_with(body) && (99_990..=100_000).contains(&body.len()), "{} bytes", body.len());
    for (entry, took) in [(0, true), (1, false), (2, true), (3, false)] {
        assert_eq!(log["entries"][entry]["took_s"].is_f64(), took, "{:#}", log["entries"][entry]["took_s"]);
    }
}

#[tokio::test]
async fn a_beat_of_one_publisher_too_many_is_not_said_to_be_watched() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "max_publishers = 1\n").unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &["--config", config.to_str().unwrap()]);
    let api = Api::at(&url).await;
    for (id, status) in [("one", 200), ("two", 507), ("one", 200)] {
        let (answered, text) = api.ask(Method::GET, &format!("/api/v1/beat/{id}"), "").await;
        assert_eq!(answered, status, "{id}: {text}");
    }
}

#[tokio::test]
async fn a_filter_and_a_page_leave_the_figures_of_all_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &["--expect", "Never"]);
    let api = Api::at(&url).await;
    let mut events = api.events().await;
    for id in ["a/one", "a/two", "b"] {
        api.ask(Method::GET, &format!("/api/v1/beat/{}", id.replace('/', "%2F")), "").await;
    }
    events.wait_for(&api, "update", |update| update["states"]["alive"] == 3).await;
    let ids = async |query: &str| {
        let overview = api.get(&format!("/api/v1/publishers?{query}")).await;
        assert_eq!(overview["states"], serde_json::json!({"alive": 3, "unseen": 1}));
        let rows = overview["publishers"].as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids("").await, "Never a/one a/two b");
    assert_eq!(ids("search=A%2F").await, "a/one a/two");
    assert_eq!(ids("search=nEVER").await, "Never");
    assert_eq!(ids("state=alive&limit=1&offset=1").await, "a/two");
    assert_eq!(ids("state=unseen,dead").await, "Never");
    assert_eq!(ids("state=dead").await, "");
}

#[tokio::test]
async fn a_pause_outlives_a_kill_also_one_in_place_of_another_and_ends_when_it_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let (subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    for id in ["a", "b"] {
        api.ask(Method::POST, &format!("/api/v1/beat/{id}"), "").await;
        let (status, row) = api.post(&format!("/api/v1/publishers/{id}/pause"), r#"{"for":"2h"}"#).await;
        assert_eq!((status, &row["state"]), (200, &"paused".into()), "{row:#}");
    }
    let until = api.get("/api/v1/publishers/b").await["paused_until"].clone();
    assert!(until.is_string());
    // No flip: the log has a notice of it.
    assert_eq!(api.post("/api/v1/publishers/a/pause", "").await.0, 200);
    subscriber.kill();

    let (subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    assert_eq!(api.get("/api/v1/publishers/b").await["paused_until"], until);
    let replaced = api.get("/api/v1/publishers/a").await;
    assert_eq!((&replaced["state"], &replaced["paused_until"]), (&"paused".into(), &Value::Null), "{replaced:#}");
    // Not judged, and not alive for being heard, until maintenance is over.
    api.ask(Method::POST, "/api/v1/beat/a", "").await;
    assert_eq!(api.get("/api/v1/publishers/a").await["state"], "paused");
    let (status, row) = api.post("/api/v1/publishers/a/resume", "").await;
    assert_eq!((status, &row["state"]), (200, &"alive".into()), "{row:#}");
    assert_eq!(api.post("/api/v1/publishers/a/resume", "").await.0, 409);
    subscriber.kill();

    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    assert_ne!(api.get("/api/v1/publishers/a").await["state"], "paused", "a resume outlives a kill, too");
    assert_eq!(api.get("/api/v1/publishers/b").await["state"], "paused");
}

#[tokio::test]
async fn a_shell_beats_with_curl_and_is_missed_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (subscriber, url) = Subscriber::serve(dir.path(), &["--threshold", "300ms"]);
    let curl = Command::new("curl").args(["-fsS", &format!("{url}/api/v1/beat/backup")]).output().unwrap();
    assert!(curl.status.success(), "{}", String::from_utf8_lossy(&curl.stderr));
    assert_eq!(curl.stdout, b"ok\n");
    subscriber.expect("backup", "unseen", "alive", "heard");
    subscriber.expect("backup", "alive", "unknown", "no_identity");
    let api = Api::at(&url).await;
    api.ask(Method::POST, "/api/v1/beat/backup", "done\n").await;
    subscriber.expect("backup", "unknown", "alive", "heard");
    assert_eq!(subscriber.stop().code(), Some(0));
    let kept = "SELECT max(counts ->> 'messages') FROM heartbeat WHERE publisher = 'backup'";
    assert_eq!(count(dir.path(), kept), 2, "what was answered is kept");
}

#[tokio::test]
async fn what_prometheus_is_told_is_as_it_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from, "--threshold", "300ms"]);
    let api = Api::at(&url).await;
    let mut events = api.events().await;
    let mut publisher = Publisher::connect(&to, "light", Header::default());
    publisher.raw("sensor/light", b"{");
    publisher.raw("sensor/light", b"1");
    subscriber.expect("light", "unseen", "alive", "heard");
    subscriber.expect("light", "alive", "unknown", "no_identity");
    events.wait_for(&api, "update", |update| update["states"]["unknown"] == 1).await;
    let (_, text) = api.ask(Method::GET, "/metrics", "").await;
    for line in [
        "lastbeat_messages_total 2",
        "lastbeat_messages_refused_total{reason=\"json\"} 1",
        "lastbeat_publishers{state=\"unknown\"} 1",
        "lastbeat_publishers{state=\"alive\"} 0",
        "lastbeat_flips_total{to=\"unknown\"} 1",
        "lastbeat_flips_total{to=\"dead\"} 0",
        "lastbeat_verdict_latency_seconds_count 1",
        "lastbeat_verdict_latency_bound_seconds 3",
        "lastbeat_link_up{link=\"http\"} 1",
        "lastbeat_http_event_streams 1",
        "lastbeat_follower_trouble{follower=\"store\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is missing in\n{text}");
    }
    let file = dir.path().join("metrics");
    std::fs::write(&file, &text).unwrap();
    let checked =
        Command::new("promtool").args(["check", "metrics"]).stdin(std::fs::File::open(file).unwrap()).output();
    let checked = checked.expect("this test needs promtool: install Debian's package prometheus");
    let complaints = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && complaints.is_empty(), "{}", String::from_utf8_lossy(&complaints));
}
