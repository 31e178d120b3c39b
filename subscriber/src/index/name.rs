//! [`IndexName`]: the name of the index a document goes to, one for all or one for each day.

use std::fmt;
use std::str::FromStr;

use chrono::DateTime;
use lastbeat_wire::UtcNanos;

/// A name with `%Y`, `%m` and `%d` for a day in UTC, or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexName(String);

/// Why a name can't be an index's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("index {name:?}: {reason}")]
pub struct InvalidName {
    name: String,
    reason: &'static str,
}

impl IndexName {
    /// The index of a day.
    pub fn of(&self, time: UtcNanos) -> String {
        let day = DateTime::from_timestamp_nanos(time.0);
        day.format(&self.0).to_string()
    }

    /// What all its indices match, as a template wants it.
    pub fn wildcard(&self) -> String {
        match self.0.split_once('%') {
            Some((stem, _)) => format!("{stem}*"),
            None => self.0.clone(),
        }
    }

    /// A name for what belongs to these indices, their template: `lastbeat-logstash`.
    pub fn template(&self) -> String {
        let stem = self.0.split('%').next().unwrap_or_default().trim_end_matches(['-', '_', '.']);
        format!("lastbeat-{stem}")
    }
}

impl Default for IndexName {
    fn default() -> Self {
        Self("logstash-%Y.%m.%d".to_owned())
    }
}

impl FromStr for IndexName {
    type Err = InvalidName;

    /// The rules are those of the API to create an index.
    /// (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create>)
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let invalid = |reason| Err(InvalidName { name: name.to_owned(), reason });
        let mut parts = name.split('%');
        let stem = parts.next().unwrap_or_default();
        if !stem.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit()) {
            return invalid("begins with a small letter or a digit");
        }
        let mut plain = stem.to_owned();
        for part in parts {
            match part.strip_prefix(['Y', 'm', 'd']) {
                Some(rest) => plain.push_str(rest),
                None => return invalid("of a day it may have %Y, %m and %d, and no other %"),
            }
        }
        if !plain.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')) {
            return invalid("has small letters, digits, '-', '_' and '.'");
        }
        if name.len() > 200 {
            return invalid("is longer than 200 bytes");
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_that_of_utc_to_its_last_nanosecond() {
        let name = IndexName::default();
        let midnight = 1_700_006_400_000_000_000;
        assert_eq!(name.of(UtcNanos(midnight)), "logstash-2023.11.15");
        assert_eq!(name.of(UtcNanos(midnight - 1)), "logstash-2023.11.14");
        assert_eq!(name.of(UtcNanos(i64::MIN)), "logstash-1677.09.21");
        assert_eq!((name.wildcard().as_str(), name.template().as_str()), ("logstash-*", "lastbeat-logstash"));
    }

    #[test]
    fn one_name_is_for_all_days() {
        let name: IndexName = "swarm".parse().unwrap();
        assert_eq!(name.of(UtcNanos(0)), "swarm");
        assert_eq!((name.wildcard().as_str(), name.template().as_str()), ("swarm", "lastbeat-swarm"));
    }

    #[test]
    fn what_no_server_takes_is_refused_here() {
        for (name, reason) in [
            ("", "begins with"),
            ("_all", "begins with"),
            ("%Y", "begins with"),
            ("Swarm", "begins with"),
            ("swarm,other", "small letters"),
            ("swArm", "small letters"),
            ("swarm-%H", "no other %"),
            ("swarm-%", "no other %"),
            (&"x".repeat(201), "200 bytes"),
        ] {
            let error = name.parse::<IndexName>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
