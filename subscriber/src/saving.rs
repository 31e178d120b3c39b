//! [`Saving`]: the snapshot on its way to the disk. The loop takes a slice at a turn and hands it on; all that may block runs
//! beside it.

use std::io;

use lastbeat_log::{LogHandle, Position};
use lastbeat_swarm::{Kept, KeptTo};
use lastbeat_wire::{Monotonic, Now};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::intake::Intake;
use crate::memory::{Draft, Known, Memory, Part, SLICE, Slice, Slicing};

/// Slices that wait for the writer. While so many do no more are taken.
const WAITING: usize = 8;

/// Takes the snapshot when it is due and has it written.
#[derive(Debug)]
pub struct Saving {
    memory: Memory,
    slicing: Slicing,
    /// How far the swarm is taken.
    swarm_to: Option<KeptTo>,
    slices: Option<mpsc::Sender<Slice>>,
    writer: Option<JoinHandle<()>>,
}

impl Saving {
    /// Takes the first one ten seconds from `now`.
    pub fn new(memory: Memory, now: Monotonic) -> Self {
        let slicing = Slicing::new(now, memory.position(), SLICE);
        Self { memory, slicing, swarm_to: None, slices: None, writer: None }
    }

    /// When [`due`](Self::due) has something to do.
    pub fn next(&self) -> Monotonic {
        self.slicing.next()
    }

    /// Takes a slice, if it is time for one and the writer has taken those before. Call it within a tokio runtime.
    pub fn due(&mut self, now: Now, intake: &Intake) {
        if now.monotonic < self.next() {
            return;
        }
        if self.slicing.is_under_way() {
            // The last part may be two slices.
            match self.slices.as_ref().filter(|slices| !slices.is_closed()) {
                None => return self.slicing.abandon(now.monotonic),
                Some(slices) if slices.capacity() < 2 => return self.slicing.put_off(now.monotonic),
                Some(_) => {}
            }
        } else if self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            return self.slicing.put_off(now.monotonic);
        }
        let (publishers, pairs) = (intake.watchdog().len(), intake.swarm().pairs());
        let kept =
            self.slicing.is_at_swarm().then(|| intake.swarm().kept(now.monotonic, self.swarm_to.as_ref(), SLICE));
        let is_more = kept.as_ref().map_or(pairs > 0, Option::is_some);
        let known = Known { publishers, pairs, is_more };
        if let Some(part) = self.slicing.due(now.monotonic, intake.log().end(), known) {
            let (kept, to) = kept.flatten().unzip();
            self.swarm_to = to;
            self.take(now, intake, part, kept);
        }
    }

    fn take(&mut self, now: Now, intake: &Intake, part: Part, swarm: Option<Kept>) {
        if part.is_first {
            let (slices, receiver) = mpsc::channel(WAITING);
            self.slices = Some(slices);
            self.writer = Some(tokio::spawn(write(self.memory.clone(), intake.log().handle().clone(), receiver)));
        }
        let of = |places| Slice::new(intake.log().end(), intake.watchdog().snapshot_of(now, places));
        let publishers = Some(part.places).filter(|places| !places.is_empty()).map(of);
        let swarm = swarm.map(|kept| of(0..0).with_swarm(kept));
        for slice in publishers.into_iter().chain(swarm).chain(part.is_last.then(|| of(0..0))) {
            // There is room, and a writer that has failed is noticed at the next slice.
            if let Some(slices) = &self.slices {
                let _ = slices.try_send(slice);
            }
        }
        if part.is_last {
            self.slices = None;
        }
    }
}

impl Drop for Saving {
    /// Nothing becomes of a snapshot that is still on its way.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abort();
        }
    }
}

