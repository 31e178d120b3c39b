//! Measures Lastbeat beside what bounds it and what would be used instead, in one run, on one machine, as ratios.
//!
//! ```text
//!   groups/ ── start ──▶ roles/ (generators, bare receivers: this program again), real programs, peers/ (Python)
//!      │                    │ a Tally a line
//!      ▼                    ▼
//!   Results ── targets.rs: met or not ──▶ document.rs, picture.rs ──▶ docs/BENCHMARKS.md
//! ```
//! The parts alone are in [`parts`]: measured by criterion (`benches/parts.rs`), and counted in instructions by
//! `scripts/instructions`.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people to read"
)]

mod cli;
mod document;
mod groups;
mod mqtt;
mod page;
pub mod parts;
mod picture;
mod program;
mod ready;
mod results;
mod roles;
mod stage;
mod subscriber;
mod tally;
mod targets;
mod usage;

pub use program::main;
