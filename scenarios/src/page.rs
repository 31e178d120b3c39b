//! [`get`]: what the subscriber's page tells of itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail};

use crate::stage::GRACE;

/// Its metrics, as text for Prometheus.
///
/// # Errors
/// When it does not answer.
pub fn fetch_metrics(page: SocketAddr) -> anyhow::Result<String> {
    get(page, "/metrics")
}

/// What it answers at a path.
///
/// # Errors
/// When it does not answer, or with anything but 200.
pub fn get(page: SocketAddr, path: &str) -> anyhow::Result<String> {
    let place = || format!("ask {page} for {path}");
    let mut stream = TcpStream::connect_timeout(&page, GRACE).with_context(place)?;
    stream.set_read_timeout(Some(GRACE)).with_context(place)?;
    // In HTTP/1.0 the body is what comes until the end.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {page}\r\n\r\n").with_context(place)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(place)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => bail!("{}: {}", place(), answer.lines().next().unwrap_or_default()),
    }
}
