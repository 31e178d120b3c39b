//! `lastbeat-subscriber simulate`: the watchdog, its intake and its memory in a simulated world, to see whether they keep their
//! promises and what a threshold is worth. `docs/SIMULATION.md` tells what is simulated and what is not.
//!
//! The watchdog, [`Intake`](crate::intake::Intake) and the way back from snapshot and log are those of production; the clocks,
//! the processes, the network, the brokers and the disk are not.

mod args;
mod blame;
mod carrying;
mod chance;
mod checking;
mod costs;
mod disk;
mod faults;
mod fleet;
mod outcome;
mod person;
mod picture;
mod probing;
mod publishing;
mod striking;
#[cfg(test)]
mod tests;
mod told;
mod truth;
mod watching;
mod world;
mod writing;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

pub use args::SimulateArgs;
use costs::Cost;
use faults::Weather;
use fleet::{Fleet, Wanted};
use outcome::Outcome;
use world::{SECOND, World};

/// All that is told as JSON.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    thresholds: &'a [Cost],
}

/// A promise was broken, or the code panicked.
#[derive(Debug, thiserror::Error)]
#[error("seed {seed}, threshold {threshold:?}: {report}show it again: {again}")]
struct Failed {
    seed: u64,
    threshold: Duration,
    report: String,
    again: String,
}

/// Simulates, and tells what came of it.
///
/// # Errors
/// A promise that was broken, with the command that shows it again; files that can't be written.
pub fn run(args: &SimulateArgs, wanted: &Wanted) -> anyhow::Result<()> {
    let mut outcome: Option<Outcome> = None;
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let one = simulate(args, wanted, seed)?;
        match &mut outcome {
            Some(all) => all.add(one),
            none => *none = Some(one),
        }
    }
    let outcome = outcome.context("no seed is left after the last one there is")?;
    let costs = compare(args, wanted, &outcome)?;
    if let Some(file) = &args.picture {
        picture::draw(file, &costs, &args.again(args.seed)).with_context(|| file.display().to_string())?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&Told { outcome: &outcome, thresholds: &costs })?);
    } else {
        print!("{}", told::table(&outcome, &costs));
    }
    Ok(())
}

/// The same worlds at other thresholds, where one is looked at closely.
fn compare(args: &SimulateArgs, wanted: &Wanted, outcome: &Outcome) -> anyhow::Result<Vec<Cost>> {
    let closely = args.seeds == 1 && args.weather == Weather::Usual;
    if !closely && args.picture.is_none() {
        return Ok(Vec::new());
    }
    let chosen = Duration::from_secs_f64(outcome.threshold_s);
    let mut costs = Vec::new();
    for threshold in costs::thresholds(chosen) {
        if threshold == chosen {
            costs.push(Cost::of(outcome, true));
            continue;
        }
        let wanted = Wanted { threshold: Some(threshold), ..wanted.clone() };
        let args = SimulateArgs { threshold: Some(threshold), ..args.clone() };
        let mut all = simulate(&args, &wanted, args.seed)?;
        for seed in args.seed + 1..args.seed + args.seeds {
            all.add(simulate(&args, &wanted, seed)?);
        }
        costs.push(Cost::of(&all, false));
    }
    Ok(costs)
}

/// One world, from its beginning to the calm at its end.
fn simulate(args: &SimulateArgs, wanted: &Wanted, seed: u64) -> Result<Outcome, Failed> {
    let fleet = Fleet::of(seed, args.weather, wanted);
    let threshold = fleet.threshold;
    let failed = |report: String| Failed { seed, threshold, report, again: args.again(seed) };
    let longest = fleet.publishers.iter().map(|member| fleet.threshold_of(member)).max().unwrap_or_default();
    let calm_from = u64::try_from(args.span.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
    let end = calm_from + 2 * longest + 120 * SECOND;
    let mut world = World::new(seed, args.weather, fleet, calm_from);
    let mut play = || {
        world.run(calm_from)?;
        world.calm_down();
        world.run(end - 30 * SECOND)?;
        let sent_before = world.truth.messages();
        world.run(end)?;
        world.finish(sent_before)
    };
    match catch_unwind(AssertUnwindSafe(&mut play)) {
        Ok(Ok(())) => Ok(Outcome::of(seed, &world)),
        Ok(Err(broken)) => Err(failed(world.report(&broken))),
        Err(_) => Err(failed("it panicked, as told above\n".to_owned())),
    }
}
