//! [`Broker`]: the forwarding loop between the publishers' socket and the subscribers'.
//!
//! ```text
//!  publishers ── XSUB ── messages ──────────► Delivery (XPUB) ── subscribers
//!                     ◄────── subscriptions ──
//!                     ◄────── requests ──────── Keeper: what it keeps is sent again
//!  monitors of both (who comes and goes), a PAIR that says stop
//! ```
//!
//! One thread runs the loop; libzmq's I/O threads move the bytes. It waits in one poll, and wakes by itself only when
//! there is something to report.

use std::time::Duration;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_transport::{
    ZmqEndpoint,
    zeromq::{Curve, Gate, Guard, Monitor, PeerEvent, Purpose, SocketSettings, open, prepare},
};
use lastbeat_wire::Monotonic;

use crate::{
    addresses::Addresses,
    delivery::{Delivered, Delivery},
    keeper::Keeper,
    options::Options,
    ring::Ring,
    traffic::Traffic,
};

/// Most messages forwarded before the other sockets get their turn.
const BURST: usize = 1_000;
/// How often drops are warned of, at most; they are counted in any case.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The broker, its sockets open.
pub struct Broker {
    publishers: Monitor,
    subscribers: Monitor,
    front: zmq::Socket,
    delivery: Delivery,
    keeper: Keeper,
    /// When the turn began.
    now: Monotonic,
    control: zmq::Socket,
    addresses: Addresses,
    traffic: Traffic,
    warned: Option<Monotonic>,
    drain: Duration,
    has_key: bool,
    /// Handshakes that failed.
    strangers: u64,
    /// Where keys are bound to publishers.
    guard: Option<Guard>,
    gate: Option<Gate>,
    context: zmq::Context,
}

/// Stops a broker from another thread.
pub struct Stopper(zmq::Socket);

impl Stopper {
    /// Tells the loop to drain and to end.
    pub fn stop(self) {
        // A loop that has ended by itself needs no telling.
        let _ = self.0.send("", zmq::DONTWAIT);
    }
}

impl Broker {
    /// Opens all addresses.
    pub fn start(options: &Options, curve: &Curve) -> anyhow::Result<(Self, Stopper)> {
        let context = zmq::Context::new();
        context.set_io_threads(i32::from(options.io_threads)).context("can't set the number of I/O threads")?;
        let settings = SocketSettings { high_water_mark: options.high_water_mark(), keepalive: options.keepalive };
        let gate = curve.gate(&context).context("can't let keys in")?;
        let (front, publishers) = socket(&context, zmq::XSUB, settings, curve)?;
        let (back, subscribers) = socket(&context, zmq::XPUB, settings, curve)?;
        let delivery = Delivery::new(back, options.patience).context("can't set up the subscribers' socket")?;
        let addresses = Addresses {
            publishers: bind(&front, &options.publishers)?,
            subscribers: bind(delivery.socket(), &options.subscribers)?,
        };
        let control = context.socket(zmq::PAIR)?;
        control.bind("inproc://control")?;
        let stopper = context.socket(zmq::PAIR)?;
        stopper.set_linger(0)?;
        stopper.connect("inproc://control")?;
        let keeper = Keeper::new(Ring::new(options.keep, options.keep_for));
        let broker = Self {
            publishers,
            subscribers,
            front,
            delivery,
            keeper,
            now: Clock.now().monotonic,
            control,
            addresses,
            traffic: Traffic::new(Clock.now().monotonic),
            warned: None,
            drain: options.drain,
            has_key: curve.is_on(),
            strangers: 0,
            guard: curve.guard(),
            gate,
            context,
        };
        Ok((broker, Stopper(stopper)))
    }

