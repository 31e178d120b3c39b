//! [`Disk`]: all that is done to files so that what they hold survives. The real one here; in the tests one that fails on
//! purpose, and one that remembers every call.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is done to files. Each call may fail and be made again.
pub(crate) trait Disk: Send + 'static {
    /// An open file.
    type File: Send;
    /// Makes an empty file; one that is there is emptied. Its name survives the loss of power after
    /// [`sync_dir`](Self::sync_dir) only.
    fn create(&mut self, path: &Path) -> io::Result<Self::File>;
    /// Opens a file for writing.
    fn open(&mut self, path: &Path) -> io::Result<Self::File>;
    /// Writes some of the bytes, as `write(2)` does, and says how many.
    fn write_at(&mut self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once all that was written is on the disk.
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;
    /// Makes the names in a directory survive the loss of power.
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()>;
    /// Makes a directory, and those above it, if need be.
    fn make_dir(&mut self, dir: &Path) -> io::Result<()>;
    /// Gives a file another name, in place of the file that has it.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSystem;

impl Disk for FileSystem {
    type File = File;

    fn create(&mut self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
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

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    fn make_dir(&mut self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// The directory that a file is in.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory, and those above it, if need be. Its name survives the loss of power, also where a process that was
/// killed had made it.
pub(crate) fn make_dir(disk: &mut impl Disk, dir: &Path) -> io::Result<()> {
    let above = directory(dir);
    if !dir.is_dir() {
        if !above.is_dir() {
            make_dir(disk, above)?;
        }
        disk.make_dir(dir)?;
    }
    match disk.sync_dir(above) {
        // Not ours to read: then it is not ours to sync.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Writes all of the bytes at a place of a file.
pub(crate) fn write_all<D: Disk>(
    disk: &mut D,
    file: &mut D::File,
    mut offset: u64,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write_at(file, offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => (offset, bytes) = (offset + written as u64, &bytes[written..]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// See [`WholeFile`](crate::WholeFile).
pub(crate) struct Fresh<D: Disk> {
    path: PathBuf,
    beside: PathBuf,
    file: D::File,
    length: u64,
}

impl<D: Disk> Fresh<D> {
    fn create(disk: &mut D, path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        Ok(Self { file: disk.create(&beside)?, path: path.to_owned(), beside, length: 0 })
    }

    fn write(&mut self, disk: &mut D, bytes: &[u8]) -> io::Result<()> {
        write_all(disk, &mut self.file, self.length, bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self, disk: &mut D) -> io::Result<()> {
        disk.sync(&mut self.file)?;
        disk.rename(&self.beside, &self.path)?;
        disk.sync_dir(directory(&self.path))
    }
}

/// See [`write_whole`](crate::write_whole).
pub(crate) fn write_whole_on(disk: &mut impl Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = Fresh::create(disk, path)?;
    fresh.write(disk, bytes)?;
    fresh.finish(disk)
}

/// A file that is written piece by piece and yet as a whole: until [`finish`](Self::finish) the file holds what it held
/// before, whatever happens meanwhile. Dropped before that, the piece that there is stays beside it, under the same name
/// with `.new` at its end, until the next one takes its place.
pub struct WholeFile(Fresh<FileSystem>);

impl WholeFile {
    /// Begins with nothing.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn create(path: &Path) -> io::Result<Self> {
        Fresh::create(&mut FileSystem, path).map(Self)
    }

    /// Writes the next piece.
    ///
    /// # Errors
    /// When the system refuses. No piece may follow then.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(&mut FileSystem, bytes)
    }

    /// Puts it in the file's place. Once this has returned the file holds it, also after the loss of power.
    ///
    /// # Errors
    /// When the system refuses. The file may then hold either.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish(&mut FileSystem)
    }
}

impl std::fmt::Debug for WholeFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WholeFile").field("path", &self.0.path).field("length", &self.0.length).finish()
    }
}

/// Writes a small file as a whole: whatever happens meanwhile, the death of this process or the loss of power, the file
/// holds afterwards what it held before or all of `bytes`; and once this has returned, `bytes`.
///
/// Beside it a file of the same name with `.new` at its end is used.
///
/// # Errors
/// When the system refuses. The file may then hold either.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_on(&mut FileSystem, path, bytes)
}
