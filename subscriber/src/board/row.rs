//! [`Row`]: one publisher on the board, in some 100 bytes, for there may be a million.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use lastbeat_watchdog::{Cause, Counts, State, Status};
use lastbeat_wire::{Monotonic, UtcNanos};

use super::Rate;

/// One publisher, as it stood when it was passed on.
#[derive(Debug)]
pub struct Row {
    /// Who it is: a `PublisherId`, which with its counter of owners would be 16 bytes longer.
    pub id: Box<str>,
    pub(super) host: HostId,
    /// Its state.
    pub state: State,
    /// Why.
    pub cause: Cause,
    /// Since when it is in that state.
    pub since: UtcNanos,
    /// When it was last heard.
    pub last_heard: Option<UtcNanos>,
    /// The same on the monotonic clock, as nanoseconds, below zero before its start.
    heard_at: i64,
    /// The silence it is allowed, in nanoseconds.
    threshold: u64,
    pid: Option<NonZeroU32>,
    /// Messages over the last minute, in hundredths per second.
    rate: u32,
    messages: u64,
    readings: u64,
    /// What most never have.
    rare: Option<Box<Rare>>,
    /// Of one that was heard in the last minute.
    rates: Option<Box<Rate<10>>>,
}

/// What most never have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rare {
    refused: u64,
    missed: u64,
    duplicates: u64,
    late: u64,
    retained: u64,
    restarts: u64,
    conflicts: u64,
}

/// The name of a host; zero is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HostId(u32);

/// The names of hosts. Most publishers share theirs with others.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    ids: HashMap<Arc<str>, u32>,
    /// Each with the number of publishers that have it; `None` where none has it any more.
    names: Vec<Option<(Arc<str>, u32)>>,
    free: Vec<u32>,
}

impl Hosts {
    pub(super) fn name(&self, id: HostId) -> Option<&str> {
        let place = id.0.checked_sub(1)?;
        self.names.get(place as usize)?.as_ref().map(|(name, _)| &**name)
    }

    /// The host of a publisher that had another one.
    fn change(&mut self, before: HostId, name: Option<&str>) -> HostId {
        if self.name(before) == name {
            return before;
        }
        if let Some(place) = before.0.checked_sub(1)
            && let Some((known, users)) = &mut self.names[place as usize]
        {
            *users -= 1;
            if *users == 0 {
                self.ids.remove(known);
                self.names[place as usize] = None;
                self.free.push(place);
            }
        }
        let Some(name) = name else { return HostId::default() };
        if let Some(place) = self.ids.get(name).copied() {
            self.names[place as usize].iter_mut().for_each(|(_, users)| *users += 1);
            return HostId(place + 1);
        }
        let name: Arc<str> = name.into();
        let place = self.free.pop().unwrap_or_else(|| {
            self.names.push(None);
            u32::try_from(self.names.len() - 1).expect("invariant: there are fewer publishers than 2^32")
        });
        self.ids.insert(Arc::clone(&name), place);
        self.names[place as usize] = Some((name, 1));
        HostId(place + 1)
    }
}

impl Row {
    /// A publisher that is new to the board; so many messages came from it `before`.
    pub(super) fn new(status: &Status, before: u64, now: Monotonic, hosts: &mut Hosts) -> Self {
        let mut row = Self {
            id: status.publisher.as_str().into(),
            host: HostId::default(),
            state: status.state,
            cause: status.cause,
            since: status.since,
            last_heard: None,
            heard_at: 0,
            threshold: 0,
            pid: None,
            rate: 0,
            messages: before,
            readings: 0,
            rare: None,
            rates: None,
        };
        if status.counts.messages > before {
            row.rates = Some(Box::new(Rate::new(now, before)));
        }
        row.replace(status, now, hosts);
        row
    }

