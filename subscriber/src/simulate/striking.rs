//! What goes wrong in a [`World`], and how it ends.

use std::rc::Rc;

use lastbeat_simulation::{Broken, Condition};
use lastbeat_wire::Kind;

use super::blame::Blame;
use super::carrying::MISSED_AFTER;
use super::faults::{Fault, Target};
use super::truth::Fate;
use super::world::{Happening, MILLI, Packet, SECOND, World, boot, signed};

impl World {
    /// Plans the next of a fault.
    pub fn plan(&mut self, fault: Fault) {
        let targets = match fault.target() {
            Target::Publisher => self.publishers.len(),
            Target::Host => self.hosts.len(),
            Target::Link => self.links.len(),
            Target::Watchdog => 1,
        };
        if let Some(mean) = fault.mean(self.weather, targets) {
            let after = self.faults.below(2 * mean);
            self.later(after, Happening::Strikes(fault));
        }
    }

    /// Something goes wrong; and so that it does not depend on what became of the last time, all is drawn first.
    pub fn strikes(&mut self, fault: Fault) -> Result<(), Broken> {
        if self.now >= self.calm_from {
            return Ok(());
        }
        self.plan(fault);
        let targets = match fault.target() {
            Target::Publisher => self.publishers.len(),
            Target::Host => self.hosts.len(),
            Target::Link => self.links.len(),
            Target::Watchdog => 1,
        };
        let target = self.faults.place(targets);
        let (lasts, luck) = (self.faults.span(fault.spans()).max(MILLI), self.faults.unit());
        let struck = self.now;
        let happened = match fault.target() {
            Target::Publisher => self.strike_publisher(fault, target, lasts),
            Target::Host => self.strike_host(fault, target, lasts, luck),
            Target::Link => self.strike_link(fault, target),
            Target::Watchdog => self.strike_watchdog(fault, lasts)?,
        };
        if happened {
            *self.tally.faults.entry(fault).or_default() += 1;
            self.truth.struck(fault, target, self.now);
            self.later(lasts, Happening::Over { fault, target, struck });
        }
        Ok(())
    }

    fn strike_publisher(&mut self, fault: Fault, publisher: usize, lasts: u64) -> bool {
        let Some(process) = self.publishers[publisher].process.filter(|process| self.runs(*process)) else {
            return false;
        };
        let speaks = self.speaks(publisher);
        match fault {
            Fault::Killed | Fault::Zombie | Fault::PidReused => {
                self.in_trouble(publisher);
                self.will_be_missed(publisher, 50 * MILLI);
                self.ends(
                    publisher,
                    match fault {
                        Fault::Zombie => Condition::Zombie,
                        Fault::PidReused => Condition::Reused(self.now / 10_000_000 + 1_000_000),
                        _ => Condition::Gone,
                    },
                );
            }
            _ if !speaks => return false,
            Fault::Stopped => {
                self.in_trouble(publisher);
                self.processes.all[process].condition = Condition::Stopped;
                self.will_be_missed(publisher, MISSED_AFTER);
            }
            Fault::Hung => {
                self.in_trouble(publisher);
                self.processes.all[process].hung = true;
            }
            Fault::Slow => {
                self.publishers[publisher].busy_until = self.now + lasts;
                self.truth.mark(Blame::Slow, publisher, self.now + lasts);
            }
            Fault::Goodbye => {
                self.send(publisher, process, Kind::Bye, false);
                self.ends(publisher, Condition::Gone);
                self.truth.left(publisher);
            }
            Fault::Failure => {
                self.publishers[publisher].fails_until = self.now + lasts;
                self.send(publisher, process, Kind::Fail, true);
            }
            Fault::Garbled => self.publishers[publisher].garbles = true,
            Fault::Retained => return self.retained(publisher),
            _ => return false,
        }
        self.publishers[publisher].struck = self.now;
        true
    }

    fn retained(&mut self, publisher: usize) -> bool {
        let links = &self.fleet.publishers[publisher].links;
        let link = links.iter().copied().find(|link| self.fleet.links[*link].mqtt);
        let Some((link, kept)) = link.zip(self.publishers[publisher].retained.clone()) else { return false };
        let number = self.truth.sent();
        let Packet { publisher, process, kind, sent, .. } = *kept;
        let (topic, payload) = (kept.topic.clone(), kept.payload.clone());
        let packet = Packet { number, publisher, process, kind, retained: true, numbered: false, sent, topic, payload };
        self.at_broker(link, Rc::new(packet));
        true
    }

