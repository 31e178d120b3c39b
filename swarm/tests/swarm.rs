//! What is told, of results and times that are made up.

use std::time::Duration;

use lastbeat_swarm::{
    AgentJudgement, Common, Grade, Instant, Judgement, Level, Limits, Link, Reach, Seen, Swarm, SwarmRules,
    TargetJudgement,
};
use lastbeat_wire::{Fields, Monotonic, Now, UtcNanos, Value};
use proptest::prelude::*;

fn at(millis: u64) -> Now {
    Now { monotonic: Monotonic(millis * 1_000_000), utc: UtcNanos(millis.cast_signed() * 1_000_000) }
}

struct World {
    swarm: Swarm,
    now: Now,
}

impl World {
    fn new() -> Self {
        Self { swarm: Swarm::new(SwarmRules::default()), now: at(1_000_000) }
    }

    /// A result that is due again after 20 s.
    fn result(&mut self, agent: &str, target: &str, loss: Option<f64>, avg: Option<f64>) -> Vec<Judgement> {
        let mut fields = Fields::new();
        fields.push("every", Value::Integer(20));
        fields.push("network", Value::Text(agent.split('-').next().unwrap_or(agent).to_owned().into()));
        if let Some(loss) = loss {
            fields.push("loss", Value::Float(loss));
        } else {
            fields.push("error", Value::Text("no such host".into()));
        }
        if let Some(avg) = avg {
            fields.push("avg", Value::Float(avg));
        }
        self.seen(agent, target, self.now, &fields)
    }

    fn seen(&mut self, agent: &str, target: &str, measured: Now, fields: &Fields<'_>) -> Vec<Judgement> {
        let (at, time) = (measured.monotonic.into(), measured.utc);
        let seen = Seen { agent, target, at, time, broker: Some("mqtt://one"), host: Some(agent), fields };
        self.swarm.see(self.now, &seen);
        self.swarm.due(self.now)
    }

    fn reached(&mut self, agent: &str, target: &str) -> Vec<Judgement> {
        self.result(agent, target, Some(0.0), Some(20.0))
    }

    fn lost(&mut self, agent: &str, target: &str) -> Vec<Judgement> {
        self.result(agent, target, Some(100.0), None)
    }

    fn target(&self, name: &str) -> TargetJudgement {
        self.swarm.targets().find(|target| target.target == name).expect("judged")
    }

    fn agent(&self, name: &str) -> AgentJudgement {
        self.swarm.agents().find(|agent| agent.agent == name).expect("judged")
    }

    fn stands(&self, name: &str) -> (Reach, Level, u32, u32) {
        let target = self.target(name);
        (target.reach, target.level, target.reaching, target.witnesses)
    }
}

fn words(judgements: &[Judgement]) -> Vec<String> {
    judgements.iter().map(ToString::to_string).collect()
}

#[test]
fn a_target_that_nobody_reaches_is_down_and_one_that_all_reach_is_well() {
    let mut world = World::new();
    for agent in ["rome-1", "oslo-1", "lima-1"] {
        world.reached(agent, "a.example");
        world.lost(agent, "b.example");
    }
    assert_eq!(world.stands("a.example"), (Reach::All, Level::Well, 3, 3));
    assert_eq!(world.stands("b.example"), (Reach::None, Level::Critical, 0, 3));
    assert!(["rome-1", "oslo-1", "lima-1"].iter().all(|agent| world.agent(agent).link == Link::Well));
}

#[test]
fn an_agent_that_reaches_nothing_while_others_do_is_no_witness() {
    let mut world = World::new();
    for target in ["a.example", "b.example"] {
        world.reached("rome-1", target);
        world.reached("oslo-1", target);
    }
    world.lost("lima-1", "a.example");
    assert_eq!(world.stands("a.example"), (Reach::Some, Level::Warn, 2, 3), "one target may be that target");
    let news = world.lost("lima-1", "b.example");
    assert_eq!(
        words(&news),
        [
            "lima-1: reaches none of its 2 targets, others do: its own link",
            "a.example: reached by all of 2; 1 with trouble of their own left out"
        ]
    );
    assert_eq!(world.stands("b.example"), (Reach::All, Level::Well, 2, 2));
    let news = world.reached("lima-1", "a.example");
    assert_eq!(words(&news), ["lima-1: reaches 1 of its 2 targets", "b.example: not reached by 1 of 3 (lima-1)"]);
}

