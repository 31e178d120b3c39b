//! What the publishers replay: the recordings in the repository's `data/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Of the repository that this program was built from.
const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data");

/// One of the recordings, in the order of their names; `number` may go beyond the last one, and then begins anew.
///
/// # Errors
/// When there are none.
pub fn recording(number: usize) -> anyhow::Result<PathBuf> {
    let place = || format!("look for recordings in {RECORDINGS}");
    let folder = Path::new(RECORDINGS).canonicalize().with_context(place)?;
    let entries = folder.read_dir().with_context(place)?;
    let is_csv = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "csv");
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_csv).collect();
    ensure!(!files.is_empty(), "{RECORDINGS} holds no recordings");
    files.sort();
    Ok(files.swap_remove(number % files.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_publishers_replay_two_different_recordings() {
        assert_ne!(recording(0).unwrap(), recording(1).unwrap());
    }
}
