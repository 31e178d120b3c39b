//! A subscriber's end over ZeroMQ: one thread that turns what an XSUB socket receives into batches, and sends
//! requests up it: what begins with neither 0 nor 1 goes to the peers' XPUB sockets, past subscriptions.
//!
//! ```text
//!  XSUB ─────────┐
//!  monitor ──────┤
//!  pilot ────────┼─ poll, no ticks ─ thread ── Inbox (bounded; full = stop reading) ── subscriber's loop
//!  control PAIR ─┘
//! ```

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lastbeat_host::Clock;
use lastbeat_wire::Monotonic;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::{
    Curve, Failure, Gate, Guard, Monitor, PeerEvent, Purpose, SocketSettings, millis, open, pilot::Pilot, prepare,
    redial::Redial,
};
use crate::{
    Arrival, Asker, Batch, Delivery, Incoming, LinkIndex, SubscribeOptions, Subscription, TransportError,
    endpoint::{Way, ZmqEndpoint},
    filter::{Admission, Filter},
    subscription::{Inbox, Stopped},
};

/// Most messages in a batch: enough to make the hand-over cheap, few enough to stay in the cache.
const BATCH_MESSAGES: usize = 512;
/// A batch takes no further message once it holds so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// A peer that ends closes its other connection at once, and this one when all it had for us has left: as long as no pause
/// is longer than this, or than a quarter of the keepalive, what comes is taken.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How often malformed messages are reported, at most.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Opens a subscriber's end.
pub(crate) fn subscribe(
    endpoint: &ZmqEndpoint,
    options: &SubscribeOptions,
    link: LinkIndex,
    incoming: Sender<Incoming>,
) -> Result<Subscription, TransportError> {
    let curve = Curve::read(&endpoint.lock)?;
    let context = zmq::Context::new();
    let admission = Admission::new(Filter::new(options.topics.clone()));
    let made = || Ok((curve.gate(&context)?, sockets(&context, options, &curve, &admission)?));
    let (gate, (socket, monitor, control, stopper)) = made().map_err(|source| TransportError::Zmq {
        place: endpoint.address.clone(),
        doing: "can't make a socket",
        source,
    })?;
    let (inbox, address) = (admission.inbox(), open(&socket, endpoint)?);
    let pilot = match endpoint.way {
        Way::Connect => Some(Pilot::connect(&context, endpoint, settings(options), &curve)?),
        Way::Bind => None,
    };
    let stop = CancellationToken::new();
    let receiver = Receiver {
        sockets: Sockets { socket, monitor, pilot, control, _gate: gate },
        redial: Redial::new(endpoint.address.clone()),
        guard: curve.guard(),
        has_key: curve.is_on(),
        admission,
        inbox: Inbox { link, incoming, stop: stop.clone() },
        address: address.clone(),
        joined: false,
        paired: false,
        leaves_at: None,
        last_words: LAST_WORDS.min(options.keepalive / 4),
        up: None,
        malformed: 0,
        handshakes_failed: 0,
        reported: None,
        frames: [zmq::Message::new(), zmq::Message::new()],
    };
    // Nobody listens any more: that is an end, not an error.
    let run = move || receiver.run().unwrap_or(());
    // The thread may have ended by itself and closed its side; or be busy, with requests that wait: it looks at `stop`.
    let control = Arc::new(Mutex::new(stopper));
    let tell = |control: &Mutex<zmq::Socket>, what: &[u8]| {
        control.lock().unwrap_or_else(PoisonError::into_inner).send(what, zmq::DONTWAIT).is_ok()
    };
    let waking = Arc::clone(&control);
    let wake = move || {
        tell(&waking, b"");
    };
    let asker = Asker::new(inbox, move |request| tell(&control, request));
    Subscription::spawn(stop, format!("zmq-{}", link.0), run, wake)
        .map(|subscription| subscription.with_asker(asker))
        .map_err(|source| TransportError::Thread { place: address, source })
}

