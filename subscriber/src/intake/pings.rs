//! Results of a swarm's agents: taken in as readings of their agents, and judged.

use std::time::Duration;

use lastbeat_swarm::{Instant, Judgement, Seen, Swarm};
use lastbeat_transport::{Delivery, LinkIndex};
use lastbeat_watchdog::{LinkNumber, Reception, Watchdog};
use lastbeat_wire::{
    Body, Encoding, Header, Kind, Monotonic, Now, UtcNanos, Value, agent_name, decode_ping, encode, field,
};

use super::{Effect, Intake, Journal};
use crate::record::Record;
use crate::refusals::Reason;

/// How a message came, now or, in a replay, at another time.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// Who it is from.
    pub publisher: &'a str,
    /// When, on our clock.
    pub at: Instant,
    /// The same as the watchdog was told it.
    pub now: Now,
    /// By which link; `None` in a replay.
    pub link: Option<LinkNumber>,
    /// What became of it.
    pub reception: Reception,
}

impl Came<'_> {
    /// Shows it to the swarm, if it is a result: a reading of an agent with a target.
    pub fn see(&self, swarm: &mut Swarm, now: Now, watchdog: &Watchdog, header: &Header<'_>, body: &Body<'_>) {
        let (Body::Reading(reading), Reception::Live | Reception::Late) = (body, self.reception) else { return };
        let Some(agent) = agent_name(self.publisher) else { return };
        let target = reading.fields.iter().find(|(name, _)| *name == field::TARGET);
        let Some((_, Value::Text(target))) = target else { return };
        let time = reading.point_time(header, self.now.utc);
        let at = self.at.minus(self.age(watchdog, header, time));
        let broker = self.link.map(|link| watchdog.link_name(link));
        let host = header.host.as_deref();
        let seen = Seen { agent, target, at, time, broker, host, fields: &reading.fields };
        match self.link {
            Some(_) => {
                swarm.see(now, &seen);
            }
            None => swarm.replay_result(now, self.at, self.now.utc, &seen),
        }
    }

    /// How long before it came a result was found: as long as its message waited by both clocks, or by either if it is late. Its own
    /// time, of a clock that may be ahead of ours by more than that, tells only how long before it was sent, or where nothing else tells
    /// of a late one.
    fn age(&self, watchdog: &Watchdog, header: &Header<'_>, time: UtcNanos) -> Duration {
        let unsent = header.sent_at.map_or(Duration::ZERO, |sent_at| sent_at.since(time));
        let waited = match (watchdog.waited(self.now, self.publisher, header), self.reception) {
            (Some(waited), Reception::Late) => waited.possibly,
            (None, Reception::Late) => return self.now.utc.since(time),
            (waited, _) => waited.unwrap_or_default().surely,
        };
        waited.saturating_add(unsent)
    }
}

