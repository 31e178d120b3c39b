//! [`Follower`]: whoever reads the log from its own saved cursor into a target. Each runs on a thread of its own.
//!
//! ```text
//!                 ┌─ thread "store"    ─ Reader ─▶ SQLite     cursor in the same transaction as the rows
//!   Log ─ handle ─┼─ thread "influxdb" ─ Reader ─▶ InfluxDB         cursor in a file, saved once the server has taken them
//!                 └─ thread "index"    ─ Reader ─▶ Elasticsearch    the same
//!
//!   Lag of each ─▶ the live table, and the log's retention
//! ```

#[cfg(test)]
pub mod backlog;
pub mod backoff;
pub mod catch_up;
#[cfg(test)]
pub mod conformance;
pub mod course;
pub mod cursor;
pub mod refused;
pub mod telling;

use std::sync::Arc;

use anyhow::Context;
use lastbeat_log::{LogHandle, Position};
use lastbeat_wire::UtcNanos;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// By so much less a follower weighs than the loop does, where both want the processor (see nice(2), sched(7)): a tenth.
const NICE: i32 = 10;

/// How far a follower has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lag {
    /// Its cursor as it would be found after a loss of power: what lies before it may leave the log.
    pub cursor: Position,
    /// Written to the log, and not yet taken by the target.
    pub behind_bytes: u64,
    /// Records dealt with since the follower was started.
    pub records: u64,
    /// Points or documents among them that the target refused, which are set aside.
    pub set_aside: u64,
    /// Refused messages, or what was set aside, that had to make room for newer ones.
    pub dropped: u64,
    /// The time of the newest record that was dealt with, since the follower was started: when this subscriber took it in.
    pub until: Option<UtcNanos>,
    /// Set while it ships nothing for another subscriber does: why.
    pub held: Option<Arc<str>>,
    /// Set while the target does not take what it is given. The cursor stands still then.
    pub trouble: Option<Trouble>,
}

/// Why a target takes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Wall-clock time of the first failure since all was well.
    pub since: UtcNanos,
    /// What the last attempt met.
    pub error: Arc<str>,
}

/// Reads the log from its own cursor into a target, and moves the cursor only when the target has taken the batch.
pub trait Follower: Send + 'static {
    /// The name in logs and on the live table.
    fn name(&self) -> &'static str;

    /// The saved cursor. The log is to be opened with the highest of all followers' as `not_before`.
    fn cursor(&self) -> Position;

    /// Follows until it is stopped, or the log is closed and everything is taken. May block its thread.
    ///
    /// # Errors
    /// Only for what does not pass by itself; a target that is away is waited for.
    fn follow(
        self,
        log: LogHandle,
        lag: watch::Sender<Lag>,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>>;
}

/// A follower at work.
#[derive(Debug)]
pub struct Following {
    /// As [`Follower::name`].
    pub name: &'static str,
    /// How far it has come.
    pub lag: watch::Receiver<Lag>,
    ended: oneshot::Receiver<anyhow::Result<()>>,
    thread: std::thread::JoinHandle<()>,
}

/// Starts a follower on a thread with a runtime of its own, so that its encoding and its disk hold up nobody else.
///
/// It ends by itself when the log is closed and everything is taken, and at once when it is told to stop.
pub fn start<F: Follower>(follower: F, log: LogHandle, stop: CancellationToken) -> anyhow::Result<Following> {
    let name = follower.name();
    let (lag, watched) = watch::channel(Lag { cursor: follower.cursor(), ..Lag::default() });
    let (tell, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Where the processor is short, what comes is taken in and judged first: a follower has the log to catch up from.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!("follower {name}: its priority stays as it is: {error}");
        }
        let result = runtime.block_on(follower.follow(log, lag, stop)).with_context(|| format!("follower {name}"));
        // Nobody may wait for it any more.
        let _ = tell.send(result);
    });
    Ok(Following { name, lag: watched, ended, thread: thread.context("start a thread")? })
}

impl Following {
    /// Waits for its end. Safe to drop and to call again until it has answered.
    ///
    /// # Errors
    /// What ended it, if that was not a stop or the end of the log.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        match (&mut self.ended).await {
            Ok(result) => result,
            Err(_) => anyhow::bail!("follower {} panicked", self.name),
        }
    }

    /// Waits for the thread itself, after [`ended`](Self::ended) has answered.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(name = self.name, "a follower panicked");
        }
    }
}
