//! [`Relay`]: stands between the client library and the broker, on a port of this machine's loopback.
//!
//! ```text
//!  library ── near (127.0.0.1) ── relay ── far (TLS, where it is wanted) ── broker
//!                                   └─ messages ─▶ subscriber ─ receipts ─▶ acknowledgements, to the broker
//! ```
//!
//! It is there for what the library can't do by itself:
//!
//! - When a connection breaks while the library writes a message of quality of service 1, it frees that message twice
//!   (paho.mqtt.c 1.3: `MQTTAsync_processCommand` frees what `MQTTProtocol_startPublish` has put by). Here the library
//!   never writes into a broken connection: when the broker is gone, it is told so by the end of what it reads, and what
//!   it still writes is taken and thrown away.
//! - It acknowledges one message after the other, each when our callback returns, and a topic that is not UTF-8 ends the
//!   whole program within it. Here no message comes near it: see [`carry`](super::carry).
//! - When it is hung up on before it was let in, it closes its socket, lets go of its lock, and then takes a client that has been given the
//!   same socket number since for the one that failed (`MQTTAsync_cycle`). Here it is refused instead, by [`TURNED_AWAY`].
//! - It does not say why TLS fails.
//! - It notices a dead link after whole seconds: see [`pulse`](super::pulse).
//!
//! Nobody but this process is let in, for behind the relay the broker takes us for who our certificate says we are.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream, lookup_host},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    carry::{Connection, Far},
    heard::Heard,
    own::is_ours,
    patience,
    subscriber::Listener,
    tls::TlsClient,
};
use crate::{MqttEndpoint, Security, TransportError, waiting::wait_for};

/// CONNACK with a return code that MQTT 3.1.1 reserves (3.2.2.3), so no broker says it.
pub(super) const TURNED_AWAY: [u8; 4] = [0x20, 2, 0, 0x7f];
/// How long a port that can't accept (no file descriptor is left) is let be.
const WAIT_TO_ACCEPT: Duration = Duration::from_millis(100);

/// One library client's way to its broker. It has one connection at a time.
pub(super) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Who gets the messages that come from the broker.
pub(super) enum Recipient {
    Subscriber(Arc<Listener>),
    Publisher(Arc<Heard>),
}

/// What the relay's thread and the others share.
pub(super) struct Shared {
    pub(super) host_and_port: String,
    pub(super) tls: Option<TlsClient>,
    pub(super) keepalive: Duration,
    pub(super) recipient: Recipient,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Ongoing>,
    /// How many the library has begun.
    begun: u64,
    /// Why the broker could not be reached.
    error: Option<String>,
}

/// What others may do with a connection.
struct Ongoing {
    cut: CancellationToken,
    passed_on: CancellationToken,
}

impl Relay {
    /// After a silence of `keepalive`, 0.2 s at least, the broker is asked whether it is there.
    pub(super) fn start(
        endpoint: &MqttEndpoint,
        keepalive: Duration,
        recipient: Recipient,
    ) -> Result<Self, TransportError> {
        let tls = match &endpoint.security {
            Security::Plain => None,
            Security::Tls(tls) => Some(
                TlsClient::new(&endpoint.host, tls)
                    .map_err(|reason| TransportError::Tls { place: endpoint.to_string(), reason })?,
            ),
        };
        let shared = Arc::new(Shared {
            host_and_port: format!("{}:{}", endpoint.host, endpoint.port),
            tls,
            keepalive,
            recipient,
            stop: CancellationToken::new(),
            state: Mutex::default(),
        });
        Self::spawn(shared).map_err(|source| TransportError::Relay { place: endpoint.to_string(), source })
    }

    fn spawn(shared: Arc<Shared>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (say, started) = std::sync::mpsc::channel();
        let accepting = Arc::clone(&shared);
        // Whoever starts it may be in a runtime, where another one can't be made use of, nor dropped.
        let run = move || {
            let opened =
                tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().and_then(|runtime| {
                    let _in_it = runtime.enter();
                    TcpListener::from_std(listener).map(|listener| (listener, runtime))
                });
            match opened {
                Err(error) => drop(say.send(Err(error))),
                Ok((listener, runtime)) => {
                    drop(say.send(Ok(())));
                    runtime.block_on(accepting.accept(&listener));
                    // A name that is still being looked up is not waited for.
                    runtime.shutdown_background();
                }
            }
        };
        let thread = thread::Builder::new().name("mqtt-relay".to_owned()).spawn(run)?;
        started.recv().unwrap_or_else(|_| Err(io::Error::other("the relay's thread ended")))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where the library is to connect to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all that the library wrote before it closed its side has been passed on.
    pub(super) fn finish(&self, limit: Duration) {
        let passed_on = self.shared.lock().connection.as_ref().map(|connection| connection.passed_on.clone());
        if let Some(passed_on) = passed_on {
            wait_for(passed_on.cancelled(), Some(limit));
        }
    }

    /// Hangs up, and carries nothing any more.
    pub(super) fn stop(&self) {
        self.shared.stop.cancel();
    }

    /// Why the broker could not be reached, if that was why the last connection failed.
    pub(super) fn take_error(&self) -> Option<String> {
        self.shared.lock().error.take()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("an MQTT relay's thread had panicked");
        }
    }
}

