//! What publishers do in a [`World`]: start, send, keep what they can't send, end.

use std::rc::Rc;

use lastbeat_simulation::Condition;
use lastbeat_wire::{Body, Encoding, Header, Kind, Message, ProcessIdentity, Reading, Value, encode};

use super::chance::Spans;
use super::truth::Fate;
use super::world::{Happening, MILLI, Packet, SECOND, World};

/// Most messages that a publisher keeps while it can't send them.
const OUTBOX: usize = 1000;
/// How long a message takes to its broker.
const PATH: Spans = Spans(&[(0.9, 0.004), (0.99, 0.03), (0.999, 0.3), (1.0, 1.5)]);
/// The same in bad times.
const SLOW_PATH: Spans = Spans(&[(0.5, 0.2), (0.9, 3.0), (0.99, 15.0), (1.0, 60.0)]);

impl World {
    /// A new process of a publisher.
    pub fn starts(&mut self, publisher: usize) {
        let member = &self.fleet.publishers[publisher];
        let (host, container) = (member.host, member.container);
        if self.hosts[host].down || self.publishers[publisher].process.is_some_and(|old| self.runs(old)) {
            return;
        }
        let kernel = self.hosts[host].kernel;
        let kernel = ProcessIdentity { pid_namespace: if container { 2 } else { 1 }, ..kernel };
        let id = member.id.to_string();
        let process = self.processes.start_on(&id, kernel, self.now);
        let state = &mut self.publishers[publisher];
        state.previous = state.process.replace(process);
        state.fails_until = 0;
        state.outbox.iter_mut().for_each(std::collections::VecDeque::clear);
        self.recovered(publisher);
        let first = self.publishers[publisher].sending.below(SECOND);
        self.later(first, Happening::Sends { publisher, process });
    }

    /// Whether a process has not ended.
    pub fn runs(&self, process: usize) -> bool {
        !self.processes.all[process].has_ended()
    }

    /// Whether a publisher's latest process lives and speaks.
    pub fn speaks(&self, publisher: usize) -> bool {
        self.publishers[publisher].process.is_some_and(|process| self.processes.all[process].speaks())
    }

    /// It is time for its next message.
    pub fn sends(&mut self, publisher: usize, process: usize) {
        if self.publishers[publisher].process != Some(process) || !self.runs(process) {
            return;
        }
        let member = &self.fleet.publishers[publisher];
        let state = &mut self.publishers[publisher];
        let next = if member.gaps.is_empty() {
            // A twentieth sooner or later than its interval says.
            member.interval / 20 * 19 + state.sending.below(member.interval / 10)
        } else {
            member.gaps[state.sending.place(member.gaps.len())].max(MILLI)
        };
        let reads = state.sending.yes(0.7);
        let (busy, fails) = (self.now < state.busy_until, self.now < state.fails_until);
        if self.speaks(publisher) && !busy {
            self.send(publisher, process, if reads && !fails { Kind::Sensor } else { Kind::Beat }, fails);
        }
        self.later(next, Happening::Sends { publisher, process });
    }

    /// Sends a message on all links of a publisher. Who fails says only that.
    pub fn send(&mut self, publisher: usize, process: usize, kind: Kind, fails: bool) {
        let kind = if fails { Kind::Fail } else { kind };
        let packet = Rc::new(self.packet(publisher, process, kind));
        if kind == Kind::Sensor {
            self.publishers[publisher].retained = Some(packet.clone());
        }
        let links = self.fleet.publishers[publisher].links.clone();
        for (slot, link) in links.into_iter().enumerate() {
            let waits = !self.publishers[publisher].outbox[slot].is_empty();
            if self.reaches(publisher, link) && !waits {
                self.departs(link, packet.clone(), 0);
            } else {
                self.keep_back(publisher, slot, packet.clone());
            }
        }
    }

