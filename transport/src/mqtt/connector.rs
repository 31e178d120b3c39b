//! [`Connector`]: keeps a link with one of its brokers, from the first to the last and round again. Knows nothing of messages.

use std::{fmt, time::Duration};

use lastbeat_host::Clock;
use tokio_util::sync::CancellationToken;

use super::{
    broker::{Broker, Failure},
    rounds::{LONGEST_WAIT, Rounds, Try},
};
use crate::waiting::wait_for;

/// What one end does when its link comes and goes.
pub(super) trait End {
    /// The link is up; `session_kept` says that the broker remembers this client's subscriptions.
    fn up(&mut self, broker: &Broker, session_kept: bool) -> Result<(), Failure>;

    /// The link is down, or couldn't be brought up.
    fn down(&mut self, down: &Down<'_>);

    /// The longest wait between two tries to reach a broker that does not answer.
    fn longest_wait(&self) -> Duration {
        LONGEST_WAIT
    }
}

/// That there is no link with one broker, why, and what comes next.
pub(super) struct Down<'a> {
    pub(super) place: &'a str,
    pub(super) failure: &'a Failure,
    /// Why none of all brokers lets us in, if that is so.
    pub(super) refusal: Option<String>,
    /// The broker that is tried next, and when.
    next: &'a str,
    wait: Duration,
}

impl fmt::Display for Down<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, failure, next, wait, .. } = self;
        write!(f, "no link with {place}: {failure}; trying ")?;
        f.write_str(if next == place { "again" } else { next })?;
        if wait.is_zero() { Ok(()) } else { write!(f, " in {:.1} s", wait.as_secs_f64()) }
    }
}

/// Keeps one of its brokers connected until it is told to stop.
pub(super) struct Connector {
    /// One at least.
    brokers: Vec<Broker>,
    stop: CancellationToken,
}

impl Connector {
    pub(super) fn new(brokers: Vec<Broker>, stop: CancellationToken) -> Self {
        Self { brokers, stop }
    }

    pub(super) fn run(&self, mut end: impl End) {
        let mut rounds = Rounds::new(self.brokers.len());
        loop {
            let broker = &self.brokers[rounds.current()];
            let began = Clock.now().monotonic;
            let (failure, was_up) = match broker.connect().and_then(|session_kept| end.up(broker, session_kept)) {
                Ok(()) => {
                    rounds.let_in();
                    (broker.wait_until_lost(), true)
                }
                Err(failure) => (failure, false),
            };
            if failure == Failure::Stopped {
                return broker.disconnect();
            }
            let longest = if was_up { LONGEST_WAIT } else { end.longest_wait() };
            let tried = Try { failure: &failure, was_up, began, ended: Clock.now().monotonic };
            let wait = rounds.go_on(tried, longest);
            let next = &self.brokers[rounds.current()].place;
            let refusal = rounds.refusal();
            end.down(&Down { place: &broker.place, failure: &failure, refusal, next, wait });
            // Never two at a time.
            broker.leave();
            if wait_for(self.stop.cancelled(), Some(wait)).is_some() {
                return broker.disconnect();
            }
        }
    }
}
