//! [`Ledger`]: what must hold whatever happens. It books what the watchdog was told and checks everything it says.

use std::collections::{HashMap, HashSet};

use lastbeat_watchdog::{Cause, Dead, Fact, Flip, Output, Reception, State, Status, WatchRules, Watchdog};
use lastbeat_wire::{Kind, Monotonic, Now, ProcessIdentity, UtcNanos};

use super::process::Processes;
use super::world::Delivery;

/// The books on one watchdog and its restarts.
#[derive(Debug, Clone)]
pub struct Ledger {
    rules: WatchRules,
    accounts: HashMap<String, Account>,
    links_up: Vec<Option<Monotonic>>,
    settled_at: Monotonic,
}

/// The books on one publisher.
#[derive(Debug, Clone, Default)]
struct Account {
    taken_in: u64,
    duplicates: u64,
    retained: u64,
    /// The links on which anything came that was not retained.
    links: Vec<usize>,
    /// Since when it could be heard without a break.
    seen_since: Option<Monotonic>,
    will: bool,
    goodbye: bool,
    failure: bool,
    /// What came last that was taken in.
    latest: Option<Kind>,
    /// What was taken in, by process and number.
    taken: HashSet<(ProcessIdentity, u64)>,
    last_flip: Option<Flip>,
    last_flip_at: Option<Monotonic>,
}

impl Ledger {
    pub fn new(rules: &WatchRules) -> Self {
        let links_up = vec![None; rules.links.len()];
        let accounts = rules.publishers.keys().map(|id| (id.to_string(), Account::default())).collect();
        Self { rules: rules.clone(), accounts, links_up, settled_at: Monotonic(0) }
    }

    pub fn restarted(&mut self, now: Now) {
        self.links_up.fill(None);
        self.settled_at = now.monotonic;
        for account in self.accounts.values_mut() {
            account.last_flip_at = None;
            account.seen_since = None;
        }
    }

    pub fn stalled(&mut self, now: Now) {
        self.settled_at = now.monotonic.plus(self.rules.settle);
    }

    pub fn link_up(&mut self, now: Now, link: usize) {
        self.links_up[link].get_or_insert(now.monotonic);
        self.look();
    }

    pub fn link_down(&mut self, link: usize) {
        self.links_up[link] = None;
        self.look();
    }

    /// Checks that what is sent again is taken once, and all that is known to be missing.
    pub fn booked(&mut self, delivery: &Delivery, reception: Reception, missing: bool, processes: &Processes) {
        let account = self.accounts.entry(delivery.publisher.clone()).or_default();
        let Some(numbered) = delivery.header.process.zip(delivery.header.sequence) else {
            assert!(!delivery.resent || reception == Reception::Duplicate, "nobody can tell what it is: {delivery:?}");
            return;
        };
        let taken = reception == Reception::Live || reception == Reception::Late;
        if delivery.resent {
            assert!(taken || !missing, "it is missing, and was not taken: {delivery:?}");
            assert!(reception != Reception::Live, "sent again, and a sign of life: {delivery:?}");
        }
        let first = !taken || account.taken.insert(numbered);
        // Of three processes at once one is forgotten, and with it what came of it.
        let remembered = processes.of(&delivery.publisher).count() <= 2;
        assert!(first || !delivery.resent || !remembered, "taken twice: {delivery:?}");
    }

    /// Books a message.
    pub fn received(
        &mut self,
        delivery: &Delivery,
        reception: Reception,
        before: Option<Status>,
        after: Option<Status>,
    ) {
        if reception == Reception::TooManyPublishers {
            assert!(after.is_none(), "refused, and yet it is known: {delivery:?}");
            return;
        }
        let account = self.accounts.entry(delivery.publisher.clone()).or_default();
        match reception {
            Reception::Live | Reception::Late => account.taken_in += 1,
            Reception::Duplicate if delivery.resent => {}
            Reception::Duplicate => account.duplicates += 1,
            Reception::Retained | Reception::TooManyPublishers => account.retained += 1,
        }
        if reception == Reception::Retained {
            let state = before.map_or(State::Unseen, |before| before.state);
            assert_eq!(after.map(|after| after.state), Some(state), "a retained message changed a state");
            return;
        }
        if delivery.resent {
            assert_resent(delivery, before.as_ref(), after.as_ref());
        }
        account.will |= delivery.kind == Kind::Rip;
        account.goodbye |= delivery.kind == Kind::Bye;
        account.failure |= delivery.kind == Kind::Fail;
        if reception != Reception::Duplicate && !delivery.resent {
            account.latest = Some(delivery.kind);
        }
        if delivery.kind != Kind::Rip && !delivery.resent && !account.links.contains(&delivery.link) {
            account.links.push(delivery.link);
            self.look();
        }
        if reception == Reception::Duplicate {
            let state = |status: Option<Status>| status.map(|status| (status.state, status.cause, status.since));
            assert_eq!(state(before), state(after), "a duplicate changed a state");
        }
    }

