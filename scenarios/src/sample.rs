//! What the publishers replay: the recordings in `data/`, or where there are none, a few rows made up.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The recordings of the repository that this program was built from.
const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data");
/// How many rows are made up: they are replayed again and again.
const ROWS: u32 = 600;

/// A CSV file for a publisher, written into `folder` if it has to be made up. Two publishers get two different ones.
pub fn file_for(id: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let recordings = recordings();
    let number = id.bytes().fold(0, |sum, byte| sum + usize::from(byte));
    if !recordings.is_empty() {
        return Ok(recordings[number % recordings.len()].clone());
    }
    let file = folder.join(format!("{id}.csv"));
    std::fs::write(&file, made_up(u32::from(number % 2 == 0))).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// The recordings there are, in the order of their names.
fn recordings() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(RECORDINGS) else { return Vec::new() };
    let is_csv = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "csv");
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_csv).collect();
    files.sort();
    files
}

/// Light that comes and goes every two minutes.
fn made_up(phase: u32) -> String {
    let lux = |second: u32| 300.0 + 250.0 * (f64::from(second + 60 * phase) * std::f64::consts::TAU / 120.0).sin();
    let row = |second: u32| format!("{second},{:.1},{}\n", lux(second), lux(second) > 200.0);
    std::iter::once("second,lux,day\n".to_owned()).chain((0..ROWS).map(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_publishers_replay_two_different_files() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["light-1", "light-2"].map(|id| file_for(id, folder.path()).unwrap());
        assert_ne!(std::fs::read(&files[0]).unwrap(), std::fs::read(&files[1]).unwrap());
    }

    #[test]
    fn what_is_made_up_has_a_header_and_its_rows() {
        let text = made_up(0);
        assert!(text.starts_with("second,lux,day\n0,300.0,true\n"), "{text}");
        assert_eq!(text.lines().count(), 601);
    }
}