fn settings(options: &SubscribeOptions) -> SocketSettings {
    SocketSettings { high_water_mark: options.high_water_mark, keepalive: options.keepalive }
}

type Made = (zmq::Socket, Monitor, zmq::Socket, zmq::Socket);

fn sockets(
    context: &zmq::Context,
    options: &SubscribeOptions,
    curve: &Curve,
    admission: &Admission,
) -> zmq::Result<Made> {
    let socket = context.socket(zmq::XSUB)?;
    prepare(&socket, settings(options))?;
    curve.prepare(&socket, Purpose::Publish)?;
    for prefix in admission.iter() {
        socket.send([&[1], prefix.as_bytes()].concat(), 0)?;
    }
    let monitor = Monitor::new(context, &socket, "subscriber")?;
    let (control, stopper) = (context.socket(zmq::PAIR)?, context.socket(zmq::PAIR)?);
    stopper.set_linger(0)?;
    control.bind("inproc://control")?;
    stopper.connect("inproc://control")?;
    Ok((socket, monitor, control, stopper))
}

/// What there is to do.
#[derive(Default)]
struct Ready {
    messages: bool,
    events: bool,
    requests: bool,
}

struct Sockets {
    socket: zmq::Socket,
    monitor: Monitor,
    /// Where it connects.
    pilot: Option<Pilot>,
    control: zmq::Socket,
    _gate: Option<Gate>,
}

struct Receiver {
    sockets: Sockets,
    redial: Redial,
    /// Where it is bound and keys are bound to publishers.
    guard: Option<Guard>,
    has_key: bool,
    admission: Admission,
    inbox: Inbox,
    address: String,
    /// Whether a peer is there, where it connects.
    joined: bool,
    /// Whether the pilot has joined beside this very connection: what it tells from then on is told of this one, too.
    paired: bool,
    /// Set when the peer has left by its other connection and not by this one: when this one is given up, too.
    leaves_at: Option<Monotonic>,
    last_words: Duration,
    /// Whether the link was last said to be up.
    up: Option<bool>,
    malformed: u64,
    /// Of those who came, where it is bound.
    handshakes_failed: u32,
    reported: Option<Monotonic>,
    /// Reused for every message.
    frames: [zmq::Message; 2],
}

/// What a look at the socket gave.
enum Received {
    /// A message of two frames.
    Message,
    /// Something else, already counted.
    Malformed,
    Nothing,
}

impl Receiver {
    fn run(mut self) -> Result<(), Stopped> {
        if self.sockets.pilot.is_none() {
            self.say(true, "")?;
        }
        loop {
            let Ready { messages, events, requests } = self.wait()?;
            if let Err(error) = self.dial(Clock.now().monotonic) {
                tracing::error!("{}: can't connect again: {error}", self.address);
                return Err(Stopped);
            }
            if requests {
                self.send_requests()?;
            }
            if events {
                self.read_events()?;
            }
            if messages && self.up == Some(true) {
                self.hand_batch()?;
            }
            self.hear_out(messages)?;
        }
    }

    /// Gives up the connection of a peer that has left, once it has nothing more to say.
    fn hear_out(&mut self, speaks: bool) -> Result<(), Stopped> {
        let Some(leaves_at) = self.leaves_at else { return Ok(()) };
        let now = Clock.now().monotonic;
        if speaks {
            self.leaves_at = Some(now.plus(self.last_words));
        } else if now >= leaves_at {
            self.give_up()?;
        }
        Ok(())
    }

    /// The peer has left, and with it this connection: TCP may take long to see that this one is dead, too.
    fn give_up(&mut self) -> Result<(), Stopped> {
        self.tell(PeerEvent::Left)?;
        (self.joined, self.paired, self.leaves_at) = (false, false, None);
        // That may have waited for the loop, and libzmq has seen it meanwhile and found another peer.
        self.read_events()?;
        if !self.joined {
            self.redial.again(&self.sockets.socket, Clock.now().monotonic);
        }
        Ok(())
    }

