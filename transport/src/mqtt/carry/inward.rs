//! [`Inward`]: what comes from the broker: messages to the subscriber, all the rest to the library.

use std::{future::pending, sync::atomic::Ordering::Relaxed};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf},
    net::tcp::OwnedWriteHalf,
    sync::mpsc::Sender,
    time::{Instant, sleep_until},
};

use super::{Asking, BUFFER_BYTES, Cut, Far, Owed, PONG};
use crate::{
    Batch, Delivery, Receipt,
    mqtt::{
        canary::{Canary, Due, Flight},
        flow::{Flow, GATHER},
        packets::{Packet, Packets, Publish},
        pulse::{Pulse, Silence},
        relay::{Recipient, Shared, TURNED_AWAY},
        subscriber::{Deaf, Listener},
    },
};

/// See the module.
pub(super) struct Inward<'a> {
    far_in: ReadHalf<Far>,
    near_out: OwnedWriteHalf,
    owed: Sender<Owed>,
    asking: &'a Asking,
    pulse: Pulse,
    flow: Flow,
    /// Where the subscriber sends messages to itself.
    flight: Option<Flight>,
    shared: &'a Shared,
    /// Which connection of the relay's this is.
    number: u64,
}

impl<'a> Inward<'a> {
    pub(super) fn new(
        (far_in, near_out): (ReadHalf<Far>, OwnedWriteHalf),
        owed: Sender<Owed>,
        asking: &'a Asking,
        (shared, number): (&'a Shared, u64),
    ) -> Self {
        let pulse = Pulse::new(shared.keepalive, shared.patience());
        let (now, canary) = (Instant::now(), shared.listener().and_then(|listener| listener.canary.as_ref()));
        let flight = canary.and_then(|canary| canary.flight(shared.keepalive, now));
        Self { far_in, near_out, owed, asking, pulse, flow: Flow::new(now), flight, shared, number }
    }

    pub(super) async fn run(mut self) -> Result<(), Cut> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut packets = Packets::default();
        let mut out = Vec::new();
        let mut answered = false;
        loop {
            let Some(length) = self.read(&mut buffer).await else { break };
            out.clear();
            // A broker that sends is there, and its answer may stand behind many messages, which the library does not see.
            if self.asking.library.swap(false, Relaxed) {
                out.extend(PONG);
            }
            let mut messages = Messages::default();
            let taken = packets.take(&buffer[..length], |packet| match packet {
                Packet::Other(packet) => {
                    out.extend(packet);
                    answered = true;
                }
                Packet::Publish(message) => messages.add(message, self.shared),
            });
            self.passed_on(&messages).await;
            let pause = self.flow.shall_gather(
                Instant::now(),
                messages.batch.len(),
                !messages.numbers.is_empty() || length == buffer.len(),
            );
            if self.near_out.write_all(&out).await.is_err() || !self.hand(messages).await {
                break;
            }
            if pause {
                // The whole thread, which has only this connection: its runtime would wake with every message that comes.
                std::thread::park_timeout(GATHER);
            }
            if let Err(error) = taken {
                self.shared.failed_in(self.number, format!("what answers is no MQTT broker: {error}"));
                self.turn_away(answered).await;
                return Err(Cut::Malformed);
            }
        }
        self.turn_away(answered).await;
        if let (Some(flight), Some((_, canary))) = (&self.flight, canary(self.shared)) {
            canary.ended(flight);
        }
        // Of the two ways only this one: the library must still be able to write. One that is gone needs no end.
        let _ = self.near_out.shutdown().await;
        Ok(())
    }

    /// Tells the library that no answer will come to its connection, where there was none. One that is gone need not know.
    async fn turn_away(&mut self, answered: bool) {
        if !answered {
            let _ = self.near_out.write_all(&TURNED_AWAY).await;
        }
    }