impl<J: Journal> Intake<J> {
    /// Takes a result in, if the message is on a topic of results; whether it is.
    ///
    /// What is judged and logged, and what everybody behind the log reads, is a reading of the agent with the target as a field.
    pub(super) fn ping(&mut self, now: Now, link: LinkIndex, delivery: Delivery<'_>, room: bool) -> bool {
        match decode_ping(delivery.topic, delivery.payload) {
            None => return false,
            Some(Ok((agent, message))) => {
                let topic = Kind::Sensor.topic(&agent);
                let payload = encode(&message, Encoding::Json);
                let reading = Delivery { topic: topic.as_bytes(), payload: &payload, ..delivery };
                self.message(now, link, reading, room);
            }
            Some(Err(error)) => {
                let received_at = self.received_at(now);
                self.refuse(now, link, delivery, Reason::Ping, &error.to_string());
                self.keep_refused(now, received_at, delivery, &error.to_string(), room);
            }
        }
        true
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

#[cfg(test)]
mod tests {
    use lastbeat_log::{AppendError, Position};
    use lastbeat_transport::Batch;
    use lastbeat_watchdog::WatchRules;
    use lastbeat_wire::{BootId, HostId, Message, ProcessIdentity};

    use super::*;

    /// Records as they were appended.
    #[derive(Default)]
    struct Appended(Vec<(u8, Vec<u8>)>);

    impl Journal for Appended {
        fn append(&mut self, kind: u8, body: &[&[u8]]) -> Result<Position, AppendError> {
            self.0.push((kind, body.concat()));
            Ok(Position(self.0.len() as u64 - 1))
        }

        fn commit(&mut self) {}

        fn end(&self) -> Position {
            Position(self.0.len() as u64)
        }

        fn pending_bytes(&self) -> u64 {
            0
        }
    }

    const MINUTE: u64 = 60_000_000_000;

    fn at(minutes: u64) -> Now {
        let span = Duration::from_nanos(minutes * MINUTE);
        Now { monotonic: Monotonic(0).plus(span), utc: UtcNanos(1_700_000_000_000_000_000).plus(span) }
    }

    fn intake() -> Intake<Appended> {
        let mut watchdog = Watchdog::new(WatchRules { links: vec!["one".to_owned()], ..WatchRules::default() }, at(0));
        watchdog.begin(at(0), None);
        watchdog.link_up(at(0), LinkNumber(0));
        Intake::new(watchdog, Appended::default(), 1 << 30, [false])
    }

    /// What the agent `rome`, whose wall clock is ahead by so many minutes, found when ours showed `found`.
    fn result(intake: &mut Intake<Appended>, now: Now, ahead: u64, found: u64, number: u64, loss: u8) {
        let process = ProcessIdentity { host: HostId(2), boot: BootId(2), pid_namespace: 1, pid: 1, start: 1 };
        let sent_at = Some(at(found + ahead).utc);
        let header = Header {
            process: Some(process),
            sequence: Some(number),
            sent_at,
            uptime: Some(found * MINUTE),
            ..Header::default()
        };
        come(
            intake,
            now,
            "ping/a.example",
            header,
            &[("agent", Value::Text("rome".into())), ("loss", Value::Integer(loss.into()))],
        );
    }

    fn come(
        intake: &mut Intake<Appended>,
        now: Now,
        topic: &str,
        header: Header<'_>,
        values: &[(&'static str, Value<'static>)],
    ) {
        let mut fields = lastbeat_wire::Fields::new();
        for (name, value) in values {
            fields.push(*name, value.clone());
        }
        let reading = lastbeat_wire::Reading { fields, ..Default::default() };
        let message = Message { header, body: Body::Reading(reading), ..Default::default() };
        let mut batch = Batch::default();
        let payload = encode(&message, Encoding::Json);
        batch.push(Delivery { topic: topic.as_bytes(), payload: &payload, retained: false, resent: false });
        intake.take(now, LinkIndex(0), &batch);
        intake.settle(now);
    }

    fn shown(intake: &Intake<Appended>, now: Now) -> (Option<f64>, bool) {
        let cell = intake.swarm().cells(now.monotonic).next().expect("there is a result");
        (cell.found.loss, cell.grade.is_some())
    }

    #[test]
    fn a_result_counts_as_a_reading_of_its_agent_too_as_it_stands_in_the_log() {
        let mut intake = intake();
        let values = [("target", Value::Text("a.example".into())), ("loss", Value::Integer(30))];
        come(&mut intake, at(100), "sensor/agent/rome", Header::default(), &values);
        assert_eq!(shown(&intake, at(100)), (Some(30.0), true));
        come(&mut intake, at(100), "sensor/rome", Header::default(), &values);
        assert_eq!(intake.swarm().pairs(), 1, "no agent");
    }

    #[test]
    fn a_result_that_waited_is_old_also_where_the_clock_of_its_agent_is_ahead_by_more() {
        for ahead in [0, 120] {
            let mut intake = intake();
            result(&mut intake, at(100), ahead, 100, 0, 0);
            assert_eq!(shown(&intake, at(100)), (Some(0.0), true));
            result(&mut intake, at(140), ahead, 110, 1, 100);
            assert_eq!(shown(&intake, at(140)), (Some(100.0), false), "half an hour old, ahead by {ahead} minutes");
            result(&mut intake, at(140), ahead, 140, 2, 0);
            assert_eq!(shown(&intake, at(140)), (Some(0.0), true));
        }
    }

    #[test]
    fn a_result_that_waited_for_less_than_the_threshold_is_as_old_as_it_is() {
        let mut intake = intake();
        let threshold = Duration::from_hours(2);
        let rules = WatchRules { threshold, links: vec!["one".to_owned()], ..WatchRules::default() };
        intake.watchdog = Watchdog::new(rules, at(0));
        intake.watchdog.link_up(at(0), LinkNumber(0));
        result(&mut intake, at(100), 120, 100, 0, 0);
        result(&mut intake, at(140), 120, 110, 1, 100);
        assert_eq!(shown(&intake, at(140)), (Some(100.0), false));
    }
}