/// Writes a snapshot as its slices come, and puts it in place once the log, up to where it reaches, is on the disk: a message
/// must not count as having come and be missing from the log.
async fn write(memory: Memory, log: LogHandle, slices: mpsc::Receiver<Slice>) {
    let written = spawn_blocking(move || draft(&memory, slices)).await;
    let finished = match written {
        Ok(Ok(Some((draft, end)))) => {
            if let Some(last) = end.0.checked_sub(1)
                && log.when_synced(Position(last)).await.is_err()
            {
                return;
            }
            spawn_blocking(move || draft.finish()).await
        }
        Ok(Ok(None)) => return,
        Ok(Err(error)) => Ok(Err(error)),
        Err(panicked) => Err(panicked),
    };
    match finished {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the snapshot could not be written: {error}"),
        Err(error) => tracing::warn!("the snapshot could not be written: its thread failed: {error}"),
    }
}

/// All slices up to the last one, and where that was taken; `None` where it does not come.
fn draft(memory: &Memory, mut slices: mpsc::Receiver<Slice>) -> io::Result<Option<(Draft, Position)>> {
    let mut draft = memory.draft()?;
    while let Some(slice) = slices.blocking_recv() {
        draft.add(&slice)?;
        if slice.is_end() {
            return Ok(Some((draft, slice.position())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lastbeat_log::{Log, LogOptions};
    use lastbeat_swarm::Swarm;
    use lastbeat_transport::{Batch, Delivery, LinkIndex};
    use lastbeat_watchdog::{WatchRules, Watchdog};
    use lastbeat_wire::UtcNanos;

    use super::*;

    fn at(millis: u64) -> Now {
        let span = Duration::from_millis(millis);
        Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(0).plus(span) }
    }

    fn hear(intake: &mut Intake, now: Now, publishers: std::ops::Range<usize>) {
        let mut batch = Batch::default();
        for number in publishers {
            let topic = format!("beat/{number:04}");
            batch.push(Delivery { topic: topic.as_bytes(), payload: b"", retained: false, resent: false });
        }
        intake.take(now, LinkIndex(0), &batch).expect("there is room");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn while_messages_come_a_slice_at_a_turn_makes_a_snapshot_from_which_nothing_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(dir.path(), LogOptions::default()).unwrap();
        let memory = Memory::in_dir(dir.path());
        let new = || Watchdog::new(WatchRules { links: vec!["one".to_owned()], ..WatchRules::default() }, at(0));
        let mut watchdog = new();
        watchdog.begin(at(0), None);
        watchdog.link_up(at(0), lastbeat_watchdog::LinkNumber(0));
        let mut intake = Intake::new(watchdog, log, 1 << 30, [false]);
        let mut saving = Saving::new(memory.clone(), at(0).monotonic);
        hear(&mut intake, at(1), 0..1500);
        let (mut now, mut turns) = (at(10_000), 0);
        loop {
            now = Now { monotonic: saving.next().max(now.monotonic), ..now };
            saving.due(now, &intake);
            if !saving.slicing.is_under_way() {
                break;
            }
            // All are heard again between two slices, and one for the first time.
            turns += 1;
            hear(&mut intake, now, 0..1500 + turns);
            tokio::task::yield_now().await;
        }
        assert!(turns >= 5, "{turns} turns");
        saving.writer.take().expect("one was begun").await.unwrap();
        let before: Vec<_> = intake.watchdog().statuses(now).collect();
        let (_, _, log) = intake.into_parts();
        let handle = log.handle().clone();
        log.close(Duration::from_mins(1));
        let kept = memory.load().unwrap().expect("it was written");
        assert!(kept.from() < kept.last().position());
        let (again, _, _) = memory.bring_back(|| (new(), Swarm::default()), now, Some(kept), &handle).unwrap();
        let counted = |status: &lastbeat_watchdog::Status| (status.publisher.clone(), status.counts);
        let after: Vec<_> = again.statuses(now).map(|status| counted(&status)).collect();
        assert_eq!(before.iter().map(counted).collect::<Vec<_>>(), after);
    }
}
