//! A measurement: a backlog of results through the follower into the stand-in, and what that costs us.

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{Log, LogOptions};
use lastbeat_wire::{
    Body, BootId, Encoding, Header, HostId, Message, ProcessIdentity, Reading, UtcNanos, Value, encode,
};
use tokio_util::sync::CancellationToken;

use super::standin::StandIn;
use super::{Index, IndexConfig};
use crate::follower::conformance::append_message;
use crate::follower::{Follower, Lag};

const RESULTS: i64 = 300_000;

/// What twenty agents find out about fifty targets.
fn backlog(log: &mut Log) {
    for number in 0..RESULTS {
        let (agent, sequence) = (number % 20, number / 20);
        let time = UtcNanos(1_700_010_000_000_000_000 + number * 10_007);
        let milliseconds = |place: i32| Value::Float(f64::from(i32::try_from(number % 9_973).unwrap() + place) / 1e3);
        let fields = [
            ("target", Value::Text(format!("host-{}.example", sequence % 50).into())),
            ("probe", Value::Text("icmp".into())),
            ("sent", Value::Integer(5)),
            ("received", Value::Integer(5)),
            ("loss", Value::Float(0.0)),
            ("min", milliseconds(0)),
            ("avg", milliseconds(1)),
            ("max", milliseconds(2)),
            ("mdev", milliseconds(3)),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let process = ProcessIdentity {
            host: HostId(0xfeed_beef_0bad_cafe),
            boot: BootId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            pid_namespace: 4_026_531_836,
            pid: 4242,
            start: agent.cast_unsigned(),
        };
        let header = Header {
            process: Some(process),
            sequence: Some(sequence.cast_unsigned()),
            sent_at: Some(time),
            host: Some("web-1".into()),
            ..Header::default()
        };
        let message = Message { header, body: Body::Reading(Reading { fields, ..Reading::default() }), log: None };
        append_message(log, time, format!("sensor/agent/city-{agent}").as_bytes(), &encode(&message, Encoding::Json));
        if number % 50_000 == 0 {
            log.commit();
            while log.pending_bytes() > 0 {
                std::thread::yield_now();
            }
        }
    }
}

/// CPU time of this thread so far, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

#[test]
#[ignore = "a measurement: cargo test --release --workspace --lib index::measure -- --ignored --nocapture"]
fn a_backlog_into_the_stand_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(&dir.path().join("log"), LogOptions::default()).unwrap().0;
    backlog(&mut log);
    let handle = log.handle().clone();
    log.close(Duration::from_mins(1));
    for is_packed in [false, true, false, true] {
        let dir = tempfile::tempdir().unwrap();
        let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = serving.block_on(StandIn::start());
        let config = IndexConfig::parse(&server.url("swarm"), |_| None).unwrap();
        let mut index = Index::open(config, dir.path(), crate::standby::alone()).unwrap();
        if is_packed {
            index = index.packed();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (begin, cpu) = (Clock.now().monotonic, cpu_seconds());
        let (lag, _watched) = tokio::sync::watch::channel(Lag::default());
        runtime.block_on(index.follow(handle.clone(), lag, CancellationToken::new())).unwrap();
        let (seconds, cpu) = (Clock.now().monotonic.since(begin).as_secs_f64(), cpu_seconds() - cpu);
        let requests = server.contents().sizes.len();
        assert_eq!(server.documents().len(), usize::try_from(RESULTS).unwrap());
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let results = RESULTS as f64;
        println!(
            "packed: {is_packed}; {:.0} documents a second ({seconds:.2} s), {requests} requests; our CPU: {:.2} µs a document",
            results / seconds,
            cpu / results * 1e6,
        );
    }
}
