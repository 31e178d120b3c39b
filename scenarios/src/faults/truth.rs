//! [`Truth`]: what was really done, to whom, and when: what verdicts are compared with.

use std::time::Duration;

use lastbeat_wire::UtcNanos;

use crate::faults::fault::{Fault, Who};

/// A fault that was done: it lay between `begun` (taken before it was done) and `ended` (taken after it was undone).
#[derive(Debug, Clone)]
pub struct Deed {
    /// What.
    pub fault: Fault,
    /// To whom.
    pub who: Who,
    /// To which process.
    pub pid: i32,
    /// Since when.
    pub begun: UtcNanos,
    /// Until when; still now if there is none.
    pub ended: Option<UtcNanos>,
}

impl Deed {
    /// Whether it had begun before an instant, and had not ended `slack` before it.
    pub fn is_felt(&self, at: UtcNanos, slack: Duration) -> bool {
        self.begun <= at && self.ended.is_none_or(|ended| at <= ended.plus(slack))
    }

    /// Whether it keeps the watchdog from hearing publishers.
    pub fn deafens(&self) -> bool {
        let silences = !matches!(self.fault, Fault::Clock(_) | Fault::Fill);
        silences && matches!(self.who, Who::Broker | Who::Subscriber)
    }
}

/// All that was done.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    deeds: Vec<Deed>,
}

impl Truth {
    /// It begins.
    pub fn begins(&mut self, deed: Deed) {
        self.deeds.push(deed);
    }

    /// The newest of this sort ends.
    pub fn ends(&mut self, fault: Fault, who: Who, now: UtcNanos) {
        let open = |deed: &&mut Deed| deed.fault == fault && deed.who == who && deed.ended.is_none();
        if let Some(deed) = self.deeds.iter_mut().rev().find(open) {
            deed.ended = Some(now);
        }
    }

    /// All of them, in the order in which they were done.
    pub fn deeds(&self) -> &[Deed] {
        &self.deeds
    }

    /// What was done to one.
    pub fn of(&self, who: Who) -> impl Iterator<Item = &Deed> {
        self.deeds.iter().filter(move |deed| deed.who == who)
    }

    /// Whether the watchdog could not hear, at an instant or up to `slack` before it.
    pub fn deaf(&self, at: UtcNanos, slack: Duration) -> bool {
        self.deeds.iter().any(|deed| deed.deafens() && deed.is_felt(at, slack))
    }

    /// The longest time within a deed, as far as it has lasted, in which the watchdog could hear all along, from its start
    /// to its end.
    pub fn longest_heard(&self, deed: &Deed, now: UtcNanos) -> Option<(UtcNanos, UtcNanos)> {
        self.longest_without(deed, now, Deed::deafens)
    }

    /// The longest time within a deed, as far as it has lasted, in which the watchdog ran all along.
    pub fn longest_awake(&self, deed: &Deed, now: UtcNanos) -> Option<(UtcNanos, UtcNanos)> {
        self.longest_without(deed, now, |other| {
            other.who == Who::Subscriber && matches!(other.fault, Fault::Kill | Fault::Term | Fault::Freeze)
        })
    }

    fn longest_without(&self, deed: &Deed, now: UtcNanos, bad: fn(&Deed) -> bool) -> Option<(UtcNanos, UtcNanos)> {
        let end = deed.ended.unwrap_or(now);
        let mut from = deed.begun;
        let mut spans = Vec::new();
        let mut others: Vec<_> = self.deeds.iter().filter(|other| bad(other)).collect();
        others.sort_by_key(|other| other.begun);
        for other in others {
            let (begun, over) = (other.begun, other.ended.unwrap_or(UtcNanos(i64::MAX)));
            if over <= from || begun >= end {
                continue;
            }
            spans.push((from, begun.max(from)));
            from = over.min(end);
        }
        spans.push((from, end));
        spans.into_iter().max_by_key(|(from, until)| until.since(*from)).filter(|(from, until)| until > from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(fault: Fault, who: Who, begun: i64, ended: Option<i64>) -> Deed {
        Deed { fault, who, pid: 1, begun: UtcNanos(begun), ended: ended.map(UtcNanos) }
    }

    #[test]
    fn what_was_heard_of_a_deed_is_what_lies_beside_the_deaf_times() {
        let frozen = deed(Fault::Freeze, Who::Publisher(0), 10, Some(100));
        let mut truth = Truth::default();
        truth.begins(frozen.clone());
        assert_eq!(truth.longest_heard(&frozen, UtcNanos(200)), Some((UtcNanos(10), UtcNanos(100))));
        truth.begins(deed(Fault::Kill, Who::Broker, 30, Some(40)));
        truth.begins(deed(Fault::Fill, Who::Subscriber, 40, Some(100)));
        assert_eq!(truth.longest_heard(&frozen, UtcNanos(200)), Some((UtcNanos(40), UtcNanos(100))));
        truth.begins(deed(Fault::Cut, Who::Subscriber, 0, None));
        assert_eq!(truth.longest_heard(&frozen, UtcNanos(200)), None);
        assert!(truth.deaf(UtcNanos(5), Duration::ZERO) && !Truth::default().deaf(UtcNanos(5), Duration::ZERO));
    }
}