    /// How it stands now; whether anything changed but what each message changes.
    pub(super) fn replace(&mut self, status: &Status, now: Monotonic, hosts: &mut Hosts) -> bool {
        let counts = status.counts;
        let heard_more = counts.messages > self.messages;
        if heard_more && self.rates.is_none() {
            // It was quiet for a minute at least.
            self.rates = Some(Box::new(Rate::new(now.minus(Rate::<10>::SPAN), self.messages)));
        }
        (self.messages, self.readings) = (counts.messages, counts.readings);
        self.note_rate(now);
        self.last_heard = status.last_heard;
        let silence = status.silence.map_or(0, |silence| nanos(silence.as_nanos()));
        self.heard_at = nanos(now.0).saturating_sub(silence);
        let before = self.rare();
        let rare = Rare::of(&counts);
        if rare != before {
            self.rare = (rare != Rare::default()).then(|| Box::new(rare));
        }
        let host = hosts.change(self.host, status.host.as_deref());
        let threshold = u64::try_from(status.threshold.as_nanos()).unwrap_or(u64::MAX);
        let pid = status.pid.and_then(NonZeroU32::new);
        let is_rare = |rare: Rare| [rare.refused, rare.retained, rare.restarts, rare.conflicts];
        let changed = is_rare(before) != is_rare(rare)
            || (self.host, self.state, self.cause, self.since) != (host, status.state, status.cause, status.since)
            || (self.threshold, self.pid) != (threshold, pid);
        (self.host, self.state, self.cause, self.since) = (host, status.state, status.cause, status.since);
        (self.threshold, self.pid) = (threshold, pid);
        changed
    }

    /// A slot of time has passed: the rate of one that was not heard falls. Whether it did.
    pub(super) fn age(&mut self, now: Monotonic) -> bool {
        let before = self.rate;
        self.note_rate(now);
        self.rate != before
    }

    fn note_rate(&mut self, now: Monotonic) {
        if let Some(rates) = &mut self.rates {
            self.rate = u32::try_from(rates.at(now, self.messages)).unwrap_or(u32::MAX);
            if rates.is_quiet() {
                self.rates = None;
            }
        }
    }

    /// Messages over the last minute, in hundredths per second.
    pub fn rate(&self) -> u64 {
        self.rate.into()
    }

    /// How long it has been silent at an instant; `None` if it was never heard.
    pub fn silence(&self, at: Monotonic) -> Option<Duration> {
        self.last_heard?;
        Some(Duration::from_nanos(nanos(at.0).saturating_sub(self.heard_at).max(0).cast_unsigned()))
    }

    /// A silence in proportion to what it is allowed.
    pub fn thresholds(&self, silence: Duration) -> f64 {
        silence.as_secs_f64() / Duration::from_nanos(self.threshold.max(1)).as_secs_f64()
    }

    /// What was counted of it.
    pub fn counts(&self) -> Counts {
        let Rare { refused, missed, duplicates, late, retained, restarts, conflicts } = self.rare();
        let (messages, readings) = (self.messages, self.readings);
        Counts { messages, readings, refused, missed, duplicates, late, retained, restarts, conflicts }
    }

    /// How it stands at an instant, its host's name being this.
    pub fn status(&self, at: lastbeat_wire::Now, host: Option<&str>) -> Status {
        Status {
            publisher: self.id.parse().expect("invariant: it was a publisher's id"),
            host: host.map(str::to_owned),
            at: at.utc,
            state: self.state,
            cause: self.cause,
            since: self.since,
            silence: self.silence(at.monotonic),
            threshold: Duration::from_nanos(self.threshold),
            last_heard: self.last_heard,
            pid: self.pid.map(NonZeroU32::get),
            counts: self.counts(),
        }
    }

    fn rare(&self) -> Rare {
        self.rare.as_deref().copied().unwrap_or_default()
    }
}

impl Rare {
    fn of(counts: &Counts) -> Self {
        let Counts { messages: _, readings: _, refused, missed, duplicates, late, retained, restarts, conflicts } =
            *counts;
        Self { refused, missed, duplicates, late, retained, restarts, conflicts }
    }
}

fn nanos(span: impl TryInto<i64>) -> i64 {
    span.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Row>() <= 120, "{}", size_of::<Row>());
    }

    #[test]
    fn hosts_are_kept_once_and_forgotten_when_nobody_has_them() {
        let mut hosts = Hosts::default();
        let nobody = HostId::default();
        let first = hosts.change(nobody, Some("web-1"));
        assert_eq!(hosts.change(nobody, Some("web-1")), first);
        let other = hosts.change(first, Some("web-2"));
        assert_eq!((hosts.name(first), hosts.name(other), hosts.name(nobody)), (Some("web-1"), Some("web-2"), None));
        assert_eq!(hosts.change(first, None), nobody);
        assert_eq!(hosts.name(first), None);
        // A place is used again, so one that changes its host ever anew holds one.
        let mut host = nobody;
        for number in 0..1000 {
            host = hosts.change(host, Some(&number.to_string()));
        }
        assert_eq!((hosts.names.len(), hosts.ids.len()), (2, 2));
    }
}
