//! Payloads that can't be read, that are large, and that say the impossible.

use super::{Place, readings, refused_rows};
use crate::support::count;

#[test]
fn what_can_not_be_read_is_counted_by_its_reason_and_what_is_merely_odd_is_stored() {
    let mut place = Place::new("");
    let mut hostile = place.hostile();
    let many: String = (0..1025).map(|field| format!(",\"{field}\":1")).collect();
    let name = "n".repeat(64 << 10);
    let json = [
        "{\"a\":".to_owned(),
        "[".repeat(100_000),
        format!("{{{}}}", &many[1..]),
        format!("{{\"{name}\":1}}"),
        r#"{"lastbeat":1,"sent":1e300,"fields":{"a":1}}"#.to_owned(),
        r#"{"lastbeat":1,"sent":99999999999999999999,"fields":{"a":1}}"#.to_owned(),
        r#"{"lastbeat":1,"sent":"+99999-01-01T00:00:00Z","fields":{"a":1}}"#.to_owned(),
        r#"{"lastbeat":1,"seq":-1,"fields":{"a":1}}"#.to_owned(),
        r#"{"lastbeat":1,"host":{},"fields":{"a":1}}"#.to_owned(),
        "NaN".to_owned(),
    ];
    for payload in &json {
        hostile.raw("sensor/hostile", payload.as_bytes());
        place.beside();
    }
    hostile.raw("sensor/hostile", &[0x81, 0xa1, b'a', 0xc1]);
    hostile.raw("sensor/hostile", &[0xdf, 0xff, 0xff, 0xff, 0xff]);
    hostile.raw("sensor/hostile", b"{}");
    hostile.raw("sensor/hostile", br#"{"lastbeat":18446744073709551615}"#);
    for (reason, messages) in
        [("json", json.len() as u64), ("messagepack", 2), ("empty", 1), ("version", 1), ("too_large", 0), ("topic", 0)]
    {
        place.refused(reason, messages);
    }
    // NaN and infinity, in MessagePack; times at both ends; numbers and a clock at their end.
    let odd = [
        &[0x82, 0xa1, b'a', 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 0xa1, b'b', 0xcb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0][..],
        br#"{"lastbeat":1,"sent":9223372036854775807,"fields":{"v":1}}"#,
        br#"{"lastbeat":1,"sent":-9223372036854775808,"up":0,"fields":{"v":2}}"#,
        br#"{"lastbeat":1,"time":"1970-01-01T00:00:00Z","seq":18446744073709551615,"up":18446744073709551615,"fields":{"v":3}}"#,
        br#"{"lastbeat":1,"time":"2262-04-11T23:47:16.854775807Z","row":-1,"fields":{"v":4}}"#,
        br#"{"lastbeat":1,"seq":0,"fields":{"v":1e308,"w":-0.0,"x":18446744073709551615}}"#,
    ];
    for payload in odd {
        hostile.raw("sensor/hostile", payload);
        place.beside();
    }
    let dir = place.end(200);
    assert_eq!(refused_rows(dir.path()), json.len() as i64 + 4);
    assert_eq!(readings(dir.path(), "hostile"), odd.len() as i64);
}

#[test]
fn a_flood_of_garbage_is_kept_in_part_only_and_holds_up_nobody() {
    let mut place = Place::new("");
    let mut hostile = place.hostile();
    // Each is kept with 64 KiB: more than the store's 64 MiB in all.
    let mut garbage = vec![b'['; 100 << 10];
    const MESSAGES: u64 = 1_500;
    for number in 0..MESSAGES {
        garbage[..8].copy_from_slice(&number.to_be_bytes());
        hostile.raw("sensor/hostile", &garbage);
        if number % 10 == 0 {
            place.beside();
        }
    }
    place.refused("json", MESSAGES);
    let dir = place.end(512);
    let bytes = count(dir.path(), "SELECT sum(octet_length(payload)) FROM refused");
    assert!((16 << 20..=64 << 20).contains(&bytes), "{bytes}");
    let dropped = count(dir.path(), "SELECT value FROM meta WHERE key = 'refused_dropped'");
    assert_eq!(dropped + refused_rows(dir.path()), MESSAGES as i64);
}
