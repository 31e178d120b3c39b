//! What was heard and judged, asked for over HTTP after a restart.

use lastbeat_wire::Header;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::Api;
use crate::support::{Publisher, Subscriber, bound, child};

const READINGS: i64 = 300;

/// A store in which a publisher sent numbers and was killed.
fn killed(dir: &std::path::Path) {
    let (from, to) = bound();
    let (subscriber, _) = Subscriber::serve(dir, &["--from", &from]);
    let (mut child, process) = child();
    let header = Header { process: Some(process), host: Some("web-1".into()), ..Header::default() };
    let mut publisher = Publisher::connect(&to, "site/light", header);
    for number in 1..=READINGS {
        publisher.reading(number);
    }
    publisher.close();
    subscriber.expect("site/light", "unseen", "alive", "heard");
    child.kill().unwrap();
    subscriber.expect("site/light", "alive", "dead", "process_gone");
    child.wait().unwrap();
    assert_eq!(subscriber.stop().code(), Some(0));
}

#[tokio::test]
async fn readings_come_back_as_they_were_and_drawn_together() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    let one = api.get("/api/v1/publishers/site%2Flight").await;
    let field = &one["fields"][0];
    assert_eq!(
        (&field["name"], &field["type"], &field["latest"]),
        (&json!("value"), &json!("integer"), &json!(READINGS))
    );

    let exact = api.get("/api/v1/publishers/site%2Flight/readings?since=1h&field=value").await;
    let series = &exact["fields"]["value"];
    assert_eq!((&exact["rows"], &exact["bucket_s"]), (&json!(READINGS), &Value::Null));
    assert_eq!(series["values"], json!((1..=READINGS).collect::<Vec<_>>()));
    assert_eq!(exact["time"].as_array().unwrap().len(), series["values"].as_array().unwrap().len());

    let drawn = api.get("/api/v1/publishers/site%2Flight/readings?since=1h&points=50").await;
    let figures = |name: &str| {
        let figures = drawn["fields"]["value"][name].as_array().unwrap();
        figures.iter().map(|figure| figure.as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((&drawn["rows"], drawn["bucket_s"].is_number()), (&json!(READINGS), true));
    assert_eq!(figures("min").into_iter().reduce(f64::min), Some(1.0));
    assert_eq!(figures("max").into_iter().reduce(f64::max), Some(300.0));
    assert_eq!(figures("mean").len(), drawn["time"].as_array().unwrap().len());
}

#[tokio::test]
async fn a_death_and_the_time_in_which_nobody_watched_are_in_the_states_and_the_flips() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    let flips = api.get("/api/v1/publishers/site%2Flight/flips").await;
    let told: Vec<_> = flips["flips"].as_array().unwrap().iter().map(|flip| flip["text"].as_str().unwrap()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("site/light is dead: its process (PID "), "{told:?}");
    assert!(told[0].contains("The kernel said so (pidfd)") && told[0].ends_with("OOM killer."), "{told:?}");
    assert!(told[1].starts_with("site/light is alive: first heard at "), "{told:?}");
    assert_eq!(api.get("/api/v1/flips?limit=1").await["flips"][0], flips["flips"][0]);

    let states = api.get("/api/v1/publishers/site%2Flight/states?since=1h").await;
    let spans = states["spans"].as_array().unwrap();
    assert_eq!((&spans[0]["state"], &spans[0]["from"]), (&json!("alive"), &flips["flips"][1]["at"]));
    assert_eq!((&spans[1]["state"], &spans[1]["from"]), (&json!("dead"), &flips["flips"][0]["at"]));
    assert_eq!(spans.last().unwrap()["to"], states["to"]);
    assert!(spans.windows(2).all(|two| two[0]["to"] == two[1]["from"]), "{spans:#?}");
    let share = states["alive_share"].as_f64().unwrap();
    let quotient = states["alive_s"].as_f64().unwrap() / states["watched_s"].as_f64().unwrap();
    assert!(share > 0.0 && share < 1.0 && (share - quotient).abs() < 1e-9, "{states:#}");
}

#[tokio::test]
async fn an_export_is_a_file_to_be_saved() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    let answer = api.request(Method::GET, "/api/v1/export?publisher=site/light&since=1h").send().await.unwrap();
    let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(name, "attachment; filename=\"lastbeat-sensor-site_light.csv\"");
    let text = answer.text().await.unwrap();
    let values = text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse::<i64>().unwrap());
    assert!(values.eq(1..=READINGS), "{text}");
    assert_eq!(text.lines().next(), Some("time,publisher,host,value"));
    let heartbeats = api.ask(Method::GET, "/api/v1/export?measurement=heartbeat&format=jsonl", "").await.1;
    let last: Value = serde_json::from_str(heartbeats.lines().last().unwrap()).unwrap();
    assert_eq!((&last["publisher"], &last["state"]), (&json!("site/light"), &json!("dead")));
}