    /// Where it can be reached.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Forwards until it is told to stop; then what has arrived is still forwarded.
    pub fn run(mut self) -> anyhow::Result<()> {
        while let Some(ready) = self.wait()? {
            self.now = Clock.now().monotonic;
            if ready.subscriptions {
                self.forward_subscriptions()?;
            }
            if ready.messages {
                self.forward_messages(BURST)?;
            }
            if ready.peers {
                self.count_peers();
            }
            if self.keeper.due().is_some() {
                let Self { keeper, delivery, front, traffic, now, .. } = &mut self;
                keeper.answer(*now, delivery, front, &mut traffic.counts).context("can't send again")?;
            }
            self.report();
        }
        self.end()
    }

    /// What there is to do; `None` is the end.
    fn wait(&self) -> anyhow::Result<Option<Ready>> {
        let sockets =
            [&self.front, self.delivery.socket(), &self.control, self.publishers.socket(), self.subscribers.socket()];
        let mut items = sockets.map(|socket| socket.as_poll_item(zmq::POLLIN));
        let timeout = self.traffic.due().map_or(-1, |due| {
            let left = due.since(Clock.now().monotonic);
            // Rounded up, so as not to wake just before.
            i64::try_from(left.as_millis()).unwrap_or(i64::MAX - 1) + 1
        });
        let answers = self.keeper.due().map(|due| i64::try_from(due.as_millis()).unwrap_or(i64::MAX));
        let timeout = answers.map_or(timeout, |answers| if timeout < 0 { answers } else { timeout.min(answers) });
        match zmq::poll(&mut items, timeout) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error).context("can't wait for messages"),
        }
        let [messages, subscriptions, stop, publishers, subscribers] = items.map(|item| item.is_readable());
        Ok((!stop).then_some(Ready { messages, subscriptions, peers: publishers || subscribers }))
    }

    fn forward_messages(&mut self, most: usize) -> anyhow::Result<usize> {
        for count in 0..most {
            if !self.forward_message().context("can't forward a message")? {
                return Ok(count);
            }
        }
        Ok(most)
    }

    /// Forwards one message of any number of frames; whether there was one.
    fn forward_message(&mut self) -> zmq::Result<bool> {
        let Some(mut first) = receive(&self.front)? else { return Ok(false) };
        if let Some(guard) = &mut self.guard
            && !guard.admits(&mut first)
        {
            self.traffic.counts.forbidden = guard.refused();
            return self.pass_over(first).map(|()| true);
        }
        let mut more = more(&first);
        let (mut bytes, mut frames) = (first.len() as u64, 1);
        let delivered = self.delivery.send_first(&first, more)?;
        while more != 0 {
            // Whole messages only: what follows is there already.
            let further = self.front.recv_msg(0)?;
            more = self::more(&further);
            bytes += further.len() as u64;
            if frames == 1 && more == 0 {
                self.keeper.keep(self.now, &first, &further);
            }
            frames += 1;
            self.delivery.send_further(further, more)?;
        }
        let counts = &mut self.traffic.counts;
        counts.messages += 1;
        counts.bytes_in += bytes;
        counts.bytes_out += bytes;
        if delivered == Delivered::PastTheFull {
            counts.dropped += 1;
            self.warn_of_drops();
        }
        Ok(true)
    }

    /// Takes the rest of a message that goes nowhere.
    fn pass_over(&self, mut frame: zmq::Message) -> zmq::Result<()> {
        while frame.get_more() {
            frame = self.front.recv_msg(0)?;
        }
        Ok(())
    }

    fn forward_subscriptions(&mut self) -> anyhow::Result<()> {
        for _ in 0..BURST {
            let Some(subscription) = receive(self.delivery.socket()).context("can't read a subscription")? else {
                break;
            };
            if !matches!(subscription.first(), None | Some(0 | 1)) {
                let Self { keeper, front, traffic, now, .. } = self;
                keeper.take(*now, &subscription, front, &mut traffic.counts).context("can't pass on a request")?;
                continue;
            }
            tracing::debug!("subscription {:?}", String::from_utf8_lossy(&subscription));
            self.front.send(subscription, 0).context("can't pass on a subscription")?;
        }
        Ok(())
    }

    fn count_peers(&mut self) {
        for (monitor, kind) in [(&mut self.publishers, "publisher"), (&mut self.subscribers, "subscriber")] {
            while let Some(event) = monitor.next_event() {
                match event {
                    PeerEvent::Joined => tracing::debug!("a {kind} has come"),
                    PeerEvent::Left => tracing::debug!("a {kind} has left or did not answer in time"),
                    PeerEvent::Stranger(failure) => {
                        self.strangers += 1;
                        if self.strangers.is_power_of_two() {
                            let (why, times) = (failure.of_a_stranger(self.has_key), self.strangers);
                            tracing::warn!("handshake with a {kind} failed: {why} ({times} such failures so far)");
                        }
                    }
                    PeerEvent::Nobody => {}
                }
            }
        }
        self.traffic.counts.publishers = self.publishers.joined();
        self.traffic.counts.subscribers = self.subscribers.joined();
    }

    fn warn_of_drops(&mut self) {
        let now = Clock.now().monotonic;
        if self.warned.is_none_or(|warned| now.since(warned) >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!(
                "a subscriber has not read for too long: messages pass it by until it has read half of what it has queued"
            );
        }
    }

    fn report(&mut self) {
        if let Some(report) = self.traffic.report(self.now) {
            tracing::info!("{report}");
        }
    }

    fn end(mut self) -> anyhow::Result<()> {
        let start = Clock.now().monotonic;
        while self.forward_messages(BURST)? > 0 && Clock.now().monotonic.since(start) < self.drain {}
        let left = self.drain.saturating_sub(Clock.now().monotonic.since(start));
        let linger = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        self.delivery.socket().set_linger(linger).context("can't wait for what was sent")?;
        let Self { publishers, subscribers, front, delivery, control, gate, mut context, traffic, .. } = self;
        drop((publishers, subscribers, front, delivery, control, gate));
        // The stopper's socket was closed by its thread. Waits until the I/O threads have written what they held.
        context.destroy().context("can't wait for what was sent")?;
        let counts = traffic.counts;
        tracing::info!(
            "stopped after {} messages, {} dropped, {} forbidden",
            counts.messages,
            counts.dropped,
            counts.forbidden
        );
        Ok(())
    }
}

