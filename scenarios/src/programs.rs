//! Where the programs are: our own beside this one, others where the system has them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

/// Folders that hold servers, and that are not on everybody's PATH.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// One of our own programs: cargo puts all of them into one folder.
///
/// # Errors
/// When it has not been built.
pub fn own(name: &str) -> anyhow::Result<Command> {
    let this = std::env::current_exe().context("find out where this program is")?;
    let program = this.with_file_name(name);
    if !program.is_file() {
        bail!("{} is not there: build it with `cargo build`, with the profile of this program", program.display());
    }
    Ok(Command::new(program))
}

/// A program of the system's; `package` is Debian's for it.
///
/// # Errors
/// When it is not installed.
pub fn installed(name: &str, package: &str) -> anyhow::Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SERVER_FOLDERS.map(PathBuf::from));
    match folders.map(|folder| folder.join(name)).find(|program| program.is_file()) {
        Some(program) => Ok(Command::new(program)),
        None => bail!("{name} is not installed; on Debian: apt-get install {package}"),
    }
}