#[test]
fn what_those_have_in_common_that_do_not_reach_it_is_told() {
    let mut world = World::new();
    for agent in ["rome-1", "rome-2", "oslo-1"] {
        world.reached(agent, "b.example");
    }
    world.reached("oslo-1", "a.example");
    world.lost("rome-1", "a.example");
    let lone = world.target("a.example");
    assert_eq!((lone.failing.clone(), lone.common), (vec!["rome-1".to_owned()], vec![]), "one has nothing in common");
    world.lost("rome-2", "a.example");
    let target = world.target("a.example");
    assert_eq!(target.common, [Common::Network("rome".to_owned())]);
    assert_eq!(target.to_string(), "a.example: not reached by 2 of 3 (rome-1, rome-2), which share the network rome");
    world.lost("oslo-1", "a.example");
    world.reached("rome-2", "a.example");
    assert!(world.target("a.example").common.is_empty(), "rome and oslo share only what rome-2 has, too");
}

#[test]
fn the_only_agent_can_not_tell_itself_from_all_its_targets() {
    let mut world = World::new();
    world.lost("rome-1", "a.example");
    assert_eq!(world.stands("a.example").0, Reach::None, "one target: that target, as far as anybody knows");
    let news = world.lost("rome-1", "b.example");
    assert_eq!(world.stands("a.example").0, Reach::Unclear);
    assert!(words(&news)[0].contains("nor does anybody else"), "{:?}", words(&news));
    world.lost("oslo-1", "a.example");
    world.lost("oslo-1", "b.example");
    assert_eq!(world.stands("a.example"), (Reach::None, Level::Critical, 0, 2), "two agents agree");
}

#[test]
fn a_result_ceases_to_count_two_and_a_half_spans_later_to_the_nanosecond() {
    let mut world = World::new();
    world.reached("rome-1", "a.example");
    let until = world.now.monotonic.plus(Duration::from_secs(65));
    assert_eq!(world.swarm.next_deadline(), Some(until));
    let mut now = at(0);
    now.monotonic = Monotonic(until.0 - 1);
    assert!(world.swarm.due(now).is_empty());
    assert_eq!(world.stands("a.example").0, Reach::All);
    now.monotonic = until;
    assert_eq!(words(&world.swarm.due(now)), ["rome-1: no result that counts", "a.example: no result that counts"]);
    assert_eq!(world.swarm.cells(until).next().expect("still shown").grade, None);
    now.monotonic = until.plus(Duration::from_hours(1));
    assert_eq!(world.swarm.next_deadline(), Some(now.monotonic));
    assert!(world.swarm.due(now).is_empty());
    assert_eq!((world.swarm.cells(now.monotonic).count(), world.swarm.agents().count()), (0, 0), "forgotten");
    assert_eq!(world.swarm.next_deadline(), None);
}

#[test]
fn a_result_that_waited_is_as_old_as_it_is_and_never_replaces_a_newer_one() {
    let mut world = World::new();
    let mut fields = Fields::new();
    fields.push("loss", Value::Integer(100));
    fields.push("every", Value::Integer(20));
    let long_ago = at(1_000_000 - 65_000);
    assert!(world.seen("rome-1", "a.example", long_ago, &fields).is_empty(), "it says nothing of now");
    let before_boot = Instant::from(world.now.monotonic).minus(Duration::from_secs(1_065));
    let (broker, target, agent) = (Some("mqtt://one"), "a.example", "rome-1");
    let seen = Seen { agent, target, at: before_boot, time: UtcNanos(0), broker, host: None, fields: &fields };
    assert!(!world.swarm.see(world.now, &seen), "an older one, of before this host was booted");
    world.reached("rome-1", "a.example");
    let before = at(999_999);
    assert!(world.seen("rome-1", "a.example", before, &fields).is_empty());
    assert_eq!(world.stands("a.example").0, Reach::All);
}

#[test]
fn what_could_not_be_measured_says_nothing_of_the_target_but_why() {
    let mut world = World::new();
    let news = world.result("rome-1", "a.example", None, None);
    assert_eq!(words(&news), ["a.example: could not be measured: no such host"]);
    assert_eq!(world.stands("a.example"), (Reach::Unknown, Level::Warn, 0, 0));
    world.reached("oslo-1", "a.example");
    assert_eq!(world.stands("a.example"), (Reach::All, Level::Well, 1, 1));
    assert_eq!(world.agent("rome-1").link, Link::Unknown);
}

