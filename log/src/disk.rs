//! [`Disk`]: the writer's hold on its files. The real one here; one that fails on purpose in the tests.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// What the writer does to files. Each call may fail and be made again.
pub(crate) trait Disk: Send + 'static {
    /// An open segment.
    type File: Send;
    /// Makes an empty file whose name survives the loss of power; one that is there is emptied.
    fn create(&mut self, path: &Path) -> io::Result<Self::File>;
    /// Opens a file for writing behind what it holds.
    fn open(&mut self, path: &Path) -> io::Result<Self::File>;
    /// Writes some of the bytes, as `write(2)` does, and says how many.
    fn write_at(&mut self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once all that was written is on the disk.
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSystem;

impl Disk for FileSystem {
    type File = File;

    fn create(&mut self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        sync_directory(path.parent().unwrap_or(path))?;
        Ok(file)
    }

    fn open(&mut self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).open(path)
    }

    fn write_at(&mut self, file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        file.seek(SeekFrom::Start(offset))?;
        file.write(bytes)
    }

    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        file.sync_data()
    }
}

/// Makes the names in a directory survive the loss of power.
pub(crate) fn sync_directory(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
