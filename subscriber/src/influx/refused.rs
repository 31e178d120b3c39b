//! [`RefusedPoints`]: the file of points that the server would not take, a JSON object a line, with its reason.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lastbeat_wire::UtcNanos;
use serde::Serialize;

/// A file that only grows. After a crash a point may stand in it twice.
#[derive(Debug)]
pub struct RefusedPoints {
    path: PathBuf,
    file: Option<File>,
}

/// A line of the file.
#[derive(Serialize)]
struct Entry<'a> {
    refused_at: UtcNanos,
    target: &'a str,
    reason: &'a str,
    line: &'a str,
}

impl RefusedPoints {
    /// The file is made when there is something to put into it.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds points, as line protocol, and returns when they are on the disk.
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
            None => OpenOptions::new().create(true).append(true).open(&self.path)?,
        };
        file.write_all(&text)?;
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }
}
