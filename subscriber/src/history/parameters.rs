//! [`Parameters`]: what stands behind the `?`, checked; each error names the parameter and its value.

use std::ops::RangeInclusive;
use std::time::Duration;

use lastbeat_wire::UtcNanos;

use super::HistoryError;
use crate::export::parse_time;

/// The parameters of one request.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

/// A time from `from` on, before `to`; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its first instant.
    pub from: UtcNanos,
    /// The instant behind its last one.
    pub to: UtcNanos,
}

impl Range {
    /// Its length in nanoseconds, at least 1.
    pub fn nanos(self) -> u64 {
        self.to.0.abs_diff(self.from.0)
    }
}

impl Parameters {
    /// Takes apart what stands behind the `?`. An empty value is as good as none.
    ///
    /// # Errors
    /// For one that is not among `known`.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, HistoryError> {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs: Vec<_> = pairs.into_owned().filter(|(_, value)| !value.is_empty()).collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, value)) => {
                let reason = format!("there is no such parameter, only {}", known.join(", "));
                Err(HistoryError::parameter(name.chars().take(100).collect::<String>(), value, reason))
            }
            None => Ok(Self(pairs)),
        }
    }

    /// Every value of a parameter that may be given several times, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may be given once.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, HistoryError> {
        let mut all = self.all(name);
        let one = all.next();
        match all.next() {
            Some(second) => Err(HistoryError::parameter(name, second, "it is given twice")),
            None => Ok(one),
        }
    }

    /// A number.
    pub fn number(
        &self,
        name: &'static str,
        otherwise: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, HistoryError> {
        let Some(text) = self.one(name)? else { return Ok(otherwise) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let reason = || format!("it has to be a whole number from {} to {}", range.start(), range.end());
        number.ok_or_else(|| HistoryError::parameter(name, text, reason()))
    }

    /// One of several words.
    pub fn word<T: Copy>(
        &self,
        name: &'static str,
        words: &[(&'static str, T)],
        otherwise: T,
    ) -> Result<T, HistoryError> {
        let Some(text) = self.one(name)? else { return Ok(otherwise) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        found.ok_or_else(|| HistoryError::parameter(name, text, format!("it has to be {}", all())))
    }

    /// The time from `since` on, before `until`. Where they are not given: up to now, and `otherwise` long.
    pub fn range(&self, now: UtcNanos, otherwise: Duration) -> Result<Range, HistoryError> {
        let to = self.time("until", now)?.unwrap_or(now);
        self.ordered(self.time("since", now)?.unwrap_or(to.minus(otherwise)), to)
    }

    /// The same; where they are not given there is no limit.
    pub fn open_range(&self, now: UtcNanos) -> Result<Range, HistoryError> {
        let from = self.time("since", now)?.unwrap_or(UtcNanos(i64::MIN));
        self.ordered(from, self.time("until", now)?.unwrap_or(UtcNanos(i64::MAX)))
    }

    fn ordered(&self, from: UtcNanos, to: UtcNanos) -> Result<Range, HistoryError> {
        if from >= to {
            let reason = format!("that is {from}, not before the end at {to}");
            return Err(HistoryError::parameter("since", self.one("since")?.unwrap_or_default(), reason));
        }
        Ok(Range { from, to })
    }

    /// A time, if it is given.
    pub fn time(&self, name: &'static str, now: UtcNanos) -> Result<Option<UtcNanos>, HistoryError> {
        self.one(name)?.map(|text| time(name, text, now)).transpose()
    }
}

fn time(name: &'static str, text: &str, now: UtcNanos) -> Result<UtcNanos, HistoryError> {
    parse_time(text, now).map_err(|error| HistoryError::parameter(name, text, error.to_string()))
}
