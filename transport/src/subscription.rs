//! [`Subscription`]: holds a subscriber's link open; [`Inbox`]: how a transport's thread hands over what arrives.

use std::{
    fmt, io,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::{Arrival, Asker, Incoming, LinkIndex, waiting::wait_for};

/// How long the end of a subscription may take. MQTT needs longest: a goodbye, and until it has left, a second each at most.
/// The thread is left behind then.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// A subscriber's open link. Dropping it closes the link and waits, three seconds at most, for the link's thread to end.
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    stop: CancellationToken,
    wake: Option<Box<dyn FnOnce() + Send>>,
    asker: Option<Asker>,
    thread: Option<LinkThread>,
}

struct LinkThread {
    handle: JoinHandle<()>,
    ended: CancellationToken,
}

impl Subscription {
    /// Runs a link on a thread of its own. `wake` makes the thread look at `stop`, wherever it waits.
    pub(crate) fn spawn(
        stop: CancellationToken,
        name: String,
        run: impl FnOnce() + Send + 'static,
        wake: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        let body = move || {
            let _end = end;
            run();
        };
        let handle = thread::Builder::new().name(name).spawn(body)?;
        Ok(Self { stop, wake: Some(Box::new(wake)), asker: None, thread: Some(LinkThread { handle, ended }) })
    }

    /// For a link that needs no thread; `end` closes it.
    pub(crate) fn without_thread(stop: CancellationToken, end: impl FnOnce() + Send + 'static) -> Self {
        Self { stop, wake: Some(Box::new(end)), asker: None, thread: None }
    }

    /// The same, with a way to ask for what was lost on it.
    pub(crate) fn with_asker(mut self, asker: Asker) -> Self {
        self.asker = Some(asker);
        self
    }

    /// Asks for what was lost on this link; `None` where the transport loses nothing, for it acknowledges.
    pub fn asker(&self) -> Option<Asker> {
        self.asker.clone()
    }

    /// Closes the link. Nothing arrives afterwards.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(wake) = self.wake.take() {
            wake();
        }
        let Some(LinkThread { handle, ended }) = self.thread.take() else { return };
        let name = handle.thread().name().unwrap_or("a link").to_owned();
        if wait_for(ended.cancelled(), Some(STOP_LIMIT)).is_none() {
            tracing::warn!("{name}: its thread is left behind, for it does not end within {STOP_LIMIT:?}");
        } else if handle.join().is_err() {
            tracing::error!("{name}: its thread had panicked");
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("stopped", &self.stop.is_cancelled()).finish_non_exhaustive()
    }
}

/// Nobody wants what arrives any more: the subscription was stopped, or the channel's other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// A transport's end of the channel into the subscriber's loop.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    pub(crate) link: LinkIndex,
    pub(crate) incoming: Sender<Incoming>,
    pub(crate) stop: CancellationToken,
}

impl Inbox {
    /// Hands over, and waits while the channel is full: that is the backpressure.
    pub(crate) fn hand(&self, arrival: Arrival) -> Result<(), Stopped> {
        wait_for(self.give(arrival), None).unwrap_or(Err(Stopped))
    }

    /// The same, for who waits in a runtime. What is dropped while it waits was not handed over.
    pub(crate) async fn give(&self, arrival: Arrival) -> Result<(), Stopped> {
        let room = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Stopped),
            room = self.incoming.reserve() => room.map_err(|_| Stopped)?,
        };
        room.send(Incoming { link: self.link, arrival });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use tokio::sync::mpsc;

    fn inbox(room: usize) -> (Inbox, mpsc::Receiver<Incoming>) {
        let (incoming, receiver) = mpsc::channel(room);
        (Inbox { link: LinkIndex(3), incoming, stop: CancellationToken::new() }, receiver)
    }

    #[test]
    fn a_full_channel_makes_the_thread_wait_for_room() {
        let (inbox, mut receiver) = inbox(1);
        let thread = thread::spawn(move || (0..100).try_for_each(|_| inbox.hand(Arrival::Up)));
        for _ in 0..100 {
            assert_eq!(receiver.blocking_recv().unwrap().link, LinkIndex(3));
        }
        assert_eq!(thread.join().unwrap(), Ok(()));
    }

    #[test]
    fn a_stop_ends_the_wait_for_room() {
        let (inbox, _receiver) = inbox(1);
        inbox.hand(Arrival::Up).unwrap();
        let stop = inbox.stop.clone();
        let thread = thread::spawn(move || inbox.hand(Arrival::Up));
        Subscription::without_thread(stop, || {}).stop();
        assert_eq!(thread.join().unwrap(), Err(Stopped));
    }

    #[test]
    fn a_receiver_that_is_gone_ends_it() {
        let (inbox, receiver) = inbox(1);
        drop(receiver);
        assert_eq!(inbox.hand(Arrival::Up), Err(Stopped));
    }
}
