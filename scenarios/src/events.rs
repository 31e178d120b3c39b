//! [`Events`]: what happens while a scenario runs: flips, ends of processes, Ctrl-C. Everything that waits, waits here.

use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_watchdog::Flip;
use lastbeat_wire::{Monotonic, UtcNanos};
use tokio::signal::unix::{SignalKind, signal};

/// Room for what happens while nobody looks: far more than two publishers can do.
const ROOM: usize = 1_024;

/// One thing that happened.
#[derive(Debug)]
pub enum Event {
    /// The subscriber told a flip.
    Flip(Sighting),
    /// The subscriber wrote something else to stdout.
    Strange(String),
    /// A process ended.
    Ended {
        /// Which.
        name: String,
        /// How.
        status: ExitStatus,
    },
    /// Somebody wants this program to end.
    Interrupted,
}

/// A flip, and when it was read here.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// What the subscriber told.
    pub flip: Flip,
    /// When its line was read.
    pub arrived: UtcNanos,
}

/// Ctrl-C, or SIGTERM: not a failure of what was tried.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Where those who see something tell it.
#[derive(Debug, Clone)]
pub struct Feed(SyncSender<Event>);

impl Feed {
    /// Tells it.
    pub fn tell(&self, event: Event) {
        // Nobody listens any more: the scenario is over.
        let _ = self.0.send(event);
    }

    /// Takes the subscriber's stdout, a JSON object a line.
    pub fn flips(&self) -> crate::process::Lines {
        let feed = self.clone();
        Box::new(move |line| {
            let arrived = Clock.now().utc;
            feed.tell(match serde_json::from_str(line) {
                Ok(flip) => Event::Flip(Sighting { flip, arrived }),
                Err(error) => Event::Strange(format!("{error}: {line}")),
            });
        })
    }
}

/// Where they are heard.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    feed: Feed,
}

impl Events {
    /// Listens, and from now on hears SIGINT, SIGTERM and SIGHUP.
    pub fn listen() -> anyhow::Result<Self> {
        let (sender, receiver) = sync_channel(ROOM);
        let feed = Feed(sender);
        interrupt_on_signals(feed.clone()).context("signal handling")?;
        Ok(Self { receiver, feed })
    }

    /// Where to tell what happens.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The next event, waited for until an instant; `None` if there was none.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn next(&self, until: Monotonic) -> anyhow::Result<Option<Event>> {
        let limit = until.since(Clock.now().monotonic);
        match self.receiver.recv_timeout(limit) {
            Ok(Event::Interrupted) => Err(Interrupted.into()),
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => unreachable!("invariant: self holds a sender"),
        }
    }
}

fn interrupt_on_signals(feed: Feed) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    let listen = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            feed.tell(Event::Interrupted);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen))?;
    Ok(())
}
