//! States, flips, rates and reports.

use serde_json::json;

use super::*;

fn life(log: &mut Log) {
    let flips = [
        flip("light-1", at(0), State::Unseen, State::Alive, Cause::Heard),
        flip("light-2", at(5), State::Unseen, State::Alive, Cause::Heard),
        flip("light-1", at(100), State::Alive, State::Dead, Cause::ProcessGone),
        flip("light-1", at(150), State::Dead, State::Alive, Cause::Heard),
        flip("light-1", at(300), State::Alive, State::Paused, Cause::Maintenance),
        flip("light-1", at(400), State::Paused, State::Alive, Cause::Heard),
    ];
    for flip in flips {
        append(log, &Record::Flip(flip));
    }
    append(log, &unwatched(Some("mqtt://lab"), at(0), at(500)));
    append(log, &unwatched(None, at(450), at(460)));
}

const RANGE: &str = "since=2023-11-14T22:13:20Z&until=2023-11-14T22:21:40Z";

#[tokio::test]
async fn states_are_told_as_spans_with_the_share_of_watched_time() {
    let served = Served::with(life).await;
    let answer = served.good(&format!("/publishers/light-1/states?{RANGE}")).await;
    let span = |from, to, state, cause, watched| json!({"from": from, "to": to, "state": state, "cause": cause, "watched": watched});
    let expected = json!([
        span("2023-11-14T22:13:20Z", "2023-11-14T22:15:00Z", "alive", "heard", true),
        span("2023-11-14T22:15:00Z", "2023-11-14T22:15:50Z", "dead", "process_gone", true),
        span("2023-11-14T22:15:50Z", "2023-11-14T22:18:20Z", "alive", "heard", true),
        span("2023-11-14T22:18:20Z", "2023-11-14T22:20:00Z", "paused", "maintenance", false),
        span("2023-11-14T22:20:00Z", "2023-11-14T22:20:50Z", "alive", "heard", true),
        span("2023-11-14T22:20:50Z", "2023-11-14T22:21:00Z", "blind", "watchdog_away", false),
        span("2023-11-14T22:21:00Z", "2023-11-14T22:21:40Z", "alive", "heard", true),
    ]);
    assert_eq!(answer["spans"], expected);
    assert_eq!((&answer["alive_s"], &answer["watched_s"]), (&json!(340.0), &json!(390.0)));
    assert_eq!(answer["alive_share"], json!(340.0 / 390.0));
}

#[tokio::test]
async fn of_a_time_in_which_nobody_watched_no_share_is_told() {
    let served = Served::with(life).await;
    let path = "/publishers/light-1/states?since=2023-11-14T22:18:30Z&until=2023-11-14T22:18:40Z";
    let answer = served.good(path).await;
    assert_eq!((&answer["watched_s"], &answer["alive_share"]), (&json!(0.0), &json!(null)));
    let before = served.good("/publishers/light-1/states?since=2020-01-01&until=2021-01-01").await;
    assert_eq!((&before["spans"], &before["alive_share"]), (&json!([]), &json!(null)));
    let ahead = served.good("/publishers/light-1/states?since=2100-01-01&until=2101-01-01").await;
    assert_eq!(ahead["spans"], json!([]), "of the future nothing is known");
    let until_now = served.good("/publishers/light-1/states?since=2023-11-14&until=2101-01-01").await;
    assert_eq!(until_now["spans"].as_array().unwrap().last().unwrap()["to"], until_now["to"]);
    assert!(until_now["to"].as_str().unwrap() < "2100");
}

