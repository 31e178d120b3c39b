//! The outcome of a simulation as a table for people.

use std::fmt::Write as _;

use super::costs::Cost;
use super::outcome::Outcome;

/// The table.
pub fn table(outcome: &Outcome, costs: &[Cost]) -> String {
    let mut text = String::new();
    head(&mut text, outcome);
    detections(&mut text, outcome);
    alarms(&mut text, outcome);
    if !costs.is_empty() {
        prices(&mut text, costs);
    }
    text
}

fn head(text: &mut String, outcome: &Outcome) {
    let last = outcome.seed + (outcome.seeds - 1);
    let seeds = if outcome.seeds == 1 { format!("seed {last}") } else { format!("seeds {} to {last}", outcome.seed) };
    let hours = outcome.simulated_s / 3600.0;
    let Outcome { publishers, publisher_months, threshold_s, events, messages, .. } = outcome;
    let _ = writeln!(
        text,
        "{seeds}: {hours:.1} h of simulated time, {publishers} publishers ({publisher_months:.2} publisher-months), threshold \
         {threshold_s} s, {events} events; every promise was kept"
    );
    let went: Vec<_> = outcome.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    let _ = writeln!(text, "what went wrong: {}", if went.is_empty() { "nothing".to_owned() } else { went.join(", ") });
    let _ = writeln!(
        text,
        "messages: {} sent, {} in the log, {} of these recovered (kept back for more than 10 s)",
        messages.sent, messages.stored, messages.recovered
    );
    for (by, count) in &messages.lost {
        let _ = writeln!(text, "  lost {by}: {count}");
    }
    if messages.lost_with_power > 0 {
        let count = messages.lost_with_power;
        let _ = writeln!(text, "  acknowledged and lost with the power, where `sync` is a span: {count}");
    }
}

fn detections(text: &mut String, outcome: &Outcome) {
    let _ = writeln!(text, "\nfound, in seconds         count  after it could be known       after it began");
    let _ =
        writeln!(text, "                                  median       p99     worst    median       p99     worst");
    for found in &outcome.detections {
        let (known, begin) = (found.after_known, found.after_begin);
        let _ = writeln!(text, "  {:<23} {:>5} {known} {begin}", found.way, found.found);
    }
    let _ = writeln!(text, "  over before it was found {:>4}", outcome.over_unnoticed);
}

fn alarms(text: &mut String, outcome: &Outcome) {
    let (all, dead) = outcome.alarm_rates();
    let _ = writeln!(text, "\nfalse alarms: {all:.2} per publisher and month, {dead:.2} of these \"dead\" (by a will)");
    for alarm in &outcome.false_alarms {
        let (count, rate) = (alarm.count, alarm.per_publisher_month);
        let _ = writeln!(text, "  {:<9} {:<42} {count:>7} {rate:>9.2}", alarm.state, alarm.cause);
    }
}

fn prices(text: &mut String, costs: &[Cost]) {
    let _ = writeln!(text, "\nwhat a threshold costs and buys, in the same world");
    let _ = writeln!(
        text,
        "  threshold  found  median s     p99 s   worst s  unnoticed  false alarms per publisher and month"
    );
    for cost in costs {
        let mark = if cost.chosen { "*" } else { " " };
        let _ = writeln!(
            text,
            "{mark} {:>7} s  {:>5} {}  {:>9}  {:>10.2}",
            cost.threshold_s, cost.found, cost.after_begin, cost.over_unnoticed, cost.false_alarms
        );
    }
    let _ = writeln!(
        text,
        "found: what only silence tells; times are since it began. unnoticed: over before the threshold, so nobody was told."
    );
}