#[test]
fn slow_and_lossy_are_reached_at_exactly_their_limits() {
    let limits = Limits::default();
    for (loss, avg, grade) in [
        (0.0, 199.999, Grade::Reached(Level::Well)),
        (0.0, 200.0, Grade::Reached(Level::Warn)),
        (0.0, 1000.0, Grade::Reached(Level::Critical)),
        (9.9, 1.0, Grade::Reached(Level::Well)),
        (10.0, 1.0, Grade::Reached(Level::Warn)),
        (49.9, 1.0, Grade::Reached(Level::Warn)),
        (50.0, 1.0, Grade::Failed),
        (100.0, 1.0, Grade::Failed),
    ] {
        let mut world = World::new();
        world.result("rome-1", "a.example", Some(loss), Some(avg));
        let cell = world.swarm.cells(world.now.monotonic).next().expect("one cell");
        assert_eq!(cell.grade, Some(grade), "{loss} {avg}");
        assert_eq!(cell.found.grade(&limits), grade);
    }
}

#[test]
fn a_target_is_slow_once_half_of_its_witnesses_find_it_so() {
    let mut world = World::new();
    world.reached("rome-1", "a.example");
    world.reached("oslo-1", "a.example");
    assert!(world.result("lima-1", "a.example", Some(0.0), Some(500.0)).is_empty(), "one of three");
    let news = world.result("oslo-1", "a.example", Some(0.0), Some(1500.0));
    assert_eq!(words(&news), ["a.example: reached by all of 3, slow or lossy for 2"]);
    assert_eq!(world.target("a.example").level, Level::Warn, "critical for one of three only");
}

#[test]
fn the_most_pairs_are_a_bound_and_what_is_beyond_is_counted() {
    let mut world = World { swarm: Swarm::new(SwarmRules { max_pairs: 1, ..SwarmRules::default() }), now: at(0) };
    world.reached("rome-1", "a.example");
    world.reached("rome-2", "a.example");
    world.reached("rome-1", "a.example");
    assert_eq!((world.swarm.cells(world.now.monotonic).count(), world.swarm.beyond()), (1, 1));
}

#[test]
fn a_judgement_survives_json() {
    let mut world = World::new();
    world.lost("rome-1", "a.example");
    let judgement = Judgement::Target(world.target("a.example"));
    let json = serde_json::to_string(&judgement).unwrap();
    assert_eq!(serde_json::from_str::<Judgement>(&json).unwrap(), judgement);
}

proptest! {
    /// Whatever comes in whatever order: what is told follows from the results that count, and is told when it changes only.
    #[test]
    fn what_is_told_follows_from_what_counts(results in prop::collection::vec((0..4u8, 0..3u8, 0..3u8, 0..40_000u64), 1..60)) {
        let mut world = World::new();
        let mut told = std::collections::HashMap::new();
        for (agent, target, kind, step) in results {
            world.now = Now {
                monotonic: world.now.monotonic.plus(Duration::from_millis(step)),
                utc: UtcNanos(world.now.utc.0 + step.cast_signed() * 1_000_000),
            };
            let (agent, target) = (format!("agent-{agent}"), format!("t{target}.example"));
            let mut news = world.swarm.due(world.now);
            news.extend(match kind {
                0 => world.reached(&agent, &target),
                1 => world.lost(&agent, &target),
                _ => world.result(&agent, &target, None, None),
            });
            for judgement in news {
                if let Judgement::Target(new) = judgement {
                    let stand = (new.reach, new.level);
                    prop_assert_ne!(told.insert(new.target, stand), Some(stand));
                }
            }
            let cells: Vec<_> = world.swarm.cells(world.now.monotonic).collect();
            let reaches_something = |agent: &str| cells.iter().any(|cell| cell.agent == agent && matches!(cell.grade, Some(Grade::Reached(_))));
            for target in world.swarm.targets() {
                let grades = || cells.iter().filter(|cell| cell.target == target.target);
                let reaching = grades().filter(|cell| matches!(cell.grade, Some(Grade::Reached(_)))).count();
                prop_assert_eq!(target.reaching as usize, reaching);
                let failing = grades().filter(|cell| cell.grade == Some(Grade::Failed)).count();
                prop_assert_eq!((target.witnesses - target.reaching + target.own_links) as usize, failing);
                // Whoever reaches something is a witness.
                let sound = grades().filter(|cell| cell.grade == Some(Grade::Failed) && reaches_something(cell.agent)).count();
                prop_assert!((target.witnesses - target.reaching) as usize >= sound);
                prop_assert_eq!(target.reach == Reach::None || target.reach == Reach::Unclear, reaching == 0 && target.witnesses > 0);
            }
        }
    }
}
