//! [`Addresses`]: where the broker can be reached, as it is after ports were chosen.

use std::fmt;

/// Where the broker can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Where publishers connect to.
    pub publishers: Vec<String>,
    /// Where subscribers connect to.
    pub subscribers: Vec<String>,
}

impl Addresses {
    /// One line: `{"publishers":["tcp://127.0.0.1:5555"],"subscribers":["tcp://127.0.0.1:5556"]}`.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "publishers": self.publishers, "subscribers": self.subscribers }).to_string()
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publishers at {}, subscribers at {}", self.publishers.join(", "), self.subscribers.join(", "))
    }
}
