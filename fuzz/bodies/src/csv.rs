//! Any bytes as a CSV file: it is refused with a reason or replayed to its end; rows are readings, bad, or nothing.

use lastbeat_publisher::source::csv::{CsvSource, Repeat, Settings};
use lastbeat_publisher::source::{Source, Step};
use lastbeat_wire::{Monotonic, Now, UtcNanos, Value};

pub fn replay(bytes: &[u8]) {
    let folder = crate::folder();
    let path = folder.path().join("fuzzed.csv");
    std::fs::write(&path, bytes).expect("a temporary file");
    let mut settings = Settings::new(&path);
    settings.repeat = Repeat::Once;
    let now = Now { monotonic: Monotonic(0), utc: UtcNanos(0) };
    let mut source = match CsvSource::open(settings) {
        Ok(source) => source,
        Err(error) => return drop(error.to_string()),
    };
    // A row takes a byte at least.
    for _ in 0..bytes.len() + 3 {
        match source.advance(now) {
            Ok(Step::Reading { .. }) => {
                for (_, value) in source.reading().fields.iter() {
                    assert!(!matches!(value, Value::Float(float) if !float.is_finite()));
                }
                assert!(!source.place().is_empty());
            }
            Ok(Step::Bad(error)) => drop(error.to_string()),
            Ok(Step::Nothing | Step::Later(_)) => {}
            Ok(Step::End) => return,
            Err(error) => return drop(error.to_string()),
        }
    }
    panic!("it never ends");
}
