//! How fast records of 200 bytes are appended and written while one reader follows:
//! `cargo run --release -p lastbeat-log --example throughput [DIRECTORY]`.

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_log::{AppendError, Log, LogOptions, Position};

const RECORDS: u64 = 10_000_000;
const BURST: u64 = 100;

fn main() {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let dir = parent.join(format!("lastbeat-throughput-{}", std::process::id()));
    let (mut log, _) = Log::open(&dir, LogOptions::default()).expect("the log opens");
    let mut reader = log.handle().reader(Position::START).expect("0 is a position");
    let follower = std::thread::spawn(move || {
        let mut records = 0;
        while reader.wait_blocking().is_ok() {
            records += reader.next_batch(1 << 20).expect("the log can be read").iter().count();
        }
        records
    });

    let seconds = |from| Clock.now().monotonic.since(from).as_secs_f64();
    let start = Clock.now().monotonic;
    let (mut refused, body) = (0_u64, [7; 200]);
    let mut last = Position::START;
    for number in 0..RECORDS {
        loop {
            match log.append(1, &[&number.to_le_bytes(), &body[8..]]) {
                Ok(position) => break last = position,
                Err(AppendError::Full { .. }) => {
                    refused += 1;
                    log.commit();
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
        if number % BURST == 0 {
            log.commit();
        }
    }
    log.commit();
    let appended = seconds(start);
    while log.handle().progress().borrow().written <= last {
        std::thread::yield_now();
    }
    let written = seconds(start);
    log.close(Duration::from_mins(1));
    let synced = seconds(start);
    let read = follower.join().expect("the follower reads to the end");
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = |seconds: f64| RECORDS as f64 / seconds / 1e6;
    println!("{RECORDS} records of 200 bytes, committed every {BURST}");
    println!("appended {:.2} M/s, written {:.2} M/s, synced {:.2} M/s", rate(appended), rate(written), rate(synced));
    println!("read meanwhile {read}; the appender met a full queue {refused} times");
    std::fs::remove_dir_all(dir).expect("the directory can be removed");
}
