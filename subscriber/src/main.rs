//! Watches publishers, keeps what they say, and tells who is alive and why.

#![allow(dead_code, unused_imports)] // TEMPORARY until the loop lands
mod export;
mod follower;
mod influx;
mod record;
mod store;
fn main() {}
