//! [`Folder`]: where a scenario's store, exports and logs are: a fresh one that goes away, or one that is kept.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

/// A folder that was empty when the scenario began.
pub enum Folder {
    /// Removed at the end.
    Fresh(TempDir),
    /// Left as it is at the end.
    Kept(PathBuf),
}

impl Folder {
    /// Makes a folder, or takes `keep`.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn make(keep: Option<&Path>) -> anyhow::Result<Self> {
        let Some(keep) = keep else {
            let fresh = tempfile::Builder::new().prefix("lastbeat-scenario-").tempdir();
            return fresh.map(Self::Fresh).context("make a temporary folder");
        };
        std::fs::create_dir_all(keep).with_context(|| format!("make {}", keep.display()))?;
        // Processes are started in it: names relative to here would mean something else to them.
        let keep = keep.canonicalize().with_context(|| keep.display().to_string())?;
        Ok(Self::Kept(keep))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Fresh(fresh) => fresh.path(),
            Self::Kept(kept) => kept,
        }
    }

    /// Whether it is there afterwards.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// The subscriber's store.
    pub fn store(&self) -> PathBuf {
        self.path().join("lastbeat.db")
    }
}

/// What `--keep` names must be empty or not there yet, so that nothing old is taken for new.
pub fn check_keep(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match std::fs::read_dir(&path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(path),
            Some(_) => Err("is not empty".to_owned()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(path),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_to_keep_is_empty_or_new() {
        let folder = tempfile::tempdir().unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(check_keep(&text(folder.path())), Ok(folder.path().to_owned()));
        assert!(check_keep(&text(&folder.path().join("new"))).is_ok());
        std::fs::write(folder.path().join("old.db"), "").unwrap();
        assert_eq!(check_keep(&text(folder.path())), Err("is not empty".to_owned()));
        assert!(check_keep(&text(&folder.path().join("old.db"))).is_err(), "a file is no folder");
    }
}
