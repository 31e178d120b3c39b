//! The subscriber as a process: what it hears, how it judges, what it keeps, what it serves, how it ends.

mod access;
mod adapting;
mod capturing;
mod described;
mod hostile;
mod indexing;
mod killed;
mod measure;
#[path = "../../../transport/tests/conformance/mosquitto.rs"]
mod mosquitto;
mod past;
mod serving;
mod standby;
#[allow(dead_code, reason = "these tests need not all of it")]
#[path = "../../src/index/standin/mod.rs"]
mod standin;
mod support;
mod swarming;
mod systemd;
mod unread;
mod watching;
