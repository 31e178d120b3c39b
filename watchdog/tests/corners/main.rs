//! What can't be told as a scenario, since it rests on the order of calls at one instant or on an odd answer.

mod adaptive;
mod bench;
mod jobs;
mod links;
mod maintenance;
mod memory;
mod processes;
mod publishers;
