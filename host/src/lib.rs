//! What this machine says: its clocks, its identity, and the state of its processes.

mod clock;
mod identity;
#[cfg(target_os = "linux")]
mod stat;

pub use clock::Clock;
pub use identity::{IdentityError, Own};
