//! What the simulated disk does in a [`World`]: it writes, syncs, is slow or full, and lets messages be acknowledged.

use lastbeat_simulation::Broken;

use super::chance::Spans;
use super::world::{Happening, MILLI, SECOND, World};

const WRITE: Spans = Spans(&[(0.9, 0.001), (0.99, 0.01), (1.0, 0.1)]);
const SYNC: Spans = Spans(&[(0.9, 0.01), (0.99, 0.05), (1.0, 0.5)]);
const SLOW: Spans = Spans(&[(0.8, 0.05), (0.98, 0.5), (1.0, 6.0)]);

impl World {
    /// Begins to write what was handed over, unless it is writing.
    pub fn disk_works(&mut self) {
        if self.watch.writing || !self.watch.disk.has_work() {
            return;
        }
        self.watch.writing = true;
        let takes = self.side.span(if self.watch.disk_slow > 0 { SLOW } else { WRITE });
        let (life, upto) = (self.watch.life, self.watch.disk.progress().end);
        self.later(takes, Happening::Written { life, upto });
    }

    /// A block is in the kernel; on a full disk it is not, and is tried again.
    pub fn written(&mut self, life: u64, upto: u64) -> Result<(), Broken> {
        if self.watch.life != life {
            return Ok(());
        }
        if self.watch.disk_full > 0 {
            self.later(SECOND, Happening::Written { life, upto });
            return Ok(());
        }
        self.watch.writing = false;
        self.watch.disk.write(upto);
        if !self.watch.syncing {
            self.watch.syncing = true;
            let takes = self.side.span(if self.watch.disk_slow > 0 { SLOW } else { SYNC });
            let waits = if self.fleet.sync_always { 0 } else { SECOND };
            self.later(waits + takes, Happening::Synced { life, upto });
        }
        self.acknowledge()?;
        self.disk_works();
        Ok(())
    }

    /// What was written is on the disk.
    pub fn synced(&mut self, life: u64, upto: u64) -> Result<(), Broken> {
        if self.watch.life != life {
            return Ok(());
        }
        if self.watch.disk_full > 0 {
            self.later(SECOND, Happening::Synced { life, upto });
            return Ok(());
        }
        self.watch.disk.sync(upto);
        let progress = self.watch.disk.progress();
        self.watch.syncing = progress.synced < progress.written;
        if self.watch.syncing {
            let takes = self.side.span(SYNC) + if self.fleet.sync_always { 0 } else { SECOND };
            self.later(takes, Happening::Synced { life, upto: progress.written });
        }
        self.acknowledge()?;
        if let Some(saving) = self.watch.saving.as_mut()
            && saving.position <= progress.synced
            && !saving.under_way
        {
            saving.under_way = true;
            let takes = self.side.span(if self.watch.disk_slow > 0 { SLOW } else { SYNC }) + MILLI;
            self.later(takes, Happening::Saved { life });
        }
        Ok(())
    }

    /// Gives the receipts of what is safe, in order.
    fn acknowledge(&mut self) -> Result<(), Broken> {
        let progress = self.watch.disk.progress();
        let safe = if self.fleet.sync_always { progress.synced } else { progress.written };
        while self.watch.receipts.front().is_some_and(|(end, ..)| *end <= safe) {
            let Some((_, link, connection, packet)) = self.watch.receipts.pop_front() else { break };
            let acknowledged = self.links[link].connection == connection;
            if acknowledged {
                self.truth.acknowledged(&packet)?;
            }
            self.receipt(link, connection, packet.number);
        }
        Ok(())
    }
}
