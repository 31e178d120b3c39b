//! [`Relay`]: carries the bytes between the client library and the broker, over a port of this machine's loopback.
//!
//! ```text
//!  library ── near (127.0.0.1) ── relay ── far ── broker
//! ```
//!
//! It is there for three things that the library can't do by itself.
//!
//! When a connection breaks while the library writes a message of quality of service 1, it frees that message twice
//! (paho.mqtt.c 1.3: `MQTTAsync_processCommand` frees what `MQTTProtocol_startPublish` has put by). Here the library
//! never writes into a broken connection: when the broker is gone, it is told so by the end of what it reads, and what
//! it still writes is taken and thrown away.
//!
//! [`cut`](Relay::cut) takes effect at once: after it no acknowledgement reaches the broker.
//!
//! And a link that is dead is noticed in less than the library's whole seconds ([`Pulse`]), unless it is encrypted.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::pulse::{Outward, Pulse};
use super::screen::{Changed, Screen};
use crate::{MqttEndpoint, Security, waiting::wait_for};

const BUFFER_BYTES: usize = 64 << 10;
/// Most bytes of the library's request for a tunnel.
const REQUEST_BYTES: usize = 4 << 10;

/// One library client's way to its broker. It has one connection at a time.
pub(super) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    host_and_port: String,
    /// Whether the library asks for a tunnel first, as it does of a proxy when it is to speak TLS.
    tunnel: bool,
    /// How long the broker may take to accept a connection, or bytes.
    patience: Duration,
    keepalive: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopped: bool,
    connection: Option<Connection>,
    /// Why the broker could not be reached.
    error: Option<String>,
}

struct Connection {
    near: TcpStream,
    far: TcpStream,
    /// Set when all that the library wrote has been passed on.
    passed_on: CancellationToken,
}

impl Relay {
    /// After a silence of `keepalive`, 0.2 s at least, the broker is asked whether it is there.
    pub(super) fn start(endpoint: &MqttEndpoint, keepalive: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            host_and_port: format!("{}:{}", endpoint.host, endpoint.port),
            tunnel: endpoint.security != Security::Plain,
            patience: keepalive.max(Duration::from_secs(1)),
            keepalive,
            state: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let thread = thread::Builder::new().name("mqtt-relay".to_owned()).spawn(move || accepting.accept(&listener))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where the library is to connect to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks the connection, now: nothing more of what the library writes reaches the broker.
    pub(super) fn cut(&self) {
        if let Some(connection) = &self.shared.lock().connection {
            connection.cut();
        }
    }

    /// Waits until all that the library wrote before it closed its side has been passed on.
    pub(super) fn finish(&self, limit: Duration) {
        let passed_on = self.shared.lock().connection.as_ref().map(|connection| connection.passed_on.clone());
        if let Some(passed_on) = passed_on {
            wait_for(passed_on.cancelled(), Some(limit));
        }
    }

    /// Why the broker could not be reached, if that was why the last connection failed.
    pub(super) fn take_error(&self) -> Option<String> {
        self.shared.lock().error.take()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        if let Some(connection) = &state.connection {
            connection.cut();
        }
        drop(state);
        // Wakes the thread from its wait for a connection. Without it the thread would wait on, so it isn't joined then.
        if TcpStream::connect(self.address).is_ok() && self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("an MQTT relay's thread had panicked");
        }
    }
}

impl Connection {
    fn cut(&self) {
        // One that is broken already can't be broken again.
        let _ = self.far.shutdown(Shutdown::Both);
        let _ = self.near.shutdown(Shutdown::Write);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, listener: &TcpListener) {
        for near in listener.incoming() {
            if self.lock().stopped {
                return;
            }
            let connected = near
                .as_ref()
                .map_err(ToString::to_string)
                .and_then(|near| self.connect(near).map_err(|error| format!("{}: {error}", self.host_and_port)));
            // Before the library's connection is dropped, so that it is there when the library says that it failed.
            self.lock().error = connected.err();
        }
    }

