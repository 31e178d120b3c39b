//! [`Outward`]: what goes to the broker, from the library and of our own: acknowledgements, and whether it is there.

use std::{future::pending, io, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, WriteHalf},
    net::tcp::OwnedReadHalf,
    sync::mpsc::Receiver,
    time::{timeout, timeout_at},
};

use super::{Asking, BUFFER_BYTES, Cut, Far, Owed, PING};
use crate::mqtt::{packets::Sent, relay::Shared, subscriber::Deaf};

/// So many keepalives a receipt may take, fewer than make a silence.
const RECEIPT_KEEPALIVES: u32 = 3;
/// PUBACK.
const ACKNOWLEDGED: [u8; 2] = [0x40, 2];

/// See the module.
pub(super) struct Outward<'a> {
    near_in: OwnedReadHalf,
    far_out: WriteHalf<Far>,
    owing: Receiver<Owed>,
    oldest: Option<Owed>,
    /// Whether it was told that receipts are long in coming.
    stuck: bool,
    asking: &'a Asking,
    shared: &'a Shared,
}

/// What becomes of what is owed.
enum Due {
    /// It may be acknowledged.
    Now(Owed),
    /// It should have been by now.
    Late,
}

impl<'a> Outward<'a> {
    pub(super) fn new(
        (near_in, far_out): (OwnedReadHalf, WriteHalf<Far>),
        owing: Receiver<Owed>,
        asking: &'a Asking,
        shared: &'a Shared,
    ) -> Self {
        Self { near_in, far_out, owing, oldest: None, stuck: false, asking, shared }
    }

    pub(super) async fn run(mut self) -> Result<(), Cut> {
        let mut sent = Vec::with_capacity(BUFFER_BYTES);
        let mut out = Vec::new();
        let mut broken = false;
        let patience = self.shared.patience();
        let limit = self.shared.keepalive.checked_mul(RECEIPT_KEEPALIVES);
        loop {
            out.clear();
            tokio::select! {
                read = self.near_in.read_buf(&mut sent) => match read {
                    Ok(0) | Err(_) => break,
                    // Our own may come between two packets, not within one.
                    Ok(_) => {
                        let Sent { bytes, pings } = Sent::of(&sent);
                        out.extend(sent.drain(..bytes));
                        self.asking.library.fetch_or(pings, Relaxed);
                    }
                },
                () = self.asking.relay.notified() => out.extend(PING),
                () = self.asking.flies.notified() => out.extend(self.asking.canary()),
                due = due(&mut self.oldest, &mut self.owing, limit.filter(|_| !self.stuck)) => match due? {
                    Due::Late => self.tell_stuck(true).await,
                    Due::Now(owed) => {
                        for number in &owed.numbers {
                            out.extend(ACKNOWLEDGED);
                            out.extend(number.to_be_bytes());
                        }
                        self.tell_stuck(false).await;
                    }
                },
            }
            // When the broker is gone, what the library still writes goes nowhere, but it goes.
            broken = broken || !in_time(patience, self.far_out.write_all(&out)).await;
        }
        in_time(patience, self.far_out.shutdown()).await;
        Ok(())
    }

    async fn tell_stuck(&mut self, stuck: bool) {
        if std::mem::replace(&mut self.stuck, stuck) != stuck
            && let Some(listener) = self.shared.listener()
        {
            listener.say_deaf(Deaf::Stuck, stuck).await;
        }
    }
}

/// The oldest of what may be acknowledged, or that it could not be for `limit`. Can be dropped and asked again at any time.
async fn due(oldest: &mut Option<Owed>, owing: &mut Receiver<Owed>, limit: Option<Duration>) -> Result<Due, Cut> {
    if oldest.is_none() {
        *oldest = owing.recv().await;
    }
    if let Some(Owed { receipt: Some(receipt), since, .. }) = oldest {
        let given = match limit.and_then(|limit| since.checked_add(limit)) {
            None => receipt.await,
            Some(at) => match timeout_at(at, receipt).await {
                Ok(given) => given,
                Err(_) => return Ok(Due::Late),
            },
        };
        given.map_err(|_| Cut::NotKept)?;
    }
    match oldest.take() {
        Some(owed) => Ok(Due::Now(owed)),
        None => pending().await,
    }
}

async fn in_time(limit: Duration, done: impl Future<Output = io::Result<()>>) -> bool {
    timeout(limit, done).await.is_ok_and(|done| done.is_ok())
}
