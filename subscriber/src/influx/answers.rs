//! The follower against a server that answers as it is told: what no real InfluxDB here can be made to say.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::GzDecoder;
use lastbeat_log::Position;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::server::Packing;
use super::{Influx, InfluxConfig};
use crate::follower::conformance::{append, open_log};
use crate::follower::{Lag, start};

/// A request as it came.
#[derive(Debug, Clone)]
struct Request {
    /// Request line and headers.
    head: String,
    lines: Vec<String>,
}

/// Answers as told, then 204 for ever.
async fn serve(listener: TcpListener, answers: Vec<String>, seen: Arc<Mutex<Vec<Request>>>) {
    let mut answers = VecDeque::from(answers);
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        let (head, length) = loop {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "a request that ends early");
            bytes.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let length: usize =
                    head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
                break (head.to_owned(), length);
            }
        };
        let start = head.len() + 4;
        while bytes.len() < start + length {
            let count = stream.read(&mut buffer).await.unwrap();
            bytes.extend_from_slice(&buffer[..count]);
        }
        let mut text = String::new();
        if head.contains("content-encoding: gzip") {
            GzDecoder::new(&bytes[start..]).read_to_string(&mut text).unwrap();
        } else {
            text.push_str(std::str::from_utf8(&bytes[start..]).unwrap());
        }
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        seen.lock().unwrap().push(Request { head, lines });
        let answer = answers.pop_front().unwrap_or_else(|| "204 No Content\r\n".to_owned());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).len();
        let (status, rest) = answer.split_once("\r\n").unwrap();
        let text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {body}\r\n{rest}");
        let text = if text.contains("\r\n\r\n") { text } else { format!("{text}\r\n") };
        stream.write_all(text.as_bytes()).await.unwrap();
    }
}

/// Ships ten readings to a server that gives these answers first.
async fn shipped(path: &str, answers: &[&str]) -> (Lag, Vec<Request>) {
    shipped_in(Packing::Plain, path, answers).await
}

async fn shipped_in(packing: Packing, path: &str, answers: &[&str]) -> (Lag, Vec<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let server = tokio::spawn(serve(listener, answers, Arc::clone(&seen)));
    let dir = tempfile::tempdir().unwrap();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    for number in 0..10 {
        append(&mut log, number);
    }
    let config = InfluxConfig::parse(&url, |_| Some("hunter2".to_owned())).unwrap();
    let influx = Influx::open(config, dir.path(), crate::standby::alone()).unwrap();
    assert_eq!(influx.server.packing, Packing::Plain, "the server is on this host");
    let influx = influx.packed(packing);
    let handle = log.handle().clone();
    let end = log.close(Duration::from_secs(10)).written;
    let mut following = start(influx, handle, CancellationToken::new()).unwrap();
    following.ended().await.unwrap();
    let lag = following.lag.borrow().clone();
    assert_eq!(lag.cursor, end);
    server.abort();
    let seen = seen.lock().unwrap().clone();
    (lag, seen)
}

#[tokio::test]
async fn version_2_is_written_to_with_its_token_org_and_bucket() {
    let (_, seen) = shipped("?org=my%20home&bucket=b", &[]).await;
    assert_eq!((seen.len(), seen[0].lines.len()), (1, 10));
    let head = &seen[0].head;
    assert!(head.starts_with("POST /api/v2/write?org=my+home&bucket=b&precision=ns HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Token hunter2"), "{head}");
}

#[tokio::test]
async fn lines_are_the_same_compressed_and_not_and_a_group_of_them_too() {
    let large = "413 Request Entity Too Large\r\n";
    let (_, plain) = shipped("/db", &[large]).await;
    let (_, packed) = shipped_in(Packing::Gzip, "/db", &[large]).await;
    let lines = |seen: &[Request]| seen.iter().map(|request| request.lines.clone()).collect::<Vec<_>>();
    assert_eq!((plain.len(), lines(&plain)), (3, lines(&packed)));
    let says = |seen: &[Request]| seen.iter().filter(|request| request.head.contains("content-encoding: gzip")).count();
    assert_eq!((says(&plain), says(&packed)), (0, 3));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_sent_in_halves_and_a_line_that_is_is_set_aside() {
    let large = "413 Request Entity Too Large\r\n";
    let (lag, seen) = shipped("/db", &[large]).await;
    assert_eq!(seen.iter().map(|request| request.lines.len()).collect::<Vec<_>>(), [10, 5, 5]);
    assert_eq!([&seen[1].lines[..], &seen[2].lines[..]].concat(), seen[0].lines);
    assert_eq!(lag.set_aside, 0);

    let (lag, seen) = shipped("/db", &[large; 4]).await;
    assert_eq!(seen.iter().map(|request| request.lines.len()).collect::<Vec<_>>(), [10, 5, 2, 1, 1, 3, 5]);
    assert_eq!(lag.set_aside, 1);
}

#[tokio::test]
async fn a_busy_server_is_tried_again_with_the_same_lines() {
    let busy = "503 Service Unavailable\r\n\r\n{\"error\":\"timeout\"}";
    let (lag, seen) = shipped("/db", &[busy, "429 Too Many Requests\r\nRetry-After: 0\r\n"]).await;
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.lines == seen[0].lines));
    assert_eq!((lag.trouble, lag.set_aside), (None, 0));
}

#[tokio::test]
async fn an_error_that_is_not_about_points_sets_none_aside() {
    let wrong = "400 Bad Request\r\n\r\n{\"error\":\"retention policy not found: nope\"}";
    let (lag, seen) = shipped("/db", &[wrong]).await;
    assert_eq!((seen.len(), lag.set_aside), (2, 0));
}
