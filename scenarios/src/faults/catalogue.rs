//! [`all`]: every case there is, one fault at a time and then in pairs, over both transports.

use crate::faults::fault::{Case, Fault, Losses, Step, Who};
use crate::hub::Transport;
use Fault::{Clock, Cut, Fill, Freeze, Kill, Term};
use Step::{Do, Told, Undo, Wait};
use Who::{Broker, Influx, Publisher, Subscriber};

/// How long a fault lasts that must show, in thresholds.
const LONG: f64 = 1.6;
/// How long one lasts that must not.
const BRIEF: f64 = 0.5;
/// An hour, in seconds.
const HOUR: i32 = 3_600;
/// The ones that are played with every change: each sort of fault, each transport, each process once.
const SHORT: [&str; 7] = [
    "zmq kill publisher",
    "zmq freeze subscriber, long",
    "zmq kill broker",
    "mqtt freeze publisher, long",
    "mqtt kill subscriber",
    "mqtt restart InfluxDB",
    "zmq clock +1h publisher",
];

/// Every case, in the order in which they are played.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for transport in [Transport::Zmq, Transport::Mqtt] {
        singles(transport, &mut cases);
        pairs(transport, &mut cases);
    }
    for case in &mut cases {
        case.short = SHORT.contains(&case.label().as_str());
    }
    cases
}

fn singles(transport: Transport, cases: &mut Vec<Case>) {
    let mut add = |name: String, steps: Vec<Step>| cases.push(case(transport, name, steps));
    for who in [Publisher(0), Broker, Subscriber, Influx] {
        for fault in [Kill, Term] {
            let hold = if fault == Kill { LONG } else { 0.0 };
            add(format!("{} {who}", fault.word()), lasting(fault, who, hold));
        }
        add(format!("freeze {who}, long"), lasting(Freeze, who, LONG));
        add(format!("freeze {who}, brief"), lasting(Freeze, who, BRIEF));
        add(format!("cut {who}, long"), lasting(Cut, who, LONG));
        add(format!("cut {who}, brief"), lasting(Cut, who, BRIEF));
    }
    for who in [Subscriber, Influx, Publisher(0)] {
        add(format!("disk full {who}"), lasting(Fill, who, LONG));
    }
    // InfluxDB is written in Go, which reads the clock without the C library: there it can't be stepped by itself.
    for who in [Publisher(0), Broker, Subscriber] {
        for step in [HOUR, -HOUR] {
            add(format!("{} {who}", Clock(step).word()), lasting(Clock(step), who, LONG));
        }
    }
}

/// Two at once: the second begins while the first lasts.
fn pairs(transport: Transport, cases: &mut Vec<Case>) {
    let mut add = |first: (Fault, Who), second: (Fault, Who)| {
        let name = format!("{} {} + {} {}", first.0.word(), first.1, second.0.word(), second.1);
        cases.push(case(transport, name, overlapping(first, second)));
    };
    for other in [Broker, Subscriber, Influx] {
        add((Kill, other), (Kill, Publisher(0)));
    }
    add((Kill, Publisher(0)), (Kill, Publisher(1)));
    add((Kill, Broker), (Kill, Subscriber));
    add((Kill, Subscriber), (Kill, Broker));
    add((Kill, Influx), (Kill, Subscriber));
    add((Kill, Broker), (Term, Publisher(0)));
    add((Freeze, Subscriber), (Kill, Publisher(0)));
    add((Freeze, Broker), (Kill, Publisher(0)));
    add((Freeze, Publisher(0)), (Kill, Subscriber));
    add((Freeze, Publisher(0)), (Kill, Broker));
    add((Clock(-HOUR), Subscriber), (Kill, Publisher(0)));
    add((Clock(HOUR), Publisher(0)), (Kill, Broker));
    add((Fill, Subscriber), (Kill, Publisher(0)));
    add((Fill, Subscriber), (Kill, Broker));
    add((Fill, Subscriber), (Kill, Subscriber));
    add((Fill, Influx), (Kill, Subscriber));
    add((Cut, Publisher(0)), (Kill, Publisher(1)));
    add((Cut, Publisher(0)), (Kill, Broker));
    add((Cut, Subscriber), (Kill, Publisher(0)));
    add((Cut, Subscriber), (Freeze, Publisher(0)));
}

fn lasting(fault: Fault, who: Who, hold: f64) -> Vec<Step> {
    vec![Do(fault, who), Wait(hold), Told, Undo(fault, who)]
}

fn overlapping(first: (Fault, Who), second: (Fault, Who)) -> Vec<Step> {
    let (begin, end) = (|(fault, who)| Do(fault, who), |(fault, who)| Undo(fault, who));
    vec![begin(first), Wait(BRIEF), begin(second), Wait(LONG), end(first), Wait(LONG), Told, end(second)]
}

fn case(transport: Transport, name: String, steps: Vec<Step>) -> Case {
    // Mosquitto keeps what it has acknowledged in memory, and writes it to the disk when it is told to end.
    let killed = steps.contains(&Do(Kill, Broker)) && transport == Transport::Mqtt;
    Case { name, transport, steps, losses: if killed { Losses::Known } else { Losses::None }, short: false }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_undoes_what_it_does() {
        let cases = all();
        let labels: HashSet<_> = cases.iter().map(Case::label).collect();
        assert_eq!(labels.len(), cases.len());
        for case in &cases {
            for step in &case.steps {
                if let Do(fault, who) = step {
                    assert!(case.steps.contains(&Undo(*fault, *who)), "{}", case.label());
                }
            }
        }
    }

    #[test]
    fn the_short_ones_are_there_and_need_no_root() {
        let short: Vec<_> = all().into_iter().filter(|case| case.short).collect();
        assert_eq!(short.len(), SHORT.len());
        assert!(!short.iter().any(Case::needs_root));
    }
}
