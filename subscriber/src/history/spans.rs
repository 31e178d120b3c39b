//! [`spans`]: from changes of state to the times in which a publisher was in each, without gap or overlap.

use std::time::Duration;

use lastbeat_watchdog::{Cause, State};
use lastbeat_wire::UtcNanos;
use serde::Serialize;

use super::parameters::Range;
use crate::told::Time;

/// A change of state, or the state told anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// From when on.
    pub at: UtcNanos,
    /// Which state.
    pub state: State,
    /// Why.
    pub cause: Cause,
}

/// A time in which a publisher was in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Span {
    /// From this time on.
    pub from: Time,
    /// Before this time.
    pub to: Time,
    /// The state; `blind` while the watchdog was away.
    #[schema(value_type = String)]
    pub state: State,
    /// Why.
    #[schema(value_type = String)]
    pub cause: Cause,
    /// Whether the publisher could be judged: false while nothing is claimed, and while the watchdog was away.
    pub watched: bool,
}

impl Span {
    /// Its length.
    pub fn length(&self) -> Duration {
        self.to.0.since(self.from.0)
    }

    fn new(range: Range, state: State, cause: Cause) -> Self {
        Self { from: Time(range.from), to: Time(range.to), state, cause, watched: state.alive().is_some() }
    }
}

/// The spans within `range`, in order.
///
/// `changes` come newest first, in the order in which they were told: of two that speak of one instant the later told
/// stands, for a wall clock may have been stepped back between them. What lies before the first change is in no span.
/// The times of `away` are cut out; they may overlap.
///
/// # Errors
/// Those of `changes`; none is read that lies behind the first one before `range`.
pub fn spans<E>(
    range: Range,
    changes: impl Iterator<Item = Result<Change, E>>,
    away: &[Range],
) -> Result<Vec<Span>, E> {
    let mut spans: Vec<Span> = Vec::new();
    let mut end = range.to;
    for change in changes {
        let change = change?;
        if change.at >= end {
            continue;
        }
        let span = Range { from: change.at.max(range.from), to: end };
        spans.push(Span::new(span, change.state, change.cause));
        end = span.from;
        if end == range.from {
            break;
        }
    }
    spans.reverse();
    Ok(merged(cut_out(&spans, &disjoint(away))))
}

/// The same times in order, without overlap.
fn disjoint(times: &[Range]) -> Vec<Range> {
    let mut sorted: Vec<_> = times.iter().copied().filter(|time| time.from < time.to).collect();
    sorted.sort_unstable_by_key(|time| time.from);
    let mut disjoint: Vec<Range> = Vec::with_capacity(sorted.len());
    for time in sorted {
        match disjoint.last_mut() {
            Some(last) if time.from <= last.to => last.to = last.to.max(time.to),
            _ => disjoint.push(time),
        }
    }
    disjoint
}

fn cut_out(spans: &[Span], away: &[Range]) -> Vec<Span> {
    let mut cut = Vec::with_capacity(spans.len());
    for span in spans {
        let (mut from, to) = (span.from.0, span.to.0);
        let first = away.partition_point(|gap| gap.to <= from);
        for gap in away[first..].iter().take_while(|gap| gap.from < to) {
            if from < gap.from {
                cut.push(Span { from: Time(from), to: Time(gap.from), ..*span });
            }
            let gap = Range { from: gap.from.max(from), to: gap.to.min(to) };
            cut.push(Span::new(gap, State::Blind, Cause::WatchdogAway));
            from = gap.to;
        }
        if from < to {
            cut.push(Span { from: Time(from), ..*span });
        }
    }
    cut
}

