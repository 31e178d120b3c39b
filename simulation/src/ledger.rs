//! [`Ledger`]: what must hold whatever happens. It books what the watchdog was told and checks everything it says.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use lastbeat_watchdog::{
    BEHIND_AT_MOST, Cause, Dead, Fact, Flip, LinkNumber, Output, Reception, State, Status, WatchRules, Watchdog,
};
use lastbeat_wire::{Kind, Monotonic, Now, PublisherId, UtcNanos};

use crate::account::Account;
use crate::process::Processes;

/// A promise that was broken: what was promised, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Whose, where it is about one publisher.
    pub publisher: Option<PublisherId>,
    /// What.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Ends a check with the promise that is broken, unless it holds.
macro_rules! promised {
    ($publisher:expr, $holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(Broken { publisher: Some($publisher.clone()), what: format!($($what)+) });
        }
    };
}

/// The books on one watchdog and its restarts.
#[derive(Debug, Clone)]
pub struct Ledger {
    rules: WatchRules,
    accounts: HashMap<PublisherId, Account>,
    links_up: Vec<Option<Monotonic>>,
    /// Until when nobody is judged by a silence on a link, since its broker delivered what it kept, as was last said.
    behind_until: Vec<Monotonic>,
    settled_at: Monotonic,
    held_up_at: Monotonic,
    /// By how much the loop around the watchdog may be late.
    late: Duration,
}

impl Ledger {
    /// The books on a watchdog with these rules, whose loop is never late by more than `late` unless it is held up or stalls.
    pub fn new(rules: &WatchRules, late: Duration) -> Self {
        let links_up = vec![None; rules.links.len()];
        let accounts = rules.publishers.keys().map(|id| (id.clone(), Account::default())).collect();
        let behind_until = vec![Monotonic(0); rules.links.len()];
        Self {
            rules: rules.clone(),
            accounts,
            links_up,
            behind_until,
            settled_at: Monotonic(0),
            held_up_at: Monotonic(0),
            late,
        }
    }

    /// The watchdog was started again.
    pub fn restarted(&mut self, now: Now) {
        self.links_up.fill(None);
        self.behind_until.fill(Monotonic(0));
        self.settled_at = now.monotonic;
        for account in self.accounts.values_mut() {
            account.last_flip_at = None;
            account.seen_since = None;
            account.threshold = None;
            account.heard = false;
        }
    }

    /// A crash took what was not written: what the watchdog was given back is all that it was told.
    pub fn adopt(&mut self, given_back: impl IntoIterator<Item = Status>) {
        let mut links = HashMap::new();
        for (id, account) in &mut self.accounts {
            (account.taken_in, account.retained, account.duplicates, account.told) = (0, 0, 0, None);
            links.insert(id.clone(), std::mem::take(&mut account.links));
        }
        for status in given_back {
            let account = self.accounts.entry(status.publisher.clone()).or_default();
            // Where it was heard is forgotten with that it was.
            if status.last_heard.is_some() {
                account.links = links.remove(&status.publisher).unwrap_or_default();
            }
            (account.taken_in, account.retained) = (status.counts.messages, status.counts.retained);
            account.duplicates = status.counts.duplicates;
            account.threshold = Some(status.threshold);
            account.told = (status.state != State::Unseen).then_some((status.state, status.since));
        }
    }

    /// The loop was late, and by less than what counts as not having run: what was due is done now.
    pub fn held_up(&mut self, now: Now) {
        self.held_up_at = now.monotonic;
    }

    /// The watchdog did not run until now: what waits is taken in before anybody is judged.
    pub fn stalled(&mut self, now: Now) {
        self.settled_at = now.monotonic.plus(self.rules.settle);
    }

    /// A link came up.
    pub fn link_up(&mut self, now: Now, link: usize) {
        self.links_up[link].get_or_insert(now.monotonic);
        self.look();
    }

    /// A link went down.
    pub fn link_down(&mut self, link: usize) {
        self.links_up[link] = None;
        self.look();
    }