    /// Connects to the broker and starts two threads that end with the connection.
    fn connect(&self, near: &TcpStream) -> io::Result<()> {
        near.set_nodelay(true)?;
        let far = reach(&self.host_and_port, self.patience)?;
        far.set_nodelay(true)?;
        // A broker that takes nothing for so long is given up, though the library may not have noticed yet.
        far.set_write_timeout(Some(self.patience))?;
        if self.tunnel {
            grant_tunnel(near, self.patience)?;
        }
        let passed_on = CancellationToken::new();
        let (mut near_in, mut near_out) = (near.try_clone()?, near.try_clone()?);
        let (far_in, far_out) = (far.try_clone()?, far.try_clone()?);
        let mut outward_way = Outward::new(far.try_clone()?);
        let connection = Connection { near: near.try_clone()?, far, passed_on: passed_on.clone() };
        {
            let mut state = self.lock();
            if let Some(earlier) = state.connection.replace(connection) {
                earlier.cut();
            }
        }
        let name = |which: &str| thread::Builder::new().name(format!("mqtt-{which}"));
        // What is encrypted can't be looked into, and nothing put between.
        let (mut from, mut inspection): (Box<dyn Read + Send>, Box<dyn Inspection>) = if self.tunnel {
            (Box::new(far_in.try_clone()?), Box::new(AsItIs))
        } else {
            let pulse = Pulse::new(far_in.try_clone()?, outward_way.clone(), self.keepalive);
            (Box::new(pulse), Box::new(Screened::new(self.host_and_port.clone())))
        };
        let outward = move || {
            let _passed_on = passed_on.drop_guard();
            if pass_on(&mut near_in, &mut outward_way, &mut AsItIs) == Ended::Writing {
                // The broker is gone: what the library still writes goes nowhere, but it goes.
                let _ = io::copy(&mut near_in, &mut io::sink());
            }
            let _ = far_out.shutdown(Shutdown::Write);
        };
        let inward = move || {
            if pass_on(&mut *from, &mut near_out, &mut *inspection) == Ended::Writing {
                let _ = far_in.shutdown(Shutdown::Both);
            }
            // Of the two ways only this one: the library must still be able to write.
            let _ = near_out.shutdown(Shutdown::Write);
        };
        name("outward").spawn(outward)?;
        name("inward").spawn(inward)?;
        Ok(())
    }
}

/// Connects to the first of a name's addresses that answers.
pub(super) fn reach(host_and_port: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in host_and_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(far) => return Ok(far),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What ended a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Reading,
    Writing,
}

/// What is done with bytes on their way.
trait Inspection: Send {
    /// What of them is to be passed on; `None` when the connection is to end.
    fn inspect<'a>(&'a mut self, bytes: &'a [u8]) -> Option<&'a [u8]>;
}

/// Nothing.
struct AsItIs;

impl Inspection for AsItIs {
    fn inspect<'a>(&'a mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        Some(bytes)
    }
}

/// What would harm the library is stopped, and told: the first time, and then at each doubling.
struct Screened {
    broker: String,
    screen: Screen,
    changed: Changed,
    out: Vec<u8>,
}

impl Screened {
    fn new(broker: String) -> Self {
        Self { broker, screen: Screen::default(), changed: Changed::default(), out: Vec::new() }
    }

    fn tell(&mut self, news: Changed) {
        let count = |known: &mut u64, more: u64, what: &str| {
            let before = *known;
            *known += more;
            if before.checked_ilog2() != known.checked_ilog2() {
                tracing::warn!(broker = %self.broker, so_far = *known, "the MQTT broker passed on {what}");
            }
        };
        count(&mut self.changed.topics, news.topics, "a topic that is not UTF-8, or has a NUL");
        count(&mut self.changed.payloads, news.payloads, "a payload over 1 MiB; the rest of it was not read");
    }
}

impl Inspection for Screened {
    fn inspect<'a>(&'a mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.out.clear();
        let passed = self.screen.pass(bytes, &mut self.out);
        let news = self.screen.take_changed();
        self.tell(news);
        match passed {
            Ok(()) => Some(&self.out),
            Err(error) => {
                tracing::warn!(broker = %self.broker, "what answers there is no MQTT broker: {error}");
                None
            }
        }
    }
}

fn pass_on(from: &mut dyn Read, to: &mut dyn Write, inspection: &mut dyn Inspection) -> Ended {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return Ended::Reading,
            // One who sends what it must not is as good as gone.
            Ok(length) => match inspection.inspect(&buffer[..length]) {
                None => return Ended::Writing,
                Some(passed) if to.write_all(passed).is_err() => return Ended::Writing,
                Some(_) => {}
            },
        }
    }
}

