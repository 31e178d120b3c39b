//! `lastbeat-scenarios` as a library: the program, and how it starts real programs, for whoever measures them.

mod checks;
mod cli;
mod crowd;
pub mod events;
mod export;
mod faults;
mod folder;
mod how;
pub mod hub;
mod influx;
pub mod influxd;
mod lan;
pub mod machine;
mod measuring;
pub mod network;
mod overload;
mod page;
mod player;
pub mod process;
mod program;
pub mod programs;
mod sample;
mod scenario;
mod stage;
mod stored;
mod swarm;
mod timeline;
mod verdicts;

pub use program::main;
