//! [`Adaptive`]: a threshold that is learned from the gaps between a publisher's signs of life. Which gaps are learned is
//! decided in `learning.rs`.
//!
//! The threshold is the longest of three: three usual gaps, so that two lost messages wake nobody; half as long again as the
//! longest gap; and the silence that only one gap in 10^8 would exceed (phi 8 of Hayashibara et al., "The phi accrual failure
//! detector", 2004). Their normal distribution fits hardly any real gaps, whose tail is far longer; here the tail
//! is an exponential one, fitted to the 16 longest gaps (Pickands 1975; Balkema and de Haan 1974, with shape 0). The usual gap is the
//! mean one in which an instant falls, so that of bursts with pauses between them the pauses count.
//!
//! It remembers one to two days, at least a thousand gaps, in some 400 bytes. All arithmetic is the same on every machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::window::{TAIL, Window};

/// As long as so many usual gaps a silence is no news: single messages get lost.
const USUAL_GAPS: u64 = 3;
/// The silence that one gap in ten to the power of this would exceed.
const PHI: f64 = 8.0;
/// Fewer gaps say too little.
const ENOUGH_GAPS: u64 = 100;
/// Nor is less time than so many fixed thresholds enough, lest a burst be taken for a pace.
const ENOUGH_THRESHOLDS: u64 = 2;
/// An alarm that was false weighs as much as so many gaps that were none.
const ALARM_WEIGHT: u32 = 16;
/// At this weight of alarms the pace must have changed: what was learned is forgotten.
const ALARMS: u32 = 5 * ALARM_WEIGHT;
/// Beyond this phi says no more than that it is large.
const PHI_MOST: f64 = 99.9;

/// Between which thresholds an adaptive one may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The shortest.
    pub at_least: Duration,
    /// The longest; not below the shortest.
    pub at_most: Duration,
}

/// What an adaptive threshold rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// Gaps that are remembered.
    pub gaps: u64,
    /// The usual one: the mean gap in which an instant falls. Zero without any.
    pub usual: Duration,
    /// The longest one.
    pub longest: Duration,
    /// How unlikely a gap beyond the threshold is: one in 10^(phi/10), in tenths, at most 999. `None` while too little was
    /// seen: the threshold is then the fixed one.
    pub phi_tenths: Option<u32>,
}

/// A threshold that is learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adaptive {
    bounds: Bounds,
    /// The fixed threshold, within the bounds: in force until enough was seen.
    fixed: Duration,
    memory: Memory,
    in_force: Duration,
}

/// What of it outlives a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    present: Window,
    before: Window,
    /// The weight of false alarms.
    alarms: u32,
    /// What was learned, in nanoseconds, bounds left aside; `None` while too little was seen.
    wanted: Option<u64>,
}

impl Adaptive {
    /// Begins with the fixed threshold, or the bound next to it.
    ///
    /// # Panics
    /// If the longest threshold is below the shortest.
    pub fn new(fixed: Duration, bounds: Bounds) -> Self {
        let fixed = fixed.clamp(bounds.at_least, bounds.at_most);
        Self { bounds, fixed, memory: Memory::default(), in_force: fixed }
    }

    /// The threshold in force. Only [`learn`](Self::learn) and [`alarmed`](Self::alarmed) change it.
    pub fn threshold(&self) -> Duration {
        self.in_force
    }

    /// Takes a gap that was within the threshold.
    pub fn learn(&mut self, gap: Duration) {
        let memory = &mut self.memory;
        memory.alarms = memory.alarms.saturating_sub(1);
        let tail_changed = memory.present.take(nanos(gap));
        let turned = memory.present.is_full();
        if turned {
            memory.before = std::mem::take(&mut memory.present);
        }
        // The tail decides, and what it is measured by changes slowly.
        let gaps = memory.gaps();
        if tail_changed || turned || memory.wanted.is_none() || gaps.is_multiple_of(64) {
            self.estimate();
        }
    }

