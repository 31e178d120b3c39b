//! Measurements: a backlog through the follower, beside the same points as ready-made lines, each into a new server.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::Encoding;
use tokio_util::sync::CancellationToken;

use super::influxd::Influxd;
use crate::follower::backlog::{self, READINGS};
use crate::follower::start;

/// What a run took.
#[derive(Debug, Clone, Copy)]
struct Run {
    seconds: f64,
    ours: f64,
    servers: f64,
}

async fn timed(server: &Influxd, run: impl AsyncFnOnce()) -> Run {
    let cpu = || (backlog::cpu_seconds(std::process::id()), backlog::cpu_seconds(server.pid()));
    let (begin, before) = (Clock.now().monotonic, cpu());
    run().await;
    let (seconds, after) = (Clock.now().monotonic.since(begin).as_secs_f64(), cpu());
    assert_eq!(server.count("sensor", "a").await, READINGS);
    Run { seconds, ours: after.0 - before.0, servers: after.1 - before.1 }
}

fn tell(name: &str, run: Run) {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let readings = READINGS as f64;
    let [ours, servers] = [run.ours, run.servers].map(|seconds| seconds / readings * 1e6);
    let (rate, seconds) = (readings / run.seconds, run.seconds);
    println!(
        "{name:24} {rate:8.0} a second ({seconds:5.2} s); CPU µs a point: {ours:.2} ours, {servers:.2} InfluxDB's"
    );
}

/// Two writers, each with one connection that it keeps, and ready-made bodies.
fn post(server: &Influxd, lines: usize) {
    let mut bodies: Vec<String> = Vec::new();
    for number in 0..READINGS {
        if usize::try_from(number).unwrap() % lines == 0 {
            bodies.push(String::new());
        }
        bodies.last_mut().unwrap().push_str(&backlog::line(number));
    }
    let bodies = Mutex::new(bodies.into_iter());
    let address = server.url().replace("http://", "");
    let begin = Clock.now().monotonic;
    let before = (backlog::cpu_seconds(std::process::id()), backlog::cpu_seconds(server.pid()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(&address).unwrap();
                let mut answers = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let Some(body) = bodies.lock().unwrap().next() else { break };
                    let length = body.len();
                    let head =
                        format!("POST /write?db=lastbeat HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
                    stream.write_all(head.as_bytes()).unwrap();
                    stream.write_all(body.as_bytes()).unwrap();
                    let mut line = String::new();
                    answers.read_line(&mut line).unwrap();
                    assert!(line.starts_with("HTTP/1.1 204"), "{line}");
                    while line.trim_end() != "" {
                        line.clear();
                        answers.read_line(&mut line).unwrap();
                    }
                }
            });
        }
    });
    let seconds = Clock.now().monotonic.since(begin).as_secs_f64();
    let ours = backlog::cpu_seconds(std::process::id()) - before.0;
    tell(
        &format!("ready-made, {lines}"),
        Run { seconds, ours, servers: backlog::cpu_seconds(server.pid()) - before.1 },
    );
}

async fn follow(server: &Influxd, name: &str, encoding: Encoding) {
    let dir = tempfile::tempdir().unwrap();
    let log = backlog::log(&dir.path().join("log"), encoding);
    let run = timed(server, async || {
        let mut following = start(server.follower(dir.path()), log.handle().clone(), CancellationToken::new()).unwrap();
        log.close(Duration::from_secs(10));
        following.ended().await.unwrap();
    });
    tell(name, run.await);
}

#[tokio::test]
#[ignore = "a measurement: cargo test --release --workspace --lib influx::measure -- --ignored --nocapture"]
async fn a_backlog_into_influxdb_beside_ready_made_lines() {
    for _ in 0..3 {
        for lines in [5_000, 10_000] {
            let server = Influxd::start();
            server.query("CREATE DATABASE lastbeat").await;
            post(&server, lines);
        }
        follow(&Influxd::start(), "log, JSON", Encoding::Json).await;
        follow(&Influxd::start(), "log, MessagePack", Encoding::MessagePack).await;
    }
}
