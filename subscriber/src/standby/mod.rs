//! Standing by for another subscriber: it watches, judges, keeps its own log and store, and ships to InfluxDB and to an index
//! only while the other one, the leader, does not. Of each of the two it is known by itself whether the leader does.
//!
//! ```text
//!   leader ◀── GET /api/v1/shipping, each second ── Asking ──▶ Role of each target ──Stand──▶ its follower: ship, skip or wait
//!                                                                                   └──────▶ page, API, metrics
//! ```
//!
//! Two subscribers of one broker see the same messages at slightly different times. A reading that both ship is one point,
//! for it bears the publisher's time; a heartbeat or a flip would be two, in an index as well. So one of them ships. The other one lets go of
//! its log as far as the leader has surely come, and no further: when the leader is gone it begins there.

mod asking;
mod debt;
mod gate;
mod role;

pub use asking::{StandbyConfig, Wanted, start};
pub use gate::{Fill, Gate};
#[cfg(test)]
pub use role::Permit;
pub use role::{Part, Stand, Turn};

use tokio::sync::watch;

/// What part this subscriber has, to look at. Cloning is cheap.
pub type Standing = watch::Receiver<Stand>;

/// What part it has in shipping to each target.
#[derive(Debug, Clone)]
pub struct Standings {
    /// To InfluxDB.
    pub influx: Standing,
    /// To an index.
    pub index: Standing,
}

impl Standings {
    /// Of one that stands by for nobody.
    pub fn alone() -> Self {
        Self { influx: alone(), index: alone() }
    }

    /// Its part as one word says it: that in shipping to InfluxDB, where it stands by for that.
    pub fn part(&self) -> Part {
        match self.influx.borrow().part {
            Part::Alone => self.index.borrow().part,
            part => part,
        }
    }
}

/// Of one that stands by for nobody.
pub fn alone() -> Standing {
    watch::channel(Stand::alone()).1
}
