//! The follower against a real InfluxDB 1.x: down, killed, wiped, refusing, with and without authentication.

use std::path::Path;
use std::time::Duration;

use lastbeat_log::{Log, LogHandle, Position};
use lastbeat_wire::{Encoding, UtcNanos, Value};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::influxd::{Https, Influxd};
use super::{Influx, InfluxConfig, Server};
use crate::certificates::Authority;
use crate::follower::conformance::{Row, Target, append, append_message, conforms, open_log, time_of};
use crate::follower::{Following, Lag, start};
use crate::record::Record;

struct Database {
    server: Influxd,
    state: tempfile::TempDir,
}

impl Target for Database {
    type Follower = Influx;

    fn follower(&self) -> Influx {
        self.server.follower(self.state.path())
    }

    fn lose_cursor(&self) {
        std::fs::remove_file(self.state.path().join("influx.cursor")).unwrap();
    }

    async fn rows(&self) -> Vec<Row> {
        let rows = self.server.query("SELECT \"lux\", \"publisher\" FROM \"sensor\"").await;
        let row = |row: &serde_json::Value| {
            Some((row[2].as_str()?.to_owned(), row[0].as_i64().unwrap(), row[1].as_i64().unwrap()))
        };
        rows.iter().map(|found| row(found).unwrap()).collect()
    }
}

#[tokio::test]
async fn influxdb_follows_as_every_follower_does() {
    conforms(Database { server: Influxd::start(), state: tempfile::tempdir().unwrap() }).await;
}

fn follow(server: &Influxd, state: &Path, log: &LogHandle) -> Following {
    start(server.follower(state), log.clone(), CancellationToken::new()).unwrap()
}

async fn finish(mut following: Following, log: Log) -> crate::follower::Lag {
    let end = log.close(Duration::from_secs(10)).written;
    following.ended().await.unwrap();
    let lag = following.lag.borrow().clone();
    assert_eq!(lag.cursor, end);
    lag
}

