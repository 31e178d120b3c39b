//! An agent of a swarm: what it measures, when, and what it makes of it. It sends nothing: [`PingSource`](crate::source::ping)
//! gives what it finds out to the publisher.
//!
//! ```text
//! Plan ──target, when──▶ Prober ──probes, at most 20 in 10 s──▶ Measured ──▶ PingSource
//!  shuffled each round    icmp, tcp, page
//! ```

pub mod list;
pub mod measuring;
pub mod name;
pub mod outcome;
pub mod plan;
pub mod politeness;
pub mod probe;
