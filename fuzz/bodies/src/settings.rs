//! Any text as a configuration file: refused in words, or settings that hold together.

pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = lastbeat_subscriber::fuzzed::settings(text) {
        assert!(!error.is_empty());
    }
}
