//! [`Machine`]: a disk that remembers every call, for the tests to ask what a crash at each of them would have left.
//!
//! The model is harsher than any file system we know. Until a file is synced each sector of what was written may be on
//! the disk or not, by itself; until a directory is synced so may each name that was made, changed or removed in it. A
//! rename is whole. Calls that returned are in the kernel: the death of the process alone takes none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::disk::{Disk, FileSystem, directory};
use crate::progress::Progress;

/// Bytes that reach the disk together. Smaller than real ones, so that more is torn.
const SECTOR: usize = 48;

/// The files of a directory, by their names in it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;
/// Which file, whatever it is called.
type Inode = usize;

/// What a call changes.
#[derive(Debug, Clone)]
pub enum Change {
    Create { path: PathBuf, inode: Inode },
    Write { inode: Inode, offset: usize, bytes: Vec<u8> },
    Sync { inode: Inode },
    SyncDir { dir: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
}

/// A call, and what the log had promised when it was made.
#[derive(Debug, Clone)]
pub struct Call {
    pub change: Change,
    pub promised: Progress,
}

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process: nothing that was written.
    Kill,
    /// Power: all that was not synced.
    PowerTakesAll,
    /// Power: of what was not synced, one unit (sector or name).
    PowerTakes(usize),
    /// Power: all that was not synced but for one unit.
    PowerSpares(usize),
}

/// What there was, and all that was done since.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub base: Files,
    pub calls: Vec<Call>,
}

impl History {
    /// The history that ended after so many calls, and half-way in the next one if that was a write.
    pub fn until(&self, calls: usize, torn: bool) -> Self {
        let mut ended = self.calls[..calls].to_vec();
        if torn && let Some(Call { change: Change::Write { inode, offset, bytes }, promised }) = self.calls.get(calls) {
            let bytes = bytes[..bytes.len() / 2].to_vec();
            ended.push(Call { change: Change::Write { inode: *inode, offset: *offset, bytes }, promised: *promised });
        }
        Self { base: self.base.clone(), calls: ended }
    }

    /// What a new process finds, and how many units were not synced.
    pub fn after(&self, crash: Crash) -> (Files, usize) {
        let pending = self.pending();
        let survives = |unit: usize| match crash {
            Crash::Kill => true,
            Crash::PowerTakesAll => false,
            Crash::PowerTakes(lost) => unit != lost,
            Crash::PowerSpares(spared) => unit == spared,
        };
        let mut state = State::of(&self.base);
        let mut unit = 0;
        for (number, call) in self.calls.iter().enumerate() {
            match &call.change {
                Change::Write { inode, offset, bytes } => {
                    for (offset, bytes) in sectors(*offset, bytes) {
                        if !pending.contains(&number) || survives(unit) {
                            put(state.contents.entry(*inode).or_default(), offset, bytes);
                        }
                        unit += usize::from(pending.contains(&number));
                    }
                }
                Change::Create { inode, .. } => {
                    state.contents.insert(*inode, Vec::new());
                    state.rename(&call.change, !pending.contains(&number) || survives(unit));
                    unit += usize::from(pending.contains(&number));
                }
                Change::Rename { .. } | Change::Remove { .. } => {
                    state.rename(&call.change, !pending.contains(&number) || survives(unit));
                    unit += usize::from(pending.contains(&number));
                }
                Change::Sync { .. } | Change::SyncDir { .. } => {}
            }
        }
        (state.files(), unit)
    }

    /// The calls that nothing has made durable.
    fn pending(&self) -> BTreeSet<usize> {
        let mut pending = BTreeSet::new();
        for (number, call) in self.calls.iter().enumerate() {
            match &call.change {
                Change::Sync { inode } => pending.retain(|earlier: &usize| {
                    !matches!(&self.calls[*earlier].change, Change::Write { inode: written, .. } if written == inode)
                }),
                Change::SyncDir { dir } => pending.retain(|earlier| !self.calls[*earlier].change.names_in(dir)),
                _ => {
                    pending.insert(number);
                }
            }
        }
        pending
    }
}

impl Change {
    fn names_in(&self, dir: &Path) -> bool {
        let within = |path: &Path| directory(path) == dir;
        match self {
            Self::Create { path, .. } | Self::Remove { path } => within(path),
            Self::Rename { from, to } => within(from) || within(to),
            Self::Write { .. } | Self::Sync { .. } | Self::SyncDir { .. } => false,
        }
    }
}

/// Names and contents while calls are played back.
#[derive(Debug, Default)]
struct State {
    /// As the disk has it.
    names: BTreeMap<PathBuf, Inode>,
    /// As the process saw it: says which file a rename was about.
    seen: BTreeMap<PathBuf, Inode>,
    contents: BTreeMap<Inode, Vec<u8>>,
}

impl State {
    fn of(base: &Files) -> Self {
        let names: BTreeMap<_, _> = base.keys().cloned().zip(0..).collect();
        let contents = base.values().cloned().enumerate().collect();
        Self { seen: names.clone(), names, contents }
    }

