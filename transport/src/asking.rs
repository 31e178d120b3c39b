//! [`Asker`]: a subscriber's way to ask for what was lost on a link; [`Requests`]: what a publisher was asked for.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use lastbeat_wire::{Inbox, ResendError, ResendRequest, Wanted};

/// Most requests that wait for a publisher's attention. Who misses something asks again.
const MOST_REQUESTS: usize = 64;

/// Asks for messages again, up one link. Cloning is cheap.
#[derive(Clone)]
pub struct Asker {
    inbox: Inbox,
    way: Arc<Mutex<Way>>,
}

/// Passes a request's bytes on to the link; whether it took them.
type Way = dyn FnMut(&[u8]) -> bool + Send;

impl Asker {
    pub(crate) fn new(inbox: Inbox, way: impl FnMut(&[u8]) -> bool + Send + 'static) -> Self {
        Self { inbox, way: Arc::new(Mutex::new(way)) }
    }

    /// Sends a request, without waiting; `false` if the link has no room for it. That nobody hears it, or that nobody
    /// has what is wanted any more, is not told: who still misses it asks again.
    pub fn ask(&self, wanted: Wanted) -> bool {
        let request = ResendRequest { inbox: self.inbox, wanted };
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        (*way)(&request.encode())
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

/// The requests that came up a publisher's link and are for it. Bounded: the oldest make room.
#[derive(Debug)]
pub(crate) struct Requests {
    client: String,
    waiting: VecDeque<ResendRequest>,
}

impl Requests {
    /// For the publisher of this id.
    pub(crate) fn of(client: &str) -> Self {
        Self { client: client.to_owned(), waiting: VecDeque::new() }
    }

    /// Takes in what came up a link, which may be anything and for anybody.
    ///
    /// # Errors
    /// What it is, if it is no request.
    pub(crate) fn take_in(&mut self, bytes: &[u8]) -> Result<(), ResendError> {
        let request = ResendRequest::decode(bytes)?;
        let is_ours = match &request.wanted {
            Wanted::Range { publisher, .. } => publisher.as_str() == self.client,
            Wanted::Last => true,
        };
        if !is_ours || self.waiting.contains(&request) {
            return Ok(());
        }
        if self.waiting.len() >= MOST_REQUESTS {
            self.waiting.pop_front();
            tracing::debug!("asked for more than {MOST_REQUESTS} ranges at once: the oldest request is passed over");
        }
        self.waiting.push_back(request);
        Ok(())
    }

    /// What waits, the oldest first.
    pub(crate) fn drain(&mut self) -> Vec<ResendRequest> {
        self.waiting.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_wire::{BootId, HostId, ProcessIdentity};

    fn request(publisher: &str, from: u64) -> ResendRequest {
        let process = ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4, start: 5 };
        let publisher = publisher.parse().unwrap();
        ResendRequest { inbox: Inbox(1), wanted: Wanted::Range { publisher, process, from, to: from + 1 } }
    }

    #[test]
    fn only_what_is_for_this_publisher_is_kept_and_once() {
        let mut requests = Requests::of("a");
        let last = ResendRequest { inbox: Inbox(2), wanted: Wanted::Last };
        for request in [request("a", 1), request("b", 1), request("a", 1), last.clone()] {
            requests.take_in(&request.encode()).unwrap();
        }
        assert!(requests.take_in(b"what is this").is_err());
        assert_eq!(requests.drain(), [request("a", 1), last]);
        assert_eq!(requests.drain(), []);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut requests = Requests::of("a");
        let many = MOST_REQUESTS as u64 + 2;
        (0..many).for_each(|from| requests.take_in(&request("a", from).encode()).unwrap());
        assert_eq!(requests.drain(), (2..many).map(|from| request("a", from)).collect::<Vec<_>>());
    }
}
