//! What is judged of the targets and the agents, and how soon a new list is gone by.

use std::time::Duration;

use serde_json::Value;

use super::world::{AGENTS, AGENTS_EACH, World};
use lastbeat_host::Clock;

const FIRST: [&str; 6] = ["well", "page", "lossy", "narrow", "hidden", "down"];
/// A round of six targets: each four probes 0.2 s apart, the last waited for for 2 s, and a pause of 2 s.
const ROUND: Duration = Duration::from_secs(6 * 5);

/// Tells the agents what to measure, and waits until that is judged as it is.
pub fn first(world: &mut World, within: Duration) -> anyhow::Result<bool> {
    world.wait(Duration::from_secs(5), |world| Ok(world.tell(&FIRST).is_ok()))?;
    world.timeline.done("targets", &format!("{} told to all brokers, retained", FIRST.len()));
    world.wait(within, |world| Ok(unlike(world)?.is_empty()))?;
    let swarm = world.api("swarm")?;
    for what in FIRST {
        world.timeline.done(what, text(&swarm, "targets", "target", &world.target(what)));
    }
    for network in ["oslo", "kiev"] {
        let agent = format!("{network}-1");
        world.timeline.done(&agent, text(&swarm, "agents", "agent", &agent));
    }
    let unlike = unlike(world)?;
    for wrong in &unlike {
        world.timeline.wrong("", wrong);
    }
    Ok(unlike.is_empty())
}

/// What is not judged as it is.
fn unlike(world: &World) -> anyhow::Result<Vec<String>> {
    let swarm = world.api("swarm")?;
    let mut unlike = Vec::new();
    let mut must = |so: bool, what: &str| {
        if !so {
            unlike.push(what.to_owned());
        }
    };
    let target = |what: &str| find(&swarm, "targets", "target", &world.target(what));
    let is = |what: &str, key: &str, value: &str| target(what).is_some_and(|one| one[key] == value);
    must(is("well", "reach", "all") && is("well", "level", "well"), "well is reached by all");
    must(is("page", "reach", "all"), "the page is reached by all");
    must(!is("lossy", "level", "well") && !is("lossy", "reach", "none"), "lossy is reached, and not well");
    must(!is("narrow", "level", "well"), "narrow is not well");
    must(is("down", "reach", "none"), "down is reached by none");
    let shares =
        target("hidden").and_then(|one| one["text"].as_str()).is_some_and(|text| text.contains("the network rome"));
    must(is("hidden", "reach", "some") && shares, "hidden is not reached by those in rome");
    let own: Vec<_> = rows(&swarm, "agents").filter(|agent| agent["link"] == "down").collect();
    let in_kiev = own.iter().all(|agent| agent["agent"].as_str().is_some_and(|name| name.starts_with("kiev-")));
    must(own.len() == AGENTS_EACH && in_kiev, "whoever is in kiev has trouble of its own");
    must(rows(&swarm, "agents").count() == AGENTS, "all agents are known");
    Ok(unlike)
}

/// Replaces the list; how soon each agent measures the new target.
pub fn new_target(world: &mut World) -> anyhow::Result<bool> {
    let fresh = world.target("fresh");
    world.tell(&["well", "fresh"])?;
    let told = Clock.now().monotonic;
    let measured = |world: &World| -> anyhow::Result<usize> {
        Ok(rows(&world.api("swarm")?, "results").filter(|result| result["target"] == fresh.as_str()).count())
    };
    let all = world.wait(ROUND, |world| Ok(measured(world)? == AGENTS))?;
    let took = Clock.now().monotonic.since(told).as_secs_f64();
    let count = measured(world)?;
    world.timeline.done("watch", &format!("{count} of {AGENTS} agents measure a new target within {took:.0} s"));
    if !all {
        world.timeline.wrong("watch", "not all within one round");
    }
    Ok(all)
}

fn rows<'a>(swarm: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    swarm[list].as_array().into_iter().flatten()
}

fn find<'a>(swarm: &'a Value, list: &str, key: &str, name: &str) -> Option<&'a Value> {
    rows(swarm, list).find(|one| one[key] == name)
}

fn text<'a>(swarm: &'a Value, list: &str, key: &str, name: &str) -> &'a str {
    find(swarm, list, key, name).and_then(|one| one["text"].as_str()).unwrap_or("nothing is judged")
}
