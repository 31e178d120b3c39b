//! [`PublisherId`]: the name under which something publishes.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

/// The name of a publisher: 1 to 200 bytes of UTF-8 that can stand in a topic and in a file name's place.
///
/// `/` may part it into levels, as in MQTT; a level is never empty, `.` or `..`. Control characters and MQTT's wildcards
/// `+` and `#` are not allowed. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PublisherId(Arc<str>);

/// Why a text is no publisher id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("publisher id {id:?}: {reason}")]
pub struct InvalidPublisherId {
    /// The text, cut after 64 characters.
    pub id: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl PublisherId {
    /// Most bytes an id may have.
    pub const MAX_BYTES: usize = 200;

    /// Checks a text without keeping it.
    pub fn check(id: &str) -> Result<(), InvalidPublisherId> {
        if id.len() <= Self::MAX_BYTES && is_plain(id) {
            return Ok(());
        }
        let reason = if id.is_empty() {
            "is empty"
        } else if id.len() > Self::MAX_BYTES {
            "is longer than 200 bytes"
        } else if id.chars().any(char::is_control) {
            "has a control character"
        } else if id.contains(['+', '#']) {
            "has a wildcard, + or #"
        } else if id.split('/').any(|level| matches!(level, "" | "." | "..")) {
            "has an empty level, or . or .. as a level"
        } else {
            return Ok(());
        };
        Err(InvalidPublisherId { id: id.chars().take(64).collect(), reason })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it has only letters, digits, `-` and `_` of ASCII, in levels that are not empty: then there is nothing to be checked
/// character by character, which takes twice as long.
fn is_plain(id: &str) -> bool {
    let mut level = 0;
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => level += 1,
            b'/' if level > 0 => level = 0,
            _ => return false,
        }
    }
    level > 0
}

impl TryFrom<&str> for PublisherId {
    type Error = InvalidPublisherId;
    fn try_from(id: &str) -> Result<Self, Self::Error> {
        Self::check(id)?;
        Ok(Self(id.into()))
    }
}

impl FromStr for PublisherId {
    type Err = InvalidPublisherId;
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        id.try_into()
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for PublisherId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for PublisherId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        id.as_str().try_into().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_can_stand_in_a_topic() {
        for id in ["1", "light-1", "house/kitchen", "Küche, links", "a b=c\"", &"x".repeat(200)] {
            assert_eq!(id.parse::<PublisherId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn refuses_what_cannot_and_says_why() {
        for (id, reason) in [
            ("", "empty"),
            (&*"x".repeat(201), "200 bytes"),
            ("a\nb", "control"),
            ("a\0", "control"),
            ("a/+", "wildcard"),
            ("#", "wildcard"),
            ("../etc", ".."),
            ("/a", "empty level"),
            ("a//b", "empty level"),
            ("a/", "empty level"),
        ] {
            let error = id.parse::<PublisherId>().unwrap_err().to_string();
            assert!(error.contains(reason), "{id:?}: {error}");
        }
    }
}
