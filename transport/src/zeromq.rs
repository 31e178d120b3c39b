//! Transport `zmq+tcp` and `zmq+ipc`: two frames, topic and payload. What all of its sockets have in common.
//!
//! A link has its own context with one I/O thread: it can be closed with its own patience, and one link's load does not
//! delay another's. One I/O thread moves more than a million small messages a second.

mod allow;
mod curve;
mod guard;
mod keys;
mod monitor;
mod outbound;
mod pilot;
mod redial;
mod subscriber;
mod zap;

use std::{net::ToSocketAddrs, time::Duration};

use crate::{TransportError, endpoint::Way, endpoint::ZmqEndpoint};

pub use allow::{AllowList, Purpose};
pub use curve::{Curve, Lock};
pub use guard::{Allowed, Guard};
pub use keys::{KEY_VARIABLE, KeyPair, PublicKey};
pub use monitor::{Failure, Monitor, PeerEvent};
pub use zap::Gate;

pub(crate) use outbound::publish;
pub(crate) use subscriber::subscribe;

/// Most bytes in one frame; libzmq drops the connection of a peer that sends more. Twice what
/// [`MAX_PAYLOAD_BYTES`](lastbeat_wire::MAX_PAYLOAD_BYTES) allows, so that a payload slightly too large is refused by name
/// rather than by a broken connection.
pub const MAX_FRAME_BYTES: i64 = 2 << 20;
/// The first wait before connecting again.
const RECONNECT_FIRST_MS: i32 = 100;
/// The longest wait before connecting again; libzmq doubles up to here, and adds jitter itself.
const RECONNECT_CAP_MS: i32 = 2_000;
/// TCP asks whether a publisher is still there after so long without a word …
const TCP_IDLE_SECONDS: i32 = 60;
/// … so often …
const TCP_PROBE_SECONDS: i32 = 15;
/// … and so many times.
const TCP_PROBES: i32 = 4;

/// What every socket of ours is told.
#[derive(Debug, Clone, Copy)]
pub struct SocketSettings {
    /// Most messages held for each peer in each direction; 0 means no bound.
    pub high_water_mark: usize,
    /// A peer that was not heard for so long, ZMTP's own pings included, is dead.
    pub keepalive: Duration,
}

/// Sets what every socket of ours has in common. To be called before it binds or connects.
pub fn prepare(socket: &zmq::Socket, settings: SocketSettings) -> zmq::Result<()> {
    let high_water_mark = i32::try_from(settings.high_water_mark).unwrap_or(i32::MAX);
    socket.set_sndhwm(high_water_mark)?;
    socket.set_rcvhwm(high_water_mark)?;
    socket.set_maxmsgsize(MAX_FRAME_BYTES)?;
    socket.set_reconnect_ivl(RECONNECT_FIRST_MS)?;
    socket.set_reconnect_ivl_max(RECONNECT_CAP_MS)?;
    // A ping each third, and two thirds to answer: together the keepalive. The peer is told to do the same with us.
    socket.set_heartbeat_ivl(millis(settings.keepalive / 3))?;
    socket.set_heartbeat_timeout(millis(settings.keepalive * 2 / 3))?;
    socket.set_heartbeat_ttl(millis(settings.keepalive).min(6_553_500))?;
    // A peer that never answers a connection (a firewall that swallows it) is tried again as soon as a dead one.
    socket.set_connect_timeout(millis(settings.keepalive))?;
    socket.set_handshake_ivl(millis(settings.keepalive))?;
    // Only an explicit close waits for what is still here.
    socket.set_linger(0)
}

/// Connects or binds; returns the address as it is then, with the port that was chosen for port 0.
pub fn open(socket: &zmq::Socket, endpoint: &ZmqEndpoint) -> Result<String, TransportError> {
    let address = &endpoint.address;
    let failed = |doing| move |source| TransportError::Zmq { place: address.clone(), doing, source };
    socket.set_ipv6(wants_ipv6(address)).map_err(failed("can't set IPv6"))?;
    send_no_heartbeats_to_publishers(socket).map_err(failed("can't set the keepalive"))?;
    match endpoint.way {
        Way::Connect => socket.connect(address).map_err(failed("can't connect"))?,
        Way::Bind => socket.bind(address).map_err(failed("can't bind"))?,
    }
    let actual = socket.get_last_endpoint().map_err(failed("can't tell its address"))?;
    Ok(actual.unwrap_or_else(|_| address.clone()))
}

/// libzmq 4.3.4 ends the program, by an assertion, when a heartbeat of ours is due to a publisher that has left while its queue
/// here is full. So there are none where messages come in. Where publishers come to us nothing is judged by their connections:
/// ours tell by their own heartbeats how long they may be silent, and of others TCP says within two minutes that they are
/// gone. Where we go to them, or to a broker, there is a [`pilot`].
fn send_no_heartbeats_to_publishers(socket: &zmq::Socket) -> zmq::Result<()> {
    if socket.get_socket_type()? != zmq::XSUB {
        return Ok(());
    }
    socket.set_heartbeat_ivl(0)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_tcp_keepalive_idle(TCP_IDLE_SECONDS)?;
    socket.set_tcp_keepalive_intvl(TCP_PROBE_SECONDS)?;
    socket.set_tcp_keepalive_cnt(TCP_PROBES)
}

/// libzmq takes the first address of a name only, and an IPv6 one first if allowed to: it is allowed to where there is
/// no IPv4 address.
fn wants_ipv6(address: &str) -> bool {
    let Some(host_and_port) = address.strip_prefix("tcp://") else { return false };
    if host_and_port.starts_with(['[', '*']) {
        return true;
    }
    // A name that can't be resolved now may be later; then IPv4 is tried.
    host_and_port.to_socket_addrs().is_ok_and(|mut found| found.len() > 0 && found.all(|found| found.is_ipv6()))
}

fn millis(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_is_allowed_where_it_is_meant() {
        assert!(wants_ipv6("tcp://[::1]:5555") && wants_ipv6("tcp://*:5555"));
        assert!(!wants_ipv6("tcp://127.0.0.1:5555") && !wants_ipv6("ipc:///run/x"));
        assert!(!wants_ipv6("tcp://no-such-host.invalid:5555"));
    }

    #[test]
    fn an_address_in_use_is_named() {
        let context = zmq::Context::new();
        let (first, second) = (context.socket(zmq::PUB).unwrap(), context.socket(zmq::PUB).unwrap());
        let bind = |address: &str| ZmqEndpoint { address: address.to_owned(), way: Way::Bind, lock: Lock::Open };
        let address = open(&first, &bind("tcp://127.0.0.1:0")).unwrap();
        let error = open(&second, &bind(&address)).unwrap_err().to_string();
        assert_eq!(error, format!("{address}: can't bind: Address already in use"));
    }
}
