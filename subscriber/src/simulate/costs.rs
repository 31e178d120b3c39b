//! [`Cost`]: what a threshold costs and buys: the same world judged again at other thresholds.

use std::time::Duration;

use serde::Serialize;

use super::outcome::{Outcome, Quantiles};

/// The thresholds that are compared, in seconds, beside the one that is asked for.
const COMPARED: [u64; 9] = [5, 10, 20, 30, 50, 100, 200, 300, 600];

/// What one threshold comes to.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    pub threshold_s: f64,
    /// Whether it is the one that was asked for.
    pub chosen: bool,
    /// Trouble that only silence tells, found.
    pub found: usize,
    /// How long that took since it began.
    pub after_begin: Quantiles,
    /// Trouble that was over before it was found.
    pub over_unnoticed: u64,
    /// Per publisher and month.
    pub false_alarms: f64,
}

impl Cost {
    /// What the threshold of an outcome comes to.
    pub fn of(outcome: &Outcome, chosen: bool) -> Self {
        let (found, after_begin) = outcome.by_silence();
        Self {
            threshold_s: outcome.threshold_s,
            chosen,
            found,
            after_begin,
            over_unnoticed: outcome.over_unnoticed,
            false_alarms: outcome.alarm_rates().0,
        }
    }
}

/// The thresholds to compare, ascending; the chosen one is among them.
pub fn thresholds(chosen: Duration) -> Vec<Duration> {
    let mut thresholds: Vec<_> = COMPARED.into_iter().map(Duration::from_secs).chain([chosen]).collect();
    thresholds.sort();
    thresholds.dedup();
    thresholds
}
