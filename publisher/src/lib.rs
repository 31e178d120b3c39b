//! Publishes readings and beats: from CSV files, from this machine's own sensors, and what an agent of a swarm measures.
//!
//! ```text
//! Source ──reading──▶ Pace ──when due──▶ Publisher ──message──▶ Outbox ──bytes──▶ Outbound (lastbeat-transport)
//!  csv, host,          every, speed       sequence, beats          │  ▲ what can't be sent, and what is asked for again
//!  ping                                                            │  │
//!                                                                  ▼  │
//!                                                                  Spool (lastbeat-log)
//! ```
//! A new source is one file beside `host.rs` and one arm in `command.rs`.

mod address;
mod answers;
pub mod cli;
mod command;
mod destination;
mod failure;
#[doc(hidden)]
pub mod fuzzed;
mod left;
mod letterhead;
mod outbox;
mod pace;
mod ping;
mod publish;
mod publisher;
mod record;
mod report;
mod sensors;
mod size;
pub mod source;
mod spool;
mod stop;

pub use command::run;
pub use failure::Failure;
pub use pace::Speed;
