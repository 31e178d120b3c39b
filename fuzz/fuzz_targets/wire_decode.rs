//! Any payload on any kind of topic: it is read or refused, and what was read comes back as it went, in both encodings.
#![no_main]

use lastbeat_wire::{Body, Encoding, Kind, MAX_FIELD_NAME_BYTES, MAX_FIELDS, Value, decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, payload)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let Ok(message) = decode(kind, payload) else { return };
    assert_eq!(message.body.kind(), kind);
    assert!(message.log.is_none() || kind.has_log());
    if let Body::Reading(reading) = &message.body {
        assert!(reading.fields.len() <= MAX_FIELDS);
        for (name, value) in reading.fields.iter() {
            assert!(name.len() <= MAX_FIELD_NAME_BYTES);
            assert!(!matches!(value, Value::Float(float) if !float.is_finite()));
        }
        if reading.fields.is_empty() {
            // Nothing but NaN: it says that the publisher spoke, and can't be said again.
            return;
        }
    }
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let written = encode(&message, encoding);
        if written.len() > lastbeat_wire::MAX_PAYLOAD_BYTES {
            continue;
        }
        let mut again = decode(kind, &written).expect("what was written is read");
        if let (Body::Reading(again), Body::Reading(reading)) = (&mut again.body, &message.body) {
            assert!(again.fields.iter().eq(reading.fields.iter()), "{again:?}");
            // How many values were left out is told once.
            again.fields = reading.fields.clone();
        }
        assert_eq!(again, message);
    }
});
