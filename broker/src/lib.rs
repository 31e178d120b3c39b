//! `lastbeat-broker` as a library: the program, and the doors by which fuzzing comes to what reads bytes.

mod addresses;
mod broker;
mod delivery;
mod keeper;
mod options;
mod program;
mod resend;
mod ring;
mod signals;
mod traffic;

#[doc(hidden)]
pub mod fuzzed;

pub use program::main;
