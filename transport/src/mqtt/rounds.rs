//! [`Rounds`]: which of several brokers is tried next, and when. Connects to nothing and reads no clock.

use std::time::Duration;

use lastbeat_wire::Monotonic;

use super::broker::Failure;
use crate::backoff::Backoff;

const FIRST_WAIT: Duration = Duration::from_millis(100);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A refused password is tried again in case it is put right at the broker, but brokers lock out who tries too often.
const WAIT_WHEN_REFUSED: Duration = Duration::from_mins(1);
/// A link that lasted so long starts the waits afresh. A shorter one may be two clients throwing each other out.
const LASTED: Duration = Duration::from_secs(10);

/// One broker after the other, in their order, and from the last to the first. The next one is tried at once, until each has
/// failed; then there is a wait, longer each round.
#[derive(Debug)]
pub(super) struct Rounds {
    /// Of each broker, since when it does not let us in, and why.
    refused: Vec<Option<(Monotonic, String)>>,
    current: usize,
    /// How many have failed since the last wait, without those that don't let us in.
    failed: usize,
    backoff: Backoff,
}

/// How one try went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) failure: &'a Failure,
    /// Whether there was a link.
    pub(super) was_up: bool,
    pub(super) began: Monotonic,
    pub(super) ended: Monotonic,
}

