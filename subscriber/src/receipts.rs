//! [`Receipts`]: tells transports that their messages are safe, in order, once the log says so.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use lastbeat_log::{LogHandle, Position, SyncPolicy};
use lastbeat_transport::Receipt;
use tokio::sync::mpsc;

/// The longest that a record that nobody acknowledges is not on the disk.
const UNACKNOWLEDGED: Duration = Duration::from_secs(1);

/// When messages are acknowledged, and the log is forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// What is to be acknowledged is on the disk before it is; all the rest within a second.
    #[default]
    Acknowledged,
    /// Everything is on the disk as soon as it can be, and before it is acknowledged.
    Always,
    /// Everything is on the disk within a span, and acknowledged before that: when it is in the kernel, where it survives the
    /// death of this process.
    Interval(Duration),
}

impl Sync {
    /// What the log does by itself.
    pub fn policy(self) -> SyncPolicy {
        match self {
            Self::Acknowledged => SyncPolicy::Interval(UNACKNOWLEDGED),
            Self::Always => SyncPolicy::Always,
            Self::Interval(span) => SyncPolicy::Interval(span),
        }
    }
}

impl FromStr for Sync {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        Ok(match text {
            "acknowledged" => Self::Acknowledged,
            "always" => Self::Always,
            span => Self::Interval(
                humantime::parse_duration(span)
                    .with_context(|| format!("sync: {text:?} is neither \"acknowledged\" nor \"always\" nor a span"))?,
            ),
        })
    }
}

/// Hands receipts to the task that waits for the log.
#[derive(Debug)]
pub struct Receipts(mpsc::UnboundedSender<(Position, Receipt)>);

impl Receipts {
    /// Starts the task.
    ///
    /// The channel needs no bound: a transport waits for a bounded number of receipts at once.
    pub fn start(log: LogHandle, sync: Sync) -> Self {
        let (sender, mut waiting) = mpsc::unbounded_channel::<(Position, Receipt)>();
        tokio::spawn(async move {
            while let Some((position, receipt)) = waiting.recv().await {
                let Some(last) = position.0.checked_sub(1).map(Position) else {
                    receipt.give();
                    continue;
                };
                let safe = match sync {
                    Sync::Acknowledged => log.sync(last).await,
                    Sync::Always => log.when_synced(last).await,
                    Sync::Interval(_) => log.when_written(last).await,
                };
                // A closed log gives no receipts: the broker delivers again.
                if safe.is_err() {
                    return;
                }
                receipt.give();
            }
        });
        Self(sender)
    }

    /// Gives the receipt when all records before `end` are safe.
    pub fn owe(&self, end: Position, receipt: Receipt) {
        // The task has ended with the log: the receipt is dropped, which says as much.
        let _ = self.0.send((end, receipt));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lastbeat_log::{Log, LogOptions};
    use tokio::sync::oneshot;

    use super::*;

    /// A log that syncs nothing by itself until it is closed, with a record in it and receipts owed for that.
    fn owed<const N: usize>(dir: &Path, kinds: [Sync; N]) -> (Log, [oneshot::Receiver<()>; N]) {
        let never = SyncPolicy::Interval(Duration::from_hours(1));
        let (mut log, _) = Log::open(dir, LogOptions { sync: never, ..LogOptions::default() }).unwrap();
        log.append(1, &[b"precious"]).unwrap();
        let given = kinds.map(|sync| {
            let (receipt, given) = Receipt::new();
            Receipts::start(log.handle().clone(), sync).owe(log.end(), receipt);
            given
        });
        log.commit();
        (log, given)
    }

    #[tokio::test]
    async fn within_a_span_what_is_written_is_safe_and_with_always_what_is_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (log, [written, mut synced]) = owed(dir.path(), [Sync::Interval(Duration::from_secs(1)), Sync::Always]);
        written.await.unwrap();
        // The task that gives it has had its turn: it is asked after the other one, and waits for the disk.
        tokio::task::yield_now().await;
        assert!(synced.try_recv().is_err());
        log.close(Duration::from_mins(1));
        synced.await.unwrap();
    }

    #[tokio::test]
    async fn by_default_what_is_to_be_acknowledged_is_brought_onto_the_disk_first() {
        let dir = tempfile::tempdir().unwrap();
        let (log, [acknowledged]) = owed(dir.path(), [Sync::default()]);
        acknowledged.await.unwrap();
        assert_eq!(log.handle().progress().borrow().synced, log.end());
    }
}