    /// Books a message, by how its publisher stood before and after it. Returns what became of it.
    pub fn received(
        &mut self,
        publisher: &PublisherId,
        kind: Kind,
        link: usize,
        before: Option<&Status>,
        after: Option<&Status>,
    ) -> Result<Reception, Broken> {
        let reception = self.booked(publisher, before, after, |account, after| account.book(kind, before, after))?;
        let Some(after) = after else { return Ok(reception) };
        let account = self.accounts.entry(publisher.clone()).or_default();
        let stands = |status: &Status| (status.state, status.since);
        // A threshold that is learned changes with a live message, and with nothing else.
        if reception == Reception::Live {
            account.threshold = Some(after.threshold);
        }
        let unchanged = before.map_or(after.state == State::Unseen, |before| stands(before) == stands(after));
        if matches!(reception, Reception::Retained | Reception::Duplicate) {
            promised!(publisher, unchanged, "a message that is {reception:?} changed a state: {before:?} {after:?}");
        }
        if !matches!(reception, Reception::Retained) && kind != Kind::Rip {
            account.heard = true;
            if !account.links.contains(&link) {
                account.links.push(link);
                account.look(&self.links_up);
            }
        }
        Ok(reception)
    }

    /// Books a message that was sent again: it is taken late or not at all, and changes no state but by a goodbye or a
    /// failure.
    pub fn resent(
        &mut self,
        publisher: &PublisherId,
        kind: Kind,
        before: Option<&Status>,
        after: Option<&Status>,
    ) -> Result<Reception, Broken> {
        let reception =
            self.booked(publisher, before, after, |account, after| account.book_resent(kind, before, after))?;
        let Some(after) = after else { return Ok(reception) };
        let told = match kind {
            Kind::Bye => after.state == State::Finished,
            Kind::Fail => after.state == State::Failed,
            _ => false,
        };
        let unchanged = before.map_or(State::Unseen, |before| before.state) == after.state;
        promised!(publisher, unchanged || told, "sent again, and it changed a state: {before:?} {after:?}");
        Ok(reception)
    }

    /// Books a message, which must change the counts as one does.
    fn booked(
        &mut self,
        publisher: &PublisherId,
        before: Option<&Status>,
        after: Option<&Status>,
        book: impl FnOnce(&mut Account, &Status) -> Option<Reception>,
    ) -> Result<Reception, Broken> {
        let Some(after) = after else {
            promised!(publisher, before.is_none(), "a message made it unknown: {before:?}");
            return Ok(Reception::TooManyPublishers);
        };
        let reception = book(self.accounts.entry(publisher.clone()).or_default(), after);
        reception.ok_or_else(|| Broken {
            publisher: Some(publisher.clone()),
            what: format!("not counted once: {before:?} {after:?}"),
        })
    }

    /// Checks what the watchdog says after an event, and how those stand whose status is given.
    pub fn check(
        &mut self,
        now: Now,
        watchdog: &Watchdog,
        flips: &[&Flip],
        statuses: impl IntoIterator<Item = Status>,
        processes: &Processes,
    ) -> Result<(), Broken> {
        self.check_behind(now, watchdog)?;
        for flip in flips {
            self.check_flip(now, flip, processes)?;
        }
        for status in statuses {
            self.check_status(&status)?;
            self.check_deadline(now, watchdog, &status)?;
        }
        Ok(())
    }

    /// Checks that all is done that is due. It takes a copy of the watchdog.
    pub fn check_done(&self, now: Now, watchdog: &Watchdog) -> Result<(), Broken> {
        let mut again = watchdog.clone();
        again.due(now);
        let outputs: Vec<Output> = again.outputs();
        let spins = watchdog.next_deadline().is_some_and(|next| next <= now.monotonic);
        if spins || !outputs.is_empty() {
            let what = format!("due is not done when it returns (the loop would spin: {spins}): {outputs:?}");
            return Err(Broken { publisher: None, what });
        }
        Ok(())
    }

    /// Nobody is judged by a silence on a link while its broker delivers what it kept; that is said of links that are up, of no more
    /// than the time to settle at once, and no longer than may be.
    fn check_behind(&mut self, now: Now, watchdog: &Watchdog) -> Result<(), Broken> {
        for (number, known) in (0..).zip(&mut self.behind_until) {
            let until = watchdog.behind_until(LinkNumber(number)).filter(|until| *until > now.monotonic);
            let Some(until) = until else { continue };
            let up_since = self.links_up[usize::from(number)];
            let longest = up_since.map(|up| up.plus(BEHIND_AT_MOST).min(now.monotonic).plus(self.rules.settle));
            if longest.is_none_or(|longest| until > longest) {
                let what = format!("link {number} is up since {up_since:?}, and nobody is judged until {until:?}");
                return Err(Broken { publisher: None, what });
            }
            *known = until.max(*known);
        }
        Ok(())
    }