    fn dial(&mut self, now: Monotonic) -> zmq::Result<()> {
        self.redial.dial(&self.sockets.socket, now)?;
        self.sockets.pilot.as_mut().map_or(Ok(()), |pilot| pilot.dial(now))
    }

    /// Waits for messages, events, or the time to connect again; no ticks.
    fn wait(&self) -> Result<Ready, Stopped> {
        let Sockets { socket, monitor, pilot, control, .. } = &self.sockets;
        let now = Clock.now().monotonic;
        let leaves = self.leaves_at.map(|at| at.since(now));
        let lefts = [self.redial.left(now), pilot.as_ref().and_then(|pilot| pilot.left(now)), leaves];
        let limit = lefts.into_iter().flatten().min().map_or(-1, |left| i64::from(millis(left)));
        // While the link is not said to be up nothing that comes by it is taken.
        let wanted = if self.up == Some(true) { zmq::POLLIN } else { zmq::PollEvents::empty() };
        let of_pilot = pilot.as_ref().map_or(control, Pilot::socket);
        let mut items = [
            socket.as_poll_item(wanted),
            monitor.socket().as_poll_item(zmq::POLLIN),
            of_pilot.as_poll_item(zmq::POLLIN),
            control.as_poll_item(zmq::POLLIN),
        ];
        match zmq::poll(&mut items, limit) {
            Ok(_) => {
                let [messages, of_socket, of_pilot, requests] = items.map(|item| item.is_readable());
                Ok(Ready { messages, events: of_socket || of_pilot, requests })
            }
            Err(zmq::Error::EINTR) => Ok(Ready::default()),
            Err(error) => {
                tracing::error!("{}: can't wait for messages: {error}", self.address);
                Err(Stopped)
            }
        }
    }

    /// Sends up what the control socket brings. A peer without room for it does not get it, and is asked again later.
    fn send_requests(&self) -> Result<(), Stopped> {
        while let Ok(request) = self.sockets.control.recv_msg(zmq::DONTWAIT) {
            if self.inbox.stop.is_cancelled() {
                return Err(Stopped);
            }
            if let Err(error) = self.sockets.socket.send(request, zmq::DONTWAIT) {
                tracing::debug!("{}: can't ask for what was lost: {error}", self.address);
            }
        }
        Ok(())
    }

    /// Takes in what both connections tell. All of the socket's comes first: one I/O thread writes the events of both, so that
    /// when a connection made anew is seen, what became of the pilot before it is seen, too, before anything is judged.
    fn read_events(&mut self) -> Result<(), Stopped> {
        while let Some(event) = self.sockets.monitor.next_event() {
            if self.sockets.pilot.is_some() {
                self.of_the_socket(event)?;
            } else if let PeerEvent::Stranger(failure) = event {
                // A bound socket hears whoever comes: it stays up, however many are there.
                self.count_stranger(failure);
            }
        }
        // Nothing was waited for since the monitor had no more to tell.
        if self.sockets.pilot.is_some() {
            self.redial.settle(&self.sockets.socket, self.has_key, Clock.now().monotonic);
        }
        while let Some(event) = self.sockets.pilot.as_mut().and_then(|pilot| pilot.next_event(Clock.now().monotonic)) {
            self.of_the_pilot(event)?;
        }
        if self.joined && !self.paired && self.sockets.pilot.as_ref().is_some_and(Pilot::joined) {
            self.paired = true;
            self.say(true, "")?;
        }
        Ok(())
    }

    fn of_the_socket(&mut self, event: PeerEvent) -> Result<(), Stopped> {
        self.redial.heard(event);
        self.joined = event == PeerEvent::Joined;
        if event == PeerEvent::Left {
            (self.paired, self.leaves_at) = (false, None);
        }
        self.tell(event)
    }

