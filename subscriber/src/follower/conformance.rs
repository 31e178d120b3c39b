//! What every follower does, whatever its target: one body, run against each of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use lastbeat_log::{Log, LogHandle, LogOptions, Position};
use lastbeat_wire::{Body, Encoding, Fields, Header, Message, Reading, UtcNanos, Value, encode};
use tokio_util::sync::CancellationToken;

use super::{Follower, start};
use crate::record::{self, Record};

/// A reading as a target should have it: publisher, time, value.
pub type Row = (String, i64, i64);

/// A target and the followers that write into it.
pub trait Target {
    /// Its follower.
    type Follower: Follower;
    /// A follower that goes on where the one before left its cursor.
    fn follower(&self) -> Self::Follower;
    /// Moves the saved cursor back to the start, as if it had been lost.
    fn lose_cursor(&self);
    /// Every reading there is, each as often as it is there.
    async fn rows(&self) -> Vec<Row>;
    /// Appends the numbered message that makes a row there, and says what its row will be: a reading.
    fn append(&self, log: &mut Log, number: i64) -> Row {
        append(log, number)
    }
}

/// The time of the reading with this number.
pub fn time_of(number: i64) -> UtcNanos {
    UtcNanos(1_700_000_000_000_000_000 + number * 1_000_003)
}

/// Appends the numbered reading of one of three publishers, and says what its row will be.
pub fn append(log: &mut Log, number: i64) -> Row {
    let fields = [("lux".into(), Value::Integer(number)), ("on".into(), Value::Boolean(number % 2 == 0))];
    append_fields(log, number, format!("light-{}", number % 3), fields.into_iter().collect())
}

/// Appends the numbered reading with these fields.
pub fn append_fields(log: &mut Log, number: i64, publisher: String, fields: Fields<'_>) -> Row {
    let message = Message {
        header: Header {
            sent_at: Some(time_of(number)),
            sequence: Some(number.cast_unsigned()),
            host: Some("web-1".into()),
            ..Header::default()
        },
        body: Body::Reading(Reading { fields, ..Reading::default() }),
        log: None,
    };
    let payload = encode(&message, Encoding::Json);
    let topic = format!("sensor/{publisher}");
    append_message(log, time_of(number), topic.as_bytes(), &payload);
    (publisher, time_of(number).0, number)
}

/// Appends a message as it came.
pub fn append_message(log: &mut Log, received_at: UtcNanos, topic: &[u8], payload: &[u8]) -> Position {
    let (clock, flags) = (None, false);
    let message = record::Message { received_at, clock, retained: flags, late: flags, resent: flags, topic, payload };
    let (kind, body) = Record::Message(message).encode();
    log.append(kind, &[&body]).unwrap()
}

/// A log in a directory.
pub fn open_log(dir: &Path, not_before: Position) -> Log {
    Log::open(dir, LogOptions { segment_bytes: 64 << 10, not_before, ..LogOptions::default() }).unwrap().0
}

/// Follows until `enough` of the log is taken, then stops.
async fn follow_until<T: Target>(target: &T, log: &LogHandle, enough: impl Fn(&super::Lag) -> bool) -> super::Lag {
    let stop = CancellationToken::new();
    let mut following = start(target.follower(), log.clone(), stop.clone()).unwrap();
    following.lag.wait_for(|lag| enough(lag)).await.unwrap();
    stop.cancel();
    following.ended().await.unwrap();
    let lag = following.lag.borrow().clone();
    following.join();
    lag
}

fn assert_same(mut rows: Vec<Row>, expected: &BTreeSet<Row>, when: &str) {
    rows.sort();
    assert_eq!(rows.len(), expected.len(), "{when}");
    assert!(rows.iter().eq(expected), "{when}");
}

/// The body.
pub async fn conforms<T: Target>(target: T) {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open_log(dir.path(), target.follower().cursor());
    let mut expected: BTreeSet<Row> = (0..3_000).map(|number| target.append(&mut log, number)).collect();
    append_message(&mut log, time_of(1), b"beat/light-1", b"");
    append_message(&mut log, time_of(2), b"sensor/light-1", b"{broken");
    log.commit();
    let handle = log.handle().clone();

    let lag = follow_until(&target, &handle, |lag| lag.records == 3_002 && lag.behind_bytes == 0).await;
    assert_same(target.rows().await, &expected, "it catches up from the start");
    assert!(lag.trouble.is_none());
    assert_eq!(lag.cursor, target.follower().cursor(), "the cursor it reports is the one it has saved");
    assert_eq!(lag.cursor, handle.progress().borrow().written);

    target.lose_cursor();
    follow_until(&target, &handle, |lag| lag.records == 3_002 && lag.behind_bytes == 0).await;
    assert_same(target.rows().await, &expected, "a replay writes once");

    expected.extend((3_000..90_000).map(|number| target.append(&mut log, number)));
    log.commit();
    let lag = follow_until(&target, &handle, |lag| lag.records > 0).await;
    assert!(lag.cursor < log.end(), "it stops mid-way");
    let rows = target.rows().await;
    assert!(rows.len() < expected.len() && rows.iter().all(|row| expected.contains(row)));
    let stop = CancellationToken::new();
    let mut following = start(target.follower(), handle.clone(), stop).unwrap();
    expected.insert(target.append(&mut log, 90_000));
    let end = log.close(Duration::from_secs(10)).written;
    following.ended().await.unwrap();
    assert_eq!(following.lag.borrow().cursor, end, "it ends by itself when the log is closed and everything taken");
    assert_same(target.rows().await, &expected, "it goes on where it stopped");
    assert_eq!(target.follower().cursor(), end);
}
