//! What is expected of a scenario, compared with what was told, stored, exported and shipped.

use std::time::Duration;

use lastbeat_watchdog::{Cause, Flip, State};
use lastbeat_wire::UtcNanos;

use crate::checks::Checks;
use crate::events::Interrupted;
use crate::export::Export;
use crate::how::How;
use crate::stage::{PLAYERS, Setting, Stage};
use crate::stored::{Heartbeat, Stored};

/// A flip that is expected, or seen: from, to, cause.
type Change = (State, State, Cause);

/// What a publisher must have gone through.
fn expected(victim: bool, how: How) -> Vec<Change> {
    let mut changes = vec![(State::Unseen, State::Alive, Cause::Heard)];
    if victim {
        let (state, cause) = how.verdict();
        changes.push((State::Alive, state, cause));
        if how.heals() {
            changes.push((state, State::Alive, Cause::Heard));
        }
    }
    changes
}

/// Without what may or may not be seen, as it happens: one that goes on after SIGCONT is silent until it is heard, if it
/// is looked at before that; and one that was killed is a zombie, if it is looked at before this program reaps it.
fn direct(changes: &[Change]) -> Vec<Change> {
    let mut direct: Vec<Change> = Vec::new();
    for (from, to, cause) in changes {
        match direct.last() {
            _ if *cause == Cause::ProcessZombie => direct.push((*from, *to, Cause::ProcessGone)),
            Some((State::Suspended, State::Silent, Cause::ProcessRuns)) if *to == State::Alive => {
                direct.pop();
                direct.push((State::Suspended, *to, *cause));
            }
            _ => direct.push((*from, *to, *cause)),
        }
    }
    direct
}

/// Compares everything, for all publishers. `victims` were put down.
pub fn check(stage: &mut Stage, victims: &[&str], how: How, ended_well: bool) -> anyhow::Result<Checks> {
    let mut checks = Checks::default();
    for id in PLAYERS {
        let flips = flips(stage, id);
        let victim = victims.contains(&id);
        let changes: Vec<_> = flips.iter().map(|flip| (flip.from, flip.to, flip.cause)).collect();
        let expected = expected(victim, how);
        checks.that(direct(&changes) == expected, format!("{id} changes"), shown(&expected), shown(&changes));
        if victim {
            evidence(&mut checks, &stage.setting, &flips, how);
        }
    }
    checks.same("subscriber ends well", "yes", if ended_well { "yes" } else { "no" });
    let stored = Stored::open(&stage.folder.store())?;
    for id in PLAYERS {
        let flips = flips(stage, id);
        store(&mut checks, &stored, &flips, id)?;
        let heartbeats = stored.heartbeats(id)?;
        phases(&mut checks, &heartbeats, &flips, id);
        if !victims.contains(&id) {
            // What was under way to or from one that went down may be lost.
            checks.same(format!("{id} missed messages"), "0", stored.missed(id)?.to_string());
        }
        // One that is silent is reported on, too: there are heartbeats throughout.
        let gap = heartbeats.windows(2).map(|pair| pair[1].at.since(pair[0].at)).max().unwrap_or_default();
        let threshold = stage.setting.threshold;
        let at_most = format!("at most {}", humantime::format_duration(threshold));
        checks.that(gap <= threshold, format!("{id} longest gap"), at_most, format!("{:.1} s", gap.as_secs_f64()));
    }
    for measurement in ["heartbeat", "sensor"] {
        if let Err(error) = exported(&mut checks, stage, &stored, measurement) {
            failed(&mut checks, &format!("{measurement}.csv"), error)?;
        }
    }
    for id in PLAYERS {
        if let Err(error) = shipped(&mut checks, stage, &stored, id) {
            failed(&mut checks, &format!("{id} in InfluxDB"), error)?;
        }
    }
    Ok(checks)
}

fn flips(stage: &Stage, id: &str) -> Vec<Flip> {
    let all = stage.flips.iter().map(|sighting| &sighting.flip);
    all.filter(|flip| flip.publisher.as_str() == id).cloned().collect()
}

/// What the verdict rests on, and when it fell.
fn evidence(checks: &mut Checks, setting: &Setting, flips: &[Flip], how: How) {
    let Some(flip) = flips.iter().find(|flip| flip.to == how.verdict().0) else { return };
    let id = flip.publisher.as_str();
    let by = flip.evidence.iter().find(|evidence| how.is_shown_by(&evidence.fact));
    let seen = by.map_or_else(|| format!("{:?}", flip.evidence), |evidence| evidence.source.to_string());
    let sources = how.sources(setting.transport);
    let found = by.is_some_and(|evidence| sources.contains(&evidence.source));
    let expected = sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    checks.that(found, format!("{id} found out"), expected, seen);
    let (silence, threshold) = (flip.silence.unwrap_or_default(), setting.threshold);
    let spell = |span: Duration| humantime::format_duration(span).to_string();
    let seen = format!("{:.3} s", silence.as_secs_f64());
    if how.shows_by_silence() {
        checks.that(silence == threshold, format!("{id} silence then"), spell(threshold), seen);
    } else {
        let before = format!("less than {}", spell(threshold));
        checks.that(silence < threshold, format!("{id} silence then"), before, seen);
    }
}

/// The store holds the flips that were told, and readings.
fn store(checks: &mut Checks, stored: &Stored, told: &[Flip], id: &str) -> anyhow::Result<()> {
    let kept = stored.flips(id)?;
    let same = kept.len() == told.len()
        && kept.iter().zip(told).all(|(kept, told)| {
            kept.states.0 == told.from.word()
                && kept.states.1 == told.to.word()
                && kept.cause == told.cause.word()
                && kept.times == (told.at, told.noticed_at)
        });
    checks.that(same, format!("{id} stored flips"), format!("the {} told", told.len()), kept.len().to_string());
    let readings = stored.readings(id)?;
    checks.that(readings > 0, format!("{id} stored readings"), "some", readings.to_string());
    Ok(())
}

