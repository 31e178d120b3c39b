//! The two times: [`UtcNanos`], the wall clock, for what is stored and shown, and [`Monotonic`], for measuring silence.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Nanoseconds since 1970-01-01T00:00:00Z, from the year 1677 to 2262.
///
/// On the wire an integer; an RFC 3339 string is understood too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct UtcNanos(pub i64);

impl UtcNanos {
    /// The instant `span` later, at most the last one there is.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The instant `span` earlier, at least the first one there is.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// The same instant as chrono has it.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0)
    }

    /// The instant of a chrono time, if it lies between 1677 and 2262.
    pub fn from_chrono<Z: chrono::TimeZone>(time: &DateTime<Z>) -> Option<Self> {
        time.timestamp_nanos_opt().map(Self)
    }
}

impl fmt::Display for UtcNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_chrono().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl<'de> Deserialize<'de> for UtcNanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = UtcNanos;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("nanoseconds since 1970 as an integer, or an RFC 3339 time between 1677 and 2262")
            }
            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<UtcNanos, E> {
                Ok(UtcNanos(nanos))
            }
            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<UtcNanos, E> {
                i64::try_from(nanos).map(UtcNanos).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(nanos), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<UtcNanos, E> {
                DateTime::parse_from_rfc3339(text)
                    .ok()
                    .and_then(|time| UtcNanos::from_chrono(&time))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Nanoseconds on a clock that only goes forward, from an arbitrary start: meaningful only against the same clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The instant `span` later, at most the last one there is.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The instant `span` earlier, at least the clock's start.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// One look at both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For measuring.
    pub monotonic: Monotonic,
    /// For storing and showing.
    pub utc: UtcNanos,
}

impl Now {
    /// What the wall clock, as it goes now, would have shown at another instant of the monotonic one.
    pub fn utc_at(self, instant: Monotonic) -> UtcNanos {
        if instant >= self.monotonic {
            self.utc.plus(instant.since(self.monotonic))
        } else {
            self.utc.minus(self.monotonic.since(instant))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_itself_in_rfc_3339_with_no_more_digits_than_needed() {
        assert_eq!(UtcNanos(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(UtcNanos(1_500_000_000).to_string(), "1970-01-01T00:00:01.500Z");
        assert_eq!(UtcNanos(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn reads_integers_and_rfc_3339() {
        assert_eq!(serde_json::from_str::<UtcNanos>("5").unwrap(), UtcNanos(5));
        assert_eq!(serde_json::from_str::<UtcNanos>("\"1970-01-01T01:00:00.000000007+01:00\"").unwrap(), UtcNanos(7));
        let error = serde_json::from_str::<UtcNanos>("\"2400-01-01T00:00:00Z\"").unwrap_err();
        assert!(error.to_string().contains("2400-01-01"), "{error}");
    }
}
