//! Standing by for another subscriber: it watches, judges, keeps its own log and store, and ships to InfluxDB only while the
//! other one, the leader, does not.
//!
//! ```text
//!   leader ◀── GET /api/v1/shipping, each second ── Asking ──▶ Role ──Stand──▶ the follower of InfluxDB: ship, skip or wait
//!                                                                     └──────▶ page, API, metrics
//! ```
//!
//! Two subscribers of one broker see the same messages at slightly different times. A reading that both ship is one point,
//! for it bears the publisher's time; a heartbeat or a flip would be two. So one of them ships. The other one lets go of
//! its log as far as the leader has surely come, and no further: when the leader is gone it begins there.

mod asking;
mod debt;
mod gate;
mod role;

pub use asking::{StandbyConfig, start};
pub use gate::{Fill, Gate};
#[cfg(test)]
pub use role::Permit;
pub use role::{Part, Stand, Turn};

use tokio::sync::watch;

/// What part this subscriber has, to look at. Cloning is cheap.
pub type Standing = watch::Receiver<Stand>;

/// Of one that stands by for nobody.
pub fn alone() -> Standing {
    watch::channel(Stand::alone()).1
}
