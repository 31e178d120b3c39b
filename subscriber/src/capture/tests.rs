//! What is written comes back, and what is no capture is refused by file, line and value.

use std::path::Path;

use lastbeat_transport::{Delivery, LinkIndex};
use lastbeat_wire::{Body, Encoding, Header, Message, Monotonic, Now, UtcNanos, encode};
use proptest::prelude::*;

use super::line::LINE_BYTES;
use super::{Event, Reader, What, Writer};

const BEGAN: Now = Now { monotonic: Monotonic(7_000), utc: UtcNanos(1_700_000_000_000_000_001) };
const OPENING: &str = r#"{"lastbeat_capture":1,"began":"1970-01-01T00:00:01Z","links":["memory://x"]}"#;

fn after(nanos: u64) -> Now {
    Now { monotonic: Monotonic(BEGAN.monotonic.0 + nanos), utc: UtcNanos(BEGAN.utc.0 + nanos.cast_signed()) }
}

fn header() -> Header<'static> {
    let process = serde_json::from_str(
        r#"{"host":"9f86d081884c7d65","boot":"5b8a1f0e9d3c4b7a8e6f2d1c0b9a8f7e","pidns":4026531836,"pid":4242,"start":9}"#,
    );
    Header {
        process: Some(process.unwrap()),
        sequence: Some(u64::MAX),
        sent_at: Some(UtcNanos(-5)),
        uptime: Some(u64::MAX),
        host: None,
    }
}

/// All events, and the line that was cut off.
fn read(text: &[u8]) -> Result<(Vec<Event>, Option<u64>), String> {
    let text = || -> Result<_, super::reader::CaptureError> {
        let mut reader = Reader::new(Path::new("x.jsonl"), text)?;
        let events = std::iter::from_fn(|| reader.next_event().transpose()).collect::<Result<Vec<_>, _>>()?;
        Ok((events, reader.torn()))
    };
    text().map_err(|error| error.to_string())
}

fn captured(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("x.jsonl");
    let mut writer = Writer::create(&path, BEGAN, vec!["memory://one".into(), "memory://two".into()]).unwrap();
    writer.link_up(after(1), LinkIndex(1)).unwrap();
    let payload = encode(&Message { header: header(), body: Body::Beat, log: None }, Encoding::Json);
    let beat = Delivery { topic: b"beat/light-1", payload: &payload, retained: false, resent: true };
    writer.message(after(2), LinkIndex(1), beat).unwrap();
    let odd = Delivery { topic: b"\xff\n", payload: b"12", retained: true, resent: false };
    writer.message(after(2), LinkIndex(0), odd).unwrap();
    writer.link_down(after(3), LinkIndex(1), "the peer\nis gone").unwrap();
    let summary = writer.end(after(4)).unwrap();
    assert_eq!((summary.messages, summary.unreadable, summary.publishers), (2, 1, 1));
    assert_eq!(summary.bytes, path.metadata().unwrap().len());
    path
}

