//! [`Command`]: what others ask of the loop, each with a way for its answer.

use std::time::Duration;

use lastbeat_watchdog::Detail;
use lastbeat_wire::PublisherId;
use tokio::sync::oneshot;

use crate::swarm::SwarmTold;

/// What the loop is asked.
#[derive(Debug)]
pub enum Command {
    /// Does the loop run?
    Ping {
        /// Told when the command was reached.
        reply: oneshot::Sender<()>,
    },
    /// What is known of a publisher?
    Detail {
        /// Which.
        publisher: PublisherId,
        /// `None` when there is no such publisher.
        reply: oneshot::Sender<Option<Detail>>,
    },
    /// How do targets and agents stand?
    Swarm {
        /// All of them.
        reply: oneshot::Sender<Box<SwarmTold>>,
    },
    /// Do not watch a publisher.
    Pause {
        /// Which.
        publisher: PublisherId,
        /// For how long; `None`: until it is resumed.
        span: Option<Duration>,
        /// Told when the change is on the disk.
        reply: oneshot::Sender<Changed>,
    },
    /// Watch a publisher again.
    Resume {
        /// Which.
        publisher: PublisherId,
        /// Told when the change is on the disk.
        reply: oneshot::Sender<Changed>,
    },
}

/// What became of a change.
#[derive(Debug)]
pub enum Changed {
    /// It is made, and outlives a restart.
    Kept(Box<Detail>),
    /// It is made, and could not be written.
    NotKept(String),
    /// There is no such publisher.
    Unknown,
    /// It was not paused.
    NotPaused,
}
