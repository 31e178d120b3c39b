//! A measurement: a backlog into the store.

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::Encoding;
use tokio_util::sync::CancellationToken;

use super::Store;
use crate::follower::backlog::{self, READINGS};
use crate::follower::start;

#[tokio::test]
#[ignore = "a measurement: cargo test --release --workspace --lib store::measure -- --ignored --nocapture"]
async fn a_backlog_into_the_store() {
    for encoding in [Encoding::Json, Encoding::MessagePack, Encoding::Json, Encoding::MessagePack] {
        let dir = tempfile::tempdir().unwrap();
        let log = backlog::log(&dir.path().join("log"), encoding);
        let path = dir.path().join("store.db");
        let (begin, before) = (Clock.now().monotonic, backlog::cpu_seconds(std::process::id()));
        let store = Store::open(&path).unwrap();
        let mut following = start(store, log.handle().clone(), CancellationToken::new()).unwrap();
        log.close(Duration::from_secs(10));
        following.ended().await.unwrap();
        let seconds = Clock.now().monotonic.since(begin).as_secs_f64();
        let cpu = backlog::cpu_seconds(std::process::id()) - before;
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (readings, bytes) = (READINGS as f64, std::fs::metadata(&path).unwrap().len() as f64);
        println!(
            "{encoding:12?} {:8.0} a second ({seconds:.2} s); CPU µs a reading: {:.2}; {:.0} bytes a reading",
            readings / seconds,
            cpu / readings * 1e6,
            bytes / readings
        );
    }
}
