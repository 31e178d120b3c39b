//! InfluxDB as a follower of the log: 1.x, and 2.x or later by the interface they publish.
//!
//! ```text
//!   Reader ─▶ encode ─▶ Shipment (some 10,000 lines) ─▶ POST     three at a time; the cursor follows in order
//!                                                     ▲  │
//!                                          split ◀────┘  ├─▶ taken
//!                               (points refused)         └─▶ refused points ─▶ influx.refused.jsonl
//! ```
//!
//! Points carry their identity (measurement, tags, time), so that what is sent twice is written once: after a crash, a
//! lost answer or a wiped server the cursor may always go back.

#[cfg(test)]
mod answers;
mod config;
mod conflict;
#[cfg(test)]
mod crashes;
mod deliver;
mod follow;
#[cfg(test)]
mod generated;
#[cfg(test)]
pub mod influxd;
pub mod line;
#[cfg(test)]
mod measure;
mod server;
mod shipment;
#[cfg(test)]
mod tests;

pub use config::{InfluxConfig, is_on_this_host};
pub use conflict::Conflict;
pub use follow::Influx;
pub use line::{ROW_TIME, stored_tag};
pub use server::{Server, chain};
