//! [`Pulse`]: has a broker that is silent give a sign of life. The client library counts in whole seconds; where a publisher's
//! silence is to be told from the link's sooner than that, the relay asks by itself.

use std::time::Duration;

/// However short its keepalive, no broker is asked sooner than after so much silence.
const SHORTEST: Duration = Duration::from_millis(200);

/// Who does not answer at all for as long as it may, is gone. Of one that was heard and is then silent for a span, an answer is
/// asked for, and waited for twice as long: a dead link shows after three spans.
#[derive(Debug)]
pub(super) struct Pulse {
    span: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// For so long at most. Nothing may come before the broker's answer to the connection.
    Unheard(Duration),
    Heard,
    Asked,
}

/// What follows from silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    Ask,
    Gone,
}

impl Pulse {
    /// `patience` is how long the first answer may take.
    pub(super) fn new(keepalive: Duration, patience: Duration) -> Self {
        Self { span: keepalive.max(SHORTEST), state: State::Unheard(patience) }
    }

    /// How long the broker may be silent from now on.
    pub(super) fn limit(&self) -> Duration {
        match self.state {
            State::Unheard(patience) => patience,
            State::Heard => self.span,
            State::Asked => self.span.saturating_mul(2),
        }
    }

    pub(super) fn heard(&mut self) {
        self.state = State::Heard;
    }

    /// The broker was silent for as long as it may be.
    pub(super) fn silent(&mut self) -> Silence {
        match self.state {
            State::Unheard(_) | State::Asked => Silence::Gone,
            State::Heard => {
                self.state = State::Asked;
                Silence::Ask
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_is_asked_and_who_does_not_answer_for_three_spans_is_gone() {
        let (span, patience) = (Duration::from_secs(2), Duration::from_secs(3));
        let mut pulse = Pulse::new(span, patience);
        for limit in [patience, span] {
            assert_eq!(pulse.limit(), limit);
            pulse.heard();
            assert_eq!((pulse.limit(), pulse.silent()), (span, Silence::Ask));
            assert_eq!(pulse.limit(), span * 2);
            pulse.heard();
        }
        assert_eq!((pulse.silent(), pulse.silent()), (Silence::Ask, Silence::Gone));
    }

    #[test]
    fn who_never_answers_is_gone_and_asked_nothing() {
        assert_eq!(Pulse::new(Duration::ZERO, Duration::ZERO).silent(), Silence::Gone);
    }

    #[test]
    fn nobody_is_asked_all_the_time() {
        let mut pulse = Pulse::new(Duration::ZERO, Duration::ZERO);
        pulse.heard();
        assert_eq!(pulse.limit(), SHORTEST);
    }
}
