//! What brokers and the watchdog's links do in a [`World`].

use std::rc::Rc;

use lastbeat_simulation::Condition;
use lastbeat_wire::Kind;

use super::chance::Spans;
use super::truth::Fate;
use super::watching::News;
use super::world::{Happening, MILLI, Packet, SECOND, World};

/// How long a message takes from the broker to the subscriber.
const LEG: Spans = Spans(&[(0.95, 0.002), (1.0, 0.02)]);
/// Keepalives of MQTT clients, after which a broker publishes their will.
pub const MISSED_AFTER: u64 = 15 * SECOND;

impl World {
    /// A message comes to a broker.
    pub fn at_broker(&mut self, link: usize, packet: Rc<Packet>) {
        let state = &mut self.links[link];
        if state.broken > 0 {
            self.returns(link, packet);
        } else if state.holding > 0 {
            state.held.push(packet);
        } else {
            self.hands_on(link, packet);
        }
    }

    fn hands_on(&mut self, link: usize, packet: Rc<Packet>) {
        if self.fleet.links[link].mqtt {
            self.links[link].session.push_back(packet);
            self.deliver(link);
        } else if self.links[link].connected {
            self.on_the_wire(link, packet);
        } else {
            self.truth.lost(&packet, Fate::LostOnTheWay);
        }
    }

    /// A broker goes on after it held messages back.
    pub fn release(&mut self, link: usize) {
        for packet in std::mem::take(&mut self.links[link].held) {
            self.hands_on(link, packet);
        }
    }

    /// Sends what the session has and the subscriber has not.
    fn deliver(&mut self, link: usize) {
        while self.links[link].connected && self.links[link].sent < self.links[link].session.len() {
            let packet = self.links[link].session[self.links[link].sent].clone();
            self.links[link].sent += 1;
            self.on_the_wire(link, packet);
        }
    }

    fn on_the_wire(&mut self, link: usize, packet: Rc<Packet>) {
        let leg = self.side.span(LEG);
        let state = &mut self.links[link];
        let at = (self.now + leg).max(state.arrives_last);
        state.arrives_last = at;
        let connection = state.connection;
        self.at(at, Happening::Arrives { link, connection, packet });
    }

    /// A message comes to the subscriber's end, unless its connection is gone or carries nothing.
    pub fn arrives(&mut self, link: usize, connection: u64, packet: Rc<Packet>) {
        let mqtt = self.fleet.links[link].mqtt;
        let state = &mut self.links[link];
        if state.connection != connection {
            if !mqtt {
                self.truth.lost(&packet, Fate::LostOnTheWay);
            }
        } else if state.cut > 0 {
            state.stuck.push(packet);
        } else {
            self.tell(News::Message { link, connection, packet });
        }
    }

    /// The loop says that a message is safe.
    pub fn receipt(&mut self, link: usize, connection: u64, number: u64) {
        if self.links[link].connection == connection {
            let leg = self.side.span(LEG);
            self.later(leg, Happening::Acknowledged { link, connection, number });
        }
    }

    /// The broker forgets a message that is safe.
    pub fn acknowledged(&mut self, link: usize, connection: u64, number: u64) {
        let state = &mut self.links[link];
        if state.connection != connection {
            return;
        }
        if state.cut > 0 {
            state.unheard.push(number);
        } else if let Some(place) = state.session.iter().take(state.sent).position(|packet| packet.number == number) {
            state.session.remove(place);
            state.sent -= 1;
        }
    }

    /// The connection ends. Whether the watchdog is told, unless it is the watchdog that ended.
    pub fn disconnect(&mut self, link: usize, reason: Option<&'static str>) {
        let state = &mut self.links[link];
        let was = std::mem::replace(&mut state.connected, false);
        state.connection += 1;
        state.sent = 0;
        state.unheard.clear();
        let gone = std::mem::take(&mut state.stuck);
        if !self.fleet.links[link].mqtt {
            for packet in &gone {
                self.truth.lost(packet, Fate::LostOnTheWay);
            }
        }
        if let Some(reason) = reason.filter(|_| was) {
            self.tell(News::Down { link, reason });
            self.try_connecting(link);
        }
    }

    /// The subscriber's end tries to connect, now and then.
    pub fn try_connecting(&mut self, link: usize) {
        let after = self.side.between(200 * MILLI, 2 * SECOND);
        let life = self.watch.life;
        self.later(after, Happening::Connects { link, life });
    }

    /// One attempt.
    pub fn connects(&mut self, link: usize, life: u64) {
        if self.watch.life != life || !self.watch.is_running() || self.links[link].connected {
            return;
        }
        let state = &mut self.links[link];
        if state.broken > 0 || state.cut > 0 {
            self.try_connecting(link);
            return;
        }
        state.connected = true;
        self.tell(News::Up { link });
        self.deliver(link);
    }

    /// The wire carries nothing: that is noticed when a keepalive is not answered.
    pub fn falls_silent(&mut self, link: usize) {
        let keepalive = (self.watch.threshold() / 5).max(100 * MILLI);
        let connection = self.links[link].connection;
        let after = keepalive + self.side.below(keepalive / 2 + 1);
        self.later(after, Happening::Notices { link, connection });
    }

    /// Nothing was answered.
    pub fn notices(&mut self, link: usize, connection: u64) {
        let state = &self.links[link];
        if state.connection == connection && state.cut > 0 && state.connected {
            self.disconnect(link, Some("no answer to a keepalive"));
        }
    }

    /// The wire carries again: what was stuck comes, if the connection has held.
    pub fn wire_is_back(&mut self, link: usize) {
        let again = self.side.between(100 * MILLI, 2 * SECOND);
        let connection = self.links[link].connection;
        // What is sent now comes behind it.
        self.links[link].arrives_last = self.links[link].arrives_last.max(self.now + again);
        for packet in std::mem::take(&mut self.links[link].stuck) {
            self.later(again, Happening::Arrives { link, connection, packet });
        }
        for number in std::mem::take(&mut self.links[link].unheard) {
            self.later(again, Happening::Acknowledged { link, connection, number });
        }
    }

    /// Whether a broker has to do without a publisher that did not say goodbye: then it publishes its will.
    pub fn misses(&mut self, publisher: usize, process: usize, link: usize) {
        let silent = !matches!(self.processes.all[process].condition, Condition::Runs);
        let unreachable = !self.reaches(publisher, link);
        let state = &self.links[link];
        if state.broken == 0 && (silent || unreachable) && self.fleet.publishers[publisher].envelope {
            let packet = Rc::new(self.packet(publisher, process, Kind::Rip));
            self.at_broker(link, packet);
        }
    }

    /// A publisher's brokers will miss it, `after` a while, where they have its will.
    pub fn will_be_missed(&mut self, publisher: usize, after: u64) {
        let Some(process) = self.publishers[publisher].process else { return };
        for link in self.fleet.publishers[publisher].links.clone() {
            if self.fleet.links[link].mqtt {
                self.later(after, Happening::Misses { publisher, process, link });
            }
        }
    }
}
