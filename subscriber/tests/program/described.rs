//! The API as it describes itself, and what it makes of nonsense.

use lastbeat_wire::Header;
use reqwest::{Method, StatusCode};

use crate::support::http::Api;
use crate::support::{Publisher, Subscriber, bound};

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = bound();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &["--expect", "never", "--from", &from]);
    let api = Api::at(&url).await;
    let _events = api.events().await;
    Publisher::connect(&to, "a/b", Header::default()).reading(7);
    let (get, post) = (Method::GET, Method::POST);
    // What came is in the store a little later.
    while api.ask(get.clone(), "/api/v1/publishers/a%2Fb/readings", "").await.0 == 404 {}
    for (method, path, body, status) in [
        (&get, "/api/v1/beat/a%2Fb", "", 200),
        (&post, "/api/v1/beat/a%2Fb", "text", 200),
        (&get, "/api/v1/beat/a%2Fb%2F", "", 400),
        (&get, "/api/v1/beat/a%2Fjob/start", "", 200),
        (&post, "/api/v1/beat/a%2Fjob/start", "text", 200),
        (&get, "/api/v1/beat/a%2Fjob/fail", "", 200),
        (&post, "/api/v1/beat/a%2Fjob/fail", "text", 200),
        (&get, "/api/v1/publishers/a%2Fjob", "", 200),
        (&get, "/api/v1/beat/a%2Fjob/stop", "", 404),
        (&Method::PUT, "/api/v1/beat/a%2Fjob", "", 405),
        (&get, "/api/v1/publishers", "", 200),
        (&get, "/api/v1/publishers?state=alive&search=A&limit=1&offset=0", "", 200),
        (&get, "/api/v1/publishers?state=happy", "", 400),
        (&get, "/api/v1/publishers?limit=-1", "", 400),
        (&get, "/api/v1/publishers?colour=red", "", 400),
        (&get, "/api/v1/publishers/a%2Fb", "", 200),
        (&get, "/api/v1/publishers/never", "", 200),
        (&get, "/api/v1/publishers/nobody", "", 404),
        (&get, "/api/v1/publishers/%FF", "", 400),
        (&get, "/api/v1/publishers/a%0Ab", "", 400),
        (&post, "/api/v1/publishers/a%2Fb/resume", "", 409),
        (&post, "/api/v1/publishers/a%2Fb/pause", "{}", 200),
        (&post, "/api/v1/publishers/a%2Fb/pause", "", 200),
        (&post, "/api/v1/publishers/a%2Fb/pause", r#"{"until":"2200-01-01T00:00:00Z"}"#, 200),
        (&get, "/api/v1/publishers/a%2Fb", "", 200),
        (&post, "/api/v1/publishers/a%2Fb/pause", r#"{"until":"2001-01-01T00:00:00Z"}"#, 400),
        (&post, "/api/v1/publishers/a%2Fb/pause", r#"{"until":"tomorrow"}"#, 400),
        (&post, "/api/v1/publishers/a%2Fb/pause", r#"{"for":"a while"}"#, 400),
        (&post, "/api/v1/publishers/a%2Fb/pause", r#"{"for":"1h","until":"2200-01-01T00:00:00Z"}"#, 400),
        (&post, "/api/v1/publishers/a%2Fb/pause", r#"{"four":"1h"}"#, 400),
        (&post, "/api/v1/publishers/a%2Fb/pause", "[", 400),
        (&post, "/api/v1/publishers/nobody/pause", "{}", 404),
        (&post, "/api/v1/publishers/nobody/resume", "", 404),
        (&post, "/api/v1/publishers/a%2Fb/resume", "", 200),
        (&get, "/api/v1/publishers/a%2Fb/readings?since=1h&points=10&field=value", "", 200),
        (&get, "/api/v1/publishers/a%2Fb/readings?field=other", "", 400),
        (&get, "/api/v1/publishers/a%2Fb/readings?since=tomorrow", "", 400),
        (&get, "/api/v1/publishers/a%2Fb/states?since=1d", "", 200),
        (&get, "/api/v1/publishers/a%2Fb/flips?limit=1", "", 200),
        (&get, "/api/v1/publishers/nobody/readings", "", 404),
        (&get, "/api/v1/publishers/nobody/states", "", 404),
        (&get, "/api/v1/publishers/nobody/flips", "", 404),
        (&get, "/api/v1/publishers/nobody/log", "", 404),
        (&get, "/api/v1/export?publisher=nobody", "", 404),
        (&get, "/api/v1/publishers/a%2Fb/log", "", 200),
        (&get, "/api/v1/publishers/a%2Fb/log?limit=none", "", 400),
        (&get, "/api/v1/flips?since=7d", "", 200),
        (&get, "/api/v1/flips?before=x", "", 400),
        (&get, "/api/v1/rates?id=a%2Fb&id=nobody&points=3", "", 200),
        (&get, "/api/v1/rates", "", 400),
        (&get, "/api/v1/export?measurement=heartbeat&publisher=a%2Fb&format=csv", "", 200),
        (&get, "/api/v1/export?format=jsonl", "", 200),
        (&get, "/api/v1/export?format=xml", "", 400),
        (&get, "/healthz", "", 200),
        (&get, "/readyz", "", 200),
        (&get, "/metrics", "", 200),
        (&get, "/api/v1/shipping", "", 200),
        (&get, "/api/v1/swarm", "", 200),
        (&get, "/api/v1/nothing", "", 404),
        (&get, "/api/", "", 404),
        (&post, "/api/v1/publishers", "", 405),
        (&Method::DELETE, "/api/v1/publishers/a%2Fb", "", 405),
        (&Method::TRACE, "/api/v1/publishers", "", 405),
        (&get, "/api/v1/publishers/a%2Fb/pause", "", 405),
    ] {
        let (answered, text) = api.ask(method.clone(), path, body).await;
        assert_eq!(answered, status, "{method} {path} {body}: {text}");
    }
    let one = api.get("/api/v1/publishers/a%2Fb").await;
    assert_eq!((&one["fields"][0]["name"], &one["fields"][0]["latest"]), (&"value".into(), &7.into()), "{one:#}");
    let described = api.operations();
    assert_eq!(*api.asked.borrow(), described, "every operation was asked");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    let (status, _) = api.ask(Method::POST, "/api/v1/publishers/a/pause", &" ".repeat((1 << 20) + 1)).await;
    assert_eq!(status, 413);
    assert_eq!(api.ask(Method::GET, "/api/v1/beat/a", "").await.0, 200);
}

#[tokio::test]
async fn every_answer_bears_what_keeps_a_browser_from_harm() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    for path in ["/", "/p/light-1", "/nothing", "/healthz", "/api/v1/publishers", "/api/v1/nothing"] {
        let answer = api.request(Method::GET, path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'self'; "), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        let kept = header("cache-control");
        assert!(kept == "no-store" || !path.starts_with("/api/") && kept == "no-cache", "{path}: {kept}");
    }
    let page = api.request(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let refused = api.request(Method::POST, "/").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn long_answers_are_compressed_and_the_stream_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (_subscriber, url) = Subscriber::serve(dir.path(), &[]);
    let api = Api::at(&url).await;
    let encoding = async |path: &str| {
        let request = api.request(Method::GET, path).header("accept-encoding", "gzip");
        let answer = request.send().await.unwrap();
        answer.headers().get("content-encoding").map(|encoding| encoding.to_str().unwrap().to_owned())
    };
    assert_eq!(encoding("/api/v1/openapi.json").await.as_deref(), Some("gzip"));
    assert_eq!(encoding("/api/v1/events").await, None, "each event would wait for the next");
}
