//! The follower, killed at every request that it makes of a server, before and after the server has taken it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lastbeat_log::{LogHandle, Position};
use lastbeat_wire::UtcNanos;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Influx, InfluxConfig};
use crate::follower::conformance::{append, append_message, open_log, time_of};
use crate::follower::{Follower, Lag};
use crate::standby::{Part, Permit, Stand};

/// What InfluxDB tells points apart by: the series and the time.
type Point = (String, String);

/// When the follower dies: at which of its requests, and whether the server has taken it by then.
#[derive(Debug, Clone, Copy)]
struct Death {
    request: usize,
    taken: bool,
}

#[derive(Debug, Default)]
struct Target {
    points: BTreeSet<Point>,
    requests: usize,
    death: Option<Death>,
}

/// A server that knows points, refuses texts where numbers are, and can have its client killed.
#[derive(Debug, Clone, Default)]
struct Double {
    target: Arc<Mutex<Target>>,
    killed: Arc<Notify>,
}

impl Double {
    /// Serves it as long as the runtime is there.
    fn serve() -> (Self, tokio::runtime::Runtime, String) {
        let double = Self::default();
        let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = serving.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(write).with_state(double.clone());
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        (double, serving, url)
    }

    fn take(&self, body: &[u8]) -> (Option<Response>, bool) {
        let text = std::str::from_utf8(body).unwrap();
        let mut target = self.target.lock().unwrap();
        target.requests += 1;
        let request = target.requests;
        let death = target.death.filter(|death| death.request == request);
        if death.is_some_and(|death| !death.taken) {
            return (None, true);
        }
        let (refused, taken): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains("lux=\""));
        target.points.extend(taken.into_iter().map(point));
        let reason = "partial write: field type conflict: input field \\\"lux\\\" on measurement \\\"sensor\\\" is type string, \
                      already exists as type float";
        let answer = match refused.len() {
            0 => StatusCode::NO_CONTENT.into_response(),
            dropped => {
                let body = format!("{{\"error\":\"{reason} dropped={dropped}\"}}");
                (StatusCode::BAD_REQUEST, body).into_response()
            }
        };
        (Some(answer), death.is_some())
    }
}

fn point(line: &str) -> Point {
    let (series, rest) = line.split_once(' ').unwrap();
    (series.to_owned(), rest.rsplit_once(' ').unwrap().1.to_owned())
}

async fn write(State(double): State<Double>, body: Bytes) -> Response {
    let (answer, dies) = double.take(&body);
    if dies {
        double.killed.notify_one();
        // Nobody is there any more to hear it.
        std::future::pending::<()>().await;
    }
    answer.expect("only who dies goes without an answer")
}

fn set_aside(dir: &Path) -> BTreeSet<Point> {
    let text = std::fs::read_to_string(dir.join("influx.refused.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|entry| point(entry["line"].as_str().unwrap())).collect()
}

/// One life of a follower, until it is killed or has taken all; its cursor as the next one finds it.
fn live(url: &str, dir: &Path, log: &LogHandle, double: &Double) -> Position {
    let open = || {
        let config = InfluxConfig::parse(&format!("{url}/lastbeat"), |_| None).unwrap();
        Influx::open(config, dir, crate::standby::alone()).unwrap().in_shipments_of(700)
    };
    // With its runtime all that it had begun goes, as with a process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (lag, _watched) = tokio::sync::watch::channel(Lag::default());
        tokio::select! {
            biased;
            () = double.killed.notified() => {}
            // The log is closed: it ends when all of it is taken.
            ended = open().follow(log.clone(), lag, CancellationToken::new()) => ended.unwrap(),
        }
    });
    drop(runtime);
    open().cursor()
}

