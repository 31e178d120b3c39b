//! [`Pace`]: spreads the reports on all publishers evenly over their period, so that a hundred thousand of them make no
//! burst and what is told of those of which there is nothing new stays little; and [`Quiet`]: reports on one of which there is nothing new come ever more rarely.

use std::ops::Range;
use std::time::Duration;

use lastbeat_wire::Monotonic;

/// Most publishers looked at at once: some two milliseconds, where all of them are reported on.
const CHUNK: usize = 1_000;
/// Of more publishers than this those that are alive, and of which there is nothing new, are reported on more rarely, so many
/// of them in a period.
const STILL: usize = 5_000;
/// The longest time between two reports on one publisher: Grafana's shortest usual panel, of five minutes, has one of each.
pub const LONGEST: Duration = Duration::from_mins(4);

/// When to report on whom.
#[derive(Debug, Clone)]
pub struct Pace {
    period: Duration,
    next: Monotonic,
    /// The publisher at which the next chunk begins.
    place: usize,
    round: u32,
}

/// Whom to report on now, if there is something to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The publishers at these places.
    pub places: Range<usize>,
    /// Which time it is that all are looked at.
    pub round: u32,
    /// One of which there is nothing new is reported on once in so many rounds.
    pub longest: u32,
    /// One that is alive, and of which there is nothing new, is reported on once in so many rounds.
    pub still: u32,
}

impl Pace {
    /// Looks at each publisher once a `period`, first one period from `now`.
    pub fn new(period: Duration, now: Monotonic) -> Self {
        Self { period, next: now.plus(period), place: 0, round: 0 }
    }

    /// When [`due`](Self::due) has something to do.
    pub fn next(&self) -> Monotonic {
        self.next
    }

    /// The publishers whose turn it is now.
    pub fn due(&mut self, now: Monotonic, publishers: usize) -> Option<Chunk> {
        if now < self.next {
            return None;
        }
        let chunks = u32::try_from(publishers.div_ceil(CHUNK).max(1)).unwrap_or(u32::MAX);
        // Late by more than a period: go on from here instead of catching up in a burst.
        let planned = self.next.plus(self.period / chunks);
        self.next = if planned <= now { now.plus(self.period / chunks) } else { planned };
        let from = if self.place >= publishers { 0 } else { self.place };
        if from == 0 {
            self.round = self.round.wrapping_add(1);
        }
        self.place = publishers.min((from / CHUNK + 1) * CHUNK);
        let longest = LONGEST.as_nanos() / self.period.as_nanos().max(1);
        let longest = u32::try_from(longest).unwrap_or(u32::MAX).max(1);
        let still = u32::try_from(publishers.div_ceil(STILL)).unwrap_or(u32::MAX).clamp(1, longest);
        Some(Chunk { places: from..self.place, round: self.round, longest, still })
    }
}

impl Chunk {
    /// Whether one that is alive, and of which there is nothing new, is to be reported on. Its turn comes with its
    /// neighbours', for theirs are the same pages of the store.
    pub fn is_turn_of_alive(&self, place: usize) -> bool {
        is_turn(place / CHUNK, self.round, self.still)
    }
}

/// Since when there is nothing new of each publisher.
#[derive(Debug, Clone, Default)]
pub struct Quiet {
    /// The round in which there last was, by place; `None` of those from before the start.
    since: Vec<Option<u32>>,
}

impl Quiet {
    /// Whether the publisher at a place is to be reported on: when there is something new of it; else after one round, two,
    /// four and so on, and once in every `longest` rounds in the end.
    pub fn is_due(&mut self, place: usize, round: u32, longest: u32, is_news: bool) -> bool {
        if self.since.len() <= place {
            self.since.resize(place + 1, None);
        }
        if is_news {
            self.since[place] = Some(round);
            return true;
        }
        let rounds = self.since[place].map_or(u32::MAX, |since| round.wrapping_sub(since));
        if rounds < longest {
            return rounds.is_power_of_two();
        }
        is_turn(place, round, longest)
    }
}