    /// Checks what the watchdog says after an event, and how it stands.
    pub fn check(&mut self, now: Now, watchdog: &Watchdog, outputs: &[Output], processes: &Processes) {
        for output in outputs {
            if let Output::Flip(flip) = output {
                self.check_flip(now, flip, processes);
            }
        }
        for status in watchdog.statuses(now) {
            self.check_status(&status);
            self.check_deadline(now, watchdog, &status);
        }
        let mut again = watchdog.clone();
        again.due(now);
        assert_eq!(again.outputs(), [], "due is not done when it returns");
        if let Some(next) = watchdog.next_deadline() {
            assert!(next > now.monotonic, "a deadline that has passed is still to come: the loop would spin");
        }
    }

    fn check_flip(&mut self, now: Now, flip: &Flip, processes: &Processes) {
        let account = self.accounts.entry(flip.publisher.to_string()).or_default();
        let before = account.last_flip.replace(flip.clone());
        assert_eq!(before.map_or(State::Unseen, |before| before.to), flip.from, "flips do not chain: {flip:?}");
        assert_ne!(flip.from, flip.to, "no flip: {flip:?}");
        assert!(flip.at <= flip.noticed_at, "noticed before it happened: {flip:?}");
        assert_eq!(flip.noticed_at, now.utc);
        let at = now.monotonic.minus(now.utc.since(flip.at));
        assert!(account.last_flip_at.replace(at).is_none_or(|before| before <= at), "back in time: {flip:?}");
        match flip.to {
            State::Dead => self.check_death(flip, processes),
            State::Finished => assert!(self.accounts[flip.publisher.as_str()].goodbye, "{flip:?}"),
            State::Failed => {
                let said = flip.evidence.iter().any(|evidence| matches!(evidence.fact, Fact::Failed { .. }));
                assert!(said && self.accounts[flip.publisher.as_str()].failure, "no failure was reported: {flip:?}");
            }
            _ => {}
        }
        if flip.from == State::Failed {
            self.check_end_of_failure(flip);
        }
        if matches!(flip.to, State::Dead | State::Silent | State::Suspended | State::Unknown) {
            self.check_verdict(now, flip);
        }
    }

    fn check_death(&self, flip: &Flip, processes: &Processes) {
        let dead = Dead::proved_by(&flip.evidence).unwrap_or_else(|| panic!("dead without proof: {flip:?}"));
        assert_eq!(dead.cause(), flip.cause);
        if flip.cause == Cause::Will {
            assert!(self.accounts[flip.publisher.as_str()].will, "no will was heard: {flip:?}");
        } else {
            let process = flip.process.expect("a process that ended is known");
            assert!(processes.has_ended(process), "dead, and yet it lives: {flip:?}");
        }
    }

    /// Only the publisher's own words, and maintenance, end a failure.
    fn check_end_of_failure(&self, flip: &Flip) {
        let latest = self.accounts[flip.publisher.as_str()].latest;
        let works = matches!(latest, Some(Kind::Beat | Kind::Sensor));
        let ends = match flip.to {
            // Blind: what it said last still came on a link that is down.
            State::Alive | State::Blind => works,
            State::Finished => latest == Some(Kind::Bye),
            to => to == State::Paused,
        };
        assert!(ends, "a failure is over, and {latest:?} came last: {flip:?}");
    }

