//! [`Allowed`]: the allow-list as all that use it share it; [`Guard`]: holds each message against it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use lastbeat_host::Clock;
use lastbeat_wire::Monotonic;

use super::{AllowList, allow::speaker, keys::text_of};
use crate::TransportError;

/// Tens of thousands of keys.
const MOST_FILE_BYTES: u64 = 16 << 20;
/// How often messages under a name that is not the sender's are warned of, at most; they are counted in any case.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// An allow-list and the file it was read from.
#[derive(Debug, Clone)]
pub struct Allowed {
    path: Arc<PathBuf>,
    list: Arc<RwLock<AllowList>>,
}

impl Allowed {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, with its name.
    pub fn read(path: &Path) -> Result<Self, TransportError> {
        let list = read(path)?;
        Ok(Self { path: Arc::new(path.to_owned()), list: Arc::new(RwLock::new(list)) })
    }

    /// Reads the file again; how many keys there are now. It holds for whoever comes from now on, and for each message
    /// from now on; who is connected as a subscriber stays.
    ///
    /// # Errors
    /// What is wrong with it; then what held before holds on.
    pub fn reload(&self) -> Result<usize, TransportError> {
        let list = read(&self.path)?;
        let keys = list.len();
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
        Ok(keys)
    }

    pub(super) fn list(&self) -> RwLockReadGuard<'_, AllowList> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<AllowList, TransportError> {
    let text = text_of(path, MOST_FILE_BYTES)?;
    AllowList::parse(&text).map_err(|reason| TransportError::Key { place: path.display().to_string(), reason })
}

/// Refuses messages whose publisher is not its sender's to speak for, and counts them.
#[derive(Debug)]
pub struct Guard {
    allowed: Allowed,
    refused: u64,
    warned: Option<Monotonic>,
}

impl Guard {
    /// Of messages that come by sockets whose keys this list lets in.
    pub fn new(allowed: Allowed) -> Self {
        Self { allowed, refused: 0, warned: None }
    }

    /// Whether a message's first frame, its topic, may come from whom it comes from.
    pub fn admits(&mut self, topic: &mut zmq::Message) -> bool {
        // The crate borrows the frame as long as the name, though they are apart.
        let name = topic.gets("User-Id").map(str::to_owned);
        let admitted = name.as_deref().is_some_and(|name| self.allowed.list().may_send(name, topic));
        if !admitted {
            self.refuse(name.as_deref().unwrap_or("nobody"), topic);
        }
        admitted
    }

    /// How many were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn refuse(&mut self, name: &str, topic: &[u8]) {
        self.refused += 1;
        let now = Clock.now().monotonic;
        if self.warned.is_none_or(|warned| now.since(warned) >= WARN_EVERY) {
            self.warned = Some(now);
            let whom = match speaker(topic) {
                Some(id) => format!("{id:?}"),
                None => format!("on topic {:?}", String::from_utf8_lossy(&topic[..topic.len().min(64)])),
            };
            tracing::warn!("the key {name:?} may not speak for {whom}: dropped ({} so far)", self.refused);
        }
    }
}
