//! [`Refused`]: the file of what a server would not take (points, documents), a JSON object a line, with its reason. When it is
//! large it becomes the older one of two, and the older one before is dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lastbeat_wire::UtcNanos;
use serde::Serialize;

/// A file that has so many bytes becomes the older one.
const FILE_BYTES: u64 = 32 << 20;

/// The file, and an older one beside it. After a crash one may stand there twice.
#[derive(Debug)]
pub struct Refused {
    path: PathBuf,
    file: Option<File>,
    file_bytes: u64,
    /// How many were dropped with an older file, since the start.
    pub dropped: u64,
}

/// A line of the file.
#[derive(Serialize)]
struct Entry<'a> {
    refused_at: UtcNanos,
    target: &'a str,
    reason: &'a str,
    line: &'a str,
}

impl Refused {
    /// The file is made when there is something to put into it.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, file_bytes: FILE_BYTES, dropped: 0 }
    }

    /// The same with another size.
    #[cfg(test)]
    fn of(path: PathBuf, file_bytes: u64) -> Self {
        Self { file_bytes, ..Self::new(path) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds what was refused, as it was sent, and returns when it is on the disk.
    pub fn add<'a>(
        &mut self,
        at: UtcNanos,
        target: &str,
        reason: &str,
        lines: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            let line = String::from_utf8_lossy(line);
            let entry = Entry { refused_at: at, target, reason, line: line.trim_end_matches('\n') };
            serde_json::to_writer(&mut text, &entry)?;
            text.push(b'\n');
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        file.write_all(&text)?;
        file.sync_data()?;
        if file.metadata()?.len() < self.file_bytes {
            self.file = Some(file);
            return Ok(());
        }
        // A crash in between leaves both, or the newer one under the older one's name.
        let older = self.older();
        self.dropped += lines_of(&older)?;
        std::fs::rename(&self.path, &older)
    }

    /// Opens the file, its name on the disk. A line that a killed process left unfinished is ended, so that the next one
    /// can be read; what it was to hold will come again.
    fn open(&self) -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    }

    /// The older file's name.
    fn older(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        name.into()
    }
}

/// How many lines a file has; none where there is no file.
fn lines_of(path: &Path) -> io::Result<u64> {
    match File::open(path) {
        Ok(file) => BufReader::new(file).split(b'\n').try_fold(0, |lines, line| line.map(|_| lines + 1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_files_hold_the_newest_and_what_is_dropped_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("influx.refused.jsonl");
        let mut refused = Refused::of(path.clone(), 4_096);
        for number in 0..1_000 {
            let line = format!("sensor,publisher=x v={number} 1\n");
            refused.add(UtcNanos(1), "target", "why", std::iter::once(line.as_bytes())).unwrap();
        }
        let older = std::fs::read_to_string(refused.older()).unwrap();
        let newer = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(older.len() + newer.len() < 2 * 4_096 + 200, "{} {}", older.len(), newer.len());
        let kept: Vec<_> = older.lines().chain(newer.lines()).collect();
        assert_eq!(kept.len() as u64 + refused.dropped, 1_000);
        for (line, number) in kept.iter().rev().zip((0..1_000).rev()) {
            assert!(line.contains(&format!("v={number} ")), "{line}");
        }
    }

    #[test]
    fn a_kill_at_any_byte_costs_no_line_that_was_set_aside_before_or_after() {
        let lines = [b"sensor lux=1 1".as_slice(), b"sensor lux=2 2", b"sensor lux=3 3"];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused.jsonl");
        let add = |lines: &[&[u8]]| {
            Refused::new(path.clone()).add(UtcNanos(1), "t", "r", lines.iter().copied()).unwrap();
            std::fs::read(&path).unwrap()
        };
        let one = add(&lines[..1]).len();
        let whole = add(&lines[1..]);
        for cut in one..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            // Its shipment is sent again, and refused again.
            let text = add(&lines[1..]);
            let entries = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
            let found: Vec<serde_json::Value> = entries.collect();
            for line in lines {
                let line = std::str::from_utf8(line).unwrap();
                assert!(found.iter().any(|entry| entry["line"] == line), "cut at {cut}: {line} is not there");
            }
        }
    }
}