    fn strike_host(&mut self, fault: Fault, host: usize, lasts: u64, luck: f64) -> bool {
        match fault {
            Fault::ClockStep => {
                let far = if luck < 0.5 { 3600 } else { 1 };
                let by = signed(self.faults.below(4 * far * SECOND)) - signed(2 * far * SECOND);
                self.hosts[host].clock += by;
                self.hosts[host].stepped_at = Some(self.now);
                return true;
            }
            // The watchdog's own host has its links and its power to lose.
            _ if host == 0 || self.hosts[host].down => return false,
            Fault::Partition => self.hosts[host].cut += 1,
            _ => {
                self.processes.end_all(self.hosts[host].kernel.boot);
                self.hosts[host].down = true;
            }
        }
        self.truth.mark(Blame::Partition, host, u64::MAX);
        for publisher in self.on_host(host) {
            self.will_be_missed(publisher, MISSED_AFTER);
            if fault == Fault::Reboot {
                self.in_trouble(publisher);
                self.drop_outbox(publisher);
            }
        }
        debug_assert!(lasts > 0, "it would never end");
        true
    }

    fn strike_link(&mut self, fault: Fault, link: usize) -> bool {
        let blame = match fault {
            Fault::BrokerCrash | Fault::BrokerHolds => Blame::Broker,
            Fault::LinkBreaks | Fault::LinkSilent => Blame::Link,
            _ => Blame::Network,
        };
        self.truth.mark(blame, link, u64::MAX);
        match fault {
            Fault::BrokerCrash => {
                self.links[link].broken += 1;
                let mut gone = Vec::new();
                if !(self.fleet.links[link].mqtt && self.fleet.links[link].persistent) {
                    gone.extend(std::mem::take(&mut self.links[link].held));
                    gone.extend(std::mem::take(&mut self.links[link].session));
                }
                for packet in &gone {
                    self.truth.lost(packet, Fate::LostByBroker);
                }
                self.disconnect(link, Some("connection reset"));
            }
            Fault::BrokerHolds => self.links[link].holding += 1,
            Fault::LinkBreaks => {
                self.links[link].cut += 1;
                self.disconnect(link, Some("connection reset"));
            }
            Fault::LinkSilent => {
                self.links[link].cut += 1;
                self.falls_silent(link);
            }
            Fault::Loss => self.links[link].lossy += 1,
            _ => self.links[link].slow += 1,
        }
        true
    }

    fn strike_watchdog(&mut self, fault: Fault, lasts: u64) -> Result<bool, Broken> {
        if !self.watch.is_running() || self.watch.stalled {
            return Ok(false);
        }
        let blames = !matches!(fault, Fault::DiskSlow | Fault::DiskFull | Fault::ProbesFail);
        if blames {
            self.truth.mark(Blame::Watchdog, 0, self.now + lasts);
        }
        match fault {
            Fault::WatchdogKilled => self.kill_watchdog(false)?,
            Fault::PowerLoss => {
                self.kill_watchdog(true)?;
                self.processes.reboot();
                self.hosts[0].down = true;
                for publisher in self.on_host(0) {
                    self.in_trouble(publisher);
                    self.drop_outbox(publisher);
                    self.will_be_missed(publisher, MISSED_AFTER);
                }
            }
            Fault::Stall => self.watch.stalled = true,
            Fault::DiskSlow => self.watch.disk_slow += 1,
            Fault::DiskFull => self.watch.disk_full += 1,
            _ => self.watch.probes_fail += 1,
        }
        Ok(true)
    }