#[tokio::test]
async fn whatever_stands_in_names_and_texts_comes_back_as_it_went() {
    let (server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let text = "say \"hi\", a=b \\ there\\";
    let multiline = "two\nlines, with \\\"both\\\"\n";
    let publishers = ["Küche, links=rechts", "with space", "a\\,b", "plain", "tail\\", "Ω/🜁"];
    for (at, publisher) in (1..).zip(publishers) {
        let fields = [
            ("a b,c=d", Value::Text(text.into())),
            ("tail\\", Value::Text(multiline.into())),
            ("ü\"q\"", Value::Float(1e300)),
        ];
        let message = lastbeat_wire::Message {
            header: lastbeat_wire::Header { host: Some("my host, the \"best\"=\\".into()), ..Default::default() },
            body: lastbeat_wire::Body::Reading(lastbeat_wire::Reading {
                time: Some(UtcNanos(at)),
                row_time: Some(UtcNanos(-5)),
                fields: fields.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            }),
            log: None,
        };
        let payload = lastbeat_wire::encode(&message, Encoding::Json);
        append_message(&mut log, UtcNanos(1), format!("sensor/{publisher}").as_bytes(), &payload);
    }
    append_message(&mut log, UtcNanos(99), b"sensor/foreign", br#"{"time":1,"host":2,"publisher":3,"n":4}"#);
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!(lag.set_aside, 0);
    let rows = server
        .query("SELECT \"a b,c=d\", \"tail＼\", \"ü\\\"q\\\"\", \"row_time_ns\", \"host\", \"publisher\" FROM \"sensor\" WHERE time < 50")
        .await;
    let expected: Vec<_> = (1..)
        .zip(publishers)
        .map(|(at, publisher)| {
            json!([at, text, multiline, 1e300, -5, "my host, the \"best\"=＼", publisher.replace("tail\\", "tail＼")])
        })
        .collect();
    assert_eq!(rows, expected);
    let rows = server
        .query("SELECT \"time_\", \"host_\", \"publisher_\", \"n\", \"publisher\" FROM \"sensor\" WHERE time > 50")
        .await;
    assert_eq!(rows, [json!([99, 1, 2, 3, 4, "foreign"])]);
}

#[tokio::test]
async fn a_flip_is_a_point_and_two_at_one_instant_are_two() {
    let (server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let evidence = json!([{"at": 5, "source": "process_table", "fact": {"runs": {"detail": "sleeping, \"a=b\""}}}]);
    for (from, to, cause, at) in [
        ("alive", "silent", "process_runs", 5_i64),
        ("silent", "blind", "link_down", 5),
        ("blind", "alive", "heard", 2_000_000_005),
    ] {
        let told = json!({
            "publisher": "light 1", "host": "web-1", "from": from, "to": to, "cause": cause, "at": at, "noticed_at": at + 250_000_000,
            "silence": {"secs": 50, "nanos": 0}, "last_heard": 1, "process": null, "evidence": evidence,
        });
        let (kind, body) = Record::Flip(serde_json::from_value(told).unwrap()).encode();
        log.append(kind, &[&body]).unwrap();
    }
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!((lag.records, lag.set_aside), (3, 0));
    let rows = server
        .query(
            "SELECT \"publisher\", \"host\", \"from\", \"to\", \"cause\", \"silence_s\", \"latency_s\" FROM \"flip\"",
        )
        .await;
    let row = |at: i64, from: &str, to: &str, cause: &str| json!([at, "light 1", "web-1", from, to, cause, 50, 0.25]);
    assert_eq!(rows.len(), 3);
    for expected in [
        row(5, "alive", "silent", "process_runs"),
        row(5, "silent", "blind", "link_down"),
        row(2_000_000_005, "blind", "alive", "heard"),
    ] {
        assert!(rows.contains(&expected), "{expected} in {rows:?}");
    }
    let rows = server.query("SELECT \"text\" FROM \"flip\" WHERE \"to\" = 'silent'").await;
    let text = rows[0][1].as_str().unwrap();
    assert!(text.starts_with("light 1  alive → silent: ") && text.contains("sleeping, \"a=b\""), "{text}");
}

#[tokio::test]
async fn refused_points_are_set_aside_with_the_reason_and_everything_else_goes_through() {
    let (server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    server.query("CREATE DATABASE \"lastbeat\" WITH DURATION 520w").await;
    let mut log = open_log(&dir.path().join("log"), Position::START);
    for number in 0..5_000 {
        append(&mut log, number);
        let (at, payload): (_, &[u8]) = match number {
            // Another type than the field has, in a row and here and there; and older than the retention.
            2_000..2_100 | 3_333 | 4_444 => (time_of(number), b"{\"lux\":\"dark\"}"),
            1_000..1_050 => (UtcNanos(number), b"{\"lux\":5}"),
            _ => (time_of(number), b"{\"celsius\":0.5}"),
        };
        append_message(&mut log, at, b"sensor/other", payload);
    }
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!(server.count("sensor", "lux").await, 5_000);
    assert_eq!(server.count("sensor", "celsius").await, 5_000 - 152);
    assert_eq!(lag.set_aside, 152);

    let text = std::fs::read_to_string(dir.path().join("influx.refused.jsonl")).unwrap();
    let entries: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let with = |words: &str| entries.iter().filter(|entry| entry["reason"].as_str().unwrap().contains(words)).count();
    assert_eq!((entries.len(), with("field type conflict"), with("beyond retention policy")), (152, 102, 50));
    assert!(entries.iter().all(|entry| entry["line"].as_str().unwrap().starts_with("sensor,publisher=other lux=")));
}

#[tokio::test]
async fn whole_numbers_and_others_share_a_field_and_fit_one_of_integers_that_is_there() {
    let (server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append_message(&mut log, time_of(0), b"sensor/light", br#"{"value":19,"note":", lux=5i"}"#);
    append_message(&mut log, time_of(1), b"sensor/boiler", br#"{"value":73.96,"note":", lux=5i"}"#);
    append_message(&mut log, time_of(2), b"sensor/door", br#"{"value":"open"}"#);
    // Somebody else has written integers.
    server.write(&format!("sensor,publisher=other theirs=1i {}", time_of(9).0)).await;
    for (number, theirs) in [(3, "7"), (4, "7.5"), (5, "8")] {
        append_message(&mut log, time_of(number), b"sensor/light", format!("{{\"theirs\":{theirs}}}").as_bytes());
    }
    let lag = finish(follow(&server, dir.path(), log.handle()), log).await;
    assert_eq!(lag.set_aside, 2, "the text, and 7.5");
    let numbers = async |field: &str| {
        let rows = server.query(&format!("SELECT \"{field}\" FROM \"sensor\"")).await;
        rows.iter().map(|row| row[1].as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("value").await, [19.0, 73.96]);
    assert_eq!(numbers("theirs").await, [7.0, 8.0, 1.0]);
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_misses_nothing() {
    let (mut server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let mut following = follow(&server, dir.path(), log.handle());
    for number in 0..20_000 {
        append(&mut log, number);
    }
    log.commit();
    following.lag.wait_for(|lag| lag.records > 0).await.unwrap();
    server.kill();
    for number in 20_000..25_000 {
        append(&mut log, number);
    }
    log.commit();
    // The first thing it meets may be that its connection was reset.
    let refused = |lag: &Lag| lag.trouble.as_ref().is_some_and(|trouble| trouble.error.contains("refused"));
    let lag = following.lag.wait_for(refused).await.unwrap().clone();
    let error = lag.trouble.unwrap().error;
    assert!(error.contains(&server.url()), "{error}");
    server.restart();
    let lag = finish(following, log).await;
    assert_eq!((lag.trouble, lag.records), (None, 25_000));
    assert_eq!(server.count("sensor", "lux").await, 25_000);
}

#[tokio::test]
async fn a_wiped_server_gets_again_what_the_log_still_holds() {
    let (server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let mut following = follow(&server, dir.path(), log.handle());
    for number in 0..3_000 {
        append(&mut log, number);
    }
    log.commit();
    following.lag.wait_for(|lag| lag.records == 3_000).await.unwrap();
    server.query("DROP DATABASE \"lastbeat\"").await;
    for number in 3_000..4_000 {
        append(&mut log, number);
    }
    finish(following, log).await;
    assert_eq!(server.count("sensor", "lux").await, 4_000);
}

#[tokio::test]
async fn that_a_server_was_wiped_may_be_found_out_when_the_log_is_closed_and_all_of_it_on_its_way() {
    let (server, dir) = (Influxd::start(), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    (0..1_000).for_each(|number| drop(append(&mut log, number)));
    log.commit();
    let stop = CancellationToken::new();
    let mut following = start(server.follower(dir.path()), log.handle().clone(), stop.clone()).unwrap();
    following.lag.wait_for(|lag| lag.records == 1_000).await.unwrap();
    stop.cancel();
    following.ended().await.unwrap();
    server.query("DROP DATABASE \"lastbeat\"").await;
    append(&mut log, 1_000);
    let (handle, end) = (log.handle().clone(), log.close(Duration::from_secs(10)).written);
    let follower = server.follower(dir.path()).in_shipments_of(1 << 20);
    let mut following = start(follower, handle, CancellationToken::new()).unwrap();
    following.ended().await.unwrap();
    assert_eq!(following.lag.borrow().cursor, end);
    assert_eq!(server.count("sensor", "lux").await, 1_001);
}

#[tokio::test]
async fn a_wrong_password_is_said_clearly_and_loses_nothing() {
    let (server, dir) = (Influxd::start_with(true), tempfile::tempdir().unwrap());
    server.query("CREATE USER \"me\" WITH PASSWORD 'right' WITH ALL PRIVILEGES").await;
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append(&mut log, 1);
    log.commit();
    let follower = |password: &str| {
        let url = server.url().replace("http://", "http://me@");
        Influx::open(
            InfluxConfig::parse(&url, |_| Some(password.to_owned())).unwrap(),
            dir.path(),
            crate::standby::alone(),
        )
        .unwrap()
    };
    let stop = CancellationToken::new();
    let mut following = start(follower("wrong"), log.handle().clone(), stop.clone()).unwrap();
    let lag = following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap().clone();
    let error = lag.trouble.unwrap().error;
    assert!(error.contains("401 Unauthorized: authorization failed") && !error.contains("wrong"), "{error}");
    assert_eq!(lag.cursor, Position::START);
    stop.cancel();
    following.ended().await.unwrap();

    finish(start(follower("right"), log.handle().clone(), CancellationToken::new()).unwrap(), log).await;
    let rows = server.query_as("&u=me&p=right", "SELECT \"lux\" FROM \"sensor\"").await;
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn a_server_with_a_certificate_of_an_authority_of_ones_own_is_trusted_with_it_and_with_no_other() {
    let (ours, others) = (Authority::new(), Authority::new());
    let own = ours.sign("influxdb", "IP:127.0.0.1");
    let https = Https { certificate: own.certificate, key: own.key, ca: ours.certificate() };
    let (server, dir) = (Influxd::start_https(https), tempfile::tempdir().unwrap());
    let mut log = open_log(&dir.path().join("log"), Position::START);
    append(&mut log, 1);
    log.commit();
    let config = |ca: &Authority| {
        let url = format!("{}?ca={}", server.url(), ca.certificate().display());
        InfluxConfig::parse(&url, |_| None).unwrap()
    };
    let stop = CancellationToken::new();
    let follower = Influx::open(config(&others), dir.path(), crate::standby::alone()).unwrap();
    let mut following = start(follower, log.handle().clone(), stop.clone()).unwrap();
    let lag = following.lag.wait_for(|lag| lag.trouble.is_some()).await.unwrap().clone();
    let error = lag.trouble.unwrap().error;
    assert!(error.contains("certificate") && error.contains("UnknownIssuer"), "{error}");
    assert_eq!(lag.cursor, Position::START, "the log waits");
    stop.cancel();
    following.ended().await.unwrap();

    let follower = Influx::open(config(&ours), dir.path(), crate::standby::alone()).unwrap();
    finish(start(follower, log.handle().clone(), CancellationToken::new()).unwrap(), log).await;
    assert_eq!(server.count("sensor", "lux").await, 1);
    // The export asks by the same way.
    let asked = Server::new(config(&ours)).unwrap().query("SELECT * FROM sensor").await.unwrap();
    assert!(asked.text().await.unwrap().contains("lux"));
    assert!(Server::new(config(&others)).unwrap().query("SELECT * FROM sensor").await.is_err());
}

#[test]
fn an_authority_that_can_not_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, "nonsense").unwrap();
    for path in [path.display().to_string(), "/no/such/ca.pem".to_owned()] {
        let config = InfluxConfig::parse(&format!("https://127.0.0.1:1?ca={path}"), |_| None).unwrap();
        let error = format!("{:#}", Server::new(config).unwrap_err());
        assert!(error.starts_with(&format!("the InfluxDB option ca={path}: ")), "{error}");
    }
}
