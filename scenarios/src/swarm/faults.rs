//! What happens to the brokers, one after the other, and how soon the agents are elsewhere.

use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_watchdog::State;
use rustix::process::Signal;

use super::world::{AGENTS, PATIENCE, World};

/// How long a broker is away: longer than the threshold.
const AWAY: Duration = Duration::from_secs(15);

/// What is done to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Stop,
    Restart,
    Freeze,
    Cut,
    Slow,
}

impl Fault {
    const ALL: [Self; 5] = [Self::Stop, Self::Restart, Self::Freeze, Self::Cut, Self::Slow];

    fn words(self) -> &'static str {
        match self {
            Self::Stop => "stopped (SIGTERM)",
            Self::Restart => "restarted",
            Self::Freeze => "frozen (SIGSTOP)",
            Self::Cut => "cut off, without a word",
            Self::Slow => "slowed down to 64 kbit/s",
        }
    }

    fn strike(self, world: &mut World, broker: usize) -> anyhow::Result<()> {
        match self {
            Self::Stop => world.stop(broker),
            Self::Restart => {
                world.stop(broker)?;
                world.start(broker)
            }
            Self::Freeze => signal(world, broker, Signal::STOP),
            Self::Cut => world.brokers[broker].node.cut(),
            Self::Slow => world.brokers[broker].node.slow_down("64kbit"),
        }
    }

    fn mend(self, world: &mut World, broker: usize) -> anyhow::Result<()> {
        match self {
            Self::Stop => world.start(broker),
            Self::Restart => Ok(()),
            Self::Freeze => signal(world, broker, Signal::CONT),
            Self::Cut => world.brokers[broker].node.mend(),
            Self::Slow => world.brokers[broker].node.speed_up(),
        }
    }
}

/// Each fault at the broker that most agents are linked with, and then all brokers stopped at once.
pub fn each(world: &mut World) -> anyhow::Result<bool> {
    let mut right = true;
    for fault in Fault::ALL {
        let most = (0..world.brokers.len()).max_by_key(|broker| world.moves.at(&world.brokers[*broker].url).len());
        let broker = most.expect("invariant: there are three");
        right &= one(world, fault, broker)?;
    }
    Ok(right & all_at_once(world)?)
}

fn one(world: &mut World, fault: Fault, broker: usize) -> anyhow::Result<bool> {
    let url = world.brokers[broker].url.clone();
    let struck_agents = world.moves.at(&url);
    let began = Clock.now().monotonic;
    fault.strike(world, broker)?;
    world.timeline.done(
        world.brokers[broker].name,
        &format!("{}, {} of {AGENTS} agents are linked with it", fault.words(), struck_agents.len()),
    );
    world.wait(AWAY, |_| Ok(false))?;
    let mut took: Vec<f64> = struck_agents
        .iter()
        .filter_map(|agent| world.moves.since(agent).filter(|since| *since > began))
        .map(|since| since.since(began).as_secs_f64())
        .collect();
    took.sort_by(f64::total_cmp);
    fault.mend(world, broker)?;
    let all = world.wait(PATIENCE, |world| Ok(world.are(State::Alive)? == AGENTS))?;
    let alive = world.are(State::Alive)?;
    let told = match (took.get(took.len() / 2), took.last()) {
        (Some(median), Some(worst)) => {
            format!("{} agents have a link again after {median:.1} s (median), {worst:.1} s (worst)", took.len())
        }
        _ => "no agent lost its link".to_owned(),
    };
    world.timeline.done("", &format!("{told}; {alive} alive"));
    // A slow broker is still one.
    let moved = took.len() == struck_agents.len() || fault == Fault::Slow;
    if !moved || !all {
        world.timeline.wrong(
            "",
            &format!("{} of {} agents moved, {alive} of {AGENTS} are alive", took.len(), struck_agents.len()),
        );
    }
    Ok(moved && all)
}

fn all_at_once(world: &mut World) -> anyhow::Result<bool> {
    let before = readings(world)?;
    for broker in 0..world.brokers.len() {
        world.stop(broker)?;
    }
    world.timeline.done("all brokers", "stopped; the agents go on measuring");
    world.wait(AWAY, |_| Ok(false))?;
    for broker in 0..world.brokers.len() {
        world.start(broker)?;
    }
    let all = world.wait(PATIENCE, |world| Ok(world.are(State::Alive)? == AGENTS))?;
    world.wait(Duration::from_secs(5), |_| Ok(false))?;
    let came = readings(world)? - before;
    world.timeline.done("all brokers", &format!("started again; {came} results came since they were stopped"));
    if !all {
        world.timeline.wrong("", &format!("{} of {AGENTS} agents are alive", world.are(State::Alive)?));
    }
    Ok(all)
}

fn readings(world: &World) -> anyhow::Result<u64> {
    Ok(world.publishers()?.iter().filter_map(|row| row["readings"].as_u64()).sum())
}

fn signal(world: &World, broker: usize, signal: Signal) -> anyhow::Result<()> {
    world.brokers[broker].process.as_ref().map_or(Ok(()), |process| process.signal(signal))
}
