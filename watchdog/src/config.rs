//! [`WatchRules`]: what the watchdog is told once, when it is made.

use std::collections::HashMap;
use std::time::Duration;

use crate::adaptive::Bounds;
use crate::links::LinkNumber;
use lastbeat_wire::{ProcessIdentity, PublisherId, UtcNanos};

/// How to watch.
#[derive(Debug, Clone)]
pub struct WatchRules {
    /// The silence that is allowed, unless a publisher has its own rule.
    pub threshold: Duration,
    /// Between which bounds the threshold is learned of those that have no rule of their own; `None`: it is fixed. Learning
    /// begins with `threshold`.
    pub adaptive: Option<Bounds>,
    /// The names of the subscriber's links, at most 64; a [`LinkNumber`](crate::LinkNumber) is a place in it.
    pub links: Vec<String>,
    /// The one of these links that is the watchdog's own door, up from the start and never down; `None` without one. Who was never heard is
    /// not missed for being silent on it, unless there is no other link.
    pub own_link: Option<LinkNumber>,
    /// Where the watchdog itself runs: what it can look at.
    pub host: Option<HostView>,
    /// How long an answer from a probe is waited for; then the verdict falls without it.
    pub probe_limit: Duration,
    /// How long messages may take that were sent before a link came back or the watchdog woke; only then it judges.
    pub settle: Duration,
    /// Most publishers that are remembered; messages of further ones are refused.
    pub max_publishers: usize,
    /// Rules for single publishers.
    pub publishers: HashMap<PublisherId, PublisherRules>,
}

/// What the watchdog can see of the world's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostView {
    /// Its own process, for the host, boot and PID namespace in it.
    pub process: ProcessIdentity,
    /// When this host was started: a process of another boot, last heard before that, can't run any more.
    pub booted_at: UtcNanos,
}

/// Rules for one publisher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublisherRules {
    /// The silence it is allowed; with `adaptive` until enough was learned.
    pub threshold: Option<Duration>,
    /// Between which bounds its threshold is learned; `None` with a `threshold`: it is fixed.
    pub adaptive: Option<Bounds>,
    /// Whether it is missed when it is never heard at all.
    pub expected: bool,
}

impl WatchRules {
    /// The fixed threshold of a publisher, with which an adaptive one begins, and the bounds of its adaptive one.
    pub fn threshold_of(&self, publisher: &PublisherId) -> (Duration, Option<Bounds>) {
        let own = self.publishers.get(publisher).copied().unwrap_or_default();
        let adaptive = own.adaptive.or(self.adaptive.filter(|_| own.threshold.is_none()));
        (own.threshold.unwrap_or(self.threshold), adaptive)
    }
}

impl Default for WatchRules {
    fn default() -> Self {
        Self {
            threshold: Duration::from_secs(50),
            adaptive: None,
            links: Vec::new(),
            own_link: None,
            host: None,
            probe_limit: Duration::from_secs(1),
            settle: Duration::from_secs(1),
            max_publishers: 1_000_000,
            publishers: HashMap::new(),
        }
    }
}
