//! [`Disk`]: a small file system of its own (tmpfs) that can be filled and emptied again. Needs root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::programs;

/// Room for everything that a case writes, several times over; and filled in no time.
const MEBIBYTES: u32 = 128;
/// What fills it.
const BALLAST: &str = "ballast";

/// A mounted file system. Goes away, with what is on it, when it is dropped.
pub struct Disk {
    place: PathBuf,
}

impl Disk {
    /// Mounts one on a folder, which is made.
    ///
    /// # Errors
    /// Without root's rights.
    pub fn mount(place: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(place).with_context(|| format!("make {}", place.display()))?;
        let size = format!("size={MEBIBYTES}m");
        run(
            "mount",
            &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), size.as_ref(), "tmpfs".as_ref(), place.as_os_str()],
        )?;
        Ok(Self { place: place.to_owned() })
    }

    /// Fills it to the last byte.
    pub fn fill(&self) -> anyhow::Result<()> {
        let file = self.place.join(BALLAST);
        let mut ballast = File::create(&file).with_context(|| format!("create {}", file.display()))?;
        for block in [1 << 20, 4_096, 1] {
            let zeros = vec![0; block];
            loop {
                match ballast.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).with_context(|| format!("fill {}", file.display())),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub fn empty(&self) -> anyhow::Result<()> {
        let file = self.place.join(BALLAST);
        std::fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that was killed may hold a file for a moment longer.
        let _ = run("umount", &["-l".as_ref(), self.place.as_os_str()]);
    }
}

fn run(name: &str, arguments: &[&std::ffi::OsStr]) -> anyhow::Result<()> {
    let mut command = programs::installed(name, "mount")?;
    let output = command.args(arguments).output().with_context(|| format!("run {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
