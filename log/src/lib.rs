//! The durable log: records are appended to segments on disk, and read back from any position by any number of readers.
//!
//! It owns the files of one directory and knows nothing of what a record means: a `kind` byte and a body.
//!
//! ```text
//!             append, commit                take all there is          write, fdatasync
//!   one loop ───────────────▶ Queue (blocks) ───────────────▶ Writer ─────────────────▶ 00000000000000000000.log …
//!      ▲      never blocks      in memory,      own thread      │                              │
//!      └──────── Progress { written, synced } ◀─────────────────┘                              ▼
//!                                                                          Readers, each from its own position
//! ```
//!
//! While one write and fdatasync runs, the next block grows: the group commit comes by itself. `written` records are in
//! the kernel and survive the death of this process; `synced` ones are on the disk and survive the loss of power.
//!
//! A [`Position`] is a byte offset in the whole log. It is never used twice, whatever was lost in between, so a reader's
//! saved position (its cursor) never comes to mean another record.

mod blocking;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod crashes;
mod damage;
mod disk;
mod error;
mod handle;
mod log;
#[cfg(test)]
mod machine;
mod options;
mod position;
mod progress;
mod queue;
mod reader;
mod record;
mod recovery;
mod segment;
mod writer;

pub use damage::{Damage, DamageKind};
pub use disk::{WholeFile, write_whole};
pub use error::{AppendError, LogError};
pub use handle::LogHandle;
pub use log::Log;
pub use options::{LogOptions, SyncPolicy};
pub use position::Position;
pub use progress::{Closed, LogHealth, Progress};
pub use reader::{Batch, Reader, Record};
pub use record::MAX_RECORD_BYTES;
pub use recovery::Recovery;
