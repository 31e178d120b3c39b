//! [`Log`]: what was logged in this process, for a test to look at.
#![allow(dead_code, reason = "not each test file that uses this one needs all of it")]

use std::{
    fmt::Debug,
    sync::{Mutex, Once, PoisonError},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static START: Once = Once::new();

/// Where all events of this crate go, whichever thread they are from. Tests of one process share it: look for what is yours.
pub struct Log(&'static Mutex<Vec<String>>);

impl Log {
    /// In a file of tests that look at it each test has to start it before the first event: what comes while it is being started
    /// would be left out from then on, for all.
    pub fn start() -> Self {
        START.call_once(|| tracing::subscriber::set_global_default(Lines).unwrap());
        Self(&LINES)
    }

    /// The lines that contain all of `parts`, the oldest first.
    pub fn lines(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).cloned().collect()
    }
}

struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lastbeat")
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}