    fn rename(&mut self, change: &Change, survives: bool) {
        let inode = match change {
            Change::Rename { from, .. } => self.seen.get(from).copied(),
            _ => None,
        };
        for names in [Some(&mut self.seen), survives.then_some(&mut self.names)].into_iter().flatten() {
            match change {
                Change::Create { path, inode } => drop(names.insert(path.clone(), *inode)),
                Change::Remove { path } => drop(names.remove(path)),
                Change::Rename { from, to } => {
                    names.remove(from);
                    names.extend(inode.map(|inode| (to.clone(), inode)));
                }
                Change::Write { .. } | Change::Sync { .. } | Change::SyncDir { .. } => {}
            }
        }
    }

    fn files(mut self) -> Files {
        let contents = |inode| self.contents.remove(&inode).unwrap_or_default();
        let (paths, inodes): (Vec<_>, Vec<_>) = self.names.into_iter().unzip();
        paths.into_iter().zip(inodes.into_iter().map(contents)).collect()
    }
}

/// The parts of a write that lie in one sector each.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = offset + at;
        let length = (SECTOR - place % SECTOR).min(bytes.len() - at);
        let part = &bytes[at..at + length];
        at += length;
        (length > 0).then_some((place, part))
    })
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    file.resize(file.len().max(end), 0);
    file[offset..end].copy_from_slice(bytes);
}

/// Real files in a directory, and a record of all that is done to them. Nothing is synced in earnest.
#[derive(Debug, Clone)]
pub struct Machine(Arc<Mutex<Recorder>>);

#[derive(Debug)]
struct Recorder {
    root: PathBuf,
    history: History,
    names: BTreeMap<PathBuf, Inode>,
    next: Inode,
    /// What was promised before this log was open.
    earlier: Progress,
    promised: Option<watch::Receiver<Progress>>,
}

impl Machine {
    /// Goes on where a history ended by the death of the process: its files are put into `root`. What was promised by
    /// then stays promised.
    pub fn new(root: &Path, history: History, earlier: Progress) -> Self {
        let (files, _) = history.after(Crash::Kill);
        for (path, bytes) in &files {
            let path = root.join(path);
            std::fs::create_dir_all(directory(&path)).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let mut state = State::of(&history.base);
        let mut next = history.base.len();
        for call in &history.calls {
            state.rename(&call.change, true);
            if let Change::Create { inode, .. } = &call.change {
                next = next.max(inode + 1);
            }
        }
        let recorder = Recorder { root: root.to_owned(), history, names: state.names, next, earlier, promised: None };
        Self(Arc::new(Mutex::new(recorder)))
    }

    /// From now on calls are noted with what this says.
    pub fn promises(&self, progress: watch::Receiver<Progress>) {
        self.lock().promised = Some(progress);
    }

    /// What was done so far.
    pub fn history(&self) -> History {
        self.lock().history.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.0.lock().unwrap()
    }
}

impl Recorder {
    fn note(&mut self, change: Change) {
        let promised = self.promised.as_ref().map_or(self.earlier, |progress| *progress.borrow());
        self.history.calls.push(Call { change, promised });
    }

    fn name(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).expect("only files of this directory").to_owned()
    }

    /// As [`directory`] gives it for a name.
    fn directory_name(&self, dir: &Path) -> PathBuf {
        // What is above the root is none of this disk's business.
        let name = dir.strip_prefix(&self.root).unwrap_or(Path::new(".."));
        if name.as_os_str().is_empty() { PathBuf::from(".") } else { name.to_owned() }
    }
}

impl Disk for Machine {
    type File = (Inode, std::fs::File);

    fn create(&mut self, path: &Path) -> io::Result<Self::File> {
        let mut recorder = self.lock();
        let (name, inode) = (recorder.name(path), recorder.next);
        recorder.next += 1;
        recorder.names.insert(name.clone(), inode);
        recorder.note(Change::Create { path: name, inode });
        Ok((inode, FileSystem.create(path)?))
    }

    fn open(&mut self, path: &Path) -> io::Result<Self::File> {
        let recorder = self.lock();
        Ok((recorder.names[&recorder.name(path)], FileSystem.open(path)?))
    }

    fn write_at(&mut self, (inode, file): &mut Self::File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap();
        self.lock().note(Change::Write { inode: *inode, offset: start, bytes: bytes.to_vec() });
        FileSystem.write_at(file, offset, bytes)
    }

    fn sync(&mut self, (inode, _): &mut Self::File) -> io::Result<()> {
        self.lock().note(Change::Sync { inode: *inode });
        Ok(())
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let mut recorder = self.lock();
        let dir = recorder.directory_name(dir);
        recorder.note(Change::SyncDir { dir });
        Ok(())
    }

    fn make_dir(&mut self, dir: &Path) -> io::Result<()> {
        FileSystem.make_dir(dir)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut recorder = self.lock();
        let (old, new) = (recorder.name(from), recorder.name(to));
        if let Some(inode) = recorder.names.remove(&old) {
            recorder.names.insert(new.clone(), inode);
        }
        recorder.note(Change::Rename { from: old, to: new });
        FileSystem.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let mut recorder = self.lock();
        let path_in = recorder.name(path);
        recorder.names.remove(&path_in);
        recorder.note(Change::Remove { path: path_in });
        FileSystem.remove(path)
    }
}
