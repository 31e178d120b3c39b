//! Who is alive: the liveness state machine.
//!
//! Events and `now` go in, [`Output`]s come out. No I/O, no clock, no task: what is tested here in simulated time is what
//! runs. [`Watchdog`] is the machine; `docs/ARCHITECTURE.md` draws its states.

mod adaptive;
mod config;
mod deadlines;
mod delay;
mod evidence;
mod flip;
mod index;
mod judging;
mod learning;
mod links;
mod narrow;
mod origins;
mod output;
mod publisher;
mod publishers;
mod resent;
mod row;
mod said;
mod sequences;
mod sight;
mod snapshot;
mod speaker;
mod state;
mod status;
mod timing;
mod told;
mod touched;
mod verdict;
mod watchdog;
mod window;

pub use adaptive::{Adaptive, Bounds, Learned};
pub use config::{HostView, PublisherRules, WatchRules};
pub use delay::Waited;
pub use evidence::{Evidence, Fact, Source};
pub use flip::Flip;
pub use links::{BEHIND_AT_MOST, LinkNumber, Unwatched};
pub use output::{Attend, Notice, Output, Question};
pub use publisher::Counts;
pub use resent::Missing;
pub use snapshot::Snapshot;
pub use state::{Cause, State};
pub use status::Status;
pub use timing::{BootClock, Stamp, Timing};
pub use touched::Detail;
pub use verdict::{Dead, Verdict, judge};
pub use watchdog::{Heard, Reception, Watchdog};
