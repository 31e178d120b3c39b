//! The parts that this program plays beside itself, each a process of its own, so that its CPU can be told from the others'.

mod beat;
mod count;
mod lines;
mod memory;
mod post;
mod proxy;
mod send;

use std::time::Duration;

pub use beat::{BeatArgs, beat};
pub use count::{CountArgs, count};
pub use lines::{LinesArgs, lines};
pub use memory::memory;
pub use post::{PostArgs, post};
pub use proxy::{ProxyArgs, proxy};
pub use send::{SendArgs, send};

/// How often a role tells how far it is.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// The server of `mqtt://HOST:PORT`.
fn mqtt_server(url: &str) -> Option<anyhow::Result<std::net::SocketAddr>> {
    url.strip_prefix("mqtt://").map(|server| Ok(server.parse()?))
}

/// What libzmq takes for `zmq+tcp://HOST:PORT`.
fn zmq_address(url: &str) -> &str {
    url.strip_prefix("zmq+").unwrap_or(url)
}
