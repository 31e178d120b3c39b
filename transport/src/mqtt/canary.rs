//! [`Canary`]: a message that a subscriber sends itself through its broker, again and again. A broker that takes connections and
//! passes nothing on is told from one on which nobody speaks; and how long the way through it takes is known.
//!
//! Who may not write the canary's topic never sees it come back, and is thrown out for it (Mosquitto): then it is sent no more,
//! nothing can be told of the broker, and a warning says so.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// However short the keepalive, it is not sent more often.
const SHORTEST: Duration = Duration::from_millis(200);
/// So many may be under way while nothing at all comes.
const MOST_AWAY: u32 = 3;
/// So many connections may end with it under way before it came back at all.
const STRIKES: u32 = 2;
/// PUBLISH, quality of service 0, not retained.
const PUBLISH: u8 = 0x30;

/// What a link has of it, whatever its connection.
#[derive(Debug)]
pub(super) struct Canary {
    topic: String,
    /// It came back once: it may be written, and read.
    is_proven: AtomicBool,
    is_doubted: AtomicBool,
    strikes: AtomicU32,
}

/// What one connection has of it.
#[derive(Debug)]
pub(super) struct Flight {
    every: Duration,
    due: Instant,
    number: u64,
    /// When the last one was sent, if it has not come back.
    sent: Option<Instant>,
    /// How many were sent since anything came.
    away: u32,
}

/// What follows when one is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To be sent.
    Send(Vec<u8>),
    /// To be sent, and nothing was passed on for long.
    Mute(Vec<u8>),
}

impl Canary {
    pub(super) fn new(client: &str) -> Self {
        Self {
            topic: format!("canary/{client}"),
            is_proven: AtomicBool::default(),
            is_doubted: AtomicBool::default(),
            strikes: AtomicU32::default(),
        }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// What a new connection has of it; `None` where it can't be sent. The first one is due soon: who is thrown out for it is so
    /// before much was heard.
    pub(super) fn flight(&self, keepalive: Duration, now: Instant) -> Option<Flight> {
        let flight = || Flight { every: keepalive.max(SHORTEST), due: now + SHORTEST, number: 0, sent: None, away: 0 };
        (self.strikes.load(Relaxed) < STRIKES).then(flight)
    }

    /// A connection ended.
    pub(super) fn ended(&self, flight: &Flight) {
        let is_suspect = flight.sent.is_some() && !self.is_proven.load(Relaxed);
        if is_suspect && self.strikes.fetch_add(1, Relaxed) + 1 == STRIKES {
            self.doubt();
        }
    }

    fn doubt(&self) {
        if !self.is_doubted.swap(true, Relaxed) {
            tracing::warn!(
                "our own message on {} does not come back: may this user write and read it? Whether the broker passes on what \
                 it takes can't be told",
                self.topic
            );
        }
    }
}

impl Flight {
    /// When the next one is due.
    pub(super) fn due_at(&self) -> Instant {
        self.due
    }

    /// One is due, while nothing was held back on our side.
    pub(super) fn due(&mut self, canary: &Canary, now: Instant) -> Due {
        let is_mute = self.away >= MOST_AWAY;
        if is_mute && !canary.is_proven.load(Relaxed) {
            canary.doubt();
        }
        self.due = now + self.every;
        self.number += 1;
        self.away = self.away.saturating_add(1);
        self.sent = Some(now);
        let packet = publish(&canary.topic, &self.number.to_be_bytes());
        if is_mute && canary.is_proven.load(Relaxed) { Due::Mute(packet) } else { Due::Send(packet) }
    }

    /// A message came, on whatever topic: the broker passes on what it takes.
    pub(super) fn passed(&mut self) {
        self.away = 0;
    }

    /// The canary came back: how long it was under way, if it is the last one.
    pub(super) fn back(&mut self, canary: &Canary, payload: &[u8], now: Instant) -> Option<Duration> {
        self.passed();
        canary.is_proven.store(true, Relaxed);
        let is_last = payload == self.number.to_be_bytes();
        self.sent.take_if(|_| is_last).map(|sent| now.duration_since(sent))
    }
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).expect("invariant: a client's name is far shorter than 64 KiB");
    let mut rest = 2 + topic.len() + payload.len();
    let mut packet = vec![PUBLISH];
    loop {
        let low = u8::try_from(rest % 128).expect("invariant: below 128");
        rest /= 128;
        packet.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    packet.extend(length.to_be_bytes());
    packet.extend(topic.as_bytes());
    packet.extend(payload);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Packet, Packets};

    const SECOND: Duration = Duration::from_secs(1);

    fn number(due: &Due) -> [u8; 8] {
        let (Due::Send(packet) | Due::Mute(packet)) = due;
        let mut packets = Packets::default();
        let mut found = None;
        packets
            .take(packet, |packet| match packet {
                Packet::Publish(message) => {
                    assert_eq!(message.topic, b"canary/me");
                    found = message.payload.try_into().ok();
                }
                Packet::Other(_) => panic!("no message"),
            })
            .unwrap();
        found.unwrap()
    }

    #[test]
    fn a_broker_that_passed_it_on_and_then_passes_nothing_is_mute_after_three() {
        let (canary, start) = (Canary::new("me"), Instant::now());
        let mut flight = canary.flight(SECOND, start).unwrap();
        assert_eq!(flight.due_at(), start + SHORTEST);
        let first = flight.due(&canary, start + SECOND);
        let millis = Duration::from_millis(3);
        assert_eq!(flight.back(&canary, &number(&first), start + SECOND + millis), Some(millis));
        assert_eq!(flight.back(&canary, &number(&first), start + SECOND + millis), None, "it comes once");
        for second in 2..5 {
            assert!(matches!(flight.due(&canary, start + second * SECOND), Due::Send(_)), "{second}");
        }
        assert!(matches!(flight.due(&canary, start + 5 * SECOND), Due::Mute(_)));
        flight.passed();
        assert!(matches!(flight.due(&canary, start + 6 * SECOND), Due::Send(_)), "somebody else's message came");
    }

    #[test]
    fn who_may_not_write_it_is_not_mute() {
        let (canary, start) = (Canary::new("me"), Instant::now());
        let mut flight = canary.flight(Duration::ZERO, start).unwrap();
        assert!((0..20).all(|_| matches!(flight.due(&canary, start), Due::Send(_))));
        assert!(canary.is_doubted.load(Relaxed));
    }

    #[test]
    fn who_is_thrown_out_for_it_twice_sends_it_no_more_unless_it_had_come_back() {
        let (canary, start) = (Canary::new("me"), Instant::now());
        for _ in 0..2 {
            let mut flight = canary.flight(SECOND, start).unwrap();
            canary.ended(&flight);
            flight.due(&canary, start);
            canary.ended(&flight);
        }
        assert!(canary.flight(SECOND, start).is_none());
        let canary = Canary::new("me");
        let mut flight = canary.flight(SECOND, start).unwrap();
        let first = flight.due(&canary, start);
        flight.back(&canary, &number(&first), start);
        for _ in 0..9 {
            flight.due(&canary, start);
            canary.ended(&flight);
        }
        assert!(canary.flight(SECOND, start).is_some());
    }

    #[test]
    fn a_long_topic_has_a_length_of_two_bytes() {
        let long = "x".repeat(300);
        let packet = publish(&long, b"12345678");
        assert_eq!(packet[..5], [PUBLISH, 0xb6, 0x02, 0x01, 0x2c]);
        assert_eq!(packet.len(), 3 + 2 + 300 + 8);
    }
}
