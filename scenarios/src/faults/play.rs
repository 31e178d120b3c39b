//! [`play`]: one case, from the first process to its row.

use std::path::Path;
use std::time::Duration;

use lastbeat_host::Clock;
use lastbeat_watchdog::State;

use crate::events::{Events, Interrupted};
use crate::faults::cast::{Cast, LOADED, Pace, keeps_a_spool};
use crate::faults::counts::{self, Counts};
use crate::faults::fault::{Case, Fault, Losses, Step, Who};
use crate::faults::outcome::{Outcome, Row};
use crate::faults::world::World;
use crate::folder::Folder;
use crate::stage::GRACE;
use crate::stored::Stored;

/// Everything runs well for so long before the first fault.
const BEFORE: Duration = Duration::from_secs(1);
/// After the last fault for so many thresholds nothing may happen any more.
const AFTER: f64 = 1.2;
/// How long what is on its way may take until it is stored and shipped.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
/// How much of each log is shown when something failed.
const LOG_LINES: usize = 8;

/// Plays a case.
///
/// # Errors
/// Only on Ctrl-C: whatever else goes wrong is in the row.
pub fn play(case: &Case, pace: &Pace, keep: Option<&Path>, events: &Events) -> anyhow::Result<Row> {
    let began = Clock.now().monotonic;
    let mut row = Row::of(case);
    if let Some(reason) = unplayable(case) {
        row.outcome = Outcome::Skipped(reason);
        return Ok(row);
    }
    match perform(case, pace, keep, events, &mut row) {
        Ok(faults) if faults.is_empty() => row.outcome = Outcome::Right,
        Ok(faults) => row.outcome = Outcome::Wrong(faults),
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => row.outcome = Outcome::Wrong(vec![format!("{error:#}")]),
    }
    row.took = Clock.now().monotonic.since(began);
    Ok(row)
}

/// Why it can't be played here.
fn unplayable(case: &Case) -> Option<String> {
    if case.needs_root() && !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let fills_a_spool = case.does(Who::Publisher(0), |fault| fault == Fault::Fill);
    if fills_a_spool && !keeps_a_spool().unwrap_or(false) {
        return Some("publishers keep nothing on disk".to_owned());
    }
    None
}

fn perform(
    case: &Case,
    pace: &Pace,
    keep: Option<&Path>,
    events: &Events,
    row: &mut Row,
) -> anyhow::Result<Vec<String>> {
    // What the processes of the case before still had to say.
    while events.next(Clock.now().monotonic)?.is_some() {}
    let kept = keep.map(|keep| keep.join(case.label().replace([' ', ','], "_")));
    let folder = Folder::make(kept.as_deref())?;
    let cast = Cast::gather(case, pace, folder.path(), events.feed())?;
    let mut world = World::begin(cast, pace, events)?;
    let outcome = act(case, pace, &mut world, row);
    if outcome.as_ref().map_or(true, |wrong| !wrong.is_empty()) {
        row.logs = world.logs(LOG_LINES);
    }
    outcome
}

fn act(case: &Case, pace: &Pace, world: &mut World<'_>, row: &mut Row) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    world.pass(BEFORE)?;
    for step in &case.steps {
        match *step {
            Step::Do(fault, who) => world.begin_fault(fault, who)?,
            Step::Undo(fault, who) => world.end_fault(fault, who)?,
            Step::Wait(thresholds) => world.pass(pace.threshold.mul_f64(thresholds))?,
            Step::Told => {
                world.wait_until_told()?;
                let untold = world.judge().untold(Clock.now().utc);
                wrong.extend(untold.iter().map(ToString::to_string));
            }
        }
    }
    if !world.wait(pace.threshold + GRACE, World::all_alive)? {
        wrong.push(format!("not alive again: {}", world.states()));
    }
    world.pass(pace.threshold.mul_f64(AFTER))?;
    row.latest = world.judge().latest(Clock.now().utc);
    let mut lies = world.judge().false_verdicts();
    let before_the_end = world.told.len();

    world.dismiss_publishers()?;
    wait_for_arrival(world)?;
    world.dismiss_subscriber()?;
    let at_the_end = &world.told[before_the_end..];
    let fine = |state| matches!(state, State::Finished | State::Alive);
    let odd = at_the_end.iter().filter(|sighting| !fine(sighting.flip.to));
    lies.extend(odd.map(|sighting| format!("{} {} after its goodbye", sighting.flip.publisher, sighting.flip.to)));
    row.false_verdicts = lies.len();
    wrong.extend(lies);

    let counts = counts::count(world, pace.rate)?;
    row.counts = counts;
    wrong.extend(check(case, &counts));
    wrong.extend(untold_or_unstored(world)?);
    wrong.extend(clock_was_stepped(case, world)?);
    wrong.append(&mut world.mishaps);
    Ok(wrong)
}

/// Until nothing more comes into the store and everything stored is shipped.
fn wait_for_arrival(world: &mut World<'_>) -> anyhow::Result<()> {
    let mut before = None;
    let until = Clock.now().monotonic.plus(ARRIVE_WITHIN);
    while Clock.now().monotonic < until {
        // While InfluxDB starts it can't be asked.
        let now = (counts::stored(&world.store)?.stored, counts::shipped(world).ok());
        let shipped = now.1 == Some(now.0);
        if shipped && before == Some(now) {
            break;
        }
        before = Some(now);
        world.pass(Duration::from_millis(500))?;
    }
    Ok(())
}

fn check(case: &Case, counts: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    let (lost, unknown) = (counts.lost(), counts.lost_unknown());
    if unknown > 0 {
        wrong.push(format!("{unknown} readings lost, and nobody knows"));
    } else if lost > 0 && case.losses == Losses::None {
        wrong.push(format!("{lost} readings lost"));
    }
    if counts.stored > counts.sent {
        wrong.push(format!("{} readings stored that nobody sent", counts.stored - counts.sent));
    }
    if counts.doubled > 0 {
        wrong.push(format!("{} readings stored twice", counts.doubled));
    }
    if counts.shipped != counts.stored {
        wrong.push(format!("{} readings shipped", counts.shipped));
    }
    if counts.refused > 0 {
        wrong.push(format!("{} messages refused", counts.refused));
    }
    wrong
}

/// What was told on stdout is in the store.
fn untold_or_unstored(world: &World<'_>) -> anyhow::Result<Option<String>> {
    let store = Stored::open(&world.store)?;
    let mut missing = 0;
    for id in &world.ids {
        let kept = store.flips(id)?;
        let told = world.told.iter().filter(|sighting| sighting.flip.publisher.as_str() == id);
        missing += told
            .filter(|sighting| {
                let flip = &sighting.flip;
                !kept.iter().any(|kept| kept.states.1 == flip.to.word() && kept.times == (flip.at, flip.noticed_at))
            })
            .count();
    }
    Ok((missing > 0).then(|| format!("{missing} verdicts told are not stored")))
}

/// The times that were recorded prove that the clock that was to be stepped was stepped.
fn clock_was_stepped(case: &Case, world: &World<'_>) -> anyhow::Result<Option<String>> {
    let stepped = |who| case.does(who, |fault| matches!(fault, Fault::Clock(_)));
    let store = Stored::open(&world.store)?;
    let half = Duration::from_mins(30);
    let span = if stepped(Who::Publisher(0)) {
        store.span(LOADED[0], "time_ns")?
    } else if stepped(Who::Subscriber) {
        store.span(LOADED[1], "received_ns")?
    } else {
        return Ok(None);
    };
    Ok((span < half).then(|| "the clock was not stepped".to_owned()))
}
