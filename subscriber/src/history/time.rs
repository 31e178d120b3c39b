//! Times as the API writes them.

use lastbeat_wire::UtcNanos;
use serde::{Serialize, Serializer};

/// A time as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Time(pub UtcNanos);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Seconds since 1970, to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "a float holds microseconds since 1970 exactly until the year 2255")]
pub fn seconds(time: UtcNanos) -> f64 {
    time.0.div_euclid(1_000) as f64 / 1e6
}

/// A length in nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "the digits that are lost are below those that anybody reads")]
pub fn length_s(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
