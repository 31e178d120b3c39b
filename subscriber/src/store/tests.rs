//! The store as those see it who look into it.

use std::path::PathBuf;
use std::time::Duration;

use lastbeat_log::Position;
use lastbeat_wire::UtcNanos;
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::{Store, open_read_only};
use crate::follower::conformance::{self, Row, Target, append_message, conforms, open_log};
use crate::follower::start;
use crate::record::Record;

struct File(PathBuf);

impl Target for File {
    type Follower = Store;

    fn follower(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn lose_cursor(&self) {
        Connection::open(&self.0).unwrap().execute("DELETE FROM meta WHERE key = 'cursor'", ()).unwrap();
    }

    async fn rows(&self) -> Vec<Row> {
        let db = open_read_only(&self.0).unwrap();
        let mut statement = db.prepare("SELECT publisher, time_ns, fields ->> 'lux' FROM sensor").unwrap();
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

#[tokio::test]
async fn the_store_follows_as_every_follower_does() {
    let dir = tempfile::tempdir().unwrap();
    conforms(File(dir.path().join("new directory/store.db"))).await;
}

/// A store that has followed a log of these records to its end.
pub async fn stored(fill: impl FnOnce(&mut lastbeat_log::Log)) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    fill(&mut log);
    let path = dir.path().join("store.db");
    let mut following = start(Store::open(&path).unwrap(), log.handle().clone(), CancellationToken::new()).unwrap();
    log.close(Duration::from_secs(10));
    following.ended().await.unwrap();
    let db = open_read_only(&path).unwrap();
    (dir, db)
}

fn texts(db: &Connection, query: &str) -> Vec<String> {
    let mut statement = db.prepare(query).unwrap();
    let rows = statement.query_map((), |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn two_readings_of_the_same_time_are_both_kept_and_fields_keep_their_types() {
    let (_dir, db) = stored(|log| {
        let at = UtcNanos(1_700_000_000_123_456_789);
        append_message(log, at, b"sensor/kitchen", br#"{"celsius":21.0,"n":3,"on":true,"note":"a\"b"}"#);
        append_message(log, at, b"sensor/kitchen", br#"{"celsius":22,"n":4}"#);
    })
    .await;
    assert_eq!(
        texts(&db, "SELECT time || ' ' || time_ns || ' ' || fields FROM sensor ORDER BY time_ns, fields"),
        [
            r#"2023-11-14T22:13:20.123Z 1700000000123456789 {"celsius":21.0,"n":3,"on":true,"note":"a\"b"}"#,
            r#"2023-11-14T22:13:20.123Z 1700000000123456789 {"celsius":22,"n":4}"#,
        ]
    );
    assert_eq!(
        texts(&db, "SELECT name || ' ' || type FROM fields ORDER BY id"),
        ["celsius float", "n integer", "on boolean", "note text", "celsius integer"]
    );
}

#[tokio::test]
async fn every_kind_of_record_has_its_row() {
    let (_dir, db) = stored(|log| {
        let status = serde_json::json!({
            "publisher": "light-1", "host": "web-1", "at": 1_700_000_000_000_000_000_i64, "state": "silent",
            "cause": "process_runs", "since": 1, "silence": {"secs": 51, "nanos": 500_000_000},
            "threshold": {"secs": 50, "nanos": 0}, "last_heard": 5, "pid": 42,
            "counts": {"messages": 9, "readings": 8, "refused": 0, "missed": 7, "duplicates": 0, "late": 0,
                       "retained": 0, "restarts": 0, "conflicts": 0},
        });
        let flip = serde_json::json!({
            "publisher": "light-1", "host": null, "from": "alive", "to": "dead", "cause": "process_gone", "at": 3,
            "noticed_at": 4, "silence": {"secs": 1, "nanos": 0}, "last_heard": 2, "process": null,
            "evidence": [{"at": 4, "source": "pidfd", "fact": "gone"}],
        });
        let process = serde_json::json!({
            "host": "0000000000000abc", "boot": "00000000000000000000000000000def", "pidns": 1, "pid": 1, "start": 1
        });
        let notice = serde_json::json!({
            "notice": "restarted", "publisher": "light-1", "at": 6, "old": process, "new": process
        });
        let span = serde_json::json!({"link": "mqtt", "from": 1, "to": 2, "reason": "refused"});
        for (kind, value) in [(3, status), (4, flip), (5, span), (6, notice)] {
            let body = value.to_string();
            Record::decode(kind, body.as_bytes()).unwrap();
            log.append(kind, &[body.as_bytes()]).unwrap();
        }
        append_message(log, UtcNanos(1), b"sensor/light-1", b"{broken");
        append_message(log, UtcNanos(1), b"nonsense\xff", b"");
        log.append(200, &[b"from the future"]).unwrap();
    })
    .await;
    assert_eq!(
        texts(
            &db,
            "SELECT concat_ws(' ', time, publisher, host, state, cause, alive, silence_s, pid, missed) FROM heartbeat"
        ),
        ["2023-11-14T22:13:20.000Z light-1 web-1 silent process_runs 1 51.5 42 7"]
    );
    assert_eq!(
        texts(&db, "SELECT concat_ws(' ', publisher, from_state, to_state, cause, evidence ->> '$[0].fact') FROM flip"),
        ["light-1 alive dead process_gone gone"]
    );
    assert_eq!(texts(&db, "SELECT concat_ws(' ', link, from_ns, to_ns, reason) FROM unwatched"), ["mqtt 1 2 refused"]);
    assert_eq!(texts(&db, "SELECT notice || (details ->> '$.new.pid') FROM notices"), ["restarted1"]);
    let refused = texts(&db, "SELECT concat_ws(' ', topic, reason) FROM refused ORDER BY position");
    assert!(refused[0].starts_with("sensor/light-1 bad JSON: "), "{refused:?}");
    assert!(refused[1].starts_with("nonsense\u{fffd} topic "), "{refused:?}");
    assert_eq!(refused[2], "record kind 200 is not known");
}

#[tokio::test]
async fn reports_are_kept_of_starts_and_failures_and_where_one_came_with_a_beat_or_a_goodbye() {
    let (_dir, db) = stored(|log| {
        let at = UtcNanos(1_700_000_000_000_000_000);
        let mut add = |topic: &str, payload: &[u8]| {
            append_message(log, at, topic.as_bytes(), payload);
        };
        add("start/backup", b"");
        add("beat/backup", b"");
        add("beat/backup", br#"{"lastbeat":1}"#);
        add("beat/backup", br#"{"lastbeat":1,"log":"","sent":1600000000000000000}"#);
        add("fail/backup", b"disk full\n");
        add("bye/backup", b"");
        add("bye/backup", b"\xff");
        add("rip/backup", b"a will");
        add("fail/long", &[b"x".repeat(99_999), "é".as_bytes().to_vec()].concat());
        add("fail/whole", &b"x".repeat(100_000));
        for payload in [&b"no time"[..], br#"{"lastbeat":1,"log":"kept","sent":1600000000000000000}"#] {
            let message = crate::record::Message {
                received_at: at,
                clock: None,
                retained: true,
                late: false,
                resent: false,
                topic: b"fail/retained",
                payload,
            };
            let (kind, body) = Record::Message(message).encode();
            log.append(kind, &[&body]).unwrap();
        }
    })
    .await;
    let shown =
        "SELECT concat_ws(' ', substr(time, 1, 4), publisher, kind, length(body), truncated, quote(substr(body, 1, 9)))
                 FROM report ORDER BY time_ns, (SELECT max(id) FROM publishers WHERE name = publisher), kind";
    assert_eq!(
        texts(&db, shown),
        [
            "2020 backup beat 0 0 ''",
            "2020 retained fail 4 0 'kept'",
            "2023 backup bye 1 0 '\u{fffd}'",
            "2023 backup fail 10 0 'disk full'",
            "2023 backup start 0 0 ''",
            "2023 long fail 99999 1 'xxxxxxxxx'",
            "2023 whole fail 100000 0 'xxxxxxxxx'",
        ]
    );
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let store = Store::open(&path).unwrap();
    let break_it = "CREATE TRIGGER full BEFORE INSERT ON readings BEGIN SELECT raise(ABORT, 'no room'); END";
    Connection::open(&path).unwrap().execute_batch(break_it).unwrap();
    let mut following = start(store, log.handle().clone(), CancellationToken::new()).unwrap();
    conformance::append(&mut log, 1);
    log.commit();
    let lag = following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap().clone();
    assert!(lag.trouble.unwrap().error.contains("no room"));
    assert_eq!(lag.cursor, Position::START);
    Connection::open(&path).unwrap().execute_batch("DROP TRIGGER full").unwrap();
    log.close(Duration::from_secs(10));
    following.ended().await.unwrap();
    assert_eq!(File(path).rows().await.len(), 1);
    assert_eq!(following.lag.borrow().trouble, None);
}