#[test]
fn what_came_comes_back_without_its_payload() {
    let dir = tempfile::tempdir().unwrap();
    let path = captured(dir.path());
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!((reader.began(), reader.links().len()), (BEGAN.utc, 2));
    let events: Vec<_> = std::iter::from_fn(|| reader.next_event().unwrap()).collect();
    let times: Vec<_> = events.iter().map(|event| (event.now.monotonic.0, event.now.utc.0 - BEGAN.utc.0)).collect();
    assert_eq!(times, [(1, 1), (2, 2), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(events[0].what, What::LinkUp(1));
    let What::Message(beat) = &events[1].what else { panic!("{events:?}") };
    assert_eq!((beat.link, &*beat.topic, beat.retained, beat.readable), (1, "beat/light-1", false, true));
    assert_eq!((beat.resent, beat.header()), (true, header()));
    let What::Message(odd) = &events[2].what else { panic!("{events:?}") };
    assert_eq!((odd.link, &*odd.topic, odd.retained, odd.readable, odd.size), (0, "\u{fffd}\n", true, false, 2));
    assert_eq!(events[3].what, What::LinkDown { link: 1, reason: "the peer\nis gone".into() });
    assert_eq!((&events[4].what, reader.torn()), (&What::End, None));
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = captured(dir.path());
    let before = std::fs::read(&path).unwrap();
    let error = format!("{:#}", Writer::create(&path, BEGAN, Vec::new()).unwrap_err());
    assert!(error.contains("--out") && error.contains("x.jsonl") && error.contains("exists"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_capture_that_was_cut_off_anywhere_loses_its_last_line_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(captured(dir.path())).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (events, torn) = read(&whole).unwrap();
    assert_eq!((events.len(), torn), (5, None));
    for cut in first..whole.len() {
        let lines = whole[..cut].split(|byte| *byte == b'\n').count() - 1;
        let (left, torn) = read(&whole[..cut]).unwrap();
        // Without its line feed alone a line is whole.
        let ended = matches!(whole[cut - 1], b'\n') || whole[cut] == b'\n';
        assert_eq!(torn, (!ended).then_some(lines as u64 + 1), "cut at {cut}");
        assert_eq!(left, events[..left.len()]);
        assert_eq!(left.len(), lines - 1 + usize::from(ended && whole[cut - 1] != b'\n'), "cut at {cut}");
    }
}

#[test]
fn errors_name_the_file_the_line_and_the_value() {
    let error = |lines: &[&str]| read((lines.join("\n") + "\n").as_bytes()).unwrap_err();
    assert!(read(b"").unwrap_err().starts_with("x.jsonl line 1: is empty"));
    assert!(error(&["time,value"]).starts_with("x.jsonl line 1: \"time,value\": "));
    assert!(error(&[r#"{"lastbeat_capture":2,"began":0}"#]).contains("line 1: is a capture of version 2"));
    assert!(error(&[OPENING, "{}"]).contains("line 2: \"{}\": missing field `at`"));
    let error_of = |line: &str| error(&[OPENING, r#"{"at":5,"utc":5,"link":0,"state":"up"}"#, line]);
    assert!(error_of(r#"{"at":4,"utc":5,"end":true}"#).contains("line 3: at is 4, the line before has 5"));
    assert!(error_of(r#"{"at":6,"utc":5,"link":1,"topic":"beat/x"}"#).contains("line 3: link is 1"));
    assert!(error_of(r#"{"at":6,"utc":5,"link":0}"#).contains("has neither"));
    assert!(error_of(r#"{"at":-6,"utc":5,"end":true}"#).contains("-6"));
    assert!(error_of(&"x".repeat(LINE_BYTES + 1)).contains("more than"));
    let missing = Reader::open(Path::new("no/such.jsonl")).unwrap_err().to_string();
    assert!(missing.starts_with("no/such.jsonl: "), "{missing}");
}

#[test]
fn what_a_capture_says_acts_on_no_terminal_and_is_shown_in_few_words() {
    let error = |line: &str| read(format!("{OPENING}\n{line}\n").as_bytes()).unwrap_err();
    let told = error(r#"{"at":1,"utc":5,"link":0,"state":"\u001b[2J"}"#);
    assert!(told.contains(r"unknown variant `\u{1b}[2J`") && !told.contains('\u{1b}'), "{told}");
    let told = error(&format!(r#"{{"at":1,"utc":5,"link":0,"process":"{}"}}"#, "é".repeat(10_000)));
    assert!(told.contains("invalid type: string \"éé") && told.chars().count() < 1_000, "{told}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text: Vec<u8>, line in "\\PC*") {
        let _ = read(&text);
        let _ = read(&[OPENING.as_bytes(), b"\n", &text].concat());
        let _ = read(format!("{OPENING}\n{line}\n").as_bytes());
    }

    #[test]
    fn every_topic_and_payload_comes_back_as_one_line(topic: Vec<u8>, payload: Vec<u8>, retained: bool, at: u32) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        let mut writer = Writer::create(&path, BEGAN, vec!["memory://one".into()]).unwrap();
        let delivery = Delivery { topic: &topic, payload: &payload, retained, resent: !retained };
        writer.message(after(at.into()), LinkIndex(0), delivery).unwrap();
        drop(writer);
        let (events, _) = read(&std::fs::read(&path).unwrap()).unwrap();
        let What::Message(message) = &events[0].what else { panic!("{events:?}") };
        prop_assert_eq!((events.len(), &*message.topic), (1, &*String::from_utf8_lossy(&topic)));
        prop_assert_eq!((message.size, message.retained), (payload.len() as u64, retained));
        prop_assert_eq!(message.resent, !retained);
    }
}