#[tokio::test]
async fn flips_come_newest_first_page_by_page() {
    let served = Served::with(life).await;
    let mut path = "/flips?limit=4".to_owned();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = served.good(&path).await;
        pages += 1;
        let flips = page["flips"].as_array().unwrap();
        seen.extend(flips.iter().map(|flip| format!("{} {}", flip["publisher"].as_str().unwrap(), flip["to"])));
        let Some(next) = page["next"].as_i64() else { break };
        path = format!("/flips?limit=4&before={next}");
    }
    let light = |to: &str| format!("light-1 \"{to}\"");
    let expected = [
        light("alive"),
        light("paused"),
        light("alive"),
        light("dead"),
        "light-2 \"alive\"".to_owned(),
        light("alive"),
    ];
    assert_eq!((seen.as_slice(), pages), (expected.as_slice(), 2));
    assert_eq!(served.good("/publishers/light-2/flips").await["flips"].as_array().unwrap().len(), 1);
    let whole = served.good("/publishers/light-1/flips?limit=5").await;
    assert_eq!((whole["flips"].as_array().unwrap().len(), &whole["next"]), (5, &json!(null)));
    let window = "since=2023-11-14T22:15:00Z&until=2023-11-14T22:15:50Z";
    for path in [format!("/publishers/light-1/flips?{window}"), format!("/flips?{window}")] {
        let window = served.good(&path).await;
        assert_eq!(window["flips"][0]["cause"], "process_gone");
        assert_eq!(window["flips"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_flip_has_its_evidence_and_its_sentences() {
    let served = Served::with(life).await;
    let flips = served.good("/publishers/light-1/flips?until=2023-11-14T22:15:50Z&limit=1").await;
    let mut flip = flips["flips"][0].clone();
    assert!(flip["position"].as_i64().unwrap() > 0);
    flip.as_object_mut().unwrap().remove("position");
    let expected = json!({
        "publisher": "light-1", "host": "web-1", "from": "alive", "to": "dead", "cause": "process_gone",
        "reason": "its process is gone", "at": "2023-11-14T22:15:00Z", "noticed_at": "2023-11-14T22:15:00.001Z",
        "silence_s": 50.0, "last_heard": "2023-11-14T22:14:10Z",
        "process": {"host": "0000000000000001", "boot": "00000000000000000000000000000002", "pidns": 3, "pid": 4242, "start": 5},
        "evidence": [{
            "at": "2023-11-14T22:15:00Z", "source": "pidfd", "fact": "gone",
            "text": "no such process (seen 2023-11-14T22:15:00Z, by pidfd)",
        }],
        "text": "light-1 is dead: its process (PID 4242 on web-1) ended at 22:15:00 UTC, 50 s after it was last heard. \
                 The kernel said so (pidfd) 1 ms later. Look at its own log, and at the kernel's for the OOM killer.",
    });
    assert_eq!(flip, expected);
    for (path, detail) in [
        ("/flips?limit=1001", "limit=1001: it has to be a whole number from 1 to 1000"),
        ("/flips?before=x", "before=x: it has to be the `next` of the page before"),
    ] {
        assert_eq!(served.bad(path).await, (400, detail.to_owned()));
    }
    assert_eq!(served.bad("/publishers/light-3/flips").await.0, 404);
    assert_eq!(served.bad("/publishers/light-3/states").await.0, 404);
}

fn heartbeat(log: &mut Log, publisher: &str, time: UtcNanos, messages: u64) {
    let status = json!({
        "publisher": publisher, "at": time.0, "state": "alive", "cause": "heard", "since": 1,
        "silence": null, "threshold": {"secs": 50, "nanos": 0},
        "counts": {"messages": messages, "readings": 0, "refused": 0, "missed": 0, "duplicates": 0, "late": 0,
                   "retained": 0, "restarts": 0, "conflicts": 0},
    });
    log.append(crate::record::kind::STATUS, &[status.to_string().as_bytes()]).unwrap();
}

#[tokio::test]
async fn rates_come_from_heartbeats() {
    let served = Served::with(|log| {
        for beat in 0..12 {
            heartbeat(log, "steady", at(beat * 10 - 5), 1_000 + 50 * beat.unsigned_abs());
            // Begins anew in the middle, and is away at the end.
            if beat < 9 {
                heartbeat(log, "new", at(beat * 10 - 5), if beat < 6 { 100 + 10 * beat.unsigned_abs() } else { 0 });
            }
        }
    })
    .await;
    let window = "since=2023-11-14T22:13:20Z&until=2023-11-14T22:15:00Z&points=5";
    let answer = served.good(&format!("/rates?id=steady&id=new&id=nobody&{window}")).await;
    let expected = json!({
        "steady": [5.0, 5.0, 5.0, 5.0, 5.0],
        "new": [1.0, 1.0, 1.0, 0.0, null],
        "nobody": [null, null, null, null, null],
    });
    assert_eq!((&answer["points"], &answer["rates"]), (&json!(5), &expected));
    assert_eq!(served.bad("/rates").await, (400, "id=: give at least one".to_owned()));
    let ids: Vec<_> = (0..101).map(|number| format!("id=p{number}")).collect();
    let (status, told) = served.bad(&format!("/rates?{}", ids.join("&"))).await;
    assert_eq!((status, told.as_str()), (400, "id=p100: at most 100 may be given"));
}

#[tokio::test]
async fn a_log_tells_how_long_each_run_took() {
    let (dir, _) = stored(life).await;
    let db = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let entries =
        [(0, "start", ""), (10, "beat", "all is well"), (20, "beat", ""), (30, "start", ""), (42, "fail", "no")];
    for (position, (second, kind, body)) in (900..).zip(entries) {
        let publisher = "(SELECT id FROM publishers WHERE name = 'light-1')";
        let sql = format!("INSERT INTO reports VALUES (?1, {publisher}, ?2, ?3, ?4, ?5)");
        db.execute(&sql, (position, at(second).0, kind, body, kind == "fail")).unwrap();
    }
    let served = Served::of(dir).await;
    let answer = served.good("/publishers/light-1/log").await;
    let shown: Vec<_> = answer["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let of = |name: &str| entry[name].to_string().replace('"', "");
            format!("{} {} {} {} {}", of("at"), of("kind"), of("took_s"), of("body"), of("truncated"))
        })
        .collect();
    let expected = [
        "2023-11-14T22:14:02Z fail 12.0 no true",
        "2023-11-14T22:13:50Z start null  false",
        "2023-11-14T22:13:40Z beat null  false",
        "2023-11-14T22:13:30Z beat 10.0 all is well false",
        "2023-11-14T22:13:20Z start null  false",
    ];
    assert_eq!(shown, expected);
    let newest = served.good("/publishers/light-1/log?limit=1").await;
    assert_eq!((newest["entries"].as_array().unwrap().len(), &newest["entries"][0]["took_s"]), (1, &json!(12.0)));
    assert_eq!(served.bad("/publishers/light-1/log?limit=0").await.0, 400);
    assert_eq!(served.bad("/publishers/x/log").await.0, 404);
}