    fn of_the_pilot(&mut self, event: PeerEvent) -> Result<(), Stopped> {
        if !self.paired {
            // Of whoever was there before the socket's peer, or comes with it.
            return self.tell(event);
        }
        if event == PeerEvent::Left {
            self.leaves_at = Some(Clock.now().monotonic.plus(self.last_words));
        }
        Ok(())
    }

    /// Says what an event means for the link; that it is up is said where both connections are seen.
    fn tell(&mut self, event: PeerEvent) -> Result<(), Stopped> {
        match event {
            PeerEvent::Joined => Ok(()),
            PeerEvent::Left => self.say(false, "the peer is gone or did not answer in time"),
            PeerEvent::Nobody => self.say(false, "nobody answers there"),
            PeerEvent::Stranger(failure) => self.say(false, failure.of_the_peer(self.has_key)),
        }
    }

    fn count_stranger(&mut self, failure: Failure) {
        self.handshakes_failed = self.handshakes_failed.saturating_add(1);
        if self.handshakes_failed.is_power_of_two() {
            let (times, why) = (self.handshakes_failed, failure.of_a_stranger(self.has_key));
            tracing::warn!("{}: a handshake failed ({times} so far): {why}", self.address);
        }
    }

    fn say(&mut self, up: bool, reason: &str) -> Result<(), Stopped> {
        if self.up == Some(up) {
            return Ok(());
        }
        self.up = Some(up);
        if up {
            return self.inbox.hand(Arrival::Up);
        }
        // What came before the end is handed over before it.
        while self.hand_batch()? {}
        self.inbox.hand(Arrival::Down { reason: format!("{}: {reason}", self.address) })
    }

    /// Hands over what is there, up to one batch; whether there was anything.
    fn hand_batch(&mut self) -> Result<bool, Stopped> {
        let mut batch = Batch::default();
        let mut looked_at = 0;
        while looked_at < BATCH_MESSAGES && batch.byte_len() < BATCH_BYTES {
            match self.receive() {
                Received::Nothing => break,
                Received::Malformed => batch.malformed += 1,
                Received::Message => {
                    let [topic, payload] = &mut self.frames;
                    if self.guard.as_mut().is_some_and(|guard| !guard.admits(topic)) {
                        looked_at += 1;
                        continue;
                    }
                    if let Some((topic, resent)) = self.admission.admit(topic) {
                        batch.push(Delivery { topic, payload, retained: false, resent });
                    }
                }
            }
            looked_at += 1;
        }
        if !batch.is_empty() || batch.malformed > 0 {
            self.inbox.hand(Arrival::Batch(batch))?;
        }
        Ok(looked_at > 0)
    }

    fn receive(&mut self) -> Received {
        let socket = &self.sockets.socket;
        let [topic, payload] = &mut self.frames;
        if socket.recv(topic, zmq::DONTWAIT).is_err() {
            // EAGAIN: nothing there. Anything else shows again in the next poll.
            return Received::Nothing;
        }
        // libzmq delivers whole messages: further frames are there at once.
        if topic.get_more() && socket.recv(payload, 0).is_ok() && !payload.get_more() {
            return Received::Message;
        }
        let mut frames = 1 + u32::from(topic.get_more());
        while topic.get_more() && payload.get_more() && socket.recv(payload, 0).is_ok() {
            frames += 1;
        }
        self.count_malformed(frames);
        Received::Malformed
    }

    fn count_malformed(&mut self, frames: u32) {
        self.malformed += 1;
        let now = Clock.now().monotonic;
        if self.reported.is_none_or(|reported| now.since(reported) >= REPORT_EVERY) {
            self.reported = Some(now);
            let (address, malformed) = (&self.address, self.malformed);
            tracing::warn!("{address}: a message of {frames} frames instead of two was dropped ({malformed} so far)");
        }
    }
}
