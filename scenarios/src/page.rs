//! [`fetch_metrics`]: what the subscriber's page tells of itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::Context;

use crate::stage::GRACE;

/// Its metrics, as text for Prometheus, after the heads of the answer.
///
/// # Errors
/// When it does not answer.
pub fn fetch_metrics(page: SocketAddr) -> anyhow::Result<String> {
    let place = || format!("ask {page} for its metrics");
    let mut stream = TcpStream::connect_timeout(&page, GRACE).with_context(place)?;
    stream.set_read_timeout(Some(GRACE)).with_context(place)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n").with_context(place)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(place)?;
    Ok(answer)
}
