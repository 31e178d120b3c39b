//! How fast the live figures are served, and at what cost.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::{Header, UtcNanos};
use reqwest::Method;

use crate::support::http::Api;
use crate::support::{Publisher, Subscriber, bound};

const REQUESTS: usize = 30;
const FLIPS: usize = 50;
const READ_FOR: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p lastbeat-subscriber --test program measure -- --ignored --nocapture"]
async fn the_overview_the_event_stream_and_the_memory_they_take() {
    for publishers in [10, 1_000, 10_000] {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = bound();
        let (subscriber, url) = Subscriber::serve(dir.path(), &["--from", &from]);
        let bare = memory(subscriber.pid());
        let (stop, stopped) = channel();
        let beating = std::thread::spawn(move || beat(&to, publishers, &stopped));
        let api = Api::at(&url).await;
        let mut events = api.events().await;
        while events.next().await.unwrap().1["states"]["alive"] != publishers {}
        drop(events);
        println!("{publishers} publishers, each beats once a second");
        for encoding in ["identity", "gzip"] {
            measure_overview(&api, encoding).await;
        }
        measure_stream(&api).await;
        measure_flips(&api, &url).await;
        println!("  memory: {bare} KiB before, {} KiB now", memory(subscriber.pid()));
        stop.send(()).unwrap();
        beating.join().unwrap();
        assert_eq!(subscriber.stop().code(), Some(0));
    }
}

async fn measure_overview(api: &Api, encoding: &str) {
    let mut spans = Vec::new();
    let mut size = 0;
    for _ in 0..REQUESTS {
        let start = Clock.now().monotonic;
        let request = api.request(Method::GET, "/api/v1/publishers").header("accept-encoding", encoding);
        size = request.send().await.unwrap().bytes().await.unwrap().len();
        spans.push(Clock.now().monotonic.since(start));
    }
    println!("  overview, {encoding}: {}; {size} bytes", told(spans));
}

async fn measure_stream(api: &Api) {
    let mut response = api.request(Method::GET, "/api/v1/events").send().await.unwrap();
    let end = Clock.instant(Clock.now().monotonic.plus(READ_FOR)).into();
    let mut bytes = 0;
    while let Ok(chunk) = tokio::time::timeout_at(end, response.chunk()).await {
        bytes += chunk.unwrap().unwrap().len();
    }
    println!("  event stream: {} bytes per second", bytes as u64 / READ_FOR.as_secs());
}

async fn measure_flips(api: &Api, url: &str) {
    let mut events = api.events().await;
    let mut spans = Vec::new();
    for flip in 0..FLIPS {
        let client = reqwest::Client::new();
        client.get(format!("{url}/api/v1/beat/flips-{flip}")).send().await.unwrap();
        let told = loop {
            let (name, data) = events.next().await.unwrap();
            if name == "flip" && data["publisher"] == format!("flips-{flip}") {
                break data["noticed_at"].clone();
            }
        };
        let noticed: UtcNanos = serde_json::from_value(told).unwrap();
        spans.push(Clock.now().utc.since(noticed));
    }
    println!("  from a flip in the loop to its event at the client: {}", told(spans));
}

fn beat(to: &str, publishers: usize, stopped: &Receiver<()>) {
    let mut publisher = Publisher::connect(to, "all", Header::default());
    while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        for number in 0..publishers {
            publisher.raw(&format!("beat/machine-{number:05}"), b"");
        }
    }
}

fn told(mut spans: Vec<Duration>) -> String {
    spans.sort();
    let at = |share: usize| spans[(spans.len() - 1) * share / 100];
    format!("median {:?}, 95 % within {:?}, longest {:?}", at(50), at(95), at(100))
}

/// What a process holds in memory, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