    /// Until when a publisher was not to be judged, as was last said of the links on which it may be heard.
    pub fn put_off_until(&self, publisher: &PublisherId) -> Monotonic {
        let account = self.accounts.get(publisher).filter(|account| account.heard);
        let may_be_heard = |link: &usize| account.is_none_or(|account| account.links.contains(link));
        let links = (0..self.behind_until.len()).filter(may_be_heard);
        links.map(|link| self.behind_until[link]).max().unwrap_or_default()
    }

    fn check_flip(&mut self, now: Now, flip: &Flip, processes: &Processes) -> Result<(), Broken> {
        let id = &flip.publisher;
        let account = self.accounts.entry(id.clone()).or_default();
        let before = account.told.replace((flip.to, flip.at));
        promised!(id, before.map_or(State::Unseen, |before| before.0) == flip.from, "flips do not chain: {flip:?}");
        promised!(id, flip.from != flip.to, "no flip: {flip:?}");
        promised!(id, flip.at <= flip.noticed_at && flip.noticed_at == now.utc, "noticed before it happened: {flip:?}");
        let at = now.monotonic.minus(now.utc.since(flip.at));
        let before = account.last_flip_at.replace(at);
        promised!(id, before.is_none_or(|before| before <= at), "back in time: {flip:?}");
        match flip.to {
            State::Dead => self.check_death(flip, processes)?,
            State::Finished => promised!(id, account.goodbye, "finished without a goodbye: {flip:?}"),
            State::Failed => {
                let said = flip.evidence.iter().any(|evidence| matches!(evidence.fact, Fact::Failed { .. }));
                promised!(id, said && account.failure, "no failure was reported: {flip:?}");
            }
            _ => {}
        }
        if flip.from == State::Failed {
            self.check_end_of_failure(flip)?;
        }
        if matches!(flip.to, State::Dead | State::Silent | State::Suspended | State::Unknown) {
            self.check_verdict(now, flip)?;
        }
        Ok(())
    }

    fn check_death(&self, flip: &Flip, processes: &Processes) -> Result<(), Broken> {
        let id = &flip.publisher;
        let proof = Dead::proved_by(&flip.evidence).map(Dead::cause);
        promised!(id, proof == Some(flip.cause), "dead without proof: {flip:?}");
        if flip.cause == Cause::Will {
            promised!(id, self.accounts[id].will, "no will was heard: {flip:?}");
        } else {
            let ended = flip.process.is_some_and(|process| processes.has_ended(process));
            promised!(id, ended, "dead, and yet it lives: {flip:?}");
        }
        Ok(())
    }

    /// Only the publisher's own words, and maintenance, end a failure.
    fn check_end_of_failure(&self, flip: &Flip) -> Result<(), Broken> {
        let latest = self.accounts[&flip.publisher].latest;
        let works = matches!(latest, Some(Kind::Beat | Kind::Sensor));
        let ends = match flip.to {
            // Blind: what it said last still came on a link that is down.
            State::Alive | State::Blind => works,
            State::Finished => latest == Some(Kind::Bye),
            to => to == State::Paused,
        };
        promised!(flip.publisher, ends, "a failure is over, and {latest:?} came last: {flip:?}");
        Ok(())
    }

