//! A publisher's end over ZeroMQ: an XPUB socket, which is told who listens to what.

use std::time::Duration;

use lastbeat_host::Clock;

use super::{SocketSettings, millis, open, prepare};
use crate::{Handed, Outbound, PublishOptions, TransportError, Unsent, endpoint::ZmqEndpoint, outbound::check_size};

/// Opens a publisher's end.
pub(crate) fn publish(endpoint: &ZmqEndpoint, options: &PublishOptions) -> Result<Box<dyn Outbound>, TransportError> {
    let context = zmq::Context::new();
    let socket = socket(&context, options).map_err(|source| TransportError::Zmq {
        place: endpoint.address.clone(),
        doing: "can't make a socket",
        source,
    })?;
    let address = open(&socket, endpoint)?;
    tracing::debug!("publishing at {address}");
    let high_water_mark = options.high_water_mark as u64;
    Ok(Box::new(ZmqOutbound { socket, context, address, asked: Vec::new(), full: false, taken: 0, high_water_mark }))
}

fn socket(context: &zmq::Context, options: &PublishOptions) -> zmq::Result<zmq::Socket> {
    let mut socket = context.socket(zmq::XPUB)?;
    prepare(&socket, SocketSettings { high_water_mark: options.high_water_mark, keepalive: options.keepalive })?;
    // A full pipe is an error and not a silent loss.
    lastbeat_zmq_nodrop::set_xpub_nodrop(&mut socket, true)?;
    // A broken connection takes its subscriptions with it: we are told, and hold what nobody would get.
    socket.set_immediate(true)?;
    Ok(socket)
}

struct ZmqOutbound {
    // Declared before the context, which waits for its sockets to be closed.
    socket: zmq::Socket,
    context: zmq::Context,
    address: String,
    /// The prefixes that somebody subscribed to.
    asked: Vec<Vec<u8>>,
    /// Whether the last message found a peer's pipe full.
    full: bool,
    taken: u64,
    high_water_mark: u64,
}

impl ZmqOutbound {
    fn is_asked_for(&self, topic: &[u8]) -> bool {
        self.asked.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// Takes in what libzmq has to say of subscriptions: one byte, 1 for the first and 0 for the last, and the prefix.
    fn read_subscriptions(&mut self) -> Result<(), TransportError> {
        loop {
            match self.socket.recv_bytes(zmq::DONTWAIT) {
                Ok(message) => match message.split_first() {
                    Some((1, prefix)) if !self.asked.iter().any(|asked| asked == prefix) => {
                        self.asked.push(prefix.to_vec());
                    }
                    Some((0, prefix)) => self.asked.retain(|asked| asked != prefix),
                    // A peer may send what it likes upstream; it means nothing here.
                    _ => {}
                },
                Err(zmq::Error::EAGAIN) => return Ok(()),
                Err(zmq::Error::EINTR) => {}
                Err(source) => return Err(self.failed("can't read subscriptions", source)),
            }
        }
    }

    fn failed(&self, doing: &'static str, source: zmq::Error) -> TransportError {
        TransportError::Zmq { place: self.address.clone(), doing, source }
    }

    /// Waits for libzmq to have anything to do for this socket: a subscription, a peer that made room, or one that left.
    fn has_news(&self, limit: Duration) -> bool {
        let Ok(fd) = self.socket.get_fd() else { return false };
        let mut news = [zmq::PollItem::from_fd(fd, zmq::POLLIN)];
        // An interruption is no news, and the caller's loop looks at the time again.
        zmq::poll(&mut news, i64::from(millis(limit))).is_ok_and(|count| count > 0)
    }
}

impl Outbound for ZmqOutbound {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        check_size(topic, payload)?;
        // Each time: what is sent to nobody is dropped by libzmq without a word.
        self.read_subscriptions()?;
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
        loop {
            if self.read_subscriptions().is_err() {
                return false;
            }
            if self.is_asked_for(topic.as_bytes()) {
                return true;
            }
            if left().is_zero() {
                return false;
            }
            self.has_news(left());
        }
    }

    fn close(self: Box<Self>, limit: Duration) -> Unsent {
        let Self { socket, context, taken, high_water_mark, .. } = *self;
        let start = Clock.now().monotonic;
        if let Err(error) = socket.set_linger(millis(limit)) {
            tracing::warn!("can't wait for what was sent: {error}");
        }
        drop(socket);
        // Waits until the I/O thread has written everything, or the limit has passed.
        drop(context);
        // libzmq doesn't say how much was left; at most what a pipe holds.
        let ended_in_time = Clock.now().monotonic.since(start) < limit;
        Unsent(if ended_in_time { 0 } else { taken.min(high_water_mark) })
    }
}
