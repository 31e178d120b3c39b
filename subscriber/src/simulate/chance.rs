//! [`Chance`]: random numbers that are the same on every machine for the same seed.
//!
//! The generator is `ChaCha8` with the seed as its key, a stream for each use; only whole numbers, sums and products are made
//! of what it says, so that no library's logarithm has a part in it.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// One stream of random numbers.
#[derive(Debug)]
pub struct Chance(ChaCha8Rng);

/// What a stream is for: what one part of the world draws does not change what another one draws.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    /// Who there is.
    Fleet,
    /// What goes wrong, and when.
    Faults,
    /// When a publisher sends.
    Sending(usize),
    /// What becomes of its messages under way.
    Path(usize),
    /// How long the watchdog's side takes: connections, the loop, probes, the disk.
    Watchdog,
}

/// How long something lasts: shares of all cases, ascending, each with the seconds that so many stay below.
#[derive(Debug, Clone, Copy)]
pub struct Spans(pub &'static [(f64, f64)]);

impl Chance {
    /// A stream of a seed.
    pub fn new(seed: u64, stream: Stream) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(match stream {
            Stream::Fleet => 1,
            Stream::Faults => 2,
            Stream::Watchdog => 3,
            Stream::Sending(publisher) => (1 << 32) + publisher as u64,
            Stream::Path(publisher) => (2 << 32) + publisher as u64,
        });
        Self(generator)
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("invariant: half of 128 bits")
    }

    /// A place in a list that is not empty.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("invariant: below a usize")
    }

    /// True in this share of all cases.
    pub fn yes(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Nanoseconds, evenly from `from` to below `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below((to - from).max(1))
    }

    /// Nanoseconds of something that lasts as told.
    pub fn span(&mut self, spans: Spans) -> u64 {
        let share = self.unit();
        let mut before = (0.0, 0.0);
        for &(upto, seconds) in spans.0 {
            if share < upto {
                return nanos(before.1 + (seconds - before.1) * (share - before.0) / (upto - before.0));
            }
            before = (upto, seconds);
        }
        nanos(before.1)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hours at most, never negative")]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut chance = Chance::new(7, Stream::Faults);
        let drawn: Vec<u64> = (0..3).map(|_| chance.below(1_000_000)).collect();
        assert_eq!(drawn, FIXED, "the numbers of seed 7 have changed: every seed that was told is worth nothing now");
    }

    const FIXED: [u64; 3] = [10_922, 194_391, 900_044];

    #[test]
    fn streams_differ_and_spans_stay_within_their_table() {
        let first = |stream| Chance::new(7, stream).below(u64::MAX);
        assert_ne!(first(Stream::Sending(0)), first(Stream::Sending(1)));
        assert_ne!(first(Stream::Sending(0)), first(Stream::Path(0)));
        let spans = Spans(&[(0.5, 2.0), (1.0, 10.0)]);
        let mut chance = Chance::new(1, Stream::Fleet);
        let drawn: Vec<u64> = (0..1000).map(|_| chance.span(spans)).collect();
        let short = drawn.iter().filter(|span| **span < 2_000_000_000).count();
        assert!((450..550).contains(&short), "{short}");
        assert!(drawn.iter().all(|span| *span <= 10_000_000_000));
    }
}
