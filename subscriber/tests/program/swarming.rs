//! What agents of a swarm find out: taken in, judged, told, kept.

use lastbeat_wire::Header;

use crate::support::http::Api;
use crate::support::{Publisher, Subscriber, bound, count};

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
