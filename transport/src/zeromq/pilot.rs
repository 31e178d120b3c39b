//! [`Pilot`]: a second connection to a peer, beside the one that messages come by, which tells whether the peer is there.
//!
//! libzmq 4.3.4 ends the program, by an assertion, when a heartbeat is due to a peer that has left while its queue here is
//! full. So heartbeats go where nothing is ever queued: by a socket that subscribes to nothing. The other one has none.

use std::time::Duration;

use lastbeat_wire::Monotonic;

use super::{Curve, Monitor, PeerEvent, Purpose, SocketSettings, open, prepare, redial::Redial};
use crate::{TransportError, endpoint::ZmqEndpoint};

/// See the module.
pub(super) struct Pilot {
    socket: zmq::Socket,
    monitor: Monitor,
    redial: Redial,
    has_key: bool,
    joined: bool,
}

impl Pilot {
    pub(super) fn connect(
        context: &zmq::Context,
        endpoint: &ZmqEndpoint,
        settings: SocketSettings,
        curve: &Curve,
    ) -> Result<Self, TransportError> {
        let made = || {
            let socket = context.socket(zmq::SUB)?;
            prepare(&socket, settings)?;
            curve.prepare(&socket, Purpose::Publish)?;
            let monitor = Monitor::new(context, &socket, "pilot")?;
            Ok((socket, monitor))
        };
        let place = || endpoint.address.clone();
        let (socket, monitor) =
            made().map_err(|source| TransportError::Zmq { place: place(), doing: "can't make a socket", source })?;
        open(&socket, endpoint)?;
        let redial = Redial::untold(place());
        Ok(Self { socket, monitor, redial, has_key: curve.is_on(), joined: false })
    }

    /// For a poll set: readable when there is an event.
    pub(super) fn socket(&self) -> &zmq::Socket {
        self.monitor.socket()
    }

    /// Whether the peer is there.
    pub(super) fn joined(&self) -> bool {
        self.joined
    }

    /// The next event, until there is none.
    pub(super) fn next_event(&mut self, now: Monotonic) -> Option<PeerEvent> {
        let Some(event) = self.monitor.next_event() else {
            self.redial.settle(&self.socket, self.has_key, now);
            return None;
        };
        self.joined = event == PeerEvent::Joined;
        self.redial.heard(event);
        Some(event)
    }

    /// How long until it connects again; `None` while libzmq looks after it.
    pub(super) fn left(&self, now: Monotonic) -> Option<Duration> {
        self.redial.left(now)
    }

    pub(super) fn dial(&mut self, now: Monotonic) -> zmq::Result<()> {
        self.redial.dial(&self.socket, now)
    }
}
