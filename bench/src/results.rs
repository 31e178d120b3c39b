//! [`Results`]: every figure, run by run; medians and ratios of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cli::Group;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Messages or points a second.
    PerSecond,
    /// Microseconds of CPU a message.
    CpuMicros,
    /// Milliseconds.
    Millis,
    /// Nanoseconds.
    Nanos,
    /// Bytes.
    Bytes,
    /// Mebibytes.
    Mebibytes,
    /// Percent of one processor.
    Percent,
    /// How many.
    Count,
    /// So many times as much.
    Times,
}

/// One figure, each time it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What targets call it: `way.log`.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// Run by run.
    pub values: Vec<f64>,
}

/// All figures, in the order in which they were first measured, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// On what, when, and of which commit, a group.
    pub made: BTreeMap<String, String>,
    /// The figures.
    pub series: Vec<Series>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

impl Results {
    /// Adds what a run measured.
    pub fn add(&mut self, key: &str, name: &str, unit: Unit, value: f64) {
        if let Some(series) = self.series.iter_mut().find(|series| series.key == key) {
            series.values.push(value);
        } else {
            let (key, name) = (key.to_owned(), name.to_owned());
            self.series.push(Series { key, name, unit, values: vec![value] });
        }
    }

    /// A figure.
    pub fn find(&self, key: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.key == key)
    }

    /// Its median.
    pub fn median(&self, key: &str) -> Option<f64> {
        self.find(key).map(Series::median)
    }

    /// The median of one figure over another, each pair of the same run: `way.log / way.proxy`.
    pub fn ratio(&self, of: &str, to: &str) -> Option<f64> {
        let (of, to) = (self.find(of)?, self.find(to)?);
        let ratios: Vec<_> =
            of.values.iter().zip(&to.values).filter(|(_, to)| **to != 0.0).map(|(of, to)| of / to).collect();
        median(&ratios)
    }

    /// Takes the groups that are not here from an earlier run.
    pub fn take_others(&mut self, earlier: Self, here: &[Group]) {
        let names: Vec<_> = here.iter().map(|group| group.name()).collect();
        let other = |text: &str| !names.iter().any(|name| text.split(['.', ':']).next() == Some(name));
        let mut series: Vec<_> = earlier.series.into_iter().filter(|series| other(&series.key)).collect();
        series.append(&mut self.series);
        self.series = series;
        self.made.extend(earlier.made.into_iter().filter(|(group, _)| other(group)));
        self.failures.extend(earlier.failures.into_iter().filter(|failure| other(failure)));
    }
}

impl Series {
    /// The value in the middle.
    pub fn median(&self) -> f64 {
        median(&self.values).unwrap_or(f64::NAN)
    }

    /// As people read it: the median, and the least and the most where there are several.
    pub fn shown(&self) -> String {
        let shown = show(self.unit, self.median());
        let (least, most) = self.values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        if self.values.len() < 2 || show(self.unit, least) == show(self.unit, most) {
            return shown;
        }
        format!("{shown} ({} – {})", number(self.unit, least), number(self.unit, most))
    }
}

/// A figure with its unit.
pub fn show(unit: Unit, value: f64) -> String {
    let number = number(unit, value);
    match unit {
        Unit::PerSecond => format!("{number}/s"),
        Unit::CpuMicros => format!("{number} µs"),
        Unit::Millis => format!("{number} ms"),
        Unit::Nanos => format!("{number} ns"),
        Unit::Bytes => format!("{number} bytes"),
        Unit::Mebibytes => format!("{number} MiB"),
        Unit::Percent => format!("{number} %"),
        Unit::Count => number,
        Unit::Times => format!("{number} ×"),
    }
}

fn number(unit: Unit, value: f64) -> String {
    if matches!(unit, Unit::PerSecond | Unit::Count | Unit::Bytes) && value.abs() >= 100.0 {
        return thousands(value);
    }
    match value.abs() {
        size if size >= 100.0 => thousands(value),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ if unit == Unit::Count && value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if place > 0 && left.is_multiple_of(3) && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The value in the middle; of an even number the mean of the two.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The value below which a share of all values lies, by the nearest rank.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_runs_ratios() {
        let mut results = Results::default();
        for (log, proxy) in [(50.0, 100.0), (10.0, 40.0), (30.0, 10.0)] {
            results.add("way.log", "log", Unit::PerSecond, log);
            results.add("way.proxy", "proxy", Unit::PerSecond, proxy);
        }
        assert_eq!(results.ratio("way.log", "way.proxy"), Some(0.5));
        assert_eq!(results.ratio("way.log", "way.nothing"), None);
        assert_eq!(results.median("way.log"), Some(30.0));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        let shares = [0.5, 0.999, 1.0].iter().map(|share| percentile(&values, *share)).collect::<Vec<_>>();
        assert_eq!(shares, [500.0, 999.0, 1000.0]);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn groups_that_are_measured_anew_replace_the_earlier_ones() {
        let mut earlier = Results::default();
        earlier.add("way.log", "log", Unit::PerSecond, 1.0);
        earlier.add("mqtt.bare", "bare", Unit::PerSecond, 2.0);
        earlier.failures.push("way: no zmq".to_owned());
        let mut results = Results::default();
        results.add("way.log", "log", Unit::PerSecond, 3.0);
        results.take_others(earlier, &[Group::Way]);
        assert_eq!(results.median("way.log"), Some(3.0));
        assert_eq!(results.median("mqtt.bare"), Some(2.0));
        assert!(results.failures.is_empty());
    }

    #[test]
    fn figures_are_shown_as_people_read_them() {
        assert_eq!(show(Unit::PerSecond, 1_234_567.8), "1,234,568/s");
        assert_eq!(show(Unit::CpuMicros, 0.734), "0.73 µs");
        assert_eq!(show(Unit::Count, 0.0), "0");
        assert_eq!(show(Unit::Times, 12.34), "12.3 ×");
    }
}
