//! Two subscribers of one broker: they agree, and only one of them ships.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use lastbeat_host::Own;
use lastbeat_wire::{Body, Header, Reading, UtcNanos, Value};

use crate::mosquitto::Mosquitto;
use crate::support::http::{Api, Events};
use crate::support::influxd::Influxd;
use crate::support::{Publisher, Subscriber, child, free_port};

/// Whether the follower of InfluxDB is held, in an event of the stream.
fn held(update: &serde_json::Value) -> Option<bool> {
    let followers = update["followers"].as_array()?;
    followers.iter().find(|one| one["name"] == "influxdb").map(|one| !one["held"].is_null())
}

async fn until_held(api: &Api, events: &mut Events, wanted: bool) {
    events.wait_for(api, "update", |update| held(update) == Some(wanted)).await;
}

async fn until_up(api: &Api, events: &mut Events) {
    events.wait_for(api, "update", |update| update["links"][0]["up"] == true).await;
}

/// Readings with times of their own until it is told to stop; then a goodbye.
fn load(to: &str, stop: Arc<AtomicBool>, sent: Arc<AtomicI64>) -> std::thread::JoinHandle<()> {
    let to = to.to_owned();
    std::thread::spawn(move || {
        let own = Own::read().unwrap();
        let header = Header { process: Some(own.process), host: Some(own.host_name.into()), ..Header::default() };
        let mut publisher = Publisher::connect(&to, "load", header);
        while !stop.load(Ordering::SeqCst) {
            let number = sent.fetch_add(1, Ordering::SeqCst);
            let fields = [("value".into(), Value::Integer(number))].into_iter().collect();
            let time = Some(UtcNanos(1_700_000_000_000_000_000 + number * 1_000_000));
            publisher.send(Body::Reading(Reading { time, fields, ..Reading::default() }));
            // Some hundreds a second are enough.
            std::thread::park_timeout(Duration::from_millis(2));
        }
        publisher.send(Body::Bye);
        publisher.close();
    })
}

#[tokio::test]
async fn a_standby_ships_while_its_leader_is_dead_and_nothing_is_lost_or_there_twice() {
    let (broker, influxd) = (Mosquitto::new(""), Influxd::start());
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, database) = (broker.url(), influxd.database());
    let address = format!("127.0.0.1:{}", free_port());
    let leader = || {
        let args = ["--from", &from, "--name", "leader", "--influx", &database, "--http", &address];
        let mut command = crate::support::plain(first.path());
        command.args(args);
        Subscriber::serve_by(command)
    };
    let (mut one, url) = leader();
    let leading = Api::at(&url).await;
    until_up(&leading, &mut leading.events().await).await;
    let args = ["--from", &from, "--name", "standby", "--influx", &database, "--standby-for", &url];
    let (other, other_url) = Subscriber::serve(second.path(), &args);
    let standby = Api::at(&other_url).await;
    let mut events = standby.events().await;
    until_up(&standby, &mut events).await;

    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let publishing = load(&from, Arc::clone(&stop), Arc::clone(&sent));
    one.expect("load", "unseen", "alive", "heard");
    other.expect("load", "unseen", "alive", "heard");
    while influxd.count("value", "sensor").await == 0 {}
    assert_eq!(leading.get("/api/v1/shipping").await["leads"], true);
    let told = standby.get("/api/v1/shipping").await;
    assert_eq!((&told["part"], &told["leads"]), (&"holding".into(), &false.into()), "{told:#}");
    let (_, metrics) = standby.ask(reqwest::Method::GET, "/metrics", "").await;
    assert!(metrics.contains("lastbeat_shipping_part{part=\"holding\"} 1"), "{metrics}");

    one.kill();
    until_held(&standby, &mut events, false).await;
    assert_eq!(standby.get("/api/v1/shipping").await["part"], "standing_in");
    let before = influxd.count("value", "sensor").await;
    while influxd.count("value", "sensor").await == before {}

    (one, _) = leader();
    until_held(&standby, &mut events, true).await;
    let handed_back = sent.load(Ordering::SeqCst);
    while sent.load(Ordering::SeqCst) < handed_back + 100 {}
    stop.store(true, Ordering::SeqCst);
    publishing.join().unwrap();
    while one.flip()["to"] != "finished" {}
    while other.flip()["to"] != "finished" {}
    let told = standby.get("/api/v1/shipping").await;
    assert_eq!(told["part"], "holding", "{told:#}");
    assert_eq!(one.stop().code(), Some(0));
    assert_eq!(other.stop().code(), Some(0));
    let sent = sent.load(Ordering::SeqCst);
    assert_eq!(influxd.count("value", "sensor").await, sent, "every reading is there once");
    // Both have seen it; only the leader was to ship it.
    assert_eq!(influxd.count("cause", "flip WHERE \"to\" = 'finished'").await, 1);
}

#[test]
fn two_subscribers_say_the_same_of_an_end_a_stop_and_a_silence() {
    let broker = Mosquitto::new("");
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let url = broker.url();
    let both = [("a", &dirs[0]), ("b", &dirs[1])]
        .map(|(name, dir)| Subscriber::start(dir.path(), &url, &["--name", name, "--threshold", "3s"]));
    // Heard by both, both have subscribed.
    let mut first = Publisher::connect(&url, "first", Header::default());
    for subscriber in &both {
        first.raw("start/first", b"");
        while subscriber.flips_within_a_second().is_none() {
            first.raw("start/first", b"");
        }
    }
    first.raw("bye/first", b"");
    for subscriber in &both {
        while subscriber.flip()["to"] != "finished" {}
    }
    let says = |id: &str, from: &str, to: &str, cause: &str| {
        for subscriber in &both {
            subscriber.expect(id, from, to, cause);
        }
    };
    for (id, signal, to, cause) in [
        ("killed", "-KILL", "dead", "process_gone"),
        ("stopped", "-STOP", "suspended", "process_stopped"),
        ("quiet", "-CONT", "silent", "process_runs"),
    ] {
        let (mut child, process) = child();
        let mut publisher = Publisher::connect(&url, id, Header { process: Some(process), ..Header::default() });
        publisher.reading(1);
        says(id, "unseen", "alive", "heard");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        says(id, "alive", to, cause);
        publisher.send(Body::Bye);
        publisher.close();
        says(id, to, "finished", "goodbye");
        // It may have ended already.
        let _ = child.kill();
        child.wait().unwrap();
    }
}
