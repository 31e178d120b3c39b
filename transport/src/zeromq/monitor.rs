//! [`Monitor`]: what libzmq says of a socket's connections. It says nothing of their messages.

use zmq::SocketEvent;

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEvent {
    /// A peer is there and speaks our protocol.
    Joined,
    /// A peer that had joined is gone, or did not answer in time.
    Left,
    /// Something is there, and the handshake with it failed.
    Stranger(Failure),
    /// Nobody is there; it is tried again.
    Nobody,
}

/// Why a handshake failed, as far as this side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The connection ended in the middle of it, or nothing more came.
    NoDetail,
    /// One side asks for CURVE and the other doesn't, or for something else still.
    Mechanism,
    /// What came can't be decrypted: of a client, it has another server's public key.
    Keys,
    /// The key is not on the list.
    Refused,
    /// What came is no ZMTP.
    Protocol,
}

impl Failure {
    /// What libzmq says with the events of a failed handshake (`zmq_socket_monitor(3)`).
    fn new(event: u16, value: u32) -> Self {
        const CRYPTOGRAPHIC: u32 = 0x1100_0001;
        const MECHANISM_MISMATCH: u32 = 0x1100_0002;
        if event == SocketEvent::HANDSHAKE_FAILED_NO_DETAIL.to_raw() {
            Self::NoDetail
        } else if event == SocketEvent::HANDSHAKE_FAILED_AUTH.to_raw() {
            Self::Refused
        } else {
            match value {
                CRYPTOGRAPHIC => Self::Keys,
                MECHANISM_MISMATCH => Self::Mechanism,
                _ => Self::Protocol,
            }
        }
    }

    /// For people, on the side that has connected; `has_key` says whether it has a server's key.
    pub fn of_the_peer(self, has_key: bool) -> &'static str {
        match (self, has_key) {
            (Self::NoDetail, false) => "the handshake failed: the peer hangs, wants a key (server=), or is no ZeroMQ",
            (Self::NoDetail, true) => {
                "the handshake failed: the peer has another key than server= says, speaks without keys, hangs, or is no ZeroMQ"
            }
            (Self::Mechanism, false) => "the handshake failed: the peer wants a key, and the URL names none (server=)",
            (Self::Mechanism, true) => {
                "the handshake failed: the peer speaks without keys, and the URL names one (server=)"
            }
            (Self::Keys, _) => "the handshake failed: the peer has another key than server= says",
            (Self::Refused, _) => "the peer refuses our key: it is not on its list, or not for this",
            (Self::Protocol, _) => "the handshake failed: the peer is no ZeroMQ",
        }
    }

    /// For people, on the side that was connected to; `has_key` says whether it has a key.
    pub fn of_a_stranger(self, has_key: bool) -> &'static str {
        match (self, has_key) {
            (Self::NoDetail, _) => "it hangs, has gone, or is no ZeroMQ",
            (Self::Mechanism, true) => "it came without a key",
            (Self::Mechanism, false) => "it wants a key of us (server=), and we were given none",
            (Self::Keys, _) => "it has another public key for us than ours",
            (Self::Refused, _) => "its key was refused",
            (Self::Protocol, _) => "it is no ZeroMQ",
        }
    }
}

/// A socket's monitor: an inproc PAIR that libzmq writes its events to.
pub struct Monitor {
    socket: zmq::Socket,
    /// Connections that are open, with or without a handshake.
    open: usize,
    joined: usize,
    /// Connections whose handshake failed and whose end was not told yet.
    failed: usize,
}

impl Monitor {
    /// Watches `socket`, from before it binds or connects. `name` must be unique within the context.
    pub fn new(context: &zmq::Context, socket: &zmq::Socket, name: &str) -> zmq::Result<Self> {
        let address = format!("inproc://monitor-{name}");
        let events = [
            SocketEvent::ACCEPTED,
            SocketEvent::CONNECTED,
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
        Ok(Self { socket: monitor, open: 0, joined: 0, failed: 0 })
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
            // Two frames: event (u16) and value (u32), both in native order, then the address.
            let event = self.socket.recv_bytes(zmq::DONTWAIT).ok()?;
            self.socket.recv_bytes(zmq::DONTWAIT).ok()?;
            let (number, value) = event.split_first_chunk::<2>()?;
            let value = value.first_chunk().copied().map_or(0, u32::from_ne_bytes);
            if let Some(event) = self.meaning(u16::from_ne_bytes(*number), value) {
                return Some(event);
            }
        }
    }

    fn meaning(&mut self, event: u16, value: u32) -> Option<PeerEvent> {
        let is = |other: SocketEvent| event == other.to_raw();
        if is(SocketEvent::ACCEPTED) {
            self.open += 1;
            None
        } else if is(SocketEvent::CONNECTED) {
            // Whoever connects has one peer.
            (self.open, self.joined, self.failed) = (1, 0, 0);
            None
        } else if is(SocketEvent::HANDSHAKE_SUCCEEDED) {
            self.joined += 1;
            Some(PeerEvent::Joined)
        } else if is(SocketEvent::CONNECT_RETRIED) {
            Some(PeerEvent::Nobody)
        } else if is(SocketEvent::DISCONNECTED) {
            self.ended().then_some(PeerEvent::Left)
        } else {
            self.failed += 1;
            Some(PeerEvent::Stranger(Failure::new(event, value)))
        }
    }

    /// A connection has ended: that of a peer, unless it is one whose handshake failed. libzmq does not say which one, but
    /// tells each failure before the end of its connection, and no more than once.
    fn ended(&mut self) -> bool {
        self.open = self.open.saturating_sub(1);
        let was_joined = self.joined > 0 && self.failed == 0;
        if was_joined {
            self.joined -= 1;
        }
        self.failed = self.failed.saturating_sub(1);
        // Whatever was miscounted: there are no more peers than connections.
        let surplus = self.joined.saturating_sub(self.open);
        self.joined -= surplus;
        was_joined || surplus > 0
    }
}
