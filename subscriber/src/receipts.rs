//! [`Receipts`]: tells transports that their messages are safe, in order, once the log says so.

use lastbeat_log::{LogHandle, Position, SyncPolicy};
use lastbeat_transport::Receipt;
use tokio::sync::mpsc;

/// Hands receipts to the task that waits for the log.
#[derive(Debug)]
pub struct Receipts(mpsc::UnboundedSender<(Position, Receipt)>);

impl Receipts {
    /// Starts the task. With [`SyncPolicy::Always`] a message is safe when it is on the disk, else when it is in the
    /// kernel, where it survives the death of this process.
    ///
    /// The channel needs no bound: a transport waits for a bounded number of receipts at once.
    pub fn start(log: LogHandle, sync: SyncPolicy) -> Self {
        let (sender, mut waiting) = mpsc::unbounded_channel::<(Position, Receipt)>();
        tokio::spawn(async move {
            while let Some((position, receipt)) = waiting.recv().await {
                let Some(last) = position.0.checked_sub(1).map(Position) else {
                    receipt.give();
                    continue;
                };
                let safe = match sync {
                    SyncPolicy::Always => log.when_synced(last).await,
                    SyncPolicy::Interval(_) => log.when_written(last).await,
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
    use std::time::Duration;

    use lastbeat_log::{Log, LogOptions};

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_safe_by_default_and_with_always_what_is_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        // It comes to be on the disk when the log is closed, and not before.
        let never = SyncPolicy::Interval(Duration::from_hours(1));
        let (mut log, _) = Log::open(dir.path(), LogOptions { sync: never, ..LogOptions::default() }).unwrap();
        let owed = [never, SyncPolicy::Always].map(|sync| Receipts::start(log.handle().clone(), sync));
        log.append(1, &[b"precious"]).unwrap();
        let [written, synced] = owed.each_ref().map(|receipts| {
            let (receipt, given) = Receipt::new();
            receipts.owe(log.end(), receipt);
            given
        });
        log.commit();
        written.await.unwrap();
        let mut synced = synced;
        // The task that gives it has had its turn: it is asked after the other one, and waits for the disk.
        tokio::task::yield_now().await;
        assert!(synced.try_recv().is_err());
        log.close(Duration::from_mins(1));
        synced.await.unwrap();
    }
}
