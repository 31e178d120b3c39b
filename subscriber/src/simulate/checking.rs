//! What is promised, looked at in a [`World`] beside the truth; the ledger of `lastbeat-simulation` looks at the rest.

use std::rc::Rc;
use std::time::Duration;

use lastbeat_simulation::Broken;
use lastbeat_watchdog::{Cause, Flip, Source, State};
use lastbeat_wire::Kind;

use super::outcome::Way;
use super::watching::LATE;
use super::world::{Packet, SECOND, World, signed};

impl World {
    /// A publisher does not speak from now on, although it should.
    pub fn in_trouble(&mut self, publisher: usize) {
        let person = &mut self.truth.people[publisher];
        if person.trouble.is_none() {
            (person.trouble, person.found) = (Some(self.now), false);
        }
    }

    /// It speaks again.
    pub fn recovered(&mut self, publisher: usize) {
        self.truth.note(publisher, self.now, "it speaks from now on".to_owned());
        let person = &mut self.truth.people[publisher];
        if person.trouble.take().is_some() {
            person.trouble_over = Some(self.now);
            self.tally.over_unnoticed += u64::from(!person.found);
        }
    }

    /// Books a change of state: something found, or a false alarm.
    pub fn flipped(&mut self, flip: &Flip) {
        let Some(publisher) = self.tally.place(&flip.publisher) else { return };
        self.truth.note(publisher, self.now, format!("{} -> {}: {}", flip.from, flip.to, flip.cause));
        if !matches!(flip.to, State::Dead | State::Silent | State::Suspended | State::Unknown) {
            return;
        }
        let known = self.could_be_known(publisher, flip);
        let speaks = self.speaks(publisher);
        let person = &mut self.truth.people[publisher];
        match person.trouble {
            Some(began) if !person.found => {
                person.found = true;
                let known = known.max(began).min(self.now);
                self.tally.found(Way::of(flip.cause), self.now - known, self.now - began);
            }
            None if speaks => {
                let since = self.truth.people[publisher].quiet_since.unwrap_or_default();
                let member = &self.fleet.publishers[publisher];
                let rarest = member.gaps.iter().copied().max().unwrap_or(member.interval);
                let threshold = self.fleet.threshold_of(member);
                let blame = self.truth.blame(publisher, since, threshold, rarest);
                self.tally.false_alarm(flip, blame);
            }
            _ => {}
        }
    }

    /// When it could be known at the earliest: when the kernel told, else when the silence was long enough.
    fn could_be_known(&self, publisher: usize, flip: &Flip) -> u64 {
        let links = &self.fleet.publishers[publisher].links;
        let seen = links.iter().filter_map(|link| self.truth.links_up[*link]).min().unwrap_or_default();
        let watched = seen.max(self.watch.up_since);
        let told = flip.evidence.iter().any(|evidence| evidence.source == Source::Pidfd);
        if told || flip.cause == Cause::HostRebooted {
            return watched;
        }
        let quiet = self.truth.people[publisher].quiet_since.unwrap_or_default();
        quiet.max(watched) + self.fleet.threshold_of(&self.fleet.publishers[publisher])
    }

    /// A message that is new and came at once, of a process that runs, over a connection that stands, shows that its publisher is
    /// alive.
    pub fn revived(&self, link: usize, connection: u64, packet: &Rc<Packet>) -> Result<(), Broken> {
        let publisher = packet.publisher;
        let works = matches!(packet.kind, Kind::Beat | Kind::Sensor) && packet.numbered;
        let prompt = self.now - packet.sent < SECOND && self.links[link].connection == connection;
        let current = self.publishers[publisher].process == Some(packet.process) && self.speaks(publisher);
        if !(works && prompt && current) || self.clock_unclear(packet) {
            return Ok(());
        }
        let id = &self.fleet.publishers[publisher].id;
        let intake = self.watch.intake.as_ref().expect("invariant: the loop runs");
        let state = intake.watchdog().status(self.clock(), id.as_str()).map(|status| status.state);
        if state == Some(State::Alive) {
            return Ok(());
        }
        let what = format!("message {} came at once from a process that lives, and it is {state:?}", packet.number);
        Err(Broken { publisher: Some(id.clone()), what })
    }

    /// The wall clock of the watchdog's host was stepped between the last snapshot and a boot of that host, which nothing else ties
    /// together: of a process that is older, a message that waited and one that did not look alike, until it was heard in two windows
    /// of its threshold.
    fn clock_unclear(&self, packet: &Packet) -> bool {
        let booted = u64::try_from(self.watch.booted).unwrap_or_default();
        self.truth.people[packet.publisher].misled() && self.processes.all[packet.process].started < booted
    }

    /// A verdict is put off only by a link on which messages come that have waited for as long as their sender may be silent, and
    /// where nothing came yet that has not. `put_off` is whether this message did so.
    pub fn caught_up(&mut self, link: usize, packet: &Packet, put_off: bool) -> Result<(), Broken> {
        let member = &self.fleet.publishers[packet.publisher];
        let waited = self.now - packet.sent >= self.fleet.threshold_of(member);
        if self.clock_unclear(packet) {
            return Ok(());
        }
        if put_off && (!waited || self.truth.caught_up[link]) {
            let what = format!("nobody is judged for message {} (it waited: {waited})", packet.number);
            return Err(Broken { publisher: Some(member.id.clone()), what });
        }
        // The first word of a process has nothing to be compared with.
        let comparable = packet.numbered && self.truth.people[packet.publisher].knows(packet.process);
        self.truth.caught_up[link] |= comparable && !waited;
        Ok(())
    }

