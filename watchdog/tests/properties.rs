//! What must hold in every history. Random ones are played in the simulated world, whose ledger checks each thing the
//! watchdog says; here stands how histories are made, and what can be seen only at their end.

mod simulation;

use std::collections::{BTreeMap, BTreeSet};

use lastbeat_simulation::{Place, Process};
use lastbeat_watchdog::State;
use lastbeat_wire::Kind;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use simulation::event::{Again, Deed, Event, Parcel, Which};
use simulation::script::{Rules, Span, Traits, Within};
use simulation::world::World;

const SECOND: i64 = 1_000_000_000;
const LINKS: [&str; 2] = ["first", "second"];
const PUBLISHERS: [&str; 6] = ["near", "far", "boxed", "foreign", "brisk", "adaptive"];

/// Events with the time since the one before.
type History = Vec<(i64, Event)>;

fn publishers() -> BTreeMap<String, Traits> {
    let beats = Some(Span(10 * SECOND));
    let traits = [
        Traits { beats, ..Traits::default() },
        Traits { beats, runs: Place::Elsewhere, ..Traits::default() },
        Traits { beats, runs: Place::Container, links: vec!["first".to_owned()], expected: true, ..Traits::default() },
        Traits { tells: Vec::new(), expected: true, ..Traits::default() },
        Traits { beats: Some(Span(SECOND)), threshold: Some(Span(3 * SECOND)), ..Traits::default() },
        Traits {
            beats: Some(Span(4 * SECOND)),
            threshold: Some(Span(18 * SECOND)),
            adaptive: Some(Within { at_least: Span(5 * SECOND), at_most: Span(40 * SECOND) }),
            ..Traits::default()
        },
    ];
    PUBLISHERS.map(str::to_owned).into_iter().zip(traits).collect()
}

fn rules() -> impl Strategy<Value = Rules> {
    (any::<bool>(), 1..=2usize, any::<bool>()).prop_map(|(pidfd, links, persistent)| {
        let links: Vec<_> = LINKS[..links].iter().map(|name| (*name).to_owned()).collect();
        Rules { pidfd, persistent: if persistent { links.clone() } else { Vec::new() }, links, ..Rules::default() }
    })
}

fn gap() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0),
        1 => Just(1),
        3 => 0..2 * SECOND,
        4 => 0..20 * SECOND,
        2 => 40 * SECOND..60 * SECOND,
        1 => Just(50 * SECOND - 1),
        1 => Just(50 * SECOND),
        1 => 100 * SECOND..1000 * SECOND,
    ]
}

fn parcel() -> impl Strategy<Value = Parcel> {
    let kind = prop_oneof![
        4 => Just(Kind::Beat),
        4 => Just(Kind::Sensor),
        2 => Just(Kind::Start),
        3 => Just(Kind::Fail),
        1 => Just(Kind::Bye),
        3 => Just(Kind::Rip),
    ];
    let delayed = prop_oneof![4 => Just(0), 2 => 0..3 * SECOND, 1 => 0..200 * SECOND];
    let rarely = || proptest::bool::weighted(0.1);
    let via = proptest::option::weighted(0.3, proptest::sample::select(&LINKS[..]));
    (kind, rarely(), rarely(), proptest::option::weighted(0.2, 1..3usize), delayed, via).prop_map(
        |(kind, retained, garbled, process, delayed, via)| {
            let via = via.map(str::to_owned);
            Parcel { kind, retained, garbled, process, delayed, via }
        },
    )
}

fn again() -> impl Strategy<Value = Again> {
    let which = prop_oneof![2 => Just(Which::All), 2 => Just(Which::Last), 2 => (0..12u64).prop_map(Which::Number)];
    (which, proptest::option::weighted(0.4, 1..4usize)).prop_map(|(which, process)| Again { which, process })
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => Just(Deed::Starts),
        2 => Just(Deed::Killed),
        1 => Just(Deed::Zombie),
        1 => Just(Deed::Stopped),
        1 => Just(Deed::Continued),
        2 => Just(Deed::Hangs),
        2 => Just(Deed::Recovers),
        1 => Just(Deed::Leaves),
        1 => Just(Deed::PidReused),
        1 => Just(Deed::Hides),
        1 => Just(Deed::Repeats),
        3 => Just(Deed::Loses),
        2 => again().prop_map(Deed::Resends),
        8 => parcel().prop_map(Deed::Sends),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let publisher = || proptest::sample::select(&PUBLISHERS[..]).prop_map(str::to_owned);
    let link = || proptest::sample::select(&LINKS[..]).prop_map(str::to_owned);
    let step = prop_oneof![-7200 * SECOND..7200 * SECOND, -2 * SECOND..2 * SECOND];
    prop_oneof![
        24 => (publisher(), deed()).prop_map(|(publisher, deed)| Event::Publisher(publisher, deed)),
        3 => link().prop_map(Event::LinkUp),
        3 => link().prop_map(Event::LinkDown),
        1 => link().prop_map(Event::BrokerHolds),
        1 => link().prop_map(Event::BrokerReleases),
        1 => (proptest::option::of(publisher()), step).prop_map(|(whose, by)| Event::ClockSteps(whose, by)),
        1 => Just(Event::Saves),
        1 => Just(Event::Stops),
        3 => Just(Event::Starts),
        1 => (0..100 * SECOND).prop_map(Event::Stalls),
        1 => Just(Event::Reboots),
        1 => (publisher(), proptest::option::of(0..200 * SECOND)).prop_map(|(whose, span)| Event::Pause(whose, span)),
        1 => publisher().prop_map(Event::Resume),
        1 => (0..3 * SECOND).prop_map(Event::ProbesTake),
        1 => Just(Event::ProbesFail),
        1 => Just(Event::PidfdOn),
        1 => Just(Event::PidfdOff),
    ]
}

