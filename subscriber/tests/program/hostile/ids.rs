//! Ids without end, and ids that are none.

use super::{Place, get, most_memory, readings, refused_rows, wait_until};
use crate::support::{Publisher, count};
use lastbeat_wire::{Body, Header};

#[test]
fn ids_beyond_the_most_there_may_be_are_counted_and_who_is_configured_still_gets_in() {
    let mut place = Place::new("max_publishers = 500\n[publishers.late]\nthreshold = '1h'\n");
    let mut hostile = place.hostile();
    for id in 0..20_000 {
        hostile.raw(&format!("beat/{id}"), b"");
        if id % 100 == 0 {
            place.beside();
        }
    }
    // With the bystander there are 500.
    wait_until(|| place.metric("lastbeat_messages_of_too_many_publishers_total") == 20_000 - 499);
    let told = place.subscriber.logged("max_publishers");
    assert!(told.contains("there are 500 publishers") && told.contains("zmq+tcp"), "{told}");
    let mut late = Publisher::connect(&place.to, "late", Header::default());
    late.reading(1);
    while place.subscriber.flip()["publisher"] != "late" {}
    let dir = place.end(200);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM publishers"), 501);
}

#[test]
fn ids_that_are_none_are_refused_and_shown_without_harm_and_odd_ones_are_publishers() {
    let mut place = Place::new("");
    let mut hostile = place.hostile();
    let long = format!("sensor/{}", "x".repeat(70_000));
    let bad = [
        "sensor/../../etc/passwd",
        "sensor/a\nWARN forged line",
        "sensor/\u{1b}[2J",
        "sensor/a/../b",
        "sensor//",
        "beat/\0",
        "bye/+",
        "rip/#",
        &long,
        &long[..208],
    ];
    for topic in bad {
        hostile.raw(topic, b"1");
        place.beside();
    }
    let odd = ["a,b", "a b", "a=b", "a\"b", "a\\", "a\\,b", "'; DROP TABLE readings; --", "<script>", "%2e%2e", "🜁"];
    for id in odd {
        hostile.raw(&format!("sensor/{id}"), br#"{"value":1}"#);
    }
    place.refused("topic", bad.len() as u64);
    let told = place.subscriber.logged("can't be read");
    assert!(told.contains("reason=\"topic\"") && told.contains("zmq+tcp") && !told.contains('\u{1b}'), "{told}");
    wait_until(|| get(&place.url, "/api/v1/publishers").matches("\"id\":").count() == odd.len() + 1);
    let dir = place.end(200);
    assert_eq!(refused_rows(dir.path()), i64::try_from(bad.len()).unwrap());
    for id in odd {
        assert_eq!(readings(dir.path(), id), 1, "{id}");
    }
}

#[test]
#[ignore = "a measurement: cargo test -p lastbeat-subscriber --test program hostile::ids::measure -- --ignored --nocapture"]
fn measure_a_million_ids() {
    for config in ["", "max_publishers = 10000"] {
        let mut place = Place::new(config);
        let mut hostile = place.hostile();
        let begin = lastbeat_host::Clock.now().monotonic;
        for id in 0..1_000_000 {
            hostile.raw(&format!("beat/hostile/{id}"), b"");
            if id % 10_000 == 0 {
                place.beside();
            }
        }
        hostile.send(Body::Bye);
        hostile.close();
        wait_until(|| place.metric("lastbeat_messages_total") >= 1_000_001);
        let span = lastbeat_host::Clock.now().monotonic.since(begin);
        println!("{config:?}: a million ids in {span:?}, VmHWM {} KiB", most_memory(place.subscriber.pid()));
        place.end(4_096);
    }
}
