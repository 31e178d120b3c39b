//! An adaptive threshold, with real processes.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use lastbeat_host::Own;
use lastbeat_wire::{BootId, Header, HostId, ProcessIdentity};
use serde_json::Value;

use crate::support::http::Api;
use crate::support::{Publisher, Subscriber, bound, child};

/// Learning begins with a short fixed threshold, of which it takes two; nothing that is learned is longer than 20 s.
const CONFIG: &str = "
threshold = '2s'
[publishers.far]
threshold = 'adaptive'
at_least = '300ms'
at_most = '20s'
[publishers.frozen]
threshold = 'adaptive'
at_least = '300ms'
at_most = '20s'
[publishers.fixed]
threshold = '50s'
";
const BEAT_EVERY: Duration = Duration::from_millis(20);
const BEATS_AT_MOST: i64 = 5000;

/// A process on another host: nobody here can look whether it runs.
fn elsewhere() -> Header<'static> {
    let own = Own::read().unwrap().process;
    let process = ProcessIdentity { host: HostId(own.host.0 ^ 1), boot: BootId(own.boot.0 ^ 1), ..own };
    Header { process: Some(process), ..Header::default() }
}

async fn learned(api: &Api, id: &str) -> bool {
    api.get(&format!("/api/v1/publishers/{id}")).await["adaptive"]["phi"].is_number()
}

#[tokio::test]
async fn quick_publishers_are_missed_long_before_the_fixed_threshold() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lastbeat.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let (from, to) = bound();
    let (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from, "--config", config.to_str().unwrap()]);
    let api = Api::at(&url).await;
    let (mut child, process) = child();
    let mut fixed = Publisher::connect(&to, "fixed", elsewhere());
    fixed.reading(1);
    let mut far = Publisher::connect(&to, "far", elsewhere());
    let mut frozen = Publisher::connect(&to, "frozen", Header { process: Some(process), ..Header::default() });
    for beat in 1.. {
        far.reading(beat);
        frozen.reading(beat);
        std::thread::park_timeout(BEAT_EVERY);
        if beat % 50 == 0 && learned(&api, "far").await && learned(&api, "frozen").await {
            break;
        }
        assert!(beat < BEATS_AT_MOST, "nothing was learned: {:#}", api.get("/api/v1/publishers").await);
    }
    // The one is cut off, the other one is stopped.
    assert!(Command::new("kill").args(["-STOP", &process.pid.to_string()]).status().unwrap().success());
    let mut waiting = BTreeMap::from([("far", "unknown"), ("frozen", "suspended")]);
    while !waiting.is_empty() {
        let flip = subscriber.flip();
        let Some(id) = ["far", "frozen"].into_iter().find(|id| flip["publisher"] == *id) else { continue };
        if waiting.get(id).is_none_or(|state| flip["to"] != *state) {
            continue;
        }
        waiting.remove(id);
        let facts = flip["evidence"].as_array().unwrap();
        let adaptive = facts.iter().find_map(|evidence| evidence["fact"].get("adaptive")).expect("why so soon");
        assert_eq!(flip["silence"], adaptive["threshold"], "{flip:#}");
        assert!(flip["silence"]["secs"].as_u64() <= Some(20), "{flip:#}");
    }
    let fixed = api.get("/api/v1/publishers/fixed").await;
    assert_eq!((&fixed["state"], fixed["threshold_s"].as_f64()), (&"alive".into(), Some(50.0)), "{fixed:#}");
    assert_eq!(fixed["adaptive"], Value::Null);
    child.kill().unwrap();
    child.wait().unwrap();
}