    /// A fault is over.
    pub fn over(&mut self, fault: Fault, target: usize, struck: u64) {
        let less = |count: &mut u32| *count = count.saturating_sub(1);
        match fault {
            Fault::Killed | Fault::Zombie | Fault::PidReused | Fault::Goodbye => self.starts(target),
            Fault::Stopped | Fault::Hung if self.publishers[target].struck == struck => self.continues(target),
            Fault::Partition => {
                less(&mut self.hosts[target].cut);
                self.reachable(target);
            }
            Fault::Reboot => self.host_is_back(target),
            Fault::BrokerCrash => {
                less(&mut self.links[target].broken);
                self.truth.mark(Blame::Broker, target, self.now + 3 * SECOND);
                for host in 0..self.hosts.len() {
                    self.reachable(host);
                }
            }
            Fault::BrokerHolds => {
                less(&mut self.links[target].holding);
                self.truth.mark(Blame::Broker, target, self.now + SECOND);
                if self.links[target].holding == 0 {
                    self.release(target);
                }
            }
            Fault::LinkBreaks | Fault::LinkSilent => {
                less(&mut self.links[target].cut);
                self.truth.mark(Blame::Link, target, self.now + 3 * SECOND);
                if self.links[target].cut == 0 {
                    self.wire_is_back(target);
                }
            }
            Fault::Loss => less(&mut self.links[target].lossy),
            Fault::Delay => less(&mut self.links[target].slow),
            Fault::WatchdogKilled => self.later(0, Happening::WatchdogStarts),
            Fault::PowerLoss => self.host_is_back(0),
            Fault::Stall => {
                let life = self.watch.life;
                self.later(0, Happening::Wakes { life });
            }
            Fault::DiskSlow => less(&mut self.watch.disk_slow),
            Fault::DiskFull => less(&mut self.watch.disk_full),
            Fault::ProbesFail => less(&mut self.watch.probes_fail),
            _ => {}
        }
        if matches!(fault, Fault::Loss | Fault::Delay) {
            self.truth.mark(Blame::Network, target, self.now + 60 * SECOND);
        }
    }

    fn continues(&mut self, publisher: usize) {
        let Some(process) = self.publishers[publisher].process.filter(|process| self.runs(*process)) else { return };
        self.processes.all[process].condition = Condition::Runs;
        self.processes.all[process].hung = false;
        self.recovered(publisher);
    }

    fn host_is_back(&mut self, host: usize) {
        if !self.hosts[host].down {
            return;
        }
        self.hosts[host].down = false;
        self.truth.mark(Blame::Partition, host, self.now);
        if host == 0 {
            self.hosts[0].kernel = self.processes.own();
            self.watch.booted = signed(self.now);
            self.later(2 * SECOND, Happening::WatchdogStarts);
        } else {
            self.hosts[host].boots += 1;
            self.hosts[host].kernel.boot = boot(host, self.hosts[host].boots);
        }
        for publisher in self.on_host(host) {
            let after = 5 * SECOND + self.publishers[publisher].sending.below(20 * SECOND);
            self.later(after, Happening::Starts(publisher));
        }
    }

    fn reachable(&mut self, host: usize) {
        if self.hosts[host].cut == 0 {
            self.truth.mark(Blame::Partition, host, self.now + 3 * SECOND);
            let after = 200 * MILLI + (host as u64 * 37 % 18) * 100 * MILLI;
            self.later(after, Happening::Flushes(host));
        }
    }

    fn on_host(&self, host: usize) -> Vec<usize> {
        (0..self.publishers.len()).filter(|publisher| self.fleet.publishers[*publisher].host == host).collect()
    }

    fn drop_outbox(&mut self, publisher: usize) {
        for slot in 0..self.publishers[publisher].outbox.len() {
            for packet in std::mem::take(&mut self.publishers[publisher].outbox[slot]) {
                self.truth.lost(&packet, Fate::LostByPublisher);
            }
        }
    }

    /// From here on all is well: what is down comes back, who has ended stays away until its time.
    pub fn calm_down(&mut self) {
        for host in 0..self.hosts.len() {
            self.hosts[host].cut = 0;
            self.host_is_back(host);
            self.reachable(host);
        }
        for link in 0..self.links.len() {
            let state = &mut self.links[link];
            (state.broken, state.holding, state.cut, state.lossy, state.slow) = (0, 0, 0, 0, 0);
            self.release(link);
            self.wire_is_back(link);
        }
        for publisher in 0..self.publishers.len() {
            self.publishers[publisher].busy_until = self.now;
            self.publishers[publisher].fails_until = self.now;
            if !self.speaks(publisher) {
                self.continues(publisher);
            }
        }
        (self.watch.disk_slow, self.watch.disk_full, self.watch.probes_fail) = (0, 0, 0);
        let life = self.watch.life;
        self.later(0, Happening::Wakes { life });
        if !self.hosts[0].down {
            self.later(0, Happening::WatchdogStarts);
        }
    }
}
