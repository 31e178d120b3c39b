//! [`Telling`]: what is told of a follower that writes to a server: how far it is, and what is wrong.

use std::sync::Arc;

use lastbeat_host::Clock;
use tokio::sync::watch;

use super::{Lag, Trouble};

/// The lag of a follower, and the words that go to the log when it gets into trouble and out of it.
#[derive(Debug)]
pub struct Telling {
    /// As [`Follower::name`](super::Follower::name).
    follower: &'static str,
    /// The server, for people, without a secret.
    target: String,
    lag: watch::Sender<Lag>,
}

impl Telling {
    /// All is well.
    pub fn new(follower: &'static str, target: String, lag: watch::Sender<Lag>) -> Self {
        Self { follower, target, lag }
    }

    /// Whose lag it is.
    pub fn follower(&self) -> &'static str {
        self.follower
    }

    /// Changes what is told.
    pub fn tell(&self, change: impl FnOnce(&mut Lag)) {
        self.lag.send_modify(change);
    }

    /// Tells that nothing is taken, and why.
    pub fn trouble(&self, reason: &str) {
        let error: Arc<str> = format!("{}: {reason}", self.target).into();
        self.lag.send_if_modified(|lag| {
            let is_news = lag.trouble.as_ref().is_none_or(|trouble| trouble.error != error);
            if is_news {
                tracing::warn!(%error, "{}: takes nothing, its records wait in the log", self.follower);
                let since = lag.trouble.as_ref().map_or_else(|| Clock.now().utc, |trouble| trouble.since);
                lag.trouble = Some(Trouble { since, error });
            }
            is_news
        });
    }

    /// The server answers as it should.
    pub fn well(&self) {
        self.lag.send_if_modified(|lag| {
            let was_in_trouble = lag.trouble.take().is_some();
            if was_in_trouble {
                let (target, behind_bytes) = (&self.target, lag.behind_bytes);
                tracing::info!(%target, behind_bytes, "{}: goes on", self.follower);
            }
            was_in_trouble
        });
    }

    /// So many more were refused and are set aside.
    pub fn set_aside(&self, more: u64, reason: &str) {
        let before = self.lag.borrow().set_aside;
        let count = before + more;
        self.tell(|lag| lag.set_aside += more);
        // The first, and then at each tenfold: a publisher whose every point is refused fills the file, not the log.
        if count.checked_ilog10() != before.checked_ilog10() {
            tracing::warn!(count, reason, "{}: the server refused some, they are set aside", self.follower);
        }
    }
}