    /// What comes; `None` when nothing more will.
    async fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let mut since = Instant::now();
        loop {
            let flies = self.flight.as_ref().map(Flight::due_at);
            let read = tokio::select! {
                biased;
                read = self.far_in.read(buffer) => Ok(read),
                () = sleep_until(since + self.pulse.limit()) => Err(()),
                () = at(flies) => {
                    self.fly().await;
                    continue;
                }
            };
            match read {
                Ok(Ok(0)) => {
                    self.shared.failed_in(self.number, "the broker has ended the connection".to_owned());
                    return None;
                }
                Ok(Ok(length)) => {
                    self.pulse.heard();
                    return Some(length);
                }
                Ok(Err(error)) => {
                    let of_tls = self.shared.tls.as_ref().and_then(|tls| tls.why_broken(&error));
                    self.shared.failed_in(
                        self.number,
                        of_tls.unwrap_or_else(|| format!("the connection with the broker broke: {error}")),
                    );
                    return None;
                }
                Err(()) => match self.pulse.silent() {
                    Silence::Ask => {
                        self.asking.relay.notify_one();
                        since = Instant::now();
                    }
                    Silence::Gone => {
                        self.shared.failed_in(self.number, "the broker did not answer in time".to_owned());
                        return None;
                    }
                },
            }
        }
    }

    /// Sends our own message. While we wait for the broker: what we hold back ourselves is no silence of its.
    async fn fly(&mut self) {
        let Some((flight, (listener, canary))) = self.flight.as_mut().zip(canary(self.shared)) else { return };
        let (packet, mute) = match flight.due(canary, Instant::now()) {
            Due::Send(packet) => (packet, false),
            Due::Mute(packet) => (packet, true),
        };
        self.asking.fly(packet);
        if mute {
            listener.say_deaf(Deaf::Mute, true).await;
        }
    }

    /// Takes note of what a broker passes on, our own message among it.
    async fn passed_on(&mut self, messages: &Messages) {
        let Some((flight, (listener, canary))) = self.flight.as_mut().zip(canary(self.shared)) else { return };
        if messages.came == 0 {
            return;
        }
        flight.passed();
        listener.say_deaf(Deaf::Mute, false).await;
        if let Some(payload) = &messages.canary
            && let Some(span) = flight.back(canary, payload, Instant::now())
        {
            listener.say_round_trip(span).await;
        }
    }

    /// Whether anybody wants them.
    async fn hand(&mut self, messages: Messages) -> bool {
        let Messages { mut batch, numbers, .. } = messages;
        if !numbers.is_empty() {
            let mut owed = Owed { numbers, since: Instant::now(), receipt: None };
            if !batch.is_empty() {
                let (receipt, given) = Receipt::new();
                (batch.receipt, owed.receipt) = (Some(receipt), Some(given));
            }
            if self.owed.send(owed).await.is_err() {
                return false;
            }
        }
        match self.shared.listener() {
            Some(listener) if !batch.is_empty() => listener.hand(batch).await.is_ok(),
            _ => true,
        }
    }
}

/// What came at once.
#[derive(Default)]
struct Messages {
    batch: Batch,
    numbers: Vec<u16>,
    /// How many, whether anybody wants them or not.
    came: usize,
    /// What our own message said, the last one.
    canary: Option<Vec<u8>>,
}

impl Messages {
    fn add(&mut self, message: Publish<'_>, shared: &Shared) {
        self.came += 1;
        self.numbers.extend(message.number);
        let Publish { topic, payload, retained, .. } = message;
        match &shared.recipient {
            // `sensor/#` also stands for `sensor`.
            Recipient::Subscriber(listener) if listener.wants(topic) => {
                self.batch.push(Delivery { topic, payload, retained, resent: false });
            }
            Recipient::Subscriber(listener) => {
                let is_ours = listener.canary.as_ref().is_some_and(|canary| canary.topic().as_bytes() == topic);
                self.canary = is_ours.then(|| payload.to_vec()).or(self.canary.take());
            }
            Recipient::Publisher(heard) => heard.take(topic, payload, retained),
        }
    }
}

/// Who hears of our own message, and what it is.
fn canary(shared: &Shared) -> Option<(&Listener, &Canary)> {
    shared.listener().and_then(|listener| Some((listener, listener.canary.as_ref()?)))
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
