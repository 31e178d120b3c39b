//! [`Stop`]: the wish to end, from SIGINT or SIGTERM. Does not say goodbye itself.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;

/// What a shell shows for a process that SIGINT ended (128 + 2).
const INTERRUPTED: i32 = 130;

/// The end that waits for the wish to stop.
#[derive(Debug)]
pub struct Stop {
    wishes: Receiver<()>,
    /// Keeps the channel open, so that waiting on it lasts.
    _open: SyncSender<()>,
}

impl Stop {
    /// The first SIGINT or SIGTERM is a wish; a second one ends the process at once.
    pub fn on_signals() -> anyhow::Result<Self> {
        let (wish, wishes) = sync_channel(1);
        let open = wish.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("signal handling")?;
        // The handlers are in place before this returns: a signal at any later time is a wish.
        let mut signals = runtime.block_on(async { Signals::new() }).context("signal handling")?;
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    signals.next().await;
                    // Full means that a wish is there already.
                    let _ = wish.try_send(());
                    signals.next().await;
                    std::process::exit(INTERRUPTED);
                });
            })
            .context("thread for signals")?;
        Ok(Self { wishes, _open: open })
    }

    /// Waits for the wish, at most `limit`; whether it came.
    pub fn wait(&self, limit: Duration) -> bool {
        match self.wishes.recv_timeout(limit) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => unreachable!("invariant: self holds a sender"),
        }
    }

    /// Whether the wish came since it was last asked for.
    pub fn wished(&self) -> bool {
        self.wishes.try_recv().is_ok()
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
