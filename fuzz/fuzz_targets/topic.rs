//! Any bytes as a topic: refused, or a kind and an id that make the same topic again.
#![no_main]

use lastbeat_wire::{PublisherId, Topic};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Topic::parse(bytes) {
        Ok(topic) => {
            let id: PublisherId = topic.publisher.parse().expect("a topic's publisher is an id");
            assert_eq!(topic.kind.topic(&id).as_bytes(), bytes);
            assert_eq!(topic.to_string().as_bytes(), bytes);
            assert!(id.as_str().len() <= PublisherId::MAX_BYTES);
        }
        // It is shown to people: short, and without control characters that act on a terminal.
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.len() < 1000 && !shown.chars().any(char::is_control), "{shown:?}");
        }
    }
});
