//! Histories of a log, ended at every call that the disk is asked for, in every way that the model of it knows; recovered,
//! gone on with, and ended again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use crate::blocking::block_on;
use crate::disk::{FileSystem, write_whole_on};
use crate::machine::{Crash, Files, History, Machine};
use crate::{Log, LogOptions, Position, Progress, Recovery, SyncPolicy};

const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 200,
    pending_bytes: 1 << 20,
    unsynced_bytes: 150,
    retain_bytes: 0,
    sync: SyncPolicy::Interval(Duration::from_hours(1)),
    not_before: Position::START,
    retry_at_most: Duration::from_millis(1),
};

#[derive(Debug, Clone)]
enum Step {
    /// A record of so many bytes, in the kernel before the next step.
    Append(usize),
    /// The same, but with what follows in one write.
    Gather(usize),
    /// All that was appended until now is read and may go.
    Remove,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => (0..120_usize).prop_map(Step::Append), 2 => (0..60_usize).prop_map(Step::Gather), 1 => Just(Step::Remove)]
}

/// The reference: what was appended, and what may be gone.
#[derive(Debug, Clone, Default)]
struct Model {
    /// Lost in an earlier crash, or removed. A removal may be undone by a loss of power.
    former: Vec<(Position, Vec<u8>)>,
    appended: Vec<(Position, Vec<u8>)>,
    removed_before: Position,
}

impl Model {
    fn play(&mut self, log: &mut Log, steps: &[Step]) {
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Append(length) | Step::Gather(length) => {
                    let body = vec![u8::try_from(number % 250).unwrap() + 1; *length];
                    let position = log.append(1, &[&body]).unwrap();
                    self.appended.push((position, body));
                    if matches!(step, Step::Append(_)) {
                        log.commit();
                        block_on(log.handle().when_written(position)).unwrap();
                    }
                }
                Step::Remove => {
                    self.removed_before = log.handle().progress().borrow().written;
                    log.handle().remove_before(self.removed_before);
                }
            }
        }
    }

    /// Holds what was read, and what was reported lost, against what was promised to be there.
    fn check(
        &self,
        read: &[(Position, Vec<u8>)],
        recovery: &Recovery,
        promised: Position,
    ) -> Result<(), TestCaseError> {
        prop_assert!(read.is_sorted_by(|(one, _), (other, _)| one < other));
        for record in read {
            let known = self.appended.contains(record) || self.former.contains(record);
            prop_assert!(known, "a record at {} that nobody appended", record.0);
        }
        let must_be_there = |position: Position| self.removed_before <= position && position < promised;
        for record in self.appended.iter().filter(|(position, _)| must_be_there(*position)) {
            prop_assert!(read.contains(record), "{} was promised until {promised}; {recovery:?}", record.0);
            let reported = recovery.damage.iter().find(|damage| (damage.from..damage.to).contains(&record.0));
            prop_assert!(reported.is_none(), "{reported:?} is said of a record that is there");
        }
        Ok(())
    }
}

fn read_all(log: &Log) -> Vec<(Position, Vec<u8>)> {
    let mut reader = log.handle().reader(Position::START).unwrap();
    let mut read = Vec::new();
    loop {
        let batch = reader.next_batch(1 << 20).unwrap();
        if batch.is_empty() {
            return read;
        }
        read.extend(batch.iter().map(|record| (record.position, record.body.to_vec())));
    }
}

/// The promise that holds in a crash.
fn promised(progress: Progress, crash: Crash) -> Position {
    if crash == Crash::Kill { progress.written } else { progress.synced }
}

/// Opens a log on what a crash left, and holds it against the model. What follows never takes a place that was taken.
fn recover(
    machine: &Machine,
    dir: &Path,
    model: &Model,
    promised: Position,
    cursor: Position,
) -> Result<Log, TestCaseError> {
    let (log, recovery) = Log::open_on(machine.clone(), dir, LogOptions { not_before: cursor, ..OPTIONS }).unwrap();
    machine.promises(log.handle().progress());
    model.check(&read_all(&log), &recovery, promised)?;
    prop_assert!(log.end() >= cursor.max(promised), "{} was used before", log.end());
    whole_copies(dir)?;
    Ok(log)
}

/// Of bytes that were set aside there is a copy of all of them, or none under that name.
fn whole_copies(dir: &Path) -> Result<(), TestCaseError> {
    let Ok(entries) = std::fs::read_dir(dir.join("damaged")) else { return Ok(()) };
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let Some((from, to)) = name.split_once('-').filter(|(_, to)| to.parse::<u64>().is_ok()) else { continue };
        let span = to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap();
        prop_assert_eq!(entry.metadata().unwrap().len(), span, "{} is a part", name);
    }
    Ok(())
}

/// Every way in which a history that ended can be found. Of those that lose power the single units are left out if there
/// are more than `most` of them.
fn crashes(history: &History, most: usize) -> Vec<Crash> {
    let (_, units) = history.after(Crash::Kill);
    let singles = if units <= most { 0..units } else { 0..0 };
    let mut crashes = vec![Crash::Kill, Crash::PowerTakesAll];
    crashes.extend(singles.clone().map(Crash::PowerTakes));
    crashes.extend(singles.map(Crash::PowerSpares));
    crashes
}

