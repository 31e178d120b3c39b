//! `lastbeat-subscriber` as a library: the program, and the doors by which fuzzing and measuring come to its parts.

mod announce;
mod attended;
mod board;
mod capture;
#[cfg(test)]
#[path = "../../transport/tests/conformance/certificates.rs"]
mod certificates;
mod cli;
mod command;
mod config;
mod export;
mod follower;
mod followers;
mod history;
mod holding;
mod http;
mod index;
mod influx;
mod intake;
mod logging;
mod memory;
mod metrics;
mod outlet;
mod pace;
mod probe;
mod program;
mod receipts;
mod record;
mod recover;
mod refusals;
mod run;
mod saving;
mod secret;
mod server_url;
mod service;
mod sets;
mod simulate;
mod standby;
mod store;
mod swarm;
mod systemd;
mod table;
mod targets;
mod threshold;
mod thresholds;
mod told;
mod vocabulary;

#[doc(hidden)]
pub mod fuzzed;
#[doc(hidden)]
pub mod measured;

pub use program::main;