#[test]
fn a_kill_at_any_request_leaves_each_point_taken_or_set_aside_and_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for number in 0..24 {
        let (publisher, time, _) = append(&mut log, number);
        good.push(((format!("sensor,host=web-1,publisher={publisher}"), time.to_string()), log.end()));
        if number % 9 == 4 {
            append_message(&mut log, time_of(number), b"sensor/dark", br#"{"lux":"dark"}"#);
            bad.push((("sensor,publisher=dark".to_owned(), time_of(number).0.to_string()), log.end()));
        }
    }
    log.commit();
    log.handle().reader(Position::START).unwrap().wait_blocking().unwrap();
    let handle = log.handle().clone();
    log.close(Duration::from_mins(1));

    let (double, _serving, url) = Double::serve();
    let mut deaths = 0;
    for request in 1.. {
        for taken in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            *double.target.lock().unwrap() = Target { death: Some(Death { request, taken }), ..Target::default() };
            let cursor = live(&url, dir.path(), &handle, &double);
            let died = double.target.lock().unwrap().requests >= request;
            let (there, aside) = (double.target.lock().unwrap().points.clone(), set_aside(dir.path()));
            for (point, _) in good.iter().filter(|(_, end)| *end <= cursor) {
                assert!(there.contains(point), "killed at request {request}: the cursor is beyond {point:?}");
            }
            for (point, _) in bad.iter().filter(|(_, end)| *end <= cursor) {
                assert!(aside.contains(point), "killed at request {request}: the cursor is beyond {point:?}");
            }
            double.target.lock().unwrap().death = None;
            live(&url, dir.path(), &handle, &double);
            let all = |points: &[(Point, Position)]| points.iter().map(|(point, _)| point.clone()).collect();
            let (good, bad): (BTreeSet<Point>, BTreeSet<Point>) = (all(&good), all(&bad));
            assert_eq!(double.target.lock().unwrap().points, good, "killed at request {request}");
            assert_eq!(set_aside(dir.path()), bad, "killed at request {request}");
            deaths += usize::from(died);
            if !died {
                assert!(deaths > 20, "only {deaths} deaths: the shipments are too large for this test");
                return;
            }
        }
    }
}

#[test]
fn what_the_leader_has_shipped_is_passed_over_what_it_may_ship_waits_and_goes_when_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let mut expected = BTreeSet::new();
    for number in 0..30 {
        let (publisher, time, _) = append(&mut log, number);
        if number >= 20 {
            expected.insert((format!("sensor,host=web-1,publisher={publisher}"), time.to_string()));
        }
    }
    log.commit();
    let handle = log.handle().clone();
    let (double, _serving, url) = Double::serve();
    let held = |skip_before| Stand {
        part: Part::Holding,
        permit: Permit { ship_until: UtcNanos(i64::MIN), skip_before },
        why: "the leader ships".into(),
    };
    let (stand, standing) = tokio::sync::watch::channel(held(UtcNanos(i64::MIN)));
    let config = InfluxConfig::parse(&format!("{url}/lastbeat"), |_| None).unwrap();
    let influx = Influx::open(config, dir.path(), standing).unwrap().in_shipments_of(700);
    let mut following = crate::follower::start(influx, handle, CancellationToken::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let waits = |lag: &Lag| lag.held.is_some() && lag.behind_bytes > 0;
        following.lag.wait_for(waits).await.unwrap();
        stand.send_replace(held(time_of(20)));
        let lag = following.lag.wait_for(|lag| lag.records == 20).await.unwrap().clone();
        assert!(lag.until < Some(time_of(20)) && lag.until >= Some(time_of(19)));
        assert_eq!(double.target.lock().unwrap().requests, 0, "nothing was sent");
        stand.send_replace(Stand::alone());
        following.lag.wait_for(|lag| lag.records == 30 && lag.held.is_none()).await.unwrap();
        assert_eq!(double.target.lock().unwrap().points, expected);
        // It does not hold up the end of the log, and what it holds back is there at the next start.
        stand.send_replace(held(UtcNanos(i64::MIN)));
        let end = log.end();
        append(&mut log, 30);
        log.close(Duration::from_mins(1));
        following.ended().await.unwrap();
        assert_eq!(following.lag.borrow().cursor, end);
    });
}
