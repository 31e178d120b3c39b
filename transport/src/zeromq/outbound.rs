//! A publisher's end over ZeroMQ: an XPUB socket, which is told who listens to what.

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_wire::{Monotonic, ResendRequest};
use lastbeat_zmq_nodrop::set_xpub_nodrop;

use super::{Curve, Gate, Monitor, PeerEvent, Purpose, SocketSettings, millis, open, prepare, redial::Redial};
use crate::{
    Handed, Outbound, PublishOptions, TransportError, Unsent,
    asking::Requests,
    endpoint::{Way, ZmqEndpoint},
    outbound::check_size,
};

/// Whether anyone listens is looked up again after so many messages …
const LOOK_AFTER_MESSAGES: u32 = 64;
/// … or after so long, whichever comes first. What is sent in between to somebody who has just left is as lost as what
/// is on the wire then.
const LOOK_AFTER: Duration = Duration::from_millis(1);

/// Opens a publisher's end.
pub(crate) fn publish(endpoint: &ZmqEndpoint, options: &PublishOptions) -> Result<Box<dyn Outbound>, TransportError> {
    Ok(Box::new(opened(endpoint, options)?))
}

fn opened(endpoint: &ZmqEndpoint, options: &PublishOptions) -> Result<ZmqOutbound, TransportError> {
    let settings = SocketSettings { high_water_mark: options.high_water_mark, keepalive: options.keepalive };
    let curve = Curve::read(&endpoint.lock)?;
    let context = zmq::Context::new();
    let made = || Ok((curve.gate(&context)?, sockets(&context, settings, &curve, 0)?));
    let (gate, (socket, monitor)) = made().map_err(|source| TransportError::Zmq {
        place: endpoint.address.clone(),
        doing: "can't make a socket",
        source,
    })?;
    let address = open(&socket, endpoint)?;
    tracing::debug!("publishing at {address}");
    Ok(ZmqOutbound {
        socket,
        monitor,
        gate,
        context,
        settings,
        curve,
        redial: Redial::new(endpoint.address.clone()),
        way: endpoint.way,
        address,
        rebuilt: 0,
        asked: Vec::new(),
        requests: Requests::of(&options.client),
        looked_at: None,
        since_look: 0,
        full: false,
        taken: 0,
    })
}

fn sockets(
    context: &zmq::Context,
    settings: SocketSettings,
    curve: &Curve,
    number: u64,
) -> zmq::Result<(zmq::Socket, Monitor)> {
    let mut socket = context.socket(zmq::XPUB)?;
    prepare(&socket, settings)?;
    curve.prepare(&socket, Purpose::Subscribe)?;
    // A full pipe is an error and not a silent loss.
    set_xpub_nodrop(&mut socket, true)?;
    // A peer that comes says what it asks for, even if another had asked for the same.
    socket.set_xpub_verbose(true)?;
    // A broken connection takes its subscriptions with it.
    socket.set_immediate(true)?;
    let monitor = Monitor::new(context, &socket, &format!("publisher-{number}"))?;
    Ok((socket, monitor))
}

struct ZmqOutbound {
    // Declared before the context, which waits for its sockets to be closed.
    socket: zmq::Socket,
    monitor: Monitor,
    gate: Option<Gate>,
    context: zmq::Context,
    settings: SocketSettings,
    curve: Curve,
    redial: Redial,
    way: Way,
    address: String,
    /// How often the socket was made anew.
    rebuilt: u64,
    /// The prefixes that somebody subscribed to.
    asked: Vec<Vec<u8>>,
    /// What is to be sent again.
    requests: Requests,
    looked_at: Option<Monotonic>,
    since_look: u32,
    /// Whether the last message found a peer's pipe full.
    full: bool,
    taken: u64,
}

