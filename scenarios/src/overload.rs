//! [`overload`]: how late verdicts are, and whether any is false, on a host that has twice the work it can do.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::bail;
use lastbeat_host::Clock;
use lastbeat_watchdog::State;

use crate::crowd::{Crowd, Part};
use crate::how::How;
use crate::process::{Process, Program, Reads};
use crate::stage::{GRACE, Setting, Stage};
use crate::timeline::{Latency, milliseconds, say};

/// Real publishers that are killed, and as many that are stopped.
const VICTIMS: u16 = 3;
/// How long everybody may take to be heard on a host that is overloaded.
const HEARD_WITHIN: Duration = Duration::from_mins(2);

/// One class of verdicts, and how late each of them was.
struct Class {
    what: &'static str,
    since: &'static str,
    late: Vec<Duration>,
    missing: usize,
}

/// Measures; whether no verdict was false and none is missing.
///
/// # Errors
/// When a process can't be started or ends by itself, not everybody is heard, and on Ctrl-C.
pub fn overload(crowd: u32, busy: usize, setting: Setting) -> anyhow::Result<bool> {
    let threshold = setting.threshold;
    let heading = format!(
        "verdicts under overload: {crowd} publishers over {}, threshold {}, {busy} busy loops beside them",
        setting.transport.name(),
        humantime::format_duration(threshold)
    );
    let mut stage = Stage::set_up(setting, &heading)?;
    let outcome = watch(&mut stage, crowd, busy);
    stage.explain(&outcome);
    outcome
}

fn watch(stage: &mut Stage, crowd: u32, busy: usize) -> anyhow::Result<bool> {
    let threshold = stage.setting.threshold;
    let _busy: Vec<Process> = (0..busy).map(|number| busy_loop(stage, number)).collect::<anyhow::Result<_>>()?;
    let crowd = Crowd::speak(crowd, &stage.hub.publishers, threshold)?;
    let victims: Vec<_> =
        (0..VICTIMS).flat_map(|n| [(format!("kill-{n}"), How::Kill), (format!("stop-{n}"), How::Stop)]).collect();
    for (id, _) in &victims {
        stage.enter(id, None)?;
    }
    let all = crowd.len() + victims.len();
    if !stage.wait(Clock.now().monotonic.plus(HEARD_WITHIN), |stage| stage.heard() >= all)? {
        bail!("only {} of {all} publishers are heard", stage.heard());
    }
    say(&format!("all {all} are heard; watching for one threshold"));
    stage.wait(Clock.now().monotonic.plus(threshold), |_| false)?;

    say(&format!("{VICTIMS} processes are killed, {VICTIMS} stopped, and a tenth of the crowd falls silent"));
    crowd.hush();
    for (id, how) in &victims {
        stage.put_down(id, *how)?;
    }
    let until = Clock.now().monotonic.plus(threshold * 2 + GRACE);
    stage.wait(until, |stage| {
        victims.iter().all(|(id, how)| stage.all_are(&[id], how.verdict().0))
            && crowd.hushed().all(|id| stage.newest_flip(&id).is_some_and(|newest| newest.flip.to != State::Alive))
    })?;
    stage.wait(Clock.now().monotonic.plus(threshold), |_| false)?;
    let metrics = stage.metrics();
    let slowest = crowd.slowest_round();
    let right = report(stage, &crowd, &victims);
    if let Ok(metrics) = metrics {
        let buckets = metrics.lines().filter(|line| line.starts_with("lastbeat_verdict_latency_seconds"));
        say("\nas /metrics tells it:");
        buckets.for_each(|line| say(&format!("  {line}")));
    }
    say(&format!("the crowd's own longest pause between two beats: {}", milliseconds(slowest)));
    Ok(right)
}

fn report(stage: &Stage, crowd: &Crowd, victims: &[(String, How)]) -> bool {
    let killed = victims.iter().filter(|(_, how)| *how == How::Kill).map(|(id, _)| {
        let flip = stage.newest_flip(id).filter(|newest| newest.flip.to == State::Dead)?;
        Some(Latency::of(flip, stage.touched(id)?).known)
    });
    let stopped = victims.iter().filter(|(_, how)| *how == How::Stop).map(|(id, _)| delay(stage, id, State::Suspended));
    let classes = [
        class("killed, real processes", "after SIGKILL", killed),
        class("stopped, real processes", "after the threshold", stopped),
        class(
            "silent, of this host",
            "after the threshold",
            crowd.ids(Part::HushedHere).map(|id| delay(stage, &id, State::Silent)),
        ),
        class(
            "silent, of another host",
            "after the threshold",
            crowd.ids(Part::HushedElsewhere).map(|id| delay(stage, &id, State::Unknown)),
        ),
    ];
    say(&format!("\n{:<28}{:>8}{:>12}{:>12}{:>9}", "", "told", "median", "worst", "untold"));
    for class in &classes {
        let at = |place: usize| class.late.get(place).map_or_else(|| "-".to_owned(), |late| milliseconds(*late));
        let (all, missing) = (class.late.len(), class.missing);
        say(&format!(
            "{:<28}{all:>8}{:>12}{:>12}{missing:>9}  {}",
            class.what,
            at(all / 2),
            at(all.saturating_sub(1)),
            class.since
        ));
    }
    let fallen: std::collections::HashSet<_> = crowd.hushed().chain(victims.iter().map(|(id, _)| id.clone())).collect();
    let wrong: Vec<_> = stage
        .flips
        .iter()
        .filter(|sighting| {
            let flip = &sighting.flip;
            flip.to != State::Alive && !fallen.contains(flip.publisher.as_str())
                || flip.to == State::Dead && !flip.publisher.as_str().starts_with("kill-")
        })
        .collect();
    let dead = wrong.iter().filter(|sighting| sighting.flip.to == State::Dead).count();
    say(&format!("\nfalse verdicts: {}, {dead} of them deaths", wrong.len()));
    for sighting in wrong.iter().take(10) {
        say(&format!(
            "  {} {} → {} ({})",
            sighting.flip.publisher,
            sighting.flip.from,
            sighting.flip.to,
            sighting.flip.cause.word()
        ));
    }
    wrong.is_empty() && classes.iter().all(|class| class.missing == 0)
}

fn delay(stage: &Stage, id: &str, wanted: State) -> Option<Duration> {
    let newest = stage.newest_flip(id).filter(|newest| newest.flip.to == wanted)?;
    Some(newest.flip.noticed_at.since(newest.flip.at))
}

fn class(what: &'static str, since: &'static str, late: impl Iterator<Item = Option<Duration>>) -> Class {
    let all: Vec<_> = late.collect();
    let mut late: Vec<_> = all.iter().flatten().copied().collect();
    late.sort();
    Class { what, since, missing: all.len() - late.len(), late }
}

/// Takes what it can get of one processor.
fn busy_loop(stage: &Stage, number: usize) -> anyhow::Result<Process> {
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do :; done"]);
    stage.beside(Program { name: format!("busy-{number}"), command, reads: Reads::Nothing })
}

/// Twice as many as there are processors.
pub fn twice_the_processors() -> usize {
    2 * thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}
