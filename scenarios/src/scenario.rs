//! [`play`]: the three scenarios, from the first process to the table of checks.

use lastbeat_host::Clock;
use lastbeat_watchdog::State;
use lastbeat_wire::Now;

use crate::how::How;
use crate::stage::{GRACE, PLAYERS, Setting, Stage};
use crate::timeline::say;
use crate::verdicts;

/// Which publishers go down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// None.
    BothAlive,
    /// The second.
    OneDown,
    /// Both.
    BothDown,
}

impl Scenario {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::BothAlive => "both-alive",
            Self::OneDown => "one-down",
            Self::BothDown => "both-down",
        }
    }

    fn victims(self) -> &'static [&'static str] {
        match self {
            Self::BothAlive => &[],
            Self::OneDown => &PLAYERS[1..],
            Self::BothDown => &PLAYERS,
        }
    }
}

/// Plays a scenario; whether all was right.
///
/// # Errors
/// When a process can't be started or ends by itself, and on Ctrl-C.
pub fn play(scenario: Scenario, how: How, setting: Setting) -> anyhow::Result<bool> {
    let mut stage = Stage::set_up(setting, &heading(scenario, how))?;
    let outcome = perform(&mut stage, scenario, how);
    stage.explain(&outcome);
    outcome
}

fn perform(stage: &mut Stage, scenario: Scenario, how: How) -> anyhow::Result<bool> {
    let threshold = stage.setting.threshold;
    let until = Clock.now().monotonic.plus(threshold + GRACE);
    let began = stage.wait(until, |stage| stage.all_are(&PLAYERS, State::Alive))?
        && stage.wait_for_readings(&PLAYERS, 2, until)?;
    if began {
        stage.timeline.noted("both are heard, and their readings are stored");
    } else {
        stage.timeline.wrong("", "not both are heard with readings in the store");
    }
    let fault = Clock.now();
    let victims = scenario.victims();
    for id in victims {
        stage.put_down(id, how)?;
    }
    let down = watch_them_go(stage, victims, how, fault)?;
    if down && how.heals() {
        watch_them_come_back(stage, victims, how)?;
    }
    let ended_well = stage.strike()?;
    stage.timeline.done("subscriber", "SIGTERM, all that it took in is stored");
    let checks = verdicts::check(stage, victims, how, ended_well)?;
    let paint = stage.timeline.paint();
    checks.print(paint);
    let (all, failed) = (checks.len(), checks.failed());
    say(&if failed == 0 {
        format!("\n{}: all {all} checks are right", paint.good(scenario.name()))
    } else {
        format!("\n{}: {failed} of {all} checks are NOT right", paint.bad(scenario.name()))
    });
    if stage.folder.is_kept() {
        say(&format!("store, exports and logs: {}", stage.folder.path().display()));
    }
    Ok(failed == 0)
}

/// Waits for the verdicts, and then on: for a threshold and two heartbeats from the fault on nobody else may go down, and
/// nobody come back. Whether the verdicts fell.
fn watch_them_go(stage: &mut Stage, victims: &[&str], how: How, fault: Now) -> anyhow::Result<bool> {
    let threshold = stage.setting.threshold;
    let (down, _) = how.verdict();
    let fell = stage.wait(fault.monotonic.plus(threshold + GRACE), |stage| stage.all_are(victims, down))?;
    if !fell {
        stage
            .timeline
            .wrong("", &format!("not {} within {}", down.word(), humantime::format_duration(threshold + GRACE)));
    }
    let until = fault.monotonic.plus(threshold + threshold * 2 / 5);
    stage.wait(until, |_| false)?;
    stage.timeline.noted("watched for one threshold and two heartbeats");
    Ok(fell)
}

fn watch_them_come_back(stage: &mut Stage, victims: &[&str], how: How) -> anyhow::Result<()> {
    for id in victims {
        stage.heal(id, how)?;
    }
    let limit = stage.setting.threshold + GRACE;
    if !stage.wait(Clock.now().monotonic.plus(limit), |stage| stage.all_are(victims, State::Alive))? {
        stage.timeline.wrong("", &format!("not alive again within {}", humantime::format_duration(limit)));
    }
    Ok(())
}

fn heading(scenario: Scenario, how: How) -> String {
    let what = match (scenario, how) {
        (Scenario::BothAlive, _) => "two publishers stay alive".to_owned(),
        (Scenario::OneDown, how) => format!("one of two publishers goes down: {}", how.deed()),
        (Scenario::BothDown, how) => format!("both publishers go down: {}", how.deed()),
    };
    format!("{}: {what}", scenario.name())
}