    /// Takes a gap that went beyond the threshold and was over then: an outage, which is no pace and is not learned. But one
    /// that the fixed threshold would have allowed, and that comes for the second time, is a habit, and both are learned.
    /// And where alarms come again and again the pace has changed, and all begins anew.
    pub fn alarmed(&mut self, gap: Duration) {
        let memory = &mut self.memory;
        memory.alarms += ALARM_WEIGHT;
        if memory.alarms >= ALARMS {
            *memory = Memory::default();
        } else if gap < self.fixed {
            let first = std::mem::take(&mut memory.present.doubtful).max(std::mem::take(&mut memory.before.doubtful));
            if first == 0 {
                memory.present.doubtful = nanos(gap);
            } else {
                memory.present.take(first);
                memory.present.take(nanos(gap));
            }
        }
        self.estimate();
    }

    /// What the threshold rests on.
    pub fn learned(&self) -> Learned {
        let (gaps, tail) = (self.memory.gaps(), self.memory.tail());
        let phi_tenths = self.memory.wanted.and_then(|_| self.phi_tenths(self.in_force));
        Learned {
            gaps,
            usual: Duration::from_nanos(self.memory.usual()),
            longest: Duration::from_nanos(tail[0]),
            phi_tenths,
        }
    }

    /// How unlikely a gap longer than `silence` is, by the tail of what was learned: one in 10^(phi/10), in tenths, at most
    /// 999. `None` without two gaps.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 999")]
    pub fn phi_tenths(&self, silence: Duration) -> Option<u32> {
        let tail = Tail::of(&self.memory)?;
        Some((tail.phi(nanos(silence)).clamp(0.0, PHI_MOST) * 10.0) as u32)
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Remembers, within the bounds and with the fixed threshold of now.
    pub(crate) fn restore(&mut self, memory: Memory) {
        self.memory = memory;
        self.put_in_force();
    }

    fn estimate(&mut self) {
        let memory = &self.memory;
        let enough =
            memory.gaps() >= ENOUGH_GAPS && memory.total() >= nanos(self.fixed).saturating_mul(ENOUGH_THRESHOLDS);
        let usual = memory.usual().saturating_mul(USUAL_GAPS);
        let longest = memory.tail()[0];
        let wanted = usual.max(longest.saturating_add(longest / 2));
        let by_phi = Tail::of(memory).map_or(0, |tail| tail.exceeded_by(PHI));
        self.memory.wanted = enough.then(|| rounded_up(wanted.max(by_phi)));
        self.put_in_force();
    }

    fn put_in_force(&mut self) {
        let wanted = self.memory.wanted.map(Duration::from_nanos);
        self.in_force = wanted.map_or(self.fixed, |wanted| wanted.clamp(self.bounds.at_least, self.bounds.at_most));
    }
}

impl Memory {
    fn gaps(&self) -> u64 {
        self.present.gaps + self.before.gaps
    }

    fn total(&self) -> u64 {
        self.present.total.saturating_add(self.before.total)
    }

    /// The mean gap in which an instant falls: each gap weighed by its own length.
    fn usual(&self) -> u64 {
        let squares = u128::from(self.present.squares) + u128::from(self.before.squares);
        let usual = (squares * 1_000_000_000_000).checked_div(u128::from(self.total())).unwrap_or_default();
        u64::try_from(usual).unwrap_or(u64::MAX)
    }

    /// The longest gaps, longest first.
    fn tail(&self) -> [u64; TAIL] {
        let mut all = [0; 2 * TAIL];
        all[..TAIL].copy_from_slice(&self.present.longest);
        all[TAIL..].copy_from_slice(&self.before.longest);
        all.sort_unstable_by(|one, other| other.cmp(one));
        let mut tail = [0; TAIL];
        tail.copy_from_slice(&all[..TAIL]);
        tail
    }
}

/// The longest gaps as an exponential distribution beyond the shortest of them.
struct Tail {
    /// Where it begins, and the mean excess, in nanoseconds.
    begins: u64,
    excess: f64,
    /// How unlikely a gap beyond its beginning is.
    phi: f64,
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of years to the microsecond")]
impl Tail {
    /// `None` without two gaps.
    fn of(memory: &Memory) -> Option<Self> {
        let (gaps, tail) = (memory.gaps(), memory.tail());
        let known = usize::try_from(gaps).unwrap_or(TAIL).min(TAIL);
        let begins = *tail[..known].last().filter(|_| known > 1)?;
        let sum: f64 = tail[..known - 1].iter().map(|gap| (gap - begins) as f64).sum();
        Some(Self { begins, excess: sum / (known - 1) as f64, phi: log10(gaps as f64 / known as f64) })
    }