    /// Makes a message; a will has no number.
    pub fn packet(&mut self, publisher: usize, process: usize, kind: Kind) -> Packet {
        let member = &self.fleet.publishers[publisher];
        let will = kind == Kind::Rip;
        let of = &mut self.processes.all[process];
        let sequence = of.next_sequence;
        of.next_sequence += u64::from(!will);
        let (identity, started) = (of.identity, of.started);
        let header = Header {
            process: member.envelope.then_some(identity),
            sequence: (member.envelope && !will).then_some(sequence),
            sent_at: (member.envelope && !will).then(|| self.wall_clock(member.host)),
            uptime: (member.envelope && !will).then_some(self.now - started),
            host: None,
        };
        let body = match kind {
            Kind::Sensor => {
                let fields = [("value".into(), Value::Integer(1))].into_iter().collect();
                Body::Reading(Reading { time: None, row_time: None, fields })
            }
            Kind::Beat => Body::Beat,
            Kind::Start => Body::Start,
            Kind::Fail => Body::Fail,
            Kind::Bye => Body::Bye,
            Kind::Rip => Body::Rip,
        };
        let garbled = std::mem::take(&mut self.publishers[publisher].garbles) && kind == Kind::Sensor;
        let payload = match (garbled, member.envelope, kind) {
            (true, _, _) => b"{not JSON".to_vec(),
            (_, false, Kind::Sensor) => b"{\"value\":1}".to_vec(),
            (_, false, _) => Vec::new(),
            _ => encode(&Message { header, body, log: None }, Encoding::MessagePack),
        };
        Packet {
            number: self.truth.sent(),
            publisher,
            process,
            kind,
            retained: false,
            numbered: member.envelope && !will && !garbled,
            sent: self.now,
            topic: kind.topic(&member.id).into(),
            payload,
        }
    }

    fn keep_back(&mut self, publisher: usize, slot: usize, packet: Rc<Packet>) {
        let outbox = &mut self.publishers[publisher].outbox[slot];
        outbox.push_back(packet);
        if outbox.len() > OUTBOX
            && let Some(dropped) = outbox.pop_front()
        {
            self.truth.lost(&dropped, Fate::LostByPublisher);
        }
    }

    /// Whether a publisher's messages get to a broker.
    pub fn reaches(&self, publisher: usize, link: usize) -> bool {
        let host = &self.hosts[self.fleet.publishers[publisher].host];
        host.cut == 0 && !host.down && self.links[link].broken == 0
    }

    /// A message is on its way to a broker, `after` a while.
    pub fn departs(&mut self, link: usize, packet: Rc<Packet>, after: u64) {
        let state = &self.links[link];
        let (lossy, slow) = (state.lossy > 0, state.slow > 0);
        let captured = !self.fleet.publishers[packet.publisher].gaps.is_empty();
        let chance = &mut self.publishers[packet.publisher].path;
        // All of it is drawn for each message, so that one message's luck does not depend on another's.
        let (quick, late, luck) = (chance.span(PATH), chance.span(SLOW_PATH), chance.unit());
        let delay = if slow { late } else { quick } * u64::from(!captured);
        if self.fleet.links[link].mqtt {
            if lossy && luck < 0.1 {
                let packet = packet.clone();
                self.later(after + delay + SECOND, Happening::AtBroker { link, packet });
            }
        } else if luck < if lossy { 0.3 } else { 0.000_05 } {
            self.truth.lost(&packet, Fate::LostOnTheWay);
            return;
        }
        self.later(after + delay, Happening::AtBroker { link, packet });
    }

    /// The publishers of a host send what they could not, as far as they can now.
    pub fn flush(&mut self, host: usize) {
        for publisher in 0..self.publishers.len() {
            if self.fleet.publishers[publisher].host != host || !self.speaks(publisher) {
                continue;
            }
            let links = self.fleet.publishers[publisher].links.clone();
            for (slot, link) in links.into_iter().enumerate() {
                if self.reaches(publisher, link) {
                    let waiting = std::mem::take(&mut self.publishers[publisher].outbox[slot]);
                    for (place, packet) in waiting.into_iter().enumerate() {
                        self.departs(link, packet, place as u64 * MILLI);
                    }
                }
            }
        }
    }

    /// A process ends.
    pub fn ends(&mut self, publisher: usize, condition: Condition) {
        let Some(process) = self.publishers[publisher].process.filter(|process| self.runs(*process)) else { return };
        self.processes.all[process].condition = condition;
        for slot in 0..self.publishers[publisher].outbox.len() {
            for packet in std::mem::take(&mut self.publishers[publisher].outbox[slot]) {
                self.truth.lost(&packet, Fate::LostByPublisher);
            }
        }
        self.tell_exit(publisher, process);
    }

    /// What had not come to its broker when that broke down is sent again, by MQTT.
    pub fn returns(&mut self, link: usize, packet: Rc<Packet>) {
        let publisher = packet.publisher;
        let slot = self.fleet.publishers[publisher].links.iter().position(|on| *on == link);
        let lives = self.publishers[publisher].process == Some(packet.process) && self.runs(packet.process);
        match slot.filter(|_| self.fleet.links[link].mqtt && lives && packet.kind != Kind::Rip) {
            Some(slot) => self.keep_back(publisher, slot, packet),
            None => self.truth.lost(&packet, Fate::LostOnTheWay),
        }
    }
}