    /// Looks at everybody.
    pub fn sweep(&mut self) -> Result<(), Broken> {
        let now = self.clock();
        let Some(intake) = self.watch.intake.as_ref().filter(|_| !self.watch.stalled) else { return Ok(()) };
        // Its turn is to come.
        if now.monotonic > self.watch.awaited().plus(LATE) {
            return Ok(());
        }
        let watchdog = intake.watchdog();
        // Where there are many, they are looked at by turns.
        let (count, second) = (watchdog.len(), usize::try_from(self.now / SECOND).unwrap_or_default());
        let parts = count / 100 + 1;
        let due: Vec<_> = watchdog.statuses(now).skip(second % parts).step_by(parts).collect();
        for status in &due {
            if let Some(publisher) = self.tally.place(&status.publisher) {
                self.judged_in_time(publisher, status.state)?;
            }
        }
        self.ledger.check(now, watchdog, &[], due, &self.processes)?;
        if second.is_multiple_of(60) {
            self.ledger.check_done(now, watchdog).or_else(|broken| {
                // What has become due within this instant waits for the loop's turn.
                let due = watchdog.next_deadline().is_some_and(|next| next <= now.monotonic);
                if due { Ok(()) } else { Err(broken) }
            })?;
        }
        Ok(())
    }

    /// Who was not heard for longer than its threshold, and could have been, was judged.
    fn judged_in_time(&self, publisher: usize, state: State) -> Result<(), Broken> {
        let member = &self.fleet.publishers[publisher];
        let person = &self.truth.people[publisher];
        let expected = self.fleet.rules.get(&member.id).is_some_and(|rules| rules.expected);
        let waits = match state {
            State::Alive | State::Blind => true,
            State::Unseen => expected && person.quiet_since.is_none(),
            _ => false,
        };
        if !waits || member.links.iter().any(|link| self.truth.links_up[*link].is_none()) {
            return Ok(());
        }
        let up = self.truth.links_up.iter().copied().max().flatten().unwrap_or_default();
        let all_up = self.truth.links_up.iter().all(Option::is_some);
        let since = person.quiet_since.unwrap_or_default().max(up).max(self.watch.up_since).max(self.truth.settled_at);
        let rules = self.watch.rules();
        let limit = nanos(rules.settle) + nanos(rules.probe_limit) + 3 * nanos(LATE);
        let put_off = signed(self.ledger.put_off_until(&member.id).0) + self.watch.booted;
        let put_off = u64::try_from(put_off).unwrap_or_default();
        if all_up && self.now > (since + self.fleet.threshold_of(member)).max(put_off) + limit {
            let silent = super::outcome::seconds(self.now - since);
            let what = format!("it could be heard and said nothing for {silent}, and it is {state}");
            return Err(Broken { publisher: Some(member.id.clone()), what });
        }
        Ok(())
    }

    /// At the end, after a time in which all was well: what is said is true, and nothing has vanished.
    pub fn finish(&mut self, sent_before: u64) -> Result<(), Broken> {
        let now = self.clock();
        let intake = self.watch.intake.as_ref();
        for publisher in 0..self.publishers.len() {
            let member = &self.fleet.publishers[publisher];
            let broken = |what: String| Err(Broken { publisher: Some(member.id.clone()), what });
            let Some(intake) = intake else { return broken("the watchdog does not run at the end".to_owned()) };
            let state = intake.watchdog().status(now, member.id.as_str()).map_or(State::Unseen, |status| status.state);
            let process = self.publishers[publisher].process.map(|process| &self.processes.all[process]);
            let since = process.filter(|_| self.speaks(publisher)).map(|process| self.now - process.started);
            let quiet = self.now - self.truth.people[publisher].quiet_since.unwrap_or_default();
            let settled = 2 * member.interval + 15 * SECOND;
            match since {
                Some(since) if since > settled && member.gaps.is_empty() => {
                    if quiet > settled {
                        return broken(format!("it speaks, all is well, and nothing of it came for {quiet} ns"));
                    }
                    // Who sends more rarely than its threshold wants is missed between any two messages.
                    if state != State::Alive && self.fleet.threshold_of(member) > 2 * member.interval {
                        return broken(format!("it speaks, all is well, and it is {state}"));
                    }
                }
                None => self.judged_in_time(publisher, state)?,
                _ => {}
            }
        }
        match self.truth.vanished().filter(|number| *number < sent_before) {
            Some(number) => {
                let what = format!("message {number} is not in the log, and nobody lost it");
                Err(Broken { publisher: None, what })
            }
            None => Ok(()),
        }
    }

    /// What broke a promise, with what came before it.
    pub fn report(&self, broken: &Broken) -> String {
        let publisher = broken.publisher.as_ref().and_then(|id| self.tally.place(id));
        let whose = broken.publisher.as_ref().map_or(String::new(), |id| format!(" about {id}"));
        let at = super::outcome::seconds(self.now);
        format!("at {at} a promise{whose} was broken: {broken}\nwhat came before:\n{}", self.truth.told(publisher))
    }
}

impl Way {
    /// By what means a verdict found something.
    pub fn of(cause: Cause) -> Self {
        match cause {
            Cause::ProcessGone | Cause::ProcessZombie | Cause::PidReused | Cause::HostRebooted => Self::LocalEnd,
            Cause::ProcessStopped => Self::LocalStop,
            Cause::ProcessRuns => Self::LocalHang,
            Cause::Will => Self::Will,
            _ => Self::Silence,
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