/// Neighbours that say the same become one.
fn merged(spans: Vec<Span>) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if last.to == span.from && (last.state, last.cause) == (span.state, span.cause) => {
                last.to = span.to;
            }
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(at: i64, state: State, cause: Cause) -> Change {
        Change { at: UtcNanos(at), state, cause }
    }

    fn range(from: i64, to: i64) -> Range {
        Range { from: UtcNanos(from), to: UtcNanos(to) }
    }

    fn told(range: Range, changes: &[Change], away: &[Range]) -> Vec<Span> {
        let newest_first = changes.iter().rev().map(|change| Ok::<_, std::convert::Infallible>(*change));
        spans(range, newest_first, away).unwrap()
    }

    fn shown(spans: &[Span]) -> Vec<String> {
        let one = |span: &Span| format!("{}-{} {} {}", span.from.0.0, span.to.0.0, span.state, span.cause.word());
        spans.iter().map(one).collect()
    }

    const LIFE: [(i64, State, Cause); 3] =
        [(10, State::Alive, Cause::Heard), (60, State::Silent, Cause::ProcessRuns), (80, State::Alive, Cause::Heard)];

    fn life() -> Vec<Change> {
        LIFE.map(|(at, state, cause)| change(at, state, cause)).to_vec()
    }

    #[test]
    fn the_state_at_the_start_is_that_of_the_change_before_it() {
        let spans = told(range(20, 100), &life(), &[]);
        assert_eq!(shown(&spans), ["20-60 alive heard", "60-80 silent process_runs", "80-100 alive heard"]);
        assert_eq!(shown(&told(range(60, 61), &life(), &[])), ["60-61 silent process_runs"]);
    }

    #[test]
    fn nothing_is_said_of_the_time_before_the_first_change() {
        assert_eq!(shown(&told(range(0, 20), &life(), &[])), ["10-20 alive heard"]);
        assert_eq!(told(range(0, 10), &life(), &[]), []);
        assert_eq!(told(range(0, 10), &[], &[range(0, 10)]), []);
    }

    #[test]
    fn times_in_which_the_watchdog_was_away_are_cut_out() {
        let spans = told(range(0, 100), &life(), &[range(70, 75), range(0, 15), range(72, 90), range(99, 200)]);
        assert_eq!(
            shown(&spans),
            [
                "10-15 blind watchdog_away",
                "15-60 alive heard",
                "60-70 silent process_runs",
                "70-90 blind watchdog_away",
                "90-99 alive heard",
                "99-100 blind watchdog_away",
            ]
        );
        let watched: Vec<_> = spans.iter().map(|span| span.watched).collect();
        assert_eq!(watched, [false, true, true, false, true, false]);
    }

    #[test]
    fn what_was_told_last_of_an_instant_stands() {
        // The wall clock was stepped from 80 back to 40.
        let mut changes = life();
        changes.push(change(40, State::Dead, Cause::ProcessGone));
        assert_eq!(shown(&told(range(0, 100), &changes, &[])), ["10-40 alive heard", "40-100 dead process_gone"]);
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let one = (0_i64..300, 0..State::ALL.len(), 0..Cause::ALL.len());
        let one = one.prop_map(|(at, state, cause)| change(at, State::ALL[state], Cause::ALL[cause]));
        proptest::collection::vec(one, 0..40)
    }

    fn times() -> impl Strategy<Value = Vec<Range>> {
        proptest::collection::vec((0_i64..300, 0_i64..60).prop_map(|(from, long)| range(from, from + long)), 0..8)
    }

    proptest! {
        #[test]
        fn every_instant_is_in_the_span_that_was_told_of_it(
            changes in changes(), away in times(), from in 0_i64..300, long in 1_i64..300
        ) {
            let asked = range(from, from + long);
            let spans = told(asked, &changes, &away);
            prop_assert!(spans.iter().all(|span| span.from < span.to));
            prop_assert!(spans.windows(2).all(|two| two[0].to == two[1].from), "a gap or an overlap");
            let differs = |two: &[Span]| (two[0].state, two[0].cause) != (two[1].state, two[1].cause);
            prop_assert!(spans.windows(2).all(differs), "two that are one");
            for at in (asked.from.0..asked.to.0).map(UtcNanos) {
                let known = changes.iter().rfind(|change| change.at <= at);
                let span = spans.iter().find(|span| span.from.0 <= at && at < span.to.0);
                let is_away = away.iter().any(|away| away.from <= at && at < away.to);
                let expected = known.map(|change| {
                    let told = (change.state, change.cause, change.state.alive().is_some());
                    if is_away { (State::Blind, Cause::WatchdogAway, false) } else { told }
                });
                prop_assert_eq!(span.map(|span| (span.state, span.cause, span.watched)), expected, "at {}", at.0);
            }
        }
    }
}
