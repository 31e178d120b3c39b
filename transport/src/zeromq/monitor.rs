//! [`Monitor`]: what libzmq says of a socket's connections. It says nothing of their messages.

use zmq::SocketEvent;

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEvent {
    /// A peer is there and speaks our protocol.
    Joined,
    /// A peer that had joined is gone, or did not answer in time.
    Left,
    /// Something is there, and the handshake with it failed: it hangs, or does not speak our protocol.
    Stranger,
    /// Nobody is there; it is tried again.
    Nobody,
}

/// A socket's monitor: an inproc PAIR that libzmq writes its events to.
pub struct Monitor {
    socket: zmq::Socket,
    joined: usize,
}

impl Monitor {
    /// Watches `socket`, from before it binds or connects. `name` must be unique within the context.
    pub fn new(context: &zmq::Context, socket: &zmq::Socket, name: &str) -> zmq::Result<Self> {
        let address = format!("inproc://monitor-{name}");
        let events = [
            SocketEvent::HANDSHAKE_SUCCEEDED,
            SocketEvent::HANDSHAKE_FAILED_NO_DETAIL,
            SocketEvent::HANDSHAKE_FAILED_PROTOCOL,
            SocketEvent::HANDSHAKE_FAILED_AUTH,
            SocketEvent::DISCONNECTED,
            SocketEvent::CONNECT_RETRIED,
        ];
        socket.monitor(&address, events.into_iter().fold(0, |mask, event| mask | i32::from(event.to_raw())))?;
        let monitor = context.socket(zmq::PAIR)?;
        monitor.set_linger(0)?;
        monitor.connect(&address)?;
        Ok(Self { socket: monitor, joined: 0 })
    }

    /// For a poll set: readable when there is an event.
    pub fn socket(&self) -> &zmq::Socket {
        &self.socket
    }

    /// How many peers are there.
    pub fn joined(&self) -> usize {
        self.joined
    }

    /// The next event, if there is one; never waits.
    pub fn next_event(&mut self) -> Option<PeerEvent> {
        loop {
            // Two frames: event (u16, native order) and value, then the address.
            let event = self.socket.recv_bytes(zmq::DONTWAIT).ok()?;
            self.socket.recv_bytes(zmq::DONTWAIT).ok()?;
            let event = u16::from_ne_bytes([*event.first()?, *event.get(1)?]);
            if let Some(event) = self.meaning(event) {
                return Some(event);
            }
        }
    }

    fn meaning(&mut self, event: u16) -> Option<PeerEvent> {
        let is = |other: SocketEvent| event == other.to_raw();
        if is(SocketEvent::HANDSHAKE_SUCCEEDED) {
            self.joined += 1;
            Some(PeerEvent::Joined)
        } else if is(SocketEvent::CONNECT_RETRIED) {
            Some(PeerEvent::Nobody)
        } else if is(SocketEvent::DISCONNECTED) {
            // Also said of connections that never got through their handshake; those were counted nowhere. With several
            // peers the two can't be told apart, and a stranger's end may be taken for a peer's.
            let was_joined = self.joined > 0;
            self.joined = self.joined.saturating_sub(1);
            was_joined.then_some(PeerEvent::Left)
        } else {
            Some(PeerEvent::Stranger)
        }
    }
}
