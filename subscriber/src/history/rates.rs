//! Messages a second of many publishers, from what their stored heartbeats counted; for sparklines.

use std::collections::BTreeMap;
use std::time::Duration;

use lastbeat_wire::UtcNanos;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::parameters::{Parameters, Range};
use super::{HistoryError, publisher_row};
use crate::pace::LONGEST;
use crate::told::Time;

/// Most publishers at a time.
const MOST_IDS: usize = 100;
const DEFAULT_POINTS: usize = 30;
const MOST_POINTS: usize = 5_000;
/// Two heartbeats further apart than so many of their periods say nothing of the time between them, unless nothing came
/// between them: of one that is silent there are few.
const MISSED_PERIODS: u32 = 3;
/// Then they may be so far apart: one may be missing where the subscriber was started anew.
const QUIET: Duration = LONGEST.saturating_mul(2);

/// Which rates are asked for.
#[derive(Debug, Clone)]
pub struct RatesQuestion {
    publishers: Vec<String>,
    range: Range,
    points: usize,
}

/// The rates of some publishers.
#[derive(Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[expect(clippy::struct_field_names, reason = "that is its name in the JSON")]
pub struct Rates {
    /// From this time on.
    pub from: Time,
    /// Before this time.
    pub to: Time,
    /// How many buckets of one length there are.
    pub points: usize,
    /// Of each publisher the messages a second in each bucket; null where no heartbeats tell.
    pub rates: BTreeMap<String, Vec<Option<f64>>>,
}

/// How many messages there had been at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at: UtcNanos,
    messages: u64,
}

/// As the store has it, among others.
#[derive(Deserialize)]
struct Counts {
    messages: u64,
}

impl RatesQuestion {
    /// From a request's parameters.
    pub fn parse(query: Option<&str>, now: UtcNanos) -> Result<Self, HistoryError> {
        let parameters = Parameters::parse(query, &["id", "since", "until", "points"])?;
        let publishers: Vec<_> = parameters.all("id").map(str::to_owned).collect();
        match publishers.get(MOST_IDS) {
            Some(id) => Err(HistoryError::parameter("id", id, format!("at most {MOST_IDS} may be given"))),
            None if publishers.is_empty() => Err(HistoryError::parameter("id", "", "give at least one")),
            None => Ok(Self {
                publishers,
                range: parameters.range(now, Duration::from_mins(30))?,
                points: parameters.number("points", DEFAULT_POINTS, 1..=MOST_POINTS)?,
            }),
        }
    }

    /// The answer. A publisher that the store does not know has no heartbeats.
    pub fn answer(self, db: &Connection, report_every: Duration) -> Result<Rates, HistoryError> {
        let Self { publishers, range, points } = self;
        let width = range.nanos().div_ceil(points as u64);
        let apart = (report_every * MISSED_PERIODS).max(Duration::from_nanos(width.saturating_mul(2)));
        let mut heartbeats = Heartbeats::new(db)?;
        let mut rates = BTreeMap::new();
        for name in publishers {
            let samples = match publisher_row(db, &name)? {
                Some(publisher) => heartbeats.samples(publisher, range, width, apart)?,
                None => Vec::new(),
            };
            rates.insert(name, buckets(&samples, range, width, points, apart));
        }
        Ok(Rates { from: Time(range.from), to: Time(range.to), points, rates })
    }
}

/// The statements that look for one heartbeat each.
struct Heartbeats<'a> {
    first: CachedStatement<'a>,
    last: CachedStatement<'a>,
}

impl<'a> Heartbeats<'a> {
    fn new(db: &'a Connection) -> Result<Self, HistoryError> {
        let first = "SELECT time_ns, counts FROM heartbeats WHERE publisher = ?1 AND time_ns >= ?2 AND time_ns < ?3
                     ORDER BY time_ns LIMIT 1";
        let last = "SELECT time_ns, counts FROM heartbeats WHERE publisher = ?1 AND time_ns >= ?2 AND time_ns < ?3
                    ORDER BY time_ns DESC LIMIT 1";
        Ok(Self { first: db.prepare_cached(first)?, last: db.prepare_cached(last)? })
    }

    /// The last heartbeat before the range, the first one of each bucket, and the last one: all that is needed, however
    /// many there are.
    fn samples(
        &mut self,
        publisher: i64,
        range: Range,
        width: u64,
        apart: Duration,
    ) -> Result<Vec<Sample>, HistoryError> {
        let before = params![publisher, range.from.minus(apart.max(QUIET)).0, range.from.0];
        let mut samples: Vec<_> = self.last.query_row(before, sample).optional()?.into_iter().collect();
        let mut from = range.from;
        while let Some(found) = self.first.query_row(params![publisher, from.0, range.to.0], sample).optional()? {
            samples.push(found);
            let bucket = found.at.0.abs_diff(range.from.0) / width;
            from = UtcNanos(range.from.0.saturating_add_unsigned((bucket + 1).saturating_mul(width)));
            if from >= range.to {
                break;
            }
        }
        let after = samples.last().map_or(range.from, |last| last.at.plus(Duration::from_nanos(1)));
        samples.extend(self.last.query_row(params![publisher, after.0, range.to.0], sample).optional()?);
        Ok(samples)
    }
}

