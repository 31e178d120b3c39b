//! A small world in simulated time: what the scenarios and the random histories are played in.

#![allow(dead_code, reason = "each of the tests uses a part of it")]

pub mod event;
pub mod process;
pub mod script;
pub mod world;

mod desk;
mod ledger;
pub mod span;
pub mod story;