impl Rounds {
    /// `brokers` is how many there are, one at least; the first is tried first.
    pub(super) fn new(brokers: usize) -> Self {
        Self { refused: vec![None; brokers], current: 0, failed: 0, backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT) }
    }

    /// The one to try.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// The current one has let us in.
    pub(super) fn let_in(&mut self) {
        self.refused[self.current] = None;
    }

    /// There is no link any more, or it couldn't be brought up: goes on to the next one, and says how long to wait before it is
    /// tried. Once a round has failed that is `longest` at most.
    pub(super) fn go_on(&mut self, tried: Try<'_>, longest: Duration) -> Duration {
        let now = tried.ended;
        if now.since(tried.began) >= LASTED {
            self.backoff.reset();
            if tried.was_up {
                self.failed = 0;
            }
        }
        self.refused[self.current] = match tried.failure {
            Failure::Refused(reason) => Some((now, reason.clone())),
            Failure::Stopped | Failure::Broken(_) => {
                self.failed += 1;
                None
            }
        };
        let brokers = self.refused.len();
        let after_current = |step: &usize| (self.current + step) % brokers;
        let let_be = |broker: usize| self.let_be(broker, now);
        let Some(next) = (1..=brokers).map(|step| after_current(&step)).find(|broker| let_be(*broker).is_zero()) else {
            let soonest = (1..=brokers).map(|step| after_current(&step)).min_by_key(|broker| let_be(*broker));
            let next = soonest.expect("invariant: there is a broker");
            let wait = let_be(next);
            (self.current, self.failed) = (next, 0);
            return wait;
        };
        let open = (0..brokers).filter(|broker| let_be(*broker).is_zero()).count();
        self.current = next;
        if self.failed < open {
            return Duration::ZERO;
        }
        self.failed = 0;
        self.backoff.wait().min(longest)
    }

    /// Why none lets us in, each reason once, if that is so.
    pub(super) fn refusal(&self) -> Option<String> {
        let mut reasons: Vec<&str> = Vec::new();
        for refused in &self.refused {
            let (_, reason) = refused.as_ref()?;
            if !reasons.contains(&reason.as_str()) {
                reasons.push(reason);
            }
        }
        Some(reasons.join("; "))
    }

    /// How long a broker is still let be.
    fn let_be(&self, broker: usize, now: Monotonic) -> Duration {
        self.refused[broker]
            .as_ref()
            .map_or(Duration::ZERO, |(since, _)| WAIT_WHEN_REFUSED.saturating_sub(now.since(*since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(500);

    /// Tries that take no time, at an hour of the monotonic clock.
    struct Trial {
        rounds: Rounds,
        now: Monotonic,
    }

    impl Trial {
        fn new(brokers: usize) -> Self {
            Self { rounds: Rounds::new(brokers), now: Monotonic(0).plus(Duration::from_hours(1)) }
        }

        fn ends(&mut self, failure: &Failure, was_up: bool, lasted: Duration) -> (usize, Duration) {
            let began = self.now;
            self.now = began.plus(lasted);
            let wait = self.rounds.go_on(Try { failure, was_up, began, ended: self.now }, LONGEST);
            self.now = self.now.plus(wait);
            (self.rounds.current(), wait)
        }

        fn breaks(&mut self) -> (usize, Duration) {
            self.ends(&Failure::Broken("connection refused".to_owned()), false, Duration::ZERO)
        }

        fn is_lost_after(&mut self, lasted: Duration) -> (usize, Duration) {
            self.rounds.let_in();
            self.ends(&Failure::Broken("gone".to_owned()), true, lasted)
        }

        fn refuses(&mut self) -> (usize, Duration) {
            self.ends(&Failure::Refused(format!("reason {}", self.rounds.current())), false, Duration::ZERO)
        }
    }

    #[test]
    fn a_broker_that_is_away_is_tried_as_often_as_its_end_wants_and_one_that_refuses_is_let_be() {
        let mut one = Trial::new(1);
        for _ in 0..20 {
            let (next, wait) = one.breaks();
            assert!(next == 0 && !wait.is_zero() && wait <= LONGEST, "{wait:?}");
        }
        let ended = Try { failure: &Failure::Broken(String::new()), was_up: true, began: one.now, ended: one.now };
        assert!(one.rounds.go_on(ended, LONGEST_WAIT) > LONGEST, "it goes on where it was");
        assert_eq!(one.refuses(), (0, WAIT_WHEN_REFUSED));
        assert!(one.is_lost_after(LASTED).1 < FIRST_WAIT, "after a link that lasted the waits begin anew");
    }

    #[test]
    fn the_next_one_is_tried_at_once_until_each_has_failed() {
        let mut three = Trial::new(3);
        for round in 0..10 {
            assert_eq!((three.breaks(), three.breaks()), ((1, Duration::ZERO), (2, Duration::ZERO)), "round {round}");
            let (next, wait) = three.breaks();
            assert!(next == 0 && wait >= FIRST_WAIT / 2 && wait <= LONGEST, "round {round}: {wait:?}");
        }
    }

    #[test]
    fn a_link_that_lasted_begins_a_new_round_and_one_that_did_not_begins_none() {
        let mut two = Trial::new(2);
        assert_eq!(two.breaks(), (1, Duration::ZERO));
        assert_eq!(two.is_lost_after(LASTED), (0, Duration::ZERO));
        let (next, wait) = two.is_lost_after(LASTED.checked_sub(Duration::from_nanos(1)).unwrap());
        assert!(next == 1 && !wait.is_zero(), "who lets in and throws out is a failure like any other");
        assert_eq!(two.is_lost_after(Duration::ZERO), (0, Duration::ZERO));
        assert!(!two.is_lost_after(Duration::ZERO).1.is_zero(), "no storm");
    }

    #[test]
    fn one_that_refuses_is_let_be_for_its_time_while_others_are_tried() {
        let mut three = Trial::new(3);
        assert_eq!(three.refuses(), (1, Duration::ZERO));
        let refused = three.now;
        let (mut tried, mut next) = (Vec::new(), 1);
        while three.now.since(refused) < WAIT_WHEN_REFUSED {
            tried.push(next);
            next = three.breaks().0;
        }
        assert!(tried.chunks_exact(2).all(|pair| pair == [1, 2]), "{tried:?}");
        assert_eq!(three.rounds.refusal(), None);
        let mut later: Vec<_> = std::iter::repeat_with(|| three.breaks().0).take(3).collect();
        later.sort_unstable();
        assert_eq!(later, [0, 1, 2], "then it has its turn again");
    }

    #[test]
    fn a_refusal_is_no_failed_round() {
        let mut three = Trial::new(3);
        assert_eq!(three.refuses(), (1, Duration::ZERO));
        assert_eq!(three.breaks(), (2, Duration::ZERO));
        let (next, wait) = three.breaks();
        assert!(next == 1 && !wait.is_zero(), "both others have failed: {wait:?}");
    }

    #[test]
    fn once_all_refuse_that_is_said_and_the_one_that_did_so_first_is_tried_first() {
        let mut two = Trial::new(2);
        assert_eq!(two.refuses(), (1, Duration::ZERO));
        assert_eq!(two.rounds.refusal(), None);
        two.now = two.now.plus(Duration::from_secs(7));
        assert_eq!(two.refuses(), (0, WAIT_WHEN_REFUSED.checked_sub(Duration::from_secs(7)).unwrap()));
        assert_eq!(two.rounds.refusal().as_deref(), Some("reason 0; reason 1"));
        assert_eq!(two.refuses(), (1, Duration::from_secs(7)), "each once a minute");
        assert!(two.rounds.refusal().is_some());
        assert_eq!(two.is_lost_after(LASTED).0, 1, "the other one is still let be");
        assert_eq!(two.rounds.refusal(), None);
    }
}
