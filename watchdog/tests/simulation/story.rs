//! What the watchdog tells, as the lines of a scenario's `story`.

use lastbeat_watchdog::{Evidence, Flip, Notice, Output, Status};
use lastbeat_wire::UtcNanos;

use super::span;
use super::world::BEGINNING;

/// The line for an output, if it tells something.
pub fn tell(output: &Output) -> Option<String> {
    Some(match output {
        Output::Flip(flip) => tell_flip(flip),
        Output::Notice(Notice::Restarted { publisher, at, .. }) => format!("{} {publisher} restarted", moment(*at)),
        Output::Notice(Notice::Conflict { publisher, at, .. }) => format!("{} {publisher} conflict", moment(*at)),
        Output::Notice(Notice::Contradiction { publisher, at, .. }) => {
            format!("{} {publisher} contradiction", moment(*at))
        }
        Output::Unwatched(span) if span.from < span.to => {
            let (from, to) = (moment(span.from), moment(span.to));
            format!("{from} unwatched until {to} {}", span.link.as_deref().unwrap_or("at all"))
        }
        Output::Unwatched(_)
        | Output::Ask(_)
        | Output::Attend(_)
        | Output::Missing(_)
        | Output::Notice(Notice::Maintenance { .. }) => return None,
    })
}

fn tell_flip(flip: &Flip) -> String {
    let mut line = format!("{} {} {} -> {} {}", moment(flip.at), flip.publisher, flip.from, flip.to, flip.cause.word());
    if !flip.evidence.is_empty() {
        line.extend([" (", &flip.evidence.iter().map(word).collect::<Vec<_>>().join(" "), ")"]);
    }
    if flip.noticed_at != flip.at {
        line.extend([" noticed ", &moment(flip.noticed_at)]);
    }
    line
}

fn word(evidence: &Evidence) -> String {
    match serde_json::to_value(&evidence.fact).expect("a fact can be written") {
        serde_json::Value::String(word) => word,
        serde_json::Value::Object(fact) => fact.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

fn moment(at: UtcNanos) -> String {
    span::format(at.0 - BEGINNING.0)
}

/// A line in the one form in which lines are compared: single blanks, spans in their shortest form.
pub fn plain(line: &str) -> String {
    let word = |word: &str| match span::parse(word) {
        Some(nanos) => span::format(nanos),
        None => word.to_owned(),
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// What a scenario may expect of a publisher, by its key; `None` for a key there is not.
pub fn shown(status: &Status, key: &str) -> Option<toml::Value> {
    let text = |text: String| Some(toml::Value::String(text));
    let count = |count: u64| Some(toml::Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
    match key {
        "state" => text(status.state.word().to_owned()),
        "cause" => text(status.cause.word().to_owned()),
        "alive" => text(status.state.alive().map_or("open", |alive| if alive { "yes" } else { "no" }).to_owned()),
        "since" => text(moment(status.since)),
        "silence" => text(status.silence.map_or("never heard".to_owned(), |silence| {
            span::format(i64::try_from(silence.as_nanos()).unwrap_or(i64::MAX))
        })),
        "threshold" => text(span::format(i64::try_from(status.threshold.as_nanos()).unwrap_or(i64::MAX))),
        "messages" => count(status.counts.messages),
        "readings" => count(status.counts.readings),
        "refused" => count(status.counts.refused),
        "missed" => count(status.counts.missed),
        "duplicates" => count(status.counts.duplicates),
        "late" => count(status.counts.late),
        "retained" => count(status.counts.retained),
        "restarts" => count(status.counts.restarts),
        "conflicts" => count(status.counts.conflicts),
        _ => None,
    }
}
