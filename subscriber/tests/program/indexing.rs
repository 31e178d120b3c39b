//! What is indexed for Kibana, in a stand-in for an Elasticsearch.

use lastbeat_wire::Header;
use serde_json::Value;

use crate::standin::StandIn;
use crate::support::http::Api;
use crate::support::{Publisher, Subscriber, bound};

#[tokio::test]
async fn what_a_swarm_finds_out_is_indexed_and_what_can_not_be_read_and_verdicts_too() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let (from, to) = bound();
    let (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from, "--index", &server.url("swarm")]);
    let mut agents = Publisher::connect(&to, "agents", Header::default());
    agents.raw("ping/a.example", br#"["paris","ok",{"Error":null,"loss":10.0,"Round trip":[1.0,2.0,3.0,0.5]}]"#);
    agents.raw("ping/a.example", b"[]");
    let kinds = ["flip", "judgement", "ping", "refused"];
    let of = |documents: Vec<(String, String, Value)>, kind: &str| {
        documents.into_iter().map(|(_, _, source)| source).find(|source| source["kind"] == kind)
    };
    server
        .until(|contents| {
            let there = contents.indices.get("swarm").into_iter().flat_map(|documents| documents.values());
            let there: Vec<_> = there.collect();
            kinds.iter().all(|kind| there.iter().any(|source| source["kind"] == *kind))
        })
        .await;
    let ping = of(server.documents(), "ping").unwrap();
    let figures = ["agent", "target", "min", "avg", "max", "stddev", "loss"].map(|name| ping[name].to_string());
    assert_eq!(figures, ["\"paris\"", "\"a.example\"", "1.0", "2.0", "3.0", "0.5", "10.0"]);
    assert_eq!(of(server.documents(), "flip").unwrap()["agent"], "paris");
    assert_eq!(of(server.documents(), "refused").unwrap()["topic"], "ping/a.example");

    let ready = Api::at(&url).await.get("/readyz").await;
    let names: Vec<_> =
        ready["followers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["store", "index"]);
    assert_eq!(subscriber.stop().code(), Some(0));
}
