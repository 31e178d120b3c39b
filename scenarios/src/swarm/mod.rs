//! [`swarm`]: twenty agents in four networks, three brokers, targets that are well, lossy, slow, hidden and down: what is judged of
//! them; and what becomes of them while brokers stop, freeze, are cut off and slowed down.

mod faults;
mod judged;
mod moves;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::folder::{Folder, check_keep};
use crate::timeline::{Telling, Timeline};
use world::World;

/// How long the first round of all agents may take.
const JUDGED_WITHIN: Duration = Duration::from_mins(3);

/// What to play.
#[derive(Debug, Args)]
pub struct SwarmArgs {
    /// Only what is judged, without what happens to the brokers
    #[arg(long)]
    pub short: bool,
    /// Keep store and logs in this folder, which must be empty or new
    #[arg(long, value_name = "DIR", value_parser = check_keep)]
    pub keep: Option<PathBuf>,
}

/// Plays it; whether all was as it should be.
///
/// # Errors
/// When something can't be started or ends by itself, and on Ctrl-C.
pub fn swarm(args: &SwarmArgs) -> anyhow::Result<bool> {
    let folder = Folder::make(args.keep.as_deref())?;
    let timeline = Timeline::begin(
        "a swarm: 20 agents in the networks rome, oslo, lima and kiev, 3 Mosquittos, 6 targets, each host a network namespace",
        Telling::Everything,
    );
    let mut world = World::set_up(folder, timeline)?;
    let judged = judged::first(&mut world, JUDGED_WITHIN).context("what is judged")?;
    let told = judged::new_target(&mut world).context("a new list")?;
    let moved = args.short || faults::each(&mut world).context("brokers")?;
    let kept = world.end().context("the end")?;
    let right = judged && told && moved && kept;
    world.timeline.noted(if right { "all as it should be" } else { "not as it should be, see above" });
    Ok(right)
}
