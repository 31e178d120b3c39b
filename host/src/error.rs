//! [`IdentityError`]: what could not be found out, and where it was looked for.

#[cfg(target_os = "linux")]
use std::path::Path;

/// What could not be found out about this host or process.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file that tells it could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that tells it has another form than proc(5) says.
    #[error("{path}: {text:?} is not what proc(5) describes")]
    Form {
        /// The file.
        path: String,
        /// Its content.
        text: String,
    },
}

#[cfg(target_os = "linux")]
pub(crate) fn read(path: impl AsRef<Path>) -> Result<String, IdentityError> {
    let path = path.as_ref();
    std::fs::read_to_string(path).map_err(|source| IdentityError::Read { path: path.display().to_string(), source })
}

#[cfg(target_os = "linux")]
pub(crate) fn form(path: impl AsRef<Path>, text: &str) -> IdentityError {
    IdentityError::Form { path: path.as_ref().display().to_string(), text: text.trim().chars().take(200).collect() }
}