impl ZmqOutbound {
    fn is_asked_for(&self, topic: &[u8]) -> bool {
        self.asked.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// Looks who listens, unless it was done a moment ago.
    fn look_if_due(&mut self) -> Result<(), TransportError> {
        let now = Clock.now().monotonic;
        let fresh = self.looked_at.is_some_and(|looked_at| now.since(looked_at) < LOOK_AFTER);
        if fresh && self.since_look < LOOK_AFTER_MESSAGES {
            self.since_look += 1;
            return Ok(());
        }
        (self.looked_at, self.since_look) = (Some(now), 0);
        self.look().map_err(|source| self.failed("can't tell who listens", source))
    }

    /// Takes in who has left, then who asks for what.
    ///
    /// libzmq ends the pipe of a broken connection in several steps and with our help, swallowing meanwhile what is
    /// sent into it. The monitor knows at once.
    fn look(&mut self) -> zmq::Result<()> {
        let mut has_left = false;
        while let Some(event) = self.monitor.next_event() {
            has_left |= event == PeerEvent::Left;
            match event {
                event if self.way == Way::Connect => self.redial.heard(event),
                PeerEvent::Stranger(failure) => {
                    tracing::debug!(
                        "{}: a handshake failed: {}",
                        self.address,
                        failure.of_a_stranger(self.curve.is_on())
                    );
                }
                PeerEvent::Joined | PeerEvent::Left | PeerEvent::Nobody => {}
            }
        }
        let now = Clock.now().monotonic;
        self.redial.settle(&self.socket, self.curve.is_on(), now);
        self.redial.dial(&self.socket, now)?;
        match self.way {
            // What a new socket is told of subscriptions is told by the new connection.
            Way::Connect if has_left => self.rebuild()?,
            // Nobody has come since, so all that is known was asked by those who left.
            Way::Bind if has_left && self.monitor.joined() == 0 => self.asked.clear(),
            Way::Connect | Way::Bind => {}
        }
        self.read_subscriptions()
    }

    fn rebuild(&mut self) -> zmq::Result<()> {
        tracing::debug!("{}: connecting anew", self.address);
        self.rebuilt += 1;
        let (socket, monitor) = sockets(&self.context, self.settings, &self.curve, self.rebuilt)?;
        socket.set_ipv6(self.socket.is_ipv6()?)?;
        socket.connect(&self.address)?;
        (self.socket, self.monitor) = (socket, monitor);
        self.redial.renewed();
        self.asked.clear();
        Ok(())
    }

    /// Takes in what libzmq has to say of subscriptions: one byte, 1 for each and 0 for the last to go, and the prefix.
    /// What begins otherwise is a subscriber's own, and may be anything.
    fn read_subscriptions(&mut self) -> zmq::Result<()> {
        loop {
            match self.socket.recv_bytes(zmq::DONTWAIT) {
                Ok(message) => match message.split_first() {
                    Some((1, prefix)) if !self.asked.iter().any(|asked| asked == prefix) => {
                        self.asked.push(prefix.to_vec());
                    }
                    Some((0, prefix)) => self.asked.retain(|asked| asked != prefix),
                    _ => {
                        if let Err(error) = self.requests.take_in(&message) {
                            tracing::debug!("{}: what came up the link is passed over: {error}", self.address);
                        }
                    }
                },
                Err(zmq::Error::EAGAIN) => return Ok(()),
                Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn failed(&self, doing: &'static str, source: zmq::Error) -> TransportError {
        TransportError::Zmq { place: self.address.clone(), doing, source }
    }

    /// Waits for libzmq to have anything to do for this socket: a subscription, a peer that made room, or one that left.
    fn has_news(&self, limit: Duration) -> bool {
        let Ok(fd) = self.socket.get_fd() else { return false };
        let mut news = [zmq::PollItem::from_fd(fd, zmq::POLLIN), self.monitor.socket().as_poll_item(zmq::POLLIN)];
        // So is that it is time to connect again.
        let limit = self.redial.left(Clock.now().monotonic).map_or(limit, |left| limit.min(left));
        // An interruption is no news, and the caller's loop looks at the time again.
        zmq::poll(&mut news, i64::from(millis(limit))).is_ok_and(|count| count > 0)
    }
}

impl Outbound for ZmqOutbound {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        check_size(topic, payload)?;
        self.look_if_due()?;
        if !self.is_asked_for(topic.as_bytes()) {
            return Ok(Handed::NotNow);
        }
        // Room is looked for with the first frame: where it went, the second goes too.
        match self.socket.send(topic, zmq::DONTWAIT | zmq::SNDMORE) {
            Ok(()) => {}
            Err(zmq::Error::EAGAIN) => {
                self.full = true;
                return Ok(Handed::NotNow);
            }
            Err(zmq::Error::EINTR) => return Ok(Handed::NotNow),
            Err(source) => return Err(self.failed("can't send a topic", source)),
        }
        self.socket.send(payload, 0).map_err(|source| self.failed("can't send a payload", source))?;
        self.taken += 1;
        Ok(Handed::Taken)
    }

    fn wait_ready(&mut self, topic: &str, limit: Duration) -> bool {
        let start = Clock.now().monotonic;
        let left = || limit.saturating_sub(Clock.now().monotonic.since(start));
        // No event says that there is room: whatever comes next is worth a try.
        if self.full && !self.has_news(limit) {
            return false;
        }
        self.full = false;
        // The next message is sent on what is found here.
        self.looked_at = None;
        loop {
            // An error shows again in the next try.
            if self.look().is_err() || self.is_asked_for(topic.as_bytes()) {
                return true;
            }
            if left().is_zero() {
                return false;
            }
            self.has_news(left());
        }
    }

    fn requests(&mut self) -> Vec<ResendRequest> {
        // An error shows again in the next try to send.
        if let Err(error) = self.look_if_due() {
            tracing::debug!("can't look what is asked for: {error}");
        }
        self.requests.drain()
    }

    fn settled(&mut self) -> u64 {
        self.taken
    }

    fn close(self: Box<Self>, limit: Duration) -> Unsent {
        let Self { socket, monitor, gate, context, taken, settings, .. } = *self;
        let start = Clock.now().monotonic;
        if let Err(error) = socket.set_linger(millis(limit)) {
            tracing::warn!("can't wait for what was sent: {error}");
        }
        drop((socket, monitor, gate));
        // Waits until the I/O thread has written everything, or the limit has passed.
        drop(context);
        // libzmq doesn't say how much was left; at most what a pipe holds.
        let ended_in_time = Clock.now().monotonic.since(start) < limit;
        Unsent(if ended_in_time { 0 } else { taken.min(settings.high_water_mark as u64) })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::Endpoint;

    #[test]
    fn a_peer_that_left_and_a_handshake_that_failed_since_end_in_one_connection() {
        let context = zmq::Context::new();
        let listening = |address: &str| {
            let socket = context.socket(zmq::XSUB).unwrap();
            socket.set_linger(0).unwrap();
            socket.bind(address).unwrap();
            socket.send(vec![1], 0).unwrap();
            socket
        };
        let first = listening("tcp://127.0.0.1:*");
        let address = first.get_last_endpoint().unwrap().unwrap();
        let Endpoint::Zmq(endpoint) = format!("zmq+{address}").parse().unwrap() else { panic!("not ZeroMQ") };
        let mut outbound = opened(&endpoint, &PublishOptions::default()).unwrap();
        // The peer's socket takes us in when it is used.
        while !outbound.wait_ready("beat/x", Duration::from_millis(10)) {
            assert_eq!(first.recv_bytes(zmq::DONTWAIT), Err(zmq::Error::EAGAIN));
        }
        // It goes, and in its place is something that hangs up. Nobody looks meanwhile.
        first.unbind(&address).unwrap();
        drop(first);
        let stranger = std::iter::repeat_with(|| TcpListener::bind(address.strip_prefix("tcp://").unwrap()))
            .find_map(Result::ok)
            .unwrap();
        for _ in 0..3 {
            drop(stranger.accept().unwrap());
        }
        drop(stranger);
        outbound.look().unwrap();
        assert_eq!(outbound.rebuilt, 1, "its peer had left");
        assert_eq!(outbound.redial.left(Clock.now().monotonic), None, "the new socket connects once");
    }
}
