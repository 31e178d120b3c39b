//! A small world in simulated time: what the scenarios and the random histories are played in.

#![allow(dead_code, reason = "each of the tests uses a part of it")]

pub mod event;
pub mod script;
pub mod world;

mod desk;
pub mod span;
pub mod story;
mod taken;