    fn check_verdict(&self, now: Now, flip: &Flip) {
        let publisher = flip.publisher.as_str();
        let threshold = self.threshold(publisher);
        assert!(self.heard_now(publisher).is_some(), "a verdict while blind: {flip:?}");
        assert!(now.monotonic >= self.settled_at, "a verdict before waiting messages were taken: {flip:?}");
        let ended = flip.to == State::Dead && flip.cause != Cause::Will;
        if flip.from == State::Alive && !ended {
            assert_eq!(flip.silence, Some(threshold), "not at its deadline: {flip:?}");
            let noticed_after = now.utc.since(flip.at);
            let in_time = noticed_after <= self.rules.probe_limit;
            assert!(in_time || self.unsettled(now), "noticed {noticed_after:?} late: {flip:?}");
        }
        if matches!(flip.from, State::Blind | State::Unseen) && !ended {
            let watched = self.heard_now(publisher).map(|since| now.monotonic.since(since));
            assert!(watched >= Some(threshold), "watched for less than a threshold: {flip:?}");
        }
        if flip.from == State::Unseen {
            assert!(flip.evidence.iter().any(|evidence| evidence.fact == Fact::NeverHeard) || ended, "{flip:?}");
        }
    }

    fn check_status(&mut self, status: &Status) {
        let Some(account) = self.accounts.get_mut(status.publisher.as_str()) else {
            assert_eq!(status.state, State::Unseen);
            return;
        };
        if let Some(flip) = &account.last_flip {
            assert_eq!((flip.to, flip.at), (status.state, status.since), "not what was told last");
        }
        let counted = (status.counts.messages, status.counts.retained);
        assert_eq!(counted, (account.taken_in, account.retained), "{status:?}");
        // Duplicates are not logged, so a restart forgets those since the last snapshot.
        account.duplicates = account.duplicates.min(status.counts.duplicates);
        assert_eq!(status.counts.duplicates, account.duplicates, "{status:?}");
        let last_heard = status.last_heard.unwrap_or(UtcNanos(i64::MIN));
        assert_eq!(status.silence.is_some(), status.last_heard.is_some(), "{status:?}");
        assert!(status.state != State::Alive || last_heard > UtcNanos(i64::MIN), "alive and never heard: {status:?}");
    }

    /// Whoever is alive was heard within its threshold, or evidence is being gathered; whoever can be judged is.
    fn check_deadline(&self, now: Now, watchdog: &Watchdog, status: &Status) {
        let limit = self.rules.probe_limit;
        let late = !self.unsettled(now);
        match status.state {
            State::Alive => {
                let silence = status.silence.unwrap_or_default();
                assert!(!late || silence < status.threshold + limit, "no verdict on a silence: {status:?}");
                let left = status.threshold.saturating_sub(silence).max(limit);
                let deadline = now.monotonic.plus(left).max(self.settled_at);
                assert!(watchdog.next_deadline() <= Some(deadline), "nobody looks after {status:?}");
                assert!(watchdog.next_deadline().is_some(), "nobody looks after {status:?}");
            }
            State::Blind => {
                let all_up = self.links_up.iter().copied().collect::<Option<Vec<_>>>();
                let watched = all_up.and_then(|up| up.into_iter().max()).map(|since| now.monotonic.since(since));
                assert!(
                    !late || watched.is_none_or(|span| span < status.threshold + limit),
                    "blind for ever: {status:?}"
                );
            }
            _ => {}
        }
    }

    fn unsettled(&self, now: Now) -> bool {
        now.monotonic <= self.settled_at.plus(self.rules.probe_limit)
    }

    fn threshold(&self, publisher: &str) -> std::time::Duration {
        self.rules.publishers.get(publisher).and_then(|own| own.threshold).unwrap_or(self.rules.threshold)
    }

    fn heard_now(&self, publisher: &str) -> Option<Monotonic> {
        self.accounts.get(publisher)?.seen_since
    }

    /// Looks who can be heard now, and since when: on a link that is only now known to be one of its own, since that is up.
    fn look(&mut self) {
        for account in self.accounts.values_mut() {
            let own = |link: &usize| account.links.is_empty() || account.links.contains(link);
            let up = (0..self.links_up.len()).filter(own).filter_map(|link| self.links_up[link]).min();
            account.seen_since = up.map(|up| account.seen_since.map_or(up, |since| since.min(up)));
        }
    }
}

/// Only a goodbye and a failure that are sent again change a state.
fn assert_resent(delivery: &Delivery, before: Option<&Status>, after: Option<&Status>) {
    let state = |status: Option<&Status>| status.map(|status| status.state);
    let told = match delivery.kind {
        Kind::Bye => state(after) == Some(State::Finished),
        Kind::Fail => state(after) == Some(State::Failed),
        _ => false,
    };
    assert!(
        state(before) == state(after) || told,
        "sent again, and it changed a state: {delivery:?} {before:?} {after:?}"
    );
}
