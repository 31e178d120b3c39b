//! A backlog to measure a follower by: readings of five floats as ten publishers send them, and what a process costs.

use std::path::Path;

use lastbeat_log::{Log, LogOptions};
use lastbeat_wire::{
    Body, BootId, Encoding, Header, HostId, Message, ProcessIdentity, Reading, UtcNanos, Value, encode,
};

use super::conformance::append_message;

/// How many readings there are.
pub const READINGS: i64 = 2_000_000;
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Publisher, time and values of the numbered reading.
pub fn reading(number: i64) -> (i64, UtcNanos, [f64; 5]) {
    let value = |place: i32| f64::from(i32::try_from(number % 99_991).unwrap() * (place + 1) % 100_000) / 1e3;
    (number % 10, UtcNanos(1_700_000_000_000_000_000 + number * 10_007), [0, 1, 2, 3, 4].map(value))
}

/// The line that somebody else would write of it.
pub fn line(number: i64) -> String {
    let (publisher, time, values) = reading(number);
    let fields: Vec<_> = NAMES.iter().zip(values).map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("sensor,publisher=p{publisher},host=web-1 {} {}\n", fields.join(","), time.0)
}

/// A log with all of them, written and closed to more.
pub fn log(dir: &Path, encoding: Encoding) -> Log {
    let mut log = Log::open(dir, LogOptions::default()).unwrap().0;
    let process = ProcessIdentity {
        host: HostId(0xfeed_beef_0bad_cafe),
        boot: BootId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        pid_namespace: 4_026_531_836,
        pid: 4242,
        start: 123_456,
    };
    for number in 0..READINGS {
        let (publisher, time, values) = reading(number);
        let fields = NAMES.iter().zip(values).map(|(name, value)| ((*name).into(), Value::Float(value))).collect();
        let header = Header {
            process: Some(process),
            sequence: Some((number / 10).cast_unsigned()),
            sent_at: Some(time),
            uptime: Some(number.cast_unsigned() * 10_007),
            host: Some("web-1".into()),
        };
        let message = Message { header, body: Body::Reading(Reading { fields, ..Reading::default() }), log: None };
        append_message(&mut log, time, format!("sensor/p{publisher}").as_bytes(), &encode(&message, encoding));
        if number % 50_000 == 0 || number + 1 == READINGS {
            log.commit();
            while log.pending_bytes() > 0 {
                std::thread::yield_now();
            }
        }
    }
    log
}

/// CPU time of a process so far, in seconds, and of that what it spent in the kernel.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}
