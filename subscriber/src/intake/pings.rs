//! Results of a swarm's agents: taken in as readings of their agents, and judged.

use lastbeat_swarm::{Judgement, Seen};
use lastbeat_transport::{Delivery, LinkIndex};
use lastbeat_watchdog::{LinkNumber, Reception};
use lastbeat_wire::{
    Body, Encoding, Kind, Message, Monotonic, Now, PublisherId, agent_name, decode_ping, encode, field,
};

use super::{Effect, Intake, Journal};
use crate::record::Record;
use crate::refusals::Reason;

impl<J: Journal> Intake<J> {
    /// Takes a result in, if the message is on a topic of results; whether it is.
    ///
    /// What is logged, and what everybody behind the log reads, is a reading of the agent with the target as a field.
    pub(super) fn ping(&mut self, now: Now, link: LinkIndex, delivery: Delivery<'_>, room: bool) -> bool {
        match decode_ping(delivery.topic, delivery.payload) {
            None => return false,
            Some(Ok((agent, message))) => {
                let topic = Kind::Sensor.topic(&agent);
                let payload = encode(&message, Encoding::Json);
                let reading = Delivery { topic: topic.as_bytes(), payload: &payload, ..delivery };
                if let Some(reception @ (Reception::Live | Reception::Late)) = self.message(now, link, reading, room) {
                    self.see(now, link, &agent, &message, reception);
                }
            }
            Some(Err(error)) => {
                let received_at = self.received_at(now);
                self.refuse(now, link, delivery, Reason::Ping, &error.to_string());
                self.keep_refused(now, received_at, delivery, &error.to_string(), room);
            }
        }
        true
    }

    fn see(&mut self, now: Now, link: LinkIndex, agent: &PublisherId, message: &Message<'_>, reception: Reception) {
        let Body::Reading(reading) = &message.body else { return };
        let target = reading.fields.iter().find(|(name, _)| *name == field::TARGET);
        let (Some((_, lastbeat_wire::Value::Text(target))), Some(agent)) = (target, agent_name(agent.as_str())) else {
            return;
        };
        let time = reading.point_time(&message.header, now.utc);
        // What waited is as old as its own time says; what did not is of now, whatever the agent's clock says.
        let at = if reception == Reception::Late { now.monotonic.minus(now.utc.since(time)) } else { now.monotonic };
        let broker = self.watchdog.link_name(LinkNumber(link.0));
        let host = message.header.host.as_deref();
        self.swarm.see(now, &Seen { agent, target, at, time, broker, host, fields: &reading.fields });
    }

    /// When results are to be judged next.
    pub(super) fn judged_next(&self) -> Option<Monotonic> {
        self.swarm.next_deadline()
    }

    /// Judges what has come of results, and logs what changed.
    pub(super) fn judge(&mut self, now: Now) -> Vec<Effect> {
        let judgements = self.swarm.due(now);
        let logged = |judgement: Judgement| {
            self.record(&Record::Judgement(judgement.clone()));
            Effect::Judgement(judgement)
        };
        judgements.into_iter().map(logged).collect()
    }
}
