//! [`List`]: the targets that the broker told last, in a file, so that they outlive this process.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lastbeat_wire::{InvalidTarget, Target};

/// So many of those that are no targets are named.
const MOST_NAMED: usize = 20;

/// Where the targets are kept, if anywhere.
#[derive(Debug)]
pub struct List(Option<PathBuf>);

impl List {
    /// In a file, which need not be there yet.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// The targets in it; none, if there is no such file or it can't be read.
    pub fn load(&self) -> Vec<Target> {
        let Some(path) = &self.0 else { return Vec::new() };
        match std::fs::read(path) {
            Ok(bytes) => parse(&bytes, &path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!("{}: the targets of before can't be read: {error}", path.display());
                Vec::new()
            }
        }
    }

    /// Writes them, whole or not at all.
    pub fn save(&self, targets: &[Target]) {
        let Some(path) = &self.0 else { return };
        let text: String = targets.iter().flat_map(|target| [target.as_str(), "\n"]).collect();
        if let Err(error) = replace(path, text.as_bytes()) {
            tracing::warn!("{}: the targets can't be kept for the next start: {error}", path.display());
        }
    }
}

/// The targets in a text from `whence`; what is none is named in a warning.
pub fn parse(bytes: &[u8], whence: &str) -> Vec<Target> {
    let (targets, refused) = Target::list(&String::from_utf8_lossy(bytes));
    warn(&refused, whence);
    targets
}

fn warn(refused: &[InvalidTarget], whence: &str) {
    for error in refused.iter().take(MOST_NAMED) {
        tracing::warn!("{whence}: {error}; it is left out");
    }
    if refused.len() > MOST_NAMED {
        tracing::warn!("{whence}: {} more are no targets", refused.len() - MOST_NAMED);
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_and_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let list = List::new(Some(folder.path().join("state/a.targets")));
        assert_eq!(list.load(), []);
        let targets = Target::list("a.example b.example:80 https://c.example/x").0;
        list.save(&targets);
        assert_eq!(list.load(), targets);
        list.save(&targets[..1]);
        assert_eq!(list.load(), targets[..1]);
        list.save(&[]);
        assert_eq!(list.load(), []);
        assert_eq!(std::fs::read_dir(folder.path().join("state")).unwrap().count(), 1, "nothing is left beside it");
        List::new(None).save(&targets);
    }

    #[test]
    fn what_is_no_target_is_left_out() {
        assert_eq!(parse(b"a.example \xff -c b.example", "test"), Target::list("a.example b.example").0);
    }
}
