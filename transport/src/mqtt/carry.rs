//! [`Connection`]: carries one connection's bytes. Messages go to the subscriber, and are acknowledged once their receipt was
//! given, in the order they came; all the rest goes to the client library, and all that it sends to the broker.
//!
//! A receipt that was dropped must not end in an acknowledgement, nor may a later one overtake it: the connection is cut, and
//! the broker delivers again on the next one.
//!
//! A broker sends no more than so many messages that are not acknowledged. While receipts are long in coming (the disk is full)
//! nobody is heard, whoever speaks: that is told as a link that is down.

mod inward;
mod outward;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool};

use tokio::{
    io::{AsyncRead, AsyncWrite, split},
    net::TcpStream,
    sync::{Notify, mpsc::channel, oneshot},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::relay::Shared;
use inward::Inward;
use outward::Outward;

const BUFFER_BYTES: usize = 64 << 10;
/// Most batches that wait for their receipts.
const MOST_OWED: usize = 64;
/// PINGREQ and PINGRESP.
const PING: [u8; 2] = [0xc0, 0];
const PONG: [u8; 2] = [0xd0, 0];

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The broker's side.
pub(super) type Far = Box<dyn Stream>;

/// One connection, until one of its sides ends it.
pub(super) struct Connection {
    pub(super) near: TcpStream,
    pub(super) far: Far,
    pub(super) shared: Arc<Shared>,
    /// The how manieth of the relay's.
    pub(super) number: u64,
    /// Ends it, now.
    pub(super) cut: CancellationToken,
    /// Dropped when all that the library wrote has been passed on.
    pub(super) passed_on: DropGuard,
}

/// Why a connection is cut.
enum Cut {
    /// A receipt was dropped.
    NotKept,
    /// What answers is no MQTT broker.
    Malformed,
}

/// Messages that are to be acknowledged.
struct Owed {
    numbers: Vec<u16>,
    since: Instant,
    /// `None` for what is not wanted: there is nothing to wait for.
    receipt: Option<oneshot::Receiver<()>>,
}

impl Connection {
    pub(super) async fn carry(self) {
        let Self { near, far, shared, number, cut, passed_on } = self;
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = split(far);
        let (owed, owing) = channel(MOST_OWED);
        let asking = Asking::default();
        let outward = Outward::new((near_in, far_out), owing, &asking, &shared);
        let inward = Inward::new((far_in, near_out), owed, &asking, (&shared, number));
        let outward = async {
            let _passed_on = passed_on;
            outward.run().await
        };
        let ended = tokio::select! {
            biased;
            () = cut.cancelled() => Ok(()),
            ended = async { tokio::try_join!(outward, inward.run()) } => ended.map(drop),
        };
        if let (Err(Cut::NotKept), Some(listener)) = (ended, shared.listener()) {
            listener.say_down("a message could not be kept; the broker will deliver it again").await;
        }
    }
}

/// What the two ways tell each other of questions whether the broker is there.
#[derive(Default)]
struct Asking {
    /// The library has asked.
    library: AtomicBool,
    /// Told when we are to ask.
    relay: Notify,
    /// A message of our own that is to be sent.
    canary: Mutex<Option<Vec<u8>>>,
    /// Told when there is one.
    flies: Notify,
}

impl Asking {
    fn fly(&self, canary: Vec<u8>) {
        *self.canary.lock().unwrap_or_else(PoisonError::into_inner) = Some(canary);
        self.flies.notify_one();
    }

    fn canary(&self) -> Vec<u8> {
        self.canary.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}
