//! The embedded store: an SQLite file that follows the log, and serves the history and the export.

mod file;
mod follow;
mod known;
#[cfg(test)]
mod measure;
mod refused;
mod rows;
#[cfg(test)]
pub mod tests;

pub use file::open_read_only;
pub use follow::Store;
