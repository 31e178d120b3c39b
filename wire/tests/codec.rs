//! Properties of the codec: what goes in comes out, and no bytes bring it down.

mod strategies;

use lastbeat_wire::{
    Body, Encoding, Fields, Header, Kind, Message, PING_PREFIX, Reading, Topic, UtcNanos, Value, decode,
    decode_by_serde, decode_ping, encode,
};
use proptest::prelude::*;
use strategies::process;

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        any::<String>().prop_map(|text| Value::Text(text.into())),
    ]
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let header = (
        proptest::option::of(process()),
        any::<Option<u64>>(),
        any::<Option<i64>>(),
        any::<Option<u64>>(),
        any::<Option<String>>(),
    )
        .prop_map(|(process, sequence, sent_at, uptime, host)| Header {
            process,
            sequence,
            sent_at: sent_at.map(UtcNanos),
            uptime,
            host: host.map(Into::into),
        });
    let fields = proptest::collection::vec(("[^\0]{1,40}", value()), 1..20)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.into(), value)).collect::<Fields<'static>>());
    let reading = (any::<Option<i64>>(), any::<Option<i64>>(), fields).prop_map(|(time, row_time, fields)| {
        Body::Reading(Reading { time: time.map(UtcNanos), row_time: row_time.map(UtcNanos), fields })
    });
    let wordless = proptest::sample::select(vec![Body::Beat, Body::Start, Body::Fail, Body::Bye, Body::Rip]);
    let body = prop_oneof![reading, wordless];
    (header, body, any::<Option<String>>()).prop_map(|(header, body, log)| {
        let log = log.filter(|_| body.kind().has_log()).map(Into::into);
        Message { header, body, log }
    })
}

/// What happens to one place in some bytes.
#[derive(Debug, Clone)]
enum Change {
    Put(Vec<u8>),
    Overwrite(u8),
    Remove(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, place: usize) {
        let place = place % (bytes.len() + 1);
        match self {
            Self::Put(new) => drop(bytes.splice(place..place, new.iter().copied())),
            Self::Overwrite(new) => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte = *new),
            Self::Remove(count) => drop(bytes.drain(place..bytes.len().min(place + count))),
        }
    }
}

/// Among the bytes that are put in are those that mean something in either encoding.
fn change() -> impl Strategy<Value = Change> {
    let words = [
        "\"seq\":1,",
        "\"a\":null,",
        "\"a\":{},",
        "\"\":1,",
        "\\u0041",
        "-0",
        "-",
        "+",
        "0",
        "1e999",
        ".",
        "e5",
        " ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "true",
        "null",
        "18446744073709551616",
        "9223372036854775808",
        "\u{a3}seq",
        "\u{a8}lastbeat",
    ];
    let marks = [0x80u8, 0x81, 0xc0, 0xc2, 0xc4, 0xca, 0xcb, 0xcc, 0xcf, 0xd3, 0xd9, 0xda, 0xde, 0xdf, 0xff];
    prop_oneof![
        proptest::sample::select(words.to_vec()).prop_map(|word| Change::Put(word.into())),
        proptest::sample::select(marks.to_vec()).prop_map(|mark| Change::Put(vec![mark])),
        proptest::sample::select(marks.to_vec()).prop_map(Change::Overwrite),
        any::<u8>().prop_map(Change::Overwrite),
        (1usize..6).prop_map(Change::Remove),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(message in message()) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let bytes = encode(&message, encoding);
            prop_assert_eq!(&decode(message.body.kind(), &bytes).unwrap(), &message);
        }
    }

    /// Whatever the quick way through an envelope takes, serde takes for the same; and what it does not, ends as with serde.
    #[test]
    fn quick_reading_is_as_serde_has_it(
        message in message(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), change()), 0..4)
    ) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let mut bytes = encode(&message, encoding);
            for (place, change) in &changes {
                change.apply(&mut bytes, place.index(usize::MAX));
            }
            for kind in [message.body.kind(), Kind::Sensor] {
                match (decode(kind, &bytes), decode_by_serde(kind, &bytes)) {
                    (Ok(one), Ok(other)) => prop_assert_eq!(one, other),
                    (Err(one), Err(other)) => prop_assert_eq!(one.to_string(), other.to_string()),
                    (one, other) => prop_assert!(false, "{:?} and {:?}", one, other),
                }
            }
        }
    }

    #[test]
    fn what_is_no_envelope_is_a_report_as_it_came(text in "[^{][ -~]{0,40}") {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.has_log()) {
            let message = decode(kind, text.as_bytes()).unwrap();
            prop_assert_eq!(message.body.kind(), kind);
            prop_assert_eq!(message.log.as_deref(), Some(&*text));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for kind in Kind::ALL {
            let _ = decode(kind, &bytes);
        }
        let _ = Topic::parse(&bytes);
        let topic = [PING_PREFIX.as_bytes(), &bytes[..bytes.len().min(20)]].concat();
        let _ = decode_ping(&topic, &bytes);
        let _ = decode_ping(b"ping/a.example", &bytes);
    }

    #[test]
    fn damage_to_a_real_message_does_not_make_it_panic(message in message(), place: usize, byte: u8, cut: usize) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let mut bytes = encode(&message, encoding);
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes.truncate(cut % (bytes.len() + 1));
            let _ = decode(message.body.kind(), &bytes);
        }
    }
}