impl Shared {
    /// How long the broker may take to accept a connection, or bytes.
    pub(super) fn patience(&self) -> Duration {
        patience(self.keepalive)
    }

    pub(super) fn listener(&self) -> Option<&Listener> {
        match &self.recipient {
            Recipient::Subscriber(listener) => Some(listener),
            Recipient::Publisher(_) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be told before the library's connection ends, so that it is there when the library says that it did.
    pub(super) fn failed(&self, reason: String) {
        self.lock().error = Some(reason);
    }

    /// The same of one connection; once the library has begun another, it is not told any more.
    pub(super) fn failed_in(&self, connection: u64, reason: String) {
        let mut state = self.lock();
        if state.begun == connection {
            state.error = Some(reason);
        }
    }

    fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.begun += 1;
        state.begun
    }

    async fn accept(self: Arc<Self>, listener: &TcpListener) {
        let accept = async {
            loop {
                match listener.accept().await {
                    Ok((near, _)) => self.open(near).await,
                    Err(error) => {
                        self.failed(format!("the relay's port: {error}"));
                        sleep_until(Instant::now() + WAIT_TO_ACCEPT).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = accept => {}
        }
    }

    /// Connects to the broker, and carries from then on.
    async fn open(self: &Arc<Self>, near: TcpStream) {
        match from_this_process(&near) {
            Ok(true) => {}
            Ok(false) => return tracing::warn!("another process tried to use our connection to an MQTT broker"),
            Err(error) => {
                return self.turn_away(near, format!("can't tell who connects to the relay's port: {error}"));
            }
        }
        let number = self.begin();
        let far = match self.reach().await {
            Ok(far) => far,
            Err(reason) => return self.turn_away(near, reason),
        };
        let ongoing = Ongoing { cut: CancellationToken::new(), passed_on: CancellationToken::new() };
        let connection = Connection {
            near,
            far,
            shared: Arc::clone(self),
            number,
            cut: ongoing.cut.clone(),
            passed_on: ongoing.passed_on.clone().drop_guard(),
        };
        let mut state = self.lock();
        state.error = None;
        if let Some(earlier) = state.connection.replace(ongoing) {
            earlier.cut.cancel();
        }
        drop(state);
        tokio::spawn(connection.carry());
    }

    /// The library hangs up by itself, so that it reads before that why.
    fn turn_away(&self, mut near: TcpStream, reason: String) {
        self.failed(reason);
        let patience = self.patience();
        tokio::spawn(async move {
            let until_it_hangs_up = async {
                near.write_all(&TURNED_AWAY).await?;
                near.shutdown().await?;
                copy(&mut near, &mut sink()).await
            };
            // Who does not hang up in time is hung up on.
            let _ = timeout(patience, until_it_hangs_up).await;
        });
    }

    async fn reach(&self) -> Result<Far, String> {
        let named = |error: io::Error| format!("{}: {error}", self.host_and_port);
        let stream = connect(&self.host_and_port, self.patience()).await.map_err(named)?;
        stream.set_nodelay(true).map_err(named)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => Ok(Box::new(tls.connect(stream, self.patience()).await?)),
        }
    }
}

fn from_this_process(near: &TcpStream) -> io::Result<bool> {
    near.set_nodelay(true)?;
    match (near.peer_addr()?, near.local_addr()?) {
        (SocketAddr::V4(peer), SocketAddr::V4(local)) => is_ours(peer, local),
        _ => Ok(false),
    }
}

/// Connects to the first of a name's addresses that answers. A resolver that does not answer is given twice as long as a
/// broker, for it may have another one to ask.
async fn connect(host_and_port: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let Ok(addresses) = timeout(patience * 2, lookup_host(host_and_port)).await else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "looking up the name takes too long"));
    };
    for address in addresses? {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(far)) => return Ok(far),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}
