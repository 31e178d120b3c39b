//! [`Redial`]: connects again after a handshake failed.
//!
//! libzmq itself does it some ten times a second where the other side hangs up, and never again where it was refused or
//! spoke another mechanism. Neither will do: a key may be put on the list later, and knocking must not be a storm.

use std::time::Duration;

use lastbeat_wire::Monotonic;

use super::monitor::{Failure, PeerEvent};
use crate::backoff::Backoff;

/// A peer that restarts can break a handshake, too: the first try comes soon.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest where it may be that the peer was only too busy to answer.
const LONGEST_UNTOLD: Duration = Duration::from_secs(2);

/// The tries of one connecting socket.
#[derive(Debug)]
pub(super) struct Redial {
    /// As it was given to libzmq.
    address: String,
    backoff: Backoff,
    due: Option<Monotonic>,
    failures: u32,
    /// Why the last handshake failed, unless one has been done since.
    failed: Option<Failure>,
    tells: bool,
}

impl Redial {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            due: None,
            failures: 0,
            failed: None,
            tells: true,
        }
    }

    /// Of a second socket, whose failures are those of the first.
    pub(super) fn untold(address: String) -> Self {
        Self { tells: false, ..Self::new(address) }
    }

    /// Takes in what the socket's monitor tells.
    pub(super) fn heard(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Stranger(failure) => self.failed = Some(failure),
            // The next failure is a first one.
            PeerEvent::Joined => {
                (self.failed, self.failures) = (None, 0);
                self.backoff.reset();
            }
            PeerEvent::Left | PeerEvent::Nobody => {}
        }
    }

    /// After all that the monitor had to tell: where a handshake failed and none was done since, takes trying again out of
    /// libzmq's hands, and says so at the first and ever more rarely. An old failure must not end the connection that
    /// followed it.
    pub(super) fn settle(&mut self, socket: &zmq::Socket, has_key: bool, now: Monotonic) {
        let Some(failure) = self.failed.take() else { return };
        self.failures = self.failures.saturating_add(1);
        if self.tells && self.failures.is_power_of_two() {
            tracing::warn!("{}: {} ({} times)", self.address, failure.of_the_peer(has_key), self.failures);
        }
        let longest = if failure == Failure::NoDetail { LONGEST_UNTOLD } else { LONGEST_WAIT };
        self.again_within(socket, now, longest);
    }

    /// Gives a connection up, and connects again a little later.
    pub(super) fn again(&mut self, socket: &zmq::Socket, now: Monotonic) {
        self.again_within(socket, now, LONGEST_WAIT);
    }

    fn again_within(&mut self, socket: &zmq::Socket, now: Monotonic, longest: Duration) {
        if self.due.is_some() {
            return;
        }
        // Where libzmq has given it up already there is nothing to disconnect.
        let _ = socket.disconnect(&self.address);
        self.due = Some(now.plus(self.backoff.wait().min(longest)));
    }

    /// The socket was made anew and connects by itself: trying again would connect it twice.
    pub(super) fn renewed(&mut self) {
        (self.due, self.failed) = (None, None);
    }

    /// How long until the next try; `None` while libzmq looks after it.
    pub(super) fn left(&self, now: Monotonic) -> Option<Duration> {
        self.due.map(|due| due.since(now))
    }

    /// Connects if it is time to.
    pub(super) fn dial(&mut self, socket: &zmq::Socket, now: Monotonic) -> zmq::Result<()> {
        if self.left(now).is_some_and(|left| left.is_zero()) {
            self.due = None;
            socket.connect(&self.address)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_each_time_up_to_its_cap_and_starts_again_once_it_worked() {
        let context = zmq::Context::new();
        let socket = context.socket(zmq::SUB).unwrap();
        let mut redial = Redial::new("inproc://nobody".to_owned());
        let mut now = Monotonic(7);
        let mut waits = Vec::new();
        let fail = |redial: &mut Redial, failure, now| {
            redial.heard(PeerEvent::Stranger(failure));
            redial.settle(&socket, true, now);
        };
        for _ in 0..12 {
            assert_eq!(redial.left(now), None);
            fail(&mut redial, Failure::Refused, now);
            let left = redial.left(now).unwrap();
            fail(&mut redial, Failure::NoDetail, now.plus(left / 2));
            assert_eq!(redial.left(now), Some(left), "one that comes late changes nothing");
            redial.dial(&socket, now.plus(left).minus(Duration::from_nanos(1))).unwrap();
            assert!(redial.left(now).is_some(), "not before its time");
            now = now.plus(left);
            redial.dial(&socket, now).unwrap();
            waits.push(left);
        }
        assert!(waits[0] <= FIRST_WAIT && waits[11] >= LONGEST_WAIT / 2 && waits[11] <= LONGEST_WAIT, "{waits:?}");
        fail(&mut redial, Failure::NoDetail, now);
        assert!(redial.left(now).unwrap() <= LONGEST_UNTOLD, "it may only have been busy");
        redial.dial(&socket, now.plus(LONGEST_UNTOLD)).unwrap();
        redial.heard(PeerEvent::Joined);
        fail(&mut redial, Failure::NoDetail, now);
        assert!(redial.left(now).unwrap() <= FIRST_WAIT);
    }

    #[test]
    fn an_old_failure_does_not_end_the_connection_that_followed_it() {
        let context = zmq::Context::new();
        let socket = context.socket(zmq::SUB).unwrap();
        let mut redial = Redial::new("inproc://nobody".to_owned());
        redial.heard(PeerEvent::Stranger(Failure::NoDetail));
        redial.heard(PeerEvent::Nobody);
        redial.heard(PeerEvent::Joined);
        redial.settle(&socket, false, Monotonic(7));
        assert_eq!(redial.left(Monotonic(7)), None);
        redial.heard(PeerEvent::Stranger(Failure::NoDetail));
        redial.heard(PeerEvent::Nobody);
        redial.settle(&socket, false, Monotonic(7));
        assert!(redial.left(Monotonic(7)).is_some(), "libzmq would knock ten times a second");
    }
}
