//! What agents of a swarm find out: taken in, judged, told, kept.

use lastbeat_transport::{Arrival, LinkIndex, Session, SubscribeOptions, subscribe};
use lastbeat_wire::Header;
use reqwest::Method;

use crate::mosquitto::Mosquitto;
use crate::support::http::Api;
use crate::support::{PATIENCE, Publisher, Subscriber, bound, count};

const WELL: &[u8] = br#"{"lastbeat":1,"seq":1,"fields":{"agent":"oslo","probe":"icmp","sent":10,"received":10,"loss":0,"min":1.0,"avg":2.5,"max":4.0,"mdev":0.5,"every":60}}"#;

#[tokio::test]
async fn what_agents_find_out_is_judged_told_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from]);
    let mut agents = Publisher::connect(&to, "agents", Header::default());

    agents.raw("ping/a.example", br#"["paris","ok",{"Error":null,"loss":100.0}]"#);
    let flip = subscriber.flip();
    assert_eq!([&flip["publisher"], &flip["to"]], ["agent/paris", "alive"], "{flip:#}");
    let judged = &subscriber.flip()["target"];
    assert_eq!(
        [&judged["target"], &judged["reach"], &judged["level"]],
        ["a.example", "none", "critical"],
        "{judged:#}"
    );

    agents.raw("ping/a.example", WELL);
    assert_eq!(subscriber.flip()["publisher"], "agent/oslo");
    let judged = &subscriber.flip()["target"];
    assert_eq!([&judged["reach"], &judged["failing"][0]], ["some", "paris"], "{judged:#}");

    agents.raw("ping/b.example", br#"["paris","ok",{"loss":100.0}]"#);
    let judged = &subscriber.flip()["agent"];
    assert_eq!([&judged["agent"], &judged["link"]], ["paris", "down"], "{judged:#}");
    let judged = &subscriber.flip()["target"];
    assert_eq!([&judged["reach"], &judged["level"]], ["all", "well"], "who reaches nothing is no witness: {judged:#}");

    // None of these is a result, and each says why.
    agents.raw("ping/-c", br#"["paris","ok",{}]"#);
    agents.raw("ping/a.example", br#"{"lastbeat":1,"fields":{"loss":0}}"#);
    agents.raw("ping/a.example", b"[]");
    assert!(subscriber.logged("can't be read").contains("\"-c\""));

    let swarm = Api::at(&url).await.get("/api/v1/swarm").await;
    let texts = swarm["targets"].as_array().unwrap().iter().map(|target| target["text"].as_str().unwrap());
    assert_eq!(
        texts.collect::<Vec<_>>(),
        [
            "a.example: reached by all of 1; 1 with trouble of their own left out",
            "b.example: no result that counts; 1 with trouble of their own left out"
        ]
    );
    assert_eq!(swarm["agents"][1]["text"], "paris: reaches none of its 2 targets, others do: its own link");
    let results = swarm["results"].as_array().unwrap();
    let shown: Vec<_> =
        results.iter().map(|result| ["target", "agent", "grade"].map(|key| result[key].as_str().unwrap())).collect();
    assert_eq!(
        shown,
        [["a.example", "oslo", "well"], ["a.example", "paris", "failed"], ["b.example", "paris", "failed"]]
    );

    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM ping"), 3);
    assert_eq!(
        count(dir.path(), "SELECT count(*) FROM ping WHERE agent = 'oslo' AND target = 'a.example' AND avg = 2.5"),
        1
    );
    assert_eq!(count(dir.path(), "SELECT count(*) FROM judgement WHERE kind = 'agent' AND verdict = 'down'"), 1);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM judgement WHERE name = 'a.example'"), 3);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM refused WHERE topic LIKE 'ping/%'"), 3);
}

#[tokio::test]
async fn what_was_said_of_a_swarm_is_said_after_a_kill_and_after_a_stop_and_nothing_is_told_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let (mut subscriber, mut url) = Subscriber::serve(dir.path(), &["--from", &from]);
    let mut agents = Publisher::connect(&to, "agents", Header::default());
    agents.raw("ping/a.example", br#"["paris","ok",{"Error":null,"loss":100.0}]"#);
    assert_eq!(judged(&subscriber, "target")["reach"], "none");
    agents.raw("ping/a.example", WELL);
    assert_eq!(judged(&subscriber, "target")["reach"], "some");
    let mut before = Api::at(&url).await.get("/api/v1/swarm").await;
    before.as_object_mut().unwrap().remove("now");
    for killed in [true, false] {
        // It is answered once it is on the disk, and so is all before it.
        assert_eq!(Api::at(&url).await.ask(Method::POST, "/api/v1/beat/last", "").await.0, 200);
        if killed {
            subscriber.kill();
        } else {
            assert_eq!(subscriber.stop().code(), Some(0));
        }
        (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from]);
        let mut after = Api::at(&url).await.get("/api/v1/swarm").await;
        after.as_object_mut().unwrap().remove("now");
        assert_eq!(after, before, "killed: {killed}");
    }
    let mut agents = Publisher::connect(&to, "agents", Header::default());
    agents.raw("ping/a.example", br#"["paris","ok",{"loss":0.0}]"#);
    assert_eq!(judged(&subscriber, "target")["reach"], "all", "what was told is not told again");
    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM judgement"), 3);
}

/// The next judgement of that sort on stdout.
fn judged(subscriber: &Subscriber, sort: &str) -> serde_json::Value {
    std::iter::repeat_with(|| subscriber.flip()).find_map(|line| line.get(sort).cloned()).expect("it goes on for ever")
}

/// Runs `targets`; its exit code and what it says.
fn targets(args: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lastbeat-subscriber"));
    let output = command.arg("targets").args(args).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), said)
}