/// Answers the library's `CONNECT`. There is one place that leads to, whatever it names.
fn grant_tunnel(mut near: &TcpStream, patience: Duration) -> io::Result<()> {
    near.set_read_timeout(Some(patience))?;
    let mut request = Vec::new();
    let mut byte = [0];
    // The library says nothing more until it has its answer. (It sends the NUL at the string's end with it.)
    while !request.ends_with(b"\r\n\r\n") {
        near.read_exact(&mut byte)?;
        request.push(byte[0]);
        if request.len() > REQUEST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no request for a tunnel"));
        }
    }
    near.set_read_timeout(None)?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    /// PINGRESP.
    const PING: &[u8] = &[0xd0, 0];

    fn relay(broker: &TcpListener, keepalive: Duration) -> Relay {
        let url = format!("mqtt://{}", broker.local_addr().unwrap());
        let Endpoint::Mqtt(endpoint) = url.parse().unwrap() else { panic!("not MQTT") };
        Relay::start(&endpoint, keepalive).unwrap()
    }

    /// A relay that is patient, the library's end of its connection, and the broker's.
    fn connected() -> (Relay, TcpStream, TcpStream) {
        connected_for(Duration::from_mins(1))
    }

    fn connected_for(keepalive: Duration) -> (Relay, TcpStream, TcpStream) {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = relay(&broker, keepalive);
        let near = TcpStream::connect(relay.address()).unwrap();
        let (far, _) = broker.accept().unwrap();
        (relay, near, far)
    }

    fn ends(stream: &mut TcpStream) {
        assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
    }

    #[test]
    fn a_broker_that_goes_ends_what_is_read_and_not_what_is_written() {
        let (_relay, mut near, mut far) = connected();
        near.write_all(b"ping").unwrap();
        let mut heard = [0; 4];
        far.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"ping");
        drop(far);
        assert_eq!(near.read(&mut heard).unwrap(), 0);
        // More than all buffers on the way hold: somebody takes it.
        for _ in 0..512 {
            near.write_all(&vec![0; BUFFER_BYTES]).unwrap();
        }
    }

    #[test]
    fn nothing_gets_through_after_a_cut() {
        let (relay, mut near, mut far) = connected();
        far.write_all(PING).unwrap();
        near.read_exact(&mut [0; 2]).unwrap();
        relay.cut();
        near.write_all(b"acknowledged").unwrap();
        ends(&mut far);
        ends(&mut near);
    }

    #[test]
    fn what_was_written_before_the_end_is_passed_on() {
        let (relay, mut near, mut far) = connected();
        far.write_all(PING).unwrap();
        near.read_exact(&mut [0; 2]).unwrap();
        near.write_all(b"goodbye").unwrap();
        drop(near);
        relay.finish(Duration::from_mins(1));
        drop(relay);
        let mut heard = [0; 7];
        far.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"goodbye");
    }

    #[test]
    fn what_is_no_broker_is_cut_off() {
        let (_relay, mut near, mut far) = connected();
        far.write_all(PING).unwrap();
        near.read_exact(&mut [0; 2]).unwrap();
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        ends(&mut near);
        ends(&mut far);
    }

    #[test]
    fn a_broker_that_is_silent_is_asked_and_one_that_does_not_answer_is_gone() {
        let (_relay, mut near, mut far) = connected_for(Duration::ZERO);
        // Whoever does not ask fails here.
        far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        far.write_all(PING).unwrap();
        let mut asked = [0; 2];
        for _ in 0..2 {
            near.read_exact(&mut [0; 2]).unwrap();
            far.read_exact(&mut asked).unwrap();
            assert_eq!(asked, [0xc0, 0]);
            far.write_all(PING).unwrap();
        }
        near.read_exact(&mut [0; 2]).unwrap();
        far.read_exact(&mut asked).unwrap();
        near.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(near.read(&mut asked).unwrap(), 0, "the library is told");
    }

    #[test]
    fn nobody_is_asked_before_the_first_answer_nor_in_the_middle_of_a_packet() {
        let (_relay, mut near, mut far) = connected_for(Duration::ZERO);
        far.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        assert!(far.read(&mut [0; 8]).is_err(), "no answer to the connection yet");
        near.write_all(&[0x30, 4, 0]).unwrap();
        far.read_exact(&mut [0; 3]).unwrap();
        far.write_all(PING).unwrap();
        near.read_exact(&mut [0; 2]).unwrap();
        assert!(far.read(&mut [0; 8]).is_err(), "in the middle of a packet");
        near.write_all(&[1, b'a', b'b']).unwrap();
        let mut rest = [0; 5];
        far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        far.read_exact(&mut rest).unwrap();
        assert_eq!(rest, [1, b'a', b'b', 0xc0, 0]);
    }

    #[test]
    fn says_why_the_broker_can_not_be_reached() {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = relay(&broker, Duration::from_mins(1));
        let address = broker.local_addr().unwrap();
        drop(broker);
        ends(&mut TcpStream::connect(relay.address()).unwrap());
        let error = relay.take_error().unwrap();
        assert!(error.starts_with(&format!("{address}: Connection refused")), "{error}");
    }
}