    fn check_verdict(&self, now: Now, flip: &Flip) -> Result<(), Broken> {
        let id = &flip.publisher;
        let (fixed, adaptive) = self.rules.threshold_of(id);
        let threshold = self.accounts[id].threshold.unwrap_or(fixed);
        let seen_since = self.accounts[id].seen_since;
        let told = flip.evidence.iter().any(|evidence| matches!(evidence.fact, Fact::Adaptive { .. }));
        promised!(id, !told || adaptive.is_some(), "its threshold is fixed: {flip:?}");
        promised!(id, seen_since.is_some(), "a verdict while blind: {flip:?}");
        promised!(id, now.monotonic >= self.settled_at, "a verdict before waiting messages were taken: {flip:?}");
        let ended = flip.to == State::Dead && flip.cause != Cause::Will;
        if flip.from == State::Alive && !ended {
            promised!(id, flip.silence == Some(threshold), "not at its deadline: {flip:?}");
            let noticed_after = now.utc.since(flip.at);
            let in_time = noticed_after <= self.rules.probe_limit + self.late * 2;
            promised!(id, in_time || self.unsettled(now, id), "noticed {noticed_after:?} late: {flip:?}");
        }
        if matches!(flip.from, State::Blind | State::Unseen) && !ended {
            let watched = seen_since.map(|since| now.monotonic.since(since));
            promised!(id, watched >= Some(threshold), "watched for less than a threshold: {flip:?}");
        }
        if flip.from == State::Unseen {
            let never_heard = flip.evidence.iter().any(|evidence| evidence.fact == Fact::NeverHeard);
            promised!(id, never_heard || ended, "unseen, and judged as if it had been heard: {flip:?}");
        }
        Ok(())
    }

    fn check_status(&mut self, status: &Status) -> Result<(), Broken> {
        let id = &status.publisher;
        let (fixed, adaptive) = self.rules.threshold_of(id);
        let (least, most) = adaptive.map_or((fixed, fixed), |bounds| (bounds.at_least, bounds.at_most));
        promised!(id, (least..=most).contains(&status.threshold), "a threshold out of its bounds: {status:?}");
        let Some(account) = self.accounts.get_mut(id) else {
            promised!(id, status.state == State::Unseen, "nothing was booked, and yet: {status:?}");
            return Ok(());
        };
        let threshold = *account.threshold.get_or_insert(status.threshold);
        promised!(id, threshold == status.threshold, "a threshold changed without a message: {status:?}");
        if let Some(told) = account.told {
            promised!(id, told == (status.state, status.since), "not what was told last, {told:?}: {status:?}");
        }
        let (counted, booked) =
            ((status.counts.messages, status.counts.retained), (account.taken_in, account.retained));
        promised!(id, counted == booked, "{counted:?} messages are counted, {booked:?} came: {status:?}");
        // Duplicates are not logged, so a restart forgets those since the last snapshot.
        account.duplicates = account.duplicates.min(status.counts.duplicates);
        promised!(id, status.counts.duplicates == account.duplicates, "{} came twice: {status:?}", account.duplicates);
        promised!(id, status.silence.is_some() == status.last_heard.is_some(), "heard, or not? {status:?}");
        let heard = status.last_heard.unwrap_or(UtcNanos(i64::MIN)) > UtcNanos(i64::MIN);
        promised!(id, status.state != State::Alive || heard, "alive and never heard: {status:?}");
        Ok(())
    }

    /// Whoever is alive was heard within its threshold, or evidence is being gathered; whoever can be judged is.
    fn check_deadline(&self, now: Now, watchdog: &Watchdog, status: &Status) -> Result<(), Broken> {
        let id = &status.publisher;
        let limit = self.rules.probe_limit;
        let bound = status.threshold + limit + self.late * 2;
        let late = !self.unsettled(now, id);
        match status.state {
            State::Alive => {
                let silence = status.silence.unwrap_or_default();
                promised!(id, !late || silence < bound, "no verdict on a silence: {status:?}");
                let left = status.threshold.saturating_sub(silence).max(limit);
                let deadline = now.monotonic.plus(left).max(self.settled_at);
                let looks = watchdog.next_deadline().is_some_and(|next| next <= deadline);
                promised!(id, looks, "nobody looks after it: {status:?}");
            }
            State::Blind => {
                let all_up = self.links_up.iter().copied().collect::<Option<Vec<_>>>();
                let watched = all_up.and_then(|up| up.into_iter().max()).map(|since| now.monotonic.since(since));
                promised!(id, !late || watched.is_none_or(|span| span < bound), "blind for ever: {status:?}");
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it was not to be judged until just now.
    fn unsettled(&self, now: Now, publisher: &PublisherId) -> bool {
        let since = self.settled_at.max(self.held_up_at).max(self.put_off_until(publisher));
        now.monotonic <= since.plus(self.rules.probe_limit + self.late * 2)
    }

    /// Looks who can be heard now, and since when: on a link that is only now known to be one of its own, since that is up.
    fn look(&mut self) {
        for account in self.accounts.values_mut() {
            account.look(&self.links_up);
        }
    }
}