/// What the next process starts from: after the death of one alone, the kernel still has what was not synced.
fn left(history: &History, crash: Crash) -> History {
    if crash == Crash::Kill { history.clone() } else { History { base: history.after(crash).0, calls: Vec::new() } }
}

/// Ends a history at each of its calls from the `first` on, and in the midst of each write; hands out how it ended and
/// what was promised by then.
fn ends(history: &History, first: usize, last: Progress) -> impl Iterator<Item = (History, Progress)> {
    (first..=history.calls.len()).flat_map(move |calls| {
        let progress = history.calls.get(calls).map_or(last, |call| call.promised);
        let torn = history.until(calls, true);
        let torn = (torn.calls.len() > calls).then_some((torn, progress));
        [Some((history.until(calls, false), progress)), torn].into_iter().flatten()
    })
}

fn play(steps: &[Step], options: LogOptions) -> (History, Progress, Model) {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new(dir.path(), History::default(), Progress::default());
    let (mut log, _) = Log::open_on(machine.clone(), dir.path(), options).unwrap();
    machine.promises(log.handle().progress());
    let mut model = Model::default();
    model.play(&mut log, steps);
    let last = log.close(Duration::from_mins(1));
    (machine.history(), last, model)
}

/// A crash, a recovery, some more records, and a crash at every call of all that.
fn twice(history: &History, crash: Crash, progress: Progress, model: &Model) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    // A cursor may have been saved behind what a loss of power left.
    let cursor = progress.written;
    let before = left(history, crash);
    let done = before.calls.len();
    let kept = promised(progress, crash);
    // After a loss of power nothing more than what survived it can be promised.
    let earlier = if crash == Crash::Kill { progress } else { Progress { written: kept, synced: kept } };
    let machine = Machine::new(dir.path(), before, earlier);
    let mut log = recover(&machine, dir.path(), model, kept, cursor)?;
    let mut model = Model { former: model.appended.clone(), appended: read_all(&log), ..model.clone() };
    model.play(&mut log, &[Step::Append(30), Step::Gather(60), Step::Append(90)]);
    let last = log.close(Duration::from_mins(1));
    for (ended, progress) in ends(&machine.history(), done, last) {
        for crash in [Crash::Kill, Crash::PowerTakesAll] {
            let dir = tempfile::tempdir().unwrap();
            let machine = Machine::new(dir.path(), left(&ended, crash), Progress::default());
            let cursor = cursor.max(progress.written);
            recover(&machine, dir.path(), &model, promised(progress, crash), cursor)?;
        }
    }
    Ok(())
}

fn whatever_ends_it(steps: &[Step], sync: SyncPolicy) -> Result<(), TestCaseError> {
    let (history, last, model) = play(steps, LogOptions { sync, ..OPTIONS });
    for (number, (ended, progress)) in ends(&history, 0, last).enumerate() {
        for crash in crashes(&ended, 12) {
            let dir = tempfile::tempdir().unwrap();
            let machine = Machine::new(dir.path(), left(&ended, crash), Progress::default());
            let log = recover(&machine, dir.path(), &model, promised(progress, crash), progress.written)?;
            drop(log);
            // All of these twice would take minutes; each call is met in some history.
            if matches!(crash, Crash::Kill | Crash::PowerTakesAll) && number % 5 == steps.len() % 5 {
                twice(&ended, crash, progress, &model)?;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_ends_a_log_at_whichever_call_what_was_promised_is_there(
        steps in prop::collection::vec(step(), 1..10),
        always: bool,
    ) {
        whatever_ends_it(&steps, if always { SyncPolicy::Always } else { OPTIONS.sync })?;
    }
}

#[test]
fn a_file_that_is_written_as_a_whole_is_the_old_one_or_the_new_one_and_then_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (vec![1; 200], vec![2; 300]);
    let base = Files::from([("cursor".into(), old.clone())]);
    let mut machine = Machine::new(dir.path(), History { base, calls: Vec::new() }, Progress::default());
    write_whole_on(&mut machine, &dir.path().join("cursor"), &new).unwrap();
    let history = machine.history();
    let mut found = BTreeSet::new();
    for (ended, _) in ends(&history, 0, Progress::default()) {
        for crash in crashes(&ended, usize::MAX) {
            let (files, _) = ended.after(crash);
            let bytes = &files[Path::new("cursor")];
            assert!(*bytes == old || *bytes == new, "{crash:?} after {} calls: {bytes:?}", ended.calls.len());
            assert!(ended.calls.len() < history.calls.len() || *bytes == new, "{crash:?} took it back");
            found.insert(bytes.clone());
        }
    }
    assert_eq!(found.len(), 2);
}

#[test]
fn writing_a_file_as_a_whole_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cursor");
    write_whole_on(&mut FileSystem, &path, b"one").unwrap();
    crate::write_whole(&path, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