    fn phi(&self, silence: u64) -> f64 {
        let beyond = silence.saturating_sub(self.begins) as f64;
        let scale = self.excess * std::f64::consts::LN_10;
        if scale > 0.0 { self.phi + beyond / scale } else { PHI_MOST }
    }

    /// The silence with this phi.
    fn exceeded_by(&self, phi: f64) -> u64 {
        let beyond = (phi - self.phi).max(0.0) * self.excess * std::f64::consts::LN_10;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
        let beyond = beyond as u64;
        self.begins.saturating_add(beyond)
    }
}

/// To two digits, so that a threshold reads well and is not another one after every message.
fn rounded_up(nanos: u64) -> u64 {
    let mut unit = 1;
    while nanos / unit >= 100 {
        unit *= 10;
    }
    nanos.div_ceil(unit).saturating_mul(unit)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The decimal logarithm of a number of at least 1, to 0.01. That of the standard library may differ from one
/// platform to another in its last digits, and with it a deadline.
fn log10(number: f64) -> f64 {
    let mut whole = 0.0;
    let mut rest = number.max(1.0);
    while rest >= 2.0 {
        rest /= 2.0;
        whole += 1.0;
    }
    // Of log2 over one octave: a parabola through both ends.
    let fraction = (rest - 1.0) * (1.0 + 0.344 * (2.0 - rest));
    (whole + fraction) * std::f64::consts::LOG10_2
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { at_least: Duration::from_secs(1), at_most: Duration::from_mins(10) };
    const FIXED: Duration = Duration::from_secs(50);

    fn learned(gaps: impl IntoIterator<Item = u64>) -> Adaptive {
        let mut adaptive = Adaptive::new(FIXED, BOUNDS);
        gaps.into_iter().for_each(|millis| adaptive.learn(Duration::from_millis(millis)));
        adaptive
    }

    #[test]
    fn the_fixed_threshold_is_in_force_until_enough_was_seen() {
        assert_eq!(learned(repeat_n(1000, 99)).threshold(), FIXED);
        assert_eq!(learned(repeat_n(1000, 100)).threshold(), Duration::from_secs(3));
        // A burst is no pace: 100 s must have passed.
        assert_eq!(learned(repeat_n(2, 49_999)).threshold(), FIXED);
        assert_eq!(learned(repeat_n(2, 49_999)).learned().phi_tenths, None);
        assert_eq!(learned(repeat_n(2, 50_001)).threshold(), BOUNDS.at_least);
    }

    #[test]
    fn a_steady_pace_is_given_three_gaps() {
        assert_eq!(learned(repeat_n(10_000, 500)).threshold(), Duration::from_secs(30));
        let learned = learned(repeat_n(10_000, 500)).learned();
        let ten = Duration::from_secs(10);
        assert_eq!((learned.gaps, learned.usual, learned.longest, learned.phi_tenths), (500, ten, ten, Some(999)));
    }

    #[test]
    fn of_bursts_the_pauses_count() {
        let pattern = (0..2000).map(|place| if place % 100 == 99 { 30_000 } else { 10 });
        let threshold = learned(pattern).threshold();
        assert!((Duration::from_secs(80)..Duration::from_secs(95)).contains(&threshold), "{threshold:?}");
    }

    #[test]
    fn the_longest_gap_is_exceeded_by_half() {
        let one_long = (0..1000).map(|place| if place == 500 { 20_000 } else { 1_000 });
        assert_eq!(learned(one_long).threshold(), Duration::from_secs(30));
    }

    #[test]
    fn what_is_two_windows_old_is_forgotten() {
        let mut adaptive = learned(repeat_n(40_000, 200));
        assert_eq!(adaptive.threshold(), Duration::from_mins(2));
        for _ in 0..3 * 24 * 3600 {
            adaptive.learn(Duration::from_secs(1));
        }
        assert_eq!(adaptive.threshold(), Duration::from_secs(3));
    }

    #[test]
    fn five_alarms_in_a_row_begin_anew_and_few_among_many_do_not() {
        let mut adaptive = learned(repeat_n(1000, 200));
        let minute = Duration::from_mins(1);
        (0..4).for_each(|_| adaptive.alarmed(minute));
        assert_eq!(adaptive.threshold(), Duration::from_secs(3));
        adaptive.alarmed(minute);
        assert_eq!((adaptive.threshold(), adaptive.learned().gaps), (FIXED, 0));
        let mut adaptive = learned(repeat_n(1000, 200));
        for _ in 0..100 {
            adaptive.alarmed(minute);
            (0..16).for_each(|_| adaptive.learn(Duration::from_secs(1)));
        }
        assert_eq!(adaptive.threshold(), Duration::from_secs(3));
    }

    #[test]
    fn a_pause_that_the_fixed_threshold_allows_is_an_outage_once_and_a_habit_twice() {
        let mut adaptive = learned(repeat_n(1000, 200));
        adaptive.alarmed(Duration::from_secs(20));
        assert_eq!((adaptive.threshold(), adaptive.learned().gaps), (Duration::from_secs(3), 200));
        (0..10_000).for_each(|_| adaptive.learn(Duration::from_secs(1)));
        adaptive.alarmed(Duration::from_secs(10));
        assert_eq!((adaptive.threshold(), adaptive.learned().gaps), (Duration::from_secs(30), 10_202));
        // Of one beyond it nothing is learned, however often it comes.
        for _ in 0..10 {
            (0..10_000).for_each(|_| adaptive.learn(Duration::from_secs(1)));
            adaptive.alarmed(FIXED);
        }
        assert_eq!(adaptive.threshold(), Duration::from_secs(30));
    }

    #[test]
    fn thresholds_have_two_digits() {
        for (nanos, rounded) in
            [(0, 0), (99, 99), (100, 100), (101, 110), (4_137_000_001, 4_200_000_000), (u64::MAX, u64::MAX)]
        {
            assert_eq!(rounded_up(nanos), rounded);
        }
    }

    #[test]
    fn the_logarithm_is_near_enough() {
        for number in [1.0, 1.5, 2.0, 3.0, 10.0, 99.0, 1e6, 123_456_789.0] {
            assert!((log10(number) - f64::log10(number)).abs() < 0.01, "{number}: {}", log10(number));
        }
    }

    proptest! {
        #[test]
        fn it_is_never_outside_its_bounds_and_the_same_after_a_restart(
            gaps in proptest::collection::vec((any::<bool>(), 0..u64::MAX), 0..400),
            fixed in 0..u64::MAX, at_least in 0..u64::MAX, more in 0..u64::MAX, ordinary in any::<bool>(),
        ) {
            let span = |nanos: u64| Duration::from_nanos(if ordinary { nanos % 100_000_000_000 } else { nanos });
            let bounds = Bounds { at_least: span(at_least), at_most: span(at_least).saturating_add(span(more)) };
            let mut adaptive = Adaptive::new(span(fixed), bounds);
            for (alarm, gap) in gaps {
                if alarm && gap % 8 == 0 { adaptive.alarmed(span(gap)) } else { adaptive.learn(span(gap)) }
                prop_assert!((bounds.at_least..=bounds.at_most).contains(&adaptive.threshold()));
                adaptive.learned();
            }
            let written = serde_json::to_string(adaptive.memory()).unwrap();
            let mut again = Adaptive::new(span(fixed), bounds);
            again.restore(serde_json::from_str(&written).unwrap());
            prop_assert_eq!(&again, &adaptive);
        }

        #[test]
        fn it_is_longer_than_every_gap_that_is_remembered(gaps in proptest::collection::vec(1..50_000u64, 500..600)) {
            let adaptive = learned(gaps.iter().copied());
            let longest = Duration::from_millis(*gaps.iter().max().unwrap());
            prop_assert!(adaptive.threshold() >= longest, "{:?} {longest:?}", adaptive.threshold());
            prop_assert!(adaptive.phi_tenths(adaptive.threshold()) >= Some(79));
        }
    }
}
