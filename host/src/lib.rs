//! What this machine says: its clocks, its identity, and the state of its processes.

mod clock;
#[cfg(target_os = "linux")]
mod ending;
mod error;
mod identity;
mod process;
#[cfg(target_os = "linux")]
mod stat;

pub use clock::Clock;
#[cfg(target_os = "linux")]
pub use ending::Ending;
pub use error::IdentityError;
pub use identity::Own;
pub use process::{Seen, booted_at, look};
