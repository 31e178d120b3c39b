//! [`WallClock`]: the wall clock that one process sees, which can be stepped while it runs (libfaketime). Its monotonic
//! clock stays the kernel's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Where Debian puts the library, by architecture.
const FOLDERS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
];
/// For programs with several threads.
const LIBRARY: &str = "libfaketimeMT.so.1";

/// A wall clock.
#[derive(Debug, Clone)]
pub struct WallClock {
    file: PathBuf,
    library: PathBuf,
}

impl WallClock {
    /// One that is right, set by a file of this name.
    ///
    /// # Errors
    /// When the library is not installed.
    pub fn make(file: &Path) -> anyhow::Result<Self> {
        let place = FOLDERS.map(|folder| Path::new(folder).join(LIBRARY)).into_iter().find(|path| path.is_file());
        let Some(library) = place else { bail!("{LIBRARY} is not there; on Debian: apt-get install faketime") };
        let clock = Self { file: file.to_owned(), library };
        clock.set(0)?;
        Ok(clock)
    }

    /// From now on it is so many seconds ahead of ours, or behind.
    pub fn set(&self, seconds: i32) -> anyhow::Result<()> {
        // Replaced at once: it is read by another process at any time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}s\n"))
            .and_then(|()| std::fs::rename(&new, &self.file))
            .with_context(|| format!("set the clock {}", self.file.display()))
    }

    /// Has a command see this clock.
    pub fn shown_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_NO_CACHE", "1");
    }
}