fn sample(row: &Row<'_>) -> rusqlite::Result<Sample> {
    let counts: Counts = serde_json::from_str(row.get_ref(1)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into()))?;
    Ok(Sample { at: UtcNanos(row.get(0)?), messages: counts.messages })
}

/// The messages between two samples are spread evenly over the time between them. Where they are too far apart, or the
/// count is less than it was, for it began anew, nothing is said.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn buckets(samples: &[Sample], range: Range, width: u64, points: usize, apart: Duration) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_u64); points];
    for pair in samples.windows(2) {
        let span = pair[1].at.since(pair[0].at);
        let Some(messages) = pair[1].messages.checked_sub(pair[0].messages) else { continue };
        let apart = if messages == 0 { apart.max(QUIET) } else { apart };
        if span.is_zero() || span > apart {
            continue;
        }
        let rate = messages as f64 / span.as_secs_f64();
        // As nanoseconds since the range's start.
        let place = |at: UtcNanos| u64::try_from(i128::from(at.0) - i128::from(range.from.0)).unwrap_or_default();
        let (mut from, to) = (place(pair[0].at), place(pair[1].at).min(range.nanos()));
        while from < to {
            let bucket = from / width;
            let end = to.min((bucket + 1).saturating_mul(width));
            if let Some((sum, covered)) = usize::try_from(bucket).ok().and_then(|bucket| sums.get_mut(bucket)) {
                *sum += rate * seconds(end - from);
                *covered += end - from;
            }
            from = end;
        }
    }
    sums.into_iter().map(|(sum, covered)| (covered > 0).then(|| sum / seconds(covered))).collect()
}

fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    fn samples(samples: &[(i64, u64)]) -> Vec<Sample> {
        samples.iter().map(|(at, messages)| Sample { at: UtcNanos(at * SECOND), messages: *messages }).collect()
    }

    fn rates(of: &[(i64, u64)], apart: u64) -> Vec<Option<f64>> {
        let range = Range { from: UtcNanos(0), to: UtcNanos(40 * SECOND) };
        buckets(&samples(of), range, 10_000_000_000, 4, Duration::from_secs(apart))
    }

    #[test]
    fn a_bucket_has_the_rate_of_the_time_that_is_known_of_it() {
        assert_eq!(
            rates(&[(-10, 0), (0, 10), (10, 30), (25, 30), (35, 130)], 20),
            [Some(2.0), Some(0.0), Some(5.0), Some(10.0)]
        );
        assert_eq!(rates(&[(15, 0), (20, 10)], 20), [None, Some(2.0), None, None]);
    }

    #[test]
    fn nothing_is_said_where_heartbeats_are_missing_or_a_count_began_anew() {
        assert_eq!(rates(&[(0, 0), (10, 10), (31, 31), (40, 40)], 20), [Some(1.0), None, None, Some(1.0)]);
        assert_eq!(rates(&[(0, 100), (10, 110), (20, 5), (30, 15)], 20), [Some(1.0), None, Some(1.0), None]);
        assert_eq!(rates(&[(0, 100)], 20), [None; 4]);
        assert_eq!(rates(&[(5, 100), (5, 200)], 20), [None; 4]);
        assert_eq!(rates(&[], 20), [None; 4]);
    }

    #[test]
    fn between_two_heartbeats_with_nothing_between_them_nothing_came() {
        assert_eq!(rates(&[(-200, 10), (35, 10)], 20), [Some(0.0); 4]);
        assert_eq!(rates(&[(-500, 10), (35, 10)], 20), [None; 4]);
    }

    proptest! {
        #[test]
        fn messages_are_neither_made_nor_lost(
            steps in proptest::collection::vec((1_i64..20, 0_u64..1_000), 2..30), points in 1_usize..50
        ) {
            let mut all = vec![(0, 0_u64)];
            for (seconds, messages) in steps {
                let (at, counted) = all[all.len() - 1];
                all.push((at + seconds, counted + messages));
            }
            let (end, counted) = all[all.len() - 1];
            let range = Range { from: UtcNanos(0), to: UtcNanos(end * SECOND) };
            let width = range.nanos().div_ceil(points as u64);
            let rates = buckets(&samples(&all), range, width, points, Duration::from_hours(1));
            let sum: f64 = (0_u64..)
                .zip(&rates)
                .map(|(place, rate)| {
                    let covered = range.nanos().min((place + 1) * width).saturating_sub(place * width);
                    rate.unwrap_or_default() * seconds(covered)
                })
                .sum();
            let counted = f64::from(u32::try_from(counted).unwrap());
            prop_assert!((sum - counted).abs() < 1e-6 * counted + 1e-6, "{sum} of {counted}");
        }
    }
}
