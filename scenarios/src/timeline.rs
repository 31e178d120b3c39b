//! [`Timeline`]: what was done and what was seen, a line each, as it happens, in columns for people.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_watchdog::State;
use lastbeat_wire::{Monotonic, UtcNanos};

use crate::events::Sighting;

/// Prints to stdout.
pub struct Timeline {
    paint: Paint,
    began: Monotonic,
    telling: Telling,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Every step.
    Everything,
    /// The heading only.
    Nothing,
}

/// How long after it could first be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Until the watchdog knew.
    pub known: Duration,
    /// Until its line was read here.
    pub told: Duration,
}

impl Latency {
    /// Of a flip that could be known from `from` on.
    pub fn of(sighting: &Sighting, from: UtcNanos) -> Self {
        Self { known: sighting.flip.noticed_at.since(from), told: sighting.arrived.since(from) }
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours for a terminal, unless `NO_COLOR` is set (no-color.org).
    pub fn for_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { on: wanted && io::stdout().is_terminal() }
    }

    /// Grey: of less weight.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// As a heading.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// As it should be.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// As it should not be.
    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn state(self, state: State, text: &str) -> String {
        match state {
            State::Alive => self.good(text),
            State::Dead | State::Failed => self.bad(text),
            State::Unseen | State::Blind | State::Paused => self.dim(text),
            State::Silent | State::Suspended | State::Unknown | State::Finished => self.with("33", text),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Timeline {
    /// Begins now, with a heading.
    pub fn begin(heading: &str, telling: Telling) -> Self {
        let timeline = Self { paint: Paint::for_stdout(), began: Clock.now().monotonic, telling };
        say(&format!("{}\n", timeline.paint.bold(heading)));
        timeline
    }

    /// How to colour.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Something was done.
    pub fn done(&self, who: &str, what: &str) {
        self.line(who, what);
    }

    /// Something was noted that was neither done nor told.
    pub fn noted(&self, what: &str) {
        self.line("", &self.paint.dim(what));
    }

    /// Something is not as it should be.
    pub fn wrong(&self, who: &str, what: &str) {
        self.line(who, &self.paint.bad(what));
    }

    /// A flip was told.
    pub fn seen(&self, sighting: &Sighting, latency: Option<(Latency, &str)>) {
        let flip = &sighting.flip;
        let (from, to) = (flip.from.word(), flip.to.word());
        let padding = " ".repeat(22_usize.saturating_sub(from.len() + 3 + to.len()));
        let change = format!("{} → {}{padding}", self.paint.state(flip.from, from), self.paint.state(flip.to, to));
        let cause = flip.cause.word();
        let after = latency.map_or_else(String::new, |(latency, of)| {
            let (known, told) = (milliseconds(latency.known), milliseconds(latency.told));
            format!("known {known:>8}, told {told:>8} after {of}")
        });
        self.line(flip.publisher.as_str(), format!("{change}{cause:<16}{}", self.paint.dim(&after)).trim_end());
    }

    fn line(&self, who: &str, what: &str) {
        if self.telling == Telling::Nothing {
            return;
        }
        let time = format!("{:>9.3} s", Clock.now().monotonic.since(self.began).as_secs_f64());
        say(&format!("{}  {who:<16}{what}", self.paint.dim(&time)));
    }
}

/// A span in milliseconds, as precise as it is worth: `0.42 ms`, `17.3 ms`, `2140 ms`.
pub fn milliseconds(span: Duration) -> String {
    let milliseconds = span.as_secs_f64() * 1e3;
    let digits = if milliseconds < 10.0 { 2 } else { usize::from(milliseconds < 1000.0) };
    format!("{milliseconds:.digits$} ms")
}

/// Prints a line. Nobody reading it is no reason to stop.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_digits_that_matter() {
        assert_eq!(milliseconds(Duration::from_micros(423)), "0.42 ms");
        assert_eq!(milliseconds(Duration::from_micros(17_340)), "17.3 ms");
        assert_eq!(milliseconds(Duration::from_millis(2_140)), "2140 ms");
    }

    #[test]
    fn without_colours_nothing_is_added() {
        assert_eq!(Paint { on: false }.bad("dead"), "dead");
        assert_eq!(Paint { on: true }.bad("dead"), "\x1b[31mdead\x1b[0m");
    }
}
