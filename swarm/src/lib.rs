//! Is it me or the target? What many agents find out about many targets goes in, [`Judgement`]s come out. No I/O, no clock.
//!
//! - A target that nobody reaches is down; one that only some reach is told with what those have in common that don't.
//! - An agent that reaches none of its targets, of which others reach some, has trouble of its own: it is no witness.
//! - A result counts for as long as the agent's next one may take, and half as long again twice over; then it says nothing.

mod config;
mod counting;
mod judgement;
mod kept;
mod result;
mod swarm;
mod telling;

pub use config::{Limits, SwarmRules};
pub use judgement::{AgentJudgement, Common, Judgement, Level, Link, Reach, TargetJudgement};
pub use kept::{Kept, KeptTo};
pub use result::{Found, Grade, Instant, Seen};
pub use swarm::{Cell, Swarm};
