//! The time in which a connection is taken.

use std::net::SocketAddr;

use lastbeat_host::Clock;
use tokio::net::TcpStream;

use crate::ping::outcome::Answer;

/// Connects, and closes at once.
pub async fn probe(address: SocketAddr) -> Result<Answer, String> {
    let start = Clock.now().monotonic;
    let connected = TcpStream::connect(address).await;
    let took = Clock.now().monotonic.since(start);
    connected.map_err(|error| error.to_string())?;
    Ok(Answer { took, page: None })
}
