//! [`Report`]: what thresholds would mean for one publisher: how many false alarms a month, and how soon its end is known.

use std::time::Duration;

use lastbeat_wire::PublisherId;
use serde::Serialize;

use super::gaps::{Gaps, exact};

/// A month, in seconds.
const MONTH: f64 = 30.0 * 86_400.0;
/// Nothing in n gaps: with 95 % confidence it happens at most three times in n (Hanley and Lippman-Hand, JAMA 1983).
const RULE_OF_THREE: f64 = 3.0;
/// So many standard deviations beyond the mean is phi 8, were the gaps normally distributed.
const PHI_8_DEVIATIONS: f64 = 5.612;
/// Fewer gaps say too little.
const FEW: u64 = 100;

/// One publisher.
#[derive(Debug, Serialize)]
pub struct Report {
    pub publisher: PublisherId,
    /// How many gaps, and all of them together.
    pub gaps: u64,
    pub watched_s: f64,
    pub usual_s: f64,
    pub median_s: f64,
    pub p99_s: f64,
    pub longest_s: f64,
    /// What is suggested; absent without gaps.
    pub suggested_s: Option<f64>,
    pub thresholds: Vec<Estimate>,
    /// What keeps all this from being sure.
    pub warnings: Vec<String>,
}

/// What one threshold would mean.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    /// Where it is from.
    pub how: &'static str,
    pub threshold_s: f64,
    /// Gaps that were as long or longer.
    pub exceeded: u64,
    /// False alarms a month by what was seen; where nothing exceeded it, what they are at most (95 %).
    pub alarms_a_month: f64,
    /// Whether that is such a bound.
    pub at_most: bool,
    /// False alarms a month if the longest gaps go on as an exponential tail.
    pub by_tail_a_month: Option<f64>,
    /// How long after its end it is known, on average; at most the threshold.
    pub known_after_s: f64,
}

impl Report {
    /// Of a publisher with these gaps; `fixed` is in force now, and so many false alarms a month are wanted at most.
    pub fn of(publisher: PublisherId, gaps: &Gaps, fixed: Duration, wanted: f64) -> Self {
        let suggested = suggested(gaps, wanted);
        let mut thresholds = Vec::new();
        if let Some(suggested) = suggested {
            thresholds.push(Estimate::of("configured", gaps, fixed.as_secs_f64()));
            let (mean, deviation) = gaps.mean_and_deviation();
            let others = [
                ("suggested", Some(suggested)),
                ("three usual gaps", Some(3.0 * gaps.usual())),
                ("phi 8, normal", Some(mean + PHI_8_DEVIATIONS * deviation)),
                ("phi 8, tail", phi_8(gaps)),
            ];
            let seconds = |(how, seconds): (_, Option<f64>)| Some(Estimate::of(how, gaps, seconds?));
            thresholds.extend(others.into_iter().filter_map(seconds));
            let adaptive = Estimate::of("adaptive", gaps, gaps.adaptive.threshold().as_secs_f64());
            thresholds.push(adaptive.missed(gaps.adaptive_missed, gaps.seconds));
        }
        Self {
            gaps: gaps.count,
            watched_s: gaps.seconds,
            usual_s: gaps.usual(),
            median_s: gaps.quantile(0.5).as_secs_f64(),
            p99_s: gaps.quantile(0.99).as_secs_f64(),
            longest_s: gaps.longest().as_secs_f64(),
            suggested_s: suggested,
            thresholds,
            warnings: warnings(gaps, wanted),
            publisher,
        }
    }
}

impl Estimate {
    fn of(how: &'static str, gaps: &Gaps, seconds: f64) -> Self {
        let span = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let known_after_s = (seconds - gaps.usual() / 2.0).max(0.0);
        let by_tail_a_month = by_tail(gaps, seconds);
        let estimate = Self {
            how,
            threshold_s: seconds,
            exceeded: 0,
            alarms_a_month: 0.0,
            at_most: true,
            by_tail_a_month,
            known_after_s,
        };
        estimate.missed(gaps.exceeding(span), gaps.seconds)
    }

    fn missed(self, exceeded: u64, watched: f64) -> Self {
        let at_most = exceeded == 0;
        let times = if at_most { RULE_OF_THREE } else { exact(exceeded) };
        Self { exceeded, at_most, alarms_a_month: times * MONTH / watched, ..self }
    }
}

/// False alarms a month by the tail; where it has not begun yet, by what was seen.
fn by_tail(gaps: &Gaps, seconds: f64) -> Option<f64> {
    let (known, begins, excess) = gaps.tail()?;
    if seconds < begins {
        let span = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        return Some(exact(gaps.exceeding(span)) * MONTH / gaps.seconds);
    }
    let share = if excess > 0.0 { (-(seconds - begins) / excess).exp() } else { 0.0 };
    Some(known * share * MONTH / gaps.seconds)
}

/// By the tail, but never so short that two lost messages in a row are an alarm, nor within half of the longest gap.
fn suggested(gaps: &Gaps, wanted: f64) -> Option<f64> {
    let (known, begins, excess) = gaps.tail()?;
    let times = known * MONTH / (gaps.seconds * wanted);
    let by_tail = begins + excess * times.max(1.0).ln();
    Some(two_digits(by_tail.max(3.0 * gaps.usual()).max(1.5 * gaps.longest().as_secs_f64())))
}

fn phi_8(gaps: &Gaps) -> Option<f64> {
    let (known, begins, excess) = gaps.tail()?;
    Some(begins + excess * (known * 1e8 / exact(gaps.count)).ln().max(0.0))
}

fn two_digits(seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    let unit = 10f64.powf(seconds.log10().floor() - 1.0);
    (seconds / unit - 1e-9).ceil() * unit
}

fn warnings(gaps: &Gaps, wanted: f64) -> Vec<String> {
    let mut warnings = Vec::new();
    if gaps.count < FEW {
        warnings.push(format!("only {} gaps were seen: what is said of them is a guess", gaps.count));
    }
    let least = RULE_OF_THREE * MONTH / gaps.seconds;
    if gaps.seconds > 0.0 && least > wanted {
        let days = (RULE_OF_THREE * MONTH / wanted / 86_400.0).ceil();
        warnings.push(format!(
            "so short a time can't show fewer than {least:.1} false alarms a month, for {wanted} it takes {days} days: beyond the longest \
             gap all is a fit"
        ));
    }
    if gaps.silent_at_end > gaps.longest() && gaps.count > 0 {
        let span = humantime::format_duration(crate::announce::rounded(gaps.silent_at_end));
        warnings
            .push(format!("it was silent for {span} at the end, longer than ever before: that is not among the gaps"));
    }
    warnings
}