fn history() -> impl Strategy<Value = History> {
    proptest::collection::vec((gap(), event()), 1..80)
}

/// Plays a history from its beginning, in which all publishers start.
fn play(rules: &Rules, history: &History) -> World {
    let mut world = World::new(rules, &publishers());
    let start = |publisher: &str| Event::Publisher(publisher.to_owned(), Deed::Starts);
    world.step(0, &PUBLISHERS.map(start));
    for (gap, event) in history {
        world.step(world.now + gap.unsigned_abs(), std::slice::from_ref(event));
    }
    world
}

/// The end of every history: the watchdog runs and hears, and time passes.
fn calm_down(world: &mut World) {
    let links = LINKS.map(str::to_owned);
    let mut events = vec![Event::Starts, Event::ProbesTake(SECOND / 10)];
    events.extend(links.clone().map(Event::LinkUp));
    events.extend(links.map(Event::BrokerReleases));
    events.extend(PUBLISHERS.map(|publisher| Event::Resume(publisher.to_owned())));
    world.step(world.now, &events);
    for _ in 0..40 {
        world.step(world.now + 10_000_000_000, &[]);
    }
}

/// So many histories, or as many as the environment's `PROPTEST_CASES` says; failures are kept beside this file.
fn config(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::Direct("tests/properties.proptest-regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn the_promises_hold_in_every_history(rules in rules(), history in history()) {
        let mut world = play(&rules, &history);
        calm_down(&mut world);
        for status in world.desk.statuses(world.clock()) {
            let latest = world.processes.of(status.publisher.as_str()).last();
            let speaks = latest.is_some_and(|latest| world.processes.all[latest].speaks());
            let beats = publishers()[status.publisher.as_str()].beats.is_some();
            prop_assert_ne!(status.state.word(), "blind", "everything was up for long: {:?}", status);
            prop_assert!(status.state.word() == "alive" || !(speaks && beats), "it speaks: {:?}", status);
        }
    }

}

proptest! {
    #![proptest_config(config(50))]

    #[test]
    fn a_restart_forgets_nothing(rules in rules(), history in history(), save_at in 0..80usize) {
        let mut history = history;
        history.insert(save_at.min(history.len()), (0, Event::Saves));
        // Over a reboot or a step of the clock times differ; with a pidfd since then, more is known after a restart.
        let differs = |event: &Event| {
            matches!(event, Event::Reboots | Event::ClockSteps(None, _) | Event::PidfdOn | Event::PidfdOff)
        };
        history.retain(|(_, event)| !differs(event));
        // Of three processes at once under one id the first is forgotten; when, is not the same with duplicates and without.
        let mut restarted = BTreeSet::new();
        history.retain(|(_, event)| match event {
            Event::Publisher(publisher, Deed::Starts) => restarted.insert(publisher.clone()),
            _ => true,
        });
        // What was not logged while it was paused (the end of its process, say) stands in snapshots only.
        let saved = |(gap, event): (i64, Event)| match event {
            Event::Pause(..) => vec![(gap, event), (0, Event::Saves)],
            _ => vec![(gap, event)],
        };
        let history: Vec<_> = history.into_iter().flat_map(saved).collect();
        // After a stall an end is known a second before it is judged, and so logged.
        let stalls = history.iter().any(|(_, event)| matches!(event, Event::Stalls(_)));
        let mut world = play(&rules, &history);
        world.step(world.now + 200_000_000_000, &[Event::Starts]);
        let mut restarted = world.clone();
        restarted.step(restarted.now, &[Event::Stops, Event::Starts]);
        let now = world.clock();
        for (before, after) in world.desk.statuses(now).iter().zip(restarted.desk.statuses(now)) {
            let mut counts = after.counts;
            // Neither duplicates nor ends that changed no state are in the log.
            counts.duplicates = before.counts.duplicates;
            if rules.pidfd {
                counts.conflicts = before.counts.conflicts;
            }
            if rules.pidfd || stalls {
                counts.late = before.counts.late;
            }
            prop_assert_eq!(before.counts, counts);
            prop_assert!(rules.pidfd || before.silence == after.silence, "{:?} {:?}", before, after);
            let words = (before.state.word(), after.state.word());
            // After a restart the kernel is asked anew.
            let asked = words.1 == "dead" && rules.pidfd;
            prop_assert!(asked || words.0 == words.1 || words == ("alive", "blind"), "{:?} {:?}", before, after);
        }
        calm_down(&mut world);
        calm_down(&mut restarted);
        let now = world.clock();
        for (one, other) in world.desk.statuses(now).iter().zip(restarted.desk.statuses(now)) {
            // What bears no process, and comes after an end that is known by then, revives nobody and makes no failure good.
            let mut processes = world.processes.of(one.publisher.as_str()).map(|place| &world.processes.all[place]);
            let stands = other.state == State::Failed && processes.any(Process::has_ended);
            let asked = rules.pidfd && (other.state == State::Dead || stands);
            prop_assert!(asked || one.state == other.state, "{:?} {:?}", one, other);
            prop_assert_eq!(one.counts.messages, other.counts.messages);
            prop_assert_eq!(one.counts.missed, other.counts.missed);
            prop_assert_eq!(one.counts.readings, other.counts.readings);
        }
    }
}