/// Between two flips every stored heartbeat says what the first of them said.
fn phases(checks: &mut Checks, heartbeats: &[Heartbeat], flips: &[Flip], id: &str) {
    let ends = flips.iter().skip(1).map(|flip| flip.noticed_at).chain([UtcNanos(i64::MAX)]);
    for (flip, end) in flips.iter().zip(ends) {
        let within = |heartbeat: &&Heartbeat| heartbeat.at >= flip.noticed_at && heartbeat.at < end;
        let phase: Vec<_> = heartbeats.iter().filter(within).collect();
        let (state, cause, alive) = (flip.to.word(), flip.cause.word(), flip.to.alive());
        let right = |beat: &&&Heartbeat| beat.state == state && beat.cause == cause && beat.alive == alive;
        let right = phase.iter().filter(right).count();
        let expected = format!("all {state}, {cause}, alive={}", answer(alive));
        let seen = format!("{right} of {}", phase.len());
        checks.that(right > 0 && right == phase.len(), format!("{id} heartbeats {state}"), expected, seen);
    }
    let before = flips.first().map_or(i64::MAX, |flip| flip.noticed_at.0);
    let early = heartbeats.iter().filter(|heartbeat| heartbeat.at.0 < before).count();
    if early > 0 {
        checks.same(format!("{id} heartbeats before it was heard"), "0", early.to_string());
    }
}

/// A CSV file holds what the store holds.
fn exported(checks: &mut Checks, stage: &mut Stage, stored: &Stored, measurement: &str) -> anyhow::Result<()> {
    let export = Export::write(stage, measurement)?;
    stage.timeline.done("export", &format!("{measurement}.csv, {} rows", export.rows(None)));
    for id in PLAYERS {
        let rows = match measurement {
            "heartbeat" => stored.heartbeats(id)?.len() as u64,
            _ => stored.readings(id)?,
        };
        let (expected, seen) = (format!("{rows} rows"), format!("{} rows", export.rows(Some(id))));
        checks.same(format!("{id} in {measurement}.csv"), expected, seen);
    }
    Ok(())
}

/// InfluxDB holds what the store holds.
fn shipped(checks: &mut Checks, stage: &Stage, stored: &Stored, id: &str) -> anyhow::Result<()> {
    let Some(influx) = &stage.setting.influx else { return Ok(()) };
    let mut kept = stored.heartbeats(id)?;
    // Points of one series and one time are one point: the last one stays.
    kept.reverse();
    kept.sort_by_key(|heartbeat| heartbeat.at);
    kept.dedup_by_key(|heartbeat| heartbeat.at);
    let there = influx.heartbeats(id, stage.began)?;
    let equal = there.iter().filter(|heartbeat| kept.binary_search(heartbeat).is_ok()).count();
    let (expected, seen) = (format!("the {} stored", kept.len()), format!("{equal} of {}", there.len()));
    let same = equal == kept.len() && there.len() == kept.len();
    checks.that(same, format!("{id} heartbeats in InfluxDB"), expected, seen);
    let (expected, seen) = (stored.readings(id)?, influx.readings(id, stage.began)?);
    checks.same(format!("{id} readings in InfluxDB"), expected.to_string(), seen.to_string());
    Ok(())
}

/// What could not be looked at is not right; an interruption still ends everything.
fn failed(checks: &mut Checks, what: &str, error: anyhow::Error) -> anyhow::Result<()> {
    if error.is::<Interrupted>() {
        return Err(error);
    }
    checks.same(what, "as stored", format!("{error:#}"));
    Ok(())
}

fn shown(changes: &[Change]) -> String {
    let mut text = changes.first().map_or_else(|| "none".to_owned(), |(from, ..)| from.word().to_owned());
    for (_, to, cause) in changes {
        text.push_str(" → ");
        text.push_str(to.word());
        if *cause != Cause::Heard {
            text.push_str(&format!(" ({})", cause.word()));
        }
    }
    text
}

fn answer(alive: Option<bool>) -> &'static str {
    match alive {
        Some(true) => "true",
        Some(false) => "false",
        None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_shown_as_a_chain() {
        assert_eq!(shown(&expected(false, How::Kill)), "unseen → alive");
        assert_eq!(shown(&expected(true, How::Kill)), "unseen → alive → dead (process_gone)");
        assert_eq!(shown(&expected(true, How::Stop)), "unseen → alive → suspended (process_stopped) → alive");
        assert_eq!(shown(&[]), "none");
    }

    #[test]
    fn one_that_goes_on_may_be_silent_until_it_is_heard_and_only_then() {
        let mut changes = expected(true, How::Stop);
        assert_eq!(direct(&changes), changes);
        changes.pop();
        changes.push((State::Suspended, State::Silent, Cause::ProcessRuns));
        assert_ne!(direct(&changes), expected(true, How::Stop), "it did not come back");
        changes.push((State::Silent, State::Alive, Cause::Heard));
        assert_eq!(direct(&changes), expected(true, How::Stop));
        let cut_off = expected(true, How::Net);
        assert_eq!(direct(&cut_off), cut_off);
    }

    #[test]
    fn one_that_was_killed_may_be_seen_before_it_is_reaped() {
        let mut changes = expected(true, How::Kill);
        changes.pop();
        changes.push((State::Alive, State::Dead, Cause::ProcessZombie));
        assert_eq!(direct(&changes), expected(true, How::Kill));
        changes.pop();
        changes.push((State::Alive, State::Dead, Cause::PidReused));
        assert_ne!(direct(&changes), expected(true, How::Kill));
    }
}
