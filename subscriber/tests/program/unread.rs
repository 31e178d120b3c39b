//! Whoever does not read what it prints holds nothing up.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::serving;

/// More flips than a pipe holds (64 KiB).
const PUBLISHERS: usize = 1_000;

#[tokio::test]
async fn a_reader_of_stdout_that_hangs_delays_no_verdict_and_loses_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = serving(dir.path(), &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("the live page is at ") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it says where it serves");
    }
    let url = line.split_once("the live page is at ").unwrap().1.trim().trim_end_matches('/').to_owned();
    let client = reqwest::Client::new();
    for number in 0..PUBLISHERS {
        let answer = client.get(format!("{url}/api/v1/beat/job-{number}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "the loop took it in");
    }
    let ready = client.get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200, "the loop turns");
    // Now somebody reads.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..PUBLISHERS {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["to"] == "alive", "{line}");
    }
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    stdout.read_to_end(&mut Vec::new()).unwrap();
}
