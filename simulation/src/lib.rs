//! What a simulated world needs to judge the watchdog by: the truth about processes ([`Processes`]), and the books on what it
//! was told and says ([`Ledger`]).
//!
//! The watchdog's own tests and `lastbeat-subscriber simulate` share it, so that a promise is written down once. No clock, no
//! I/O, no chance: what happens is for the worlds to say.

mod account;
mod ledger;
mod process;

pub use ledger::{Broken, Ledger};
pub use process::{Condition, Place, Process, Processes};
