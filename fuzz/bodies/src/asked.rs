//! What is asked for again, as bytes, and what a broker and a publisher find for it.

mod broker;
mod publisher;

use lastbeat_wire::{
    Body, BootId, Encoding, Header, HostId, Inbox, MAX_RESEND_BYTES, Message, ProcessIdentity, PublisherId, Reading,
    ResendGone, ResendRequest, Resent, Value, Wanted, encode,
};

pub use broker::broker;
pub use publisher::publisher;

/// A request, an answer, or the topic of one behind the inbox, as the first byte says: refused in a few words, or comes back
/// as it went.
pub fn decoded(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let refused = match first % 3 {
        0 => request(bytes).err(),
        1 => gone(bytes).err(),
        _ => topic(bytes).err(),
    };
    if let Some(words) = refused {
        assert!(words.len() < 8_000 && !words.chars().any(char::is_control), "{words:?}");
    }
}

fn request(bytes: &[u8]) -> Result<(), String> {
    let request = ResendRequest::decode(bytes).map_err(|error| error.to_string())?;
    if let Wanted::Range { from, to, .. } = request.wanted {
        assert!(from < to);
    }
    let written = request.encode();
    assert!(written.len() <= MAX_RESEND_BYTES, "nobody would take it");
    assert_eq!(ResendRequest::decode(&written), Ok(request));
    Ok(())
}

fn gone(bytes: &[u8]) -> Result<(), String> {
    let gone = ResendGone::decode(bytes).map_err(|error| error.to_string())?;
    assert!(gone.from < gone.to);
    assert_eq!(ResendGone::decode(&gone.encode()), Ok(gone));
    Ok(())
}

fn topic(bytes: &[u8]) -> Result<(), String> {
    let inbox = Inbox(7);
    let written = match Resent::parse(bytes).map_err(|error| error.to_string())? {
        Resent::Message(topic) => inbox.topic(&topic.to_string()),
        Resent::Gone(publisher) => inbox.gone_topic(&publisher.parse().expect("its id is one")),
    };
    assert_eq!(written.as_bytes(), [inbox.prefix().as_bytes(), bytes].concat());
    Ok(())
}

/// One of a few ids, of which some end like others.
fn publisher_id(number: u8) -> PublisherId {
    ["a", "b", "xa", "x/a"][usize::from(number % 4)].parse().expect("an id")
}

/// One of a few processes; those of odd numbers are of another host.
fn process(number: u8) -> ProcessIdentity {
    let host = HostId(u64::from(number % 2));
    ProcessIdentity { host, boot: BootId(2), pid_namespace: 3, pid: u32::from(number % 4), start: 5 }
}

/// A reading of a process.
fn payload(process: ProcessIdentity, number: u64, long: bool) -> Vec<u8> {
    let header = Header { process: Some(process), sequence: Some(number), ..Header::default() };
    let text = "x".repeat(if long { 20_000 } else { 1 });
    let fields = [("text".into(), Value::Text(text.into()))].into_iter().collect();
    let body = Body::Reading(Reading { time: None, row_time: None, fields });
    encode(&Message { header, body, log: None }, Encoding::Json)
}