struct Ready {
    messages: bool,
    subscriptions: bool,
    peers: bool,
}

fn socket(
    context: &zmq::Context,
    kind: zmq::SocketType,
    settings: SocketSettings,
    curve: &Curve,
) -> anyhow::Result<(zmq::Socket, Monitor)> {
    let (name, purpose) = match kind {
        zmq::XSUB => ("publishers", Purpose::Publish),
        _ => ("subscribers", Purpose::Subscribe),
    };
    let make = || {
        let socket = context.socket(kind)?;
        prepare(&socket, settings)?;
        curve.prepare(&socket, purpose)?;
        let monitor = Monitor::new(context, &socket, name)?;
        Ok::<_, zmq::Error>((socket, monitor))
    };
    make().with_context(|| format!("can't make the {name}' socket"))
}

fn bind(socket: &zmq::Socket, endpoints: &[ZmqEndpoint]) -> anyhow::Result<Vec<String>> {
    endpoints.iter().map(|endpoint| Ok(open(socket, endpoint)?)).collect()
}

/// The next frame if there is one.
fn receive(socket: &zmq::Socket) -> zmq::Result<Option<zmq::Message>> {
    loop {
        match socket.recv_msg(zmq::DONTWAIT) {
            Ok(frame) => return Ok(Some(frame)),
            Err(zmq::Error::EAGAIN) => return Ok(None),
            Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn more(frame: &zmq::Message) -> i32 {
    if frame.get_more() { zmq::SNDMORE } else { 0 }
}