#[tokio::test]
async fn targets_are_told_to_every_broker_for_whoever_comes_later_and_a_broker_that_is_away_is_named() {
    let (one, other) = (Mosquitto::new(""), Mosquitto::new(""));
    let brokers = [one.url(), other.url()];
    let (code, said) = targets(&["--from", &brokers[0], "--from", &brokers[1], "a.example", "https://b.example/x"]);
    assert_eq!(code, Some(0), "{said}");
    for broker in &brokers {
        assert!(said.contains(&format!("{broker}: 2 targets")), "{said}");
        assert_eq!(kept(broker).await, (true, b"a.example https://b.example/x".to_vec()));
    }
    drop(other);
    let (code, said) = targets(&["--within", "1s", "--from", &brokers[0], "--from", &brokers[1], "c.example"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("{}: not told", brokers[1])) && said.contains("1 of 2 brokers"), "{said}");
    assert_eq!(kept(&brokers[0]).await.1, b"c.example");

    let (code, said) = targets(&["--from", &brokers[0], "c.example", "$(reboot)"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = targets(&["--from", &brokers[0], "c.example", "a..b"]);
    assert!(code == Some(2) && said.contains("\"a..b\""), "{said}");
    assert_eq!(kept(&brokers[0]).await.1, b"c.example", "nothing was told");
}

/// What a broker keeps on `watch`.
async fn kept(broker: &str) -> (bool, Vec<u8>) {
    let (sender, mut incoming) = tokio::sync::mpsc::channel(8);
    let options = SubscribeOptions {
        client: "kept".to_owned(),
        topics: vec!["watch".to_owned()],
        session: Session::Clean,
        ..SubscribeOptions::default()
    };
    let subscription = subscribe(&broker.parse().unwrap(), options, LinkIndex(0), sender).unwrap();
    let found = loop {
        let came = tokio::time::timeout(PATIENCE, incoming.recv()).await.expect("something is kept").unwrap();
        if let Arrival::Batch(batch) = came.arrival {
            let delivery = batch.iter().next().unwrap();
            break (delivery.retained, delivery.payload.to_vec());
        }
    };
    tokio::task::spawn_blocking(move || drop(subscription)).await.unwrap();
    found
}
