//! [`Moves`]: which broker each agent is linked with, by its own log, and when it came there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastbeat_host::Clock;
use lastbeat_wire::Monotonic;

use crate::process::Lines;

/// By agent: its broker's URL, and since when.
#[derive(Debug, Clone, Default)]
pub struct Moves(Arc<Mutex<BTreeMap<String, (String, Monotonic)>>>);

impl Moves {
    /// Reads an agent's log.
    pub fn lines(&self, agent: &str) -> Lines {
        let (moves, agent) = (self.clone(), agent.to_owned());
        Box::new(move |line| {
            if let Some(url) = arrived(line) {
                moves.lock().insert(agent.clone(), (url.to_owned(), Clock.now().monotonic));
            }
        })
    }

    /// The agents that are linked with a broker.
    pub fn at(&self, url: &str) -> Vec<String> {
        self.lock().iter().filter(|(_, (at, _))| at == url).map(|(agent, _)| agent.clone()).collect()
    }

    /// When an agent came to where it is.
    pub fn since(&self, agent: &str) -> Option<Monotonic> {
        self.lock().get(agent).map(|(_, since)| *since)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (String, Monotonic)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker that a line says an agent is linked with now.
fn arrived(line: &str) -> Option<&str> {
    let rest = match line.split_once("moved from ") {
        Some((_, rest)) => rest.split_once(" to ")?.1,
        None => line.split_once("linked with ")?.1,
    };
    rest.split([' ', ',']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_tells_where_an_agent_is() {
        for (line, url) in [
            ("INFO linked with mqtt://198.18.0.1:1883", Some("mqtt://198.18.0.1:1883")),
            ("INFO linked with mqtt://a again, after 1.2 s without a link", Some("mqtt://a")),
            ("INFO moved from mqtt://a to mqtt://b, after 0.1 s without a link", Some("mqtt://b")),
            ("INFO 198.18.0.9: 0 % of 4 lost", None),
        ] {
            assert_eq!(arrived(line), url);
        }
    }
}