/// Once in so many rounds, but not all at once that fell silent together.
fn is_turn(place: usize, round: u32, rounds: u32) -> bool {
    let turn = u32::try_from(place % 0xFFFF).unwrap_or_default();
    round.wrapping_add(turn).is_multiple_of(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    fn seconds(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000_000)
    }

    fn chunk(places: Range<usize>, round: u32) -> Chunk {
        Chunk { places, round, longest: 24, still: 1 }
    }

    #[test]
    fn few_publishers_are_looked_at_together_once_a_period() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        assert_eq!(pace.due(Monotonic(seconds(10).0 - 1), 3), None);
        assert_eq!(pace.due(seconds(10), 3), Some(chunk(0..3, 1)));
        assert_eq!(pace.next(), seconds(20));
        assert_eq!(pace.due(seconds(19), 3), None);
        assert_eq!(pace.due(seconds(20), 3), Some(chunk(0..3, 2)));
    }

    #[test]
    fn many_are_spread_over_the_period_and_each_comes_once() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        let mut seen = vec![0; 2_500];
        for _ in 0..3 {
            let Chunk { places, round, .. } = pace.due(pace.next(), seen.len()).unwrap();
            assert_eq!(round, 1);
            seen[places].iter_mut().for_each(|seen| *seen += 1);
        }
        assert!(seen.iter().all(|seen| *seen == 1));
        assert!((seconds(19)..=seconds(20)).contains(&pace.next()), "{:?}", pace.next());
    }

    #[test]
    fn a_late_one_does_not_catch_up_in_a_burst() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        assert_eq!(pace.due(seconds(1000), 1), Some(chunk(0..1, 1)));
        assert_eq!(pace.due(seconds(1000), 1), None);
        assert_eq!(pace.next(), seconds(1010));
    }

    #[test]
    fn nobody_to_look_at_is_no_report() {
        let mut pace = Pace::new(PERIOD, seconds(0));
        assert_eq!(pace.due(seconds(10), 0), Some(chunk(0..0, 1)));
    }

    #[test]
    fn of_few_that_are_alive_all_are_reported_on_in_each_period_and_of_very_many_each_within_four_minutes() {
        for (publishers, rounds) in [(STILL, 1), (20 * STILL, 20), (100 * STILL, 24)] {
            let (mut pace, mut reports) = (Pace::new(PERIOD, seconds(0)), vec![0; publishers]);
            for _ in 0..3 * rounds * publishers.div_ceil(CHUNK) {
                let chunk = pace.due(pace.next(), publishers).unwrap();
                let told = |place: &usize| chunk.is_turn_of_alive(*place);
                chunk.places.clone().filter(told).for_each(|place| reports[place] += 1);
            }
            assert!(reports.iter().all(|reports| *reports == 3), "{publishers}: once in {rounds} rounds");
        }
    }

    #[test]
    fn one_of_which_there_is_nothing_new_is_reported_on_ever_more_rarely_and_at_once_when_there_is() {
        let mut quiet = Quiet::default();
        let told = |quiet: &mut Quiet, rounds: Range<u32>, news: u32| {
            rounds.filter(|round| quiet.is_due(3, *round, 24, *round == news)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut quiet, 1..80, 1), [1, 2, 3, 5, 9, 17, 45, 69], "then once in 24");
        assert_eq!(told(&mut quiet, 80..90, 82), [82, 83, 84, 86]);
    }

    #[test]
    fn those_from_before_the_start_and_those_that_fell_silent_together_are_spread() {
        for news in [false, true] {
            let mut quiet = Quiet::default();
            let mut told = |round| (0..240).filter(|place| quiet.is_due(*place, round, 24, news && round == 1)).count();
            told(1);
            assert!((100..124).all(|round| told(round) == 10), "ten of 240 in each of 24 rounds");
        }
    }

    #[test]
    fn with_a_long_period_all_are_reported_on_in_each() {
        let mut pace = Pace::new(Duration::from_mins(5), seconds(0));
        let longest = pace.due(pace.next(), 1).unwrap().longest;
        let mut quiet = Quiet::default();
        assert!((1..50).all(|round| quiet.is_due(7, round, longest, false)));
    }
}
