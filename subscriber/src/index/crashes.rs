//! The follower, killed at every request that it makes of a server: before the server has taken it, before its answer came, and
//! before the cursor that follows from the answer was on the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastbeat_log::{Log, LogHandle, Position};
use lastbeat_wire::{
    Body, BootId, Encoding, Header, HostId, Message, ProcessIdentity, Reading, UtcNanos, Value, encode,
};
use tokio_util::sync::CancellationToken;

use super::standin::{Contents, Fate, StandIn};
use super::{Index, IndexConfig};
use crate::follower::conformance::{append_message, open_log};
use crate::follower::{Follower, Lag};
use crate::standby::alone;

const RESULTS: i64 = 24;
const MIDNIGHT: i64 = 1_700_006_400_000_000_000;

/// What the follower dies before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The server has taken the request.
    Taken,
    /// Its answer came.
    Answer,
    /// The cursor that follows from it is on the disk; what was refused is set aside.
    Cursor,
}

/// A result of its own number, half of them before midnight, half with an identity of their own, some with a text for a number.
fn append(log: &mut Log, number: i64) -> Position {
    let loss = if is_bad(number) { Value::Text("much".into()) } else { Value::Float(0.0) };
    let fields = [("target".into(), Value::Text("a.example".into())), ("sent".into(), Value::Integer(number))];
    let fields = fields.into_iter().chain([("loss".into(), loss)]).collect();
    let host = HostId(1);
    let process = ProcessIdentity { host, boot: BootId(2), pid_namespace: 3, pid: 4, start: 5 };
    let header = Header {
        process: (number % 2 == 0).then_some(process),
        sequence: Some(number.cast_unsigned()),
        ..Header::default()
    };
    let message = Message { header, body: Body::Reading(Reading { fields, ..Reading::default() }), log: None };
    let at = UtcNanos(MIDNIGHT + number - RESULTS / 2);
    append_message(log, at, b"sensor/agent/paris", &encode(&message, Encoding::Json));
    log.end()
}

fn is_bad(number: i64) -> bool {
    number % 9 == 4
}

/// The numbers of the documents that are there; panics where one is there twice.
fn there(server: &StandIn) -> BTreeSet<i64> {
    let documents = server.documents();
    let numbers: BTreeSet<i64> = documents.iter().map(|(.., source)| source["sent"].as_i64().unwrap()).collect();
    assert_eq!(numbers.len(), documents.len(), "each is there once");
    numbers
}

fn set_aside(dir: &Path) -> BTreeSet<i64> {
    let text = std::fs::read_to_string(dir.join("index.refused.jsonl")).unwrap_or_default();
    let number = |entry: &str| {
        let entry: serde_json::Value = serde_json::from_str(entry).unwrap();
        let source = entry["line"].as_str().unwrap().lines().last().unwrap();
        serde_json::from_str::<serde_json::Value>(source).unwrap()["sent"].as_i64().unwrap()
    };
    text.lines().map(number).collect()
}

/// One life of a follower, until it is killed or has taken all; its cursor as the next one finds it.
fn live(server: &StandIn, dir: &Path, log: &LogHandle) {
    // With its runtime all that it had begun goes, as with a process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (lag, _watched) = tokio::sync::watch::channel(Lag::default());
        tokio::select! {
            biased;
            () = server.killed() => {}
            // The log is closed: it ends when all of it is taken.
            ended = open(server, dir).follow(log.clone(), lag, CancellationToken::new()) => ended.unwrap(),
        }
    });
}

fn open(server: &StandIn, dir: &Path) -> Index {
    let url = format!("http://{}", server.address);
    Index::open(IndexConfig::parse(&url, |_| None).unwrap(), dir, alone()).unwrap().in_batches_of(700)
}

/// Has the server kill its client at a request; gives what was in the cursor's file when that came, if it ever does.
fn kill_at(server: &StandIn, dir: &Path, death: usize, before: Before) -> Arc<Mutex<Option<Vec<u8>>>> {
    let found = Arc::new(Mutex::new(None));
    let (noted, cursor) = (Arc::clone(&found), dir.join("index.cursor"));
    let mut request = 0;
    let fate = move || {
        request += 1;
        if request == death {
            *noted.lock().unwrap() = Some(std::fs::read(&cursor).unwrap_or_default());
        }
        match before {
            Before::Taken if request == death => Fate::Unheard,
            Before::Answer if request == death => Fate::Unanswered,
            Before::Cursor if request == death + 1 => Fate::Unheard,
            _ => Fate::Answered,
        }
    };
    *server.contents() = Contents::default();
    server.contents().fate = Some(Box::new(fate));
    found
}

#[test]
fn a_kill_at_any_request_leaves_each_document_there_once_or_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open_log(&dir.path().join("log"), Position::START);
    let ends: Vec<(i64, Position)> = (0..RESULTS).map(|number| (number, append(&mut log, number))).collect();
    log.commit();
    let handle = log.handle().clone();
    log.close(Duration::from_mins(1));
    let (bad, good): (BTreeSet<i64>, BTreeSet<i64>) = (0..RESULTS).partition(|number| is_bad(*number));

    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = serving.block_on(StandIn::start());
    let mut deaths = 0;
    for request in 1.. {
        for before in [Before::Taken, Before::Answer, Before::Cursor] {
            let when = format!("killed at request {request} before {before:?}");
            let dir = tempfile::tempdir().unwrap();
            let found = kill_at(&server, dir.path(), request, before);
            live(&server, dir.path(), &handle);
            let found = found.lock().unwrap().take();
            if let Some(cursor) = found.as_ref().filter(|_| before == Before::Cursor) {
                let path = dir.path().join("index.cursor");
                std::fs::remove_file(&path).unwrap_or_default();
                if !cursor.is_empty() {
                    std::fs::write(path, cursor).unwrap();
                }
            }
            let (cursor, mut dealt_with) = (open(&server, dir.path()).cursor(), there(&server));
            dealt_with.extend(set_aside(dir.path()));
            for (number, _) in ends.iter().filter(|(_, end)| *end <= cursor) {
                assert!(dealt_with.contains(number), "{when}: the cursor is beyond {number}");
            }
            server.contents().fate = None;
            live(&server, dir.path(), &handle);
            assert_eq!((there(&server), set_aside(dir.path())), (good.clone(), bad.clone()), "{when}");
            assert_eq!(open(&server, dir.path()).cursor(), ends[ends.len() - 1].1, "{when}");
            deaths += usize::from(found.is_some());
            if found.is_none() {
                assert!(deaths > 20, "only {deaths} deaths: the batches are too large for this test");
                assert_eq!(server.contents().indices.len(), 2, "a day has its index");
                return;
            }
        }
    }
}
