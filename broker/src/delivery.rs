//! [`Delivery`]: hands one message after the other to the subscribers' socket, with patience for those that are full.

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_zmq_nodrop::set_xpub_nodrop;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It went to everyone who had asked for it.
    ToAll,
    /// At least one subscriber was full and did not get it; the others did.
    PastTheFull,
}

/// The subscribers' socket (XPUB) and the patience that is left.
///
/// With `ZMQ_XPUB_NODROP` a send fails while one of the subscribers it is for is full. It is waited for until the
/// patience is used up; then the option is off for one message, which libzmq keeps from the full ones. libzmq leaves
/// those out from then on until they have read half of what they have queued, and tells nobody: so the count of drops is
/// a lower bound, and what exactly a subscriber missed is known to itself by the gaps in the sequence numbers.
pub struct Delivery {
    socket: zmq::Socket,
    patience: Duration,
    left: Duration,
}

impl Delivery {
    /// Takes the XPUB socket over.
    pub fn new(mut socket: zmq::Socket, patience: Duration) -> zmq::Result<Self> {
        set_xpub_nodrop(&mut socket, true)?;
        Ok(Self { socket, patience, left: patience })
    }

    /// For a poll set, and for what subscribers ask.
    pub fn socket(&self) -> &zmq::Socket {
        &self.socket
    }

    /// Sends the first frame. Only this one may find somebody full: where it went, the others go too. It is copied, for
    /// the socket keeps what it could not send; topics are short enough to need no allocation.
    pub fn send_first(&mut self, frame: &[u8], more: i32) -> zmq::Result<Delivered> {
        match retry(|| self.socket.send(frame, more | zmq::DONTWAIT)) {
            Ok(()) => {
                self.left = self.patience;
                Ok(Delivered::ToAll)
            }
            Err(zmq::Error::EAGAIN) if self.wait_and_send(frame, more)? => Ok(Delivered::ToAll),
            Err(zmq::Error::EAGAIN) => {
                set_xpub_nodrop(&mut self.socket, false)?;
                let sent = retry(|| self.socket.send(frame, more));
                set_xpub_nodrop(&mut self.socket, true)?;
                sent.map(|()| Delivered::PastTheFull)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a message unless somebody it is for is full; whether it did. It waits for nobody.
    pub fn send_if_room(&self, topic: &[u8], payload: &[u8]) -> zmq::Result<bool> {
        match retry(|| self.socket.send(topic, zmq::SNDMORE | zmq::DONTWAIT)) {
            Ok(()) => self.socket.send(payload, 0).map(|()| true),
            Err(zmq::Error::EAGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a further frame as it is, without a copy.
    pub fn send_further(&self, frame: zmq::Message, more: i32) -> zmq::Result<()> {
        self.socket.send(frame, more)
    }

    /// Waits for room as long as the patience lasts; whether there was any.
    fn wait_and_send(&mut self, frame: &[u8], more: i32) -> zmq::Result<bool> {
        let Ok(millis @ 1..) = i32::try_from(self.left.as_millis()) else { return Ok(false) };
        let start = Clock.now().monotonic;
        self.socket.set_sndtimeo(millis)?;
        let sent = retry(|| self.socket.send(frame, more));
        self.left = self.left.saturating_sub(Clock.now().monotonic.since(start));
        match sent {
            Ok(()) => Ok(true),
            Err(zmq::Error::EAGAIN) => {
                self.left = Duration::ZERO;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// A signal interrupts a call and means nothing here: it arrives by another way.
fn retry(mut call: impl FnMut() -> zmq::Result<()>) -> zmq::Result<()> {
    loop {
        match call() {
            Err(zmq::Error::EINTR) => {}
            other => return other,
        }
    }
}
