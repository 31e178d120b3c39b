//! Any bytes as a capture: refused with file and line in words fit for a terminal, or read to its end in order, and thresholds
//! are told of it.

pub fn capture(bytes: &[u8]) {
    if let Err(error) = lastbeat_subscriber::fuzzed::capture(bytes) {
        assert!(error.starts_with("fuzzed.jsonl line "), "{error:?}");
        assert!(error.len() < 2000 && !error.chars().any(char::is_control), "{error:?}");
    }
}
