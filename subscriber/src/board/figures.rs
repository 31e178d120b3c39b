//! [`Figures`]: how all stands, by place, and what an update changes of it.

use std::collections::BTreeMap;

use lastbeat_watchdog::{State, Status};
use lastbeat_wire::Monotonic;

use super::row::Hosts;
use super::{LinkView, Rate, Row, Update};
use crate::intake::Totals;

/// All figures at one instant.
#[derive(Debug)]
pub struct Figures {
    /// One more with each change that was told.
    pub revision: u64,
    /// The publishers in the order in which they became known.
    pub rows: Vec<Row>,
    /// How many there are in each state that occurs.
    pub states: BTreeMap<State, usize>,
    /// The links.
    pub links: Vec<LinkView>,
    /// What was counted.
    pub totals: Totals,
    /// Messages of all publishers over the last seconds, in hundredths per second.
    pub rate: u64,
    hosts: Hosts,
    rates: Rate<1>,
    /// The slot in which the rates of all publishers were looked at last.
    slot: u64,
    /// So many publishers were known from before: what came from them by then is no message of this minute.
    restored: usize,
}

/// What an update changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Places of publishers that are new, or whose state or other rare things changed; each once.
    pub rows: Vec<u32>,
    /// Places of others that were heard, or whose rate changed.
    pub heard: Vec<u32>,
    /// Whether the links or what was counted changed.
    pub others: bool,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.heard.is_empty() && !self.others
    }
}

impl Figures {
    /// Of nobody yet; the first `restored` publishers to come were known before `now`.
    pub fn new(now: Monotonic, restored: usize) -> Self {
        Self {
            revision: 0,
            rows: Vec::new(),
            states: BTreeMap::new(),
            links: Vec::new(),
            totals: Totals::default(),
            rate: 0,
            hosts: Hosts::default(),
            rates: Rate::new(now, 0),
            slot: Rate::<10>::slot(now),
            restored,
        }
    }

    /// Takes an update in.
    pub fn apply(&mut self, update: Update) -> Changes {
        let now = update.now.monotonic;
        let mut changes = Changes::default();
        for (index, status) in update.changed {
            let place = index as usize;
            if place < self.rows.len() {
                self.replace(place, &status, now, &mut changes);
            } else {
                // Publishers become known one after the other, and are passed on in that order.
                debug_assert_eq!(place, self.rows.len());
                *self.states.entry(status.state).or_default() += 1;
                let before = if place < self.restored { status.counts.messages } else { 0 };
                self.rows.push(Row::new(&status, before, now, &mut self.hosts));
                changes.rows.push(index);
            }
        }
        if Rate::<10>::slot(now) != self.slot {
            self.slot = Rate::<10>::slot(now);
            self.age(now, &mut changes);
        }
        let rate = self.rates.at(now, update.totals.messages);
        changes.others = self.links != update.links || self.totals != update.totals || self.rate != rate;
        (self.links, self.totals, self.rate) = (update.links, update.totals, rate);
        changes
    }

    fn replace(&mut self, place: usize, status: &Status, now: Monotonic, changes: &mut Changes) {
        let row = &mut self.rows[place];
        if row.state != status.state {
            *self.states.entry(status.state).or_default() += 1;
            let left = self.states.entry(row.state).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.states.remove(&row.state);
            }
        }
        let index = u32::try_from(place).expect("invariant: a place came as a u32");
        let is_rare = row.replace(status, now, &mut self.hosts);
        if is_rare { &mut changes.rows } else { &mut changes.heard }.push(index);
    }

    /// The name of a publisher's host, where it told it.
    pub fn host(&self, row: &Row) -> Option<&str> {
        self.hosts.name(row.host)
    }

    /// A slot has passed: the rates of those that were not heard fall.
    fn age(&mut self, now: Monotonic, changes: &mut Changes) {
        for (index, row) in (0..).zip(&mut self.rows) {
            if row.age(now) {
                changes.heard.push(index);
            }
        }
    }
}
