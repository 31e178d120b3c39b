//! [`Connection`]: as much of HTTP/1.1 as measuring needs, over one connection that is kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    server: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).with_context(|| format!("connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { server, stream: BufReader::with_capacity(1 << 16, stream) })
    }

    /// What stands at a path.
    pub fn get(&mut self, path: &str) -> anyhow::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.server);
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer(path)
    }

    /// Posts a body.
    pub fn post(&mut self, path: &str, body: &[u8]) -> anyhow::Result<String> {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n", self.server);
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(body)?;
        self.answer(path)
    }

    /// An event stream's lines, without end.
    pub fn stream(mut self, path: &str) -> anyhow::Result<BufReader<TcpStream>> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.server);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        if !status.contains(" 200 ") {
            bail!("{path} is answered with {status}");
        }
        Ok(self.stream)
    }

    fn answer(&mut self, path: &str) -> anyhow::Result<String> {
        let status = self.line()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= line.strip_prefix("transfer-encoding:").is_some_and(|value| value.trim() == "chunked");
        }
        let mut body = Vec::new();
        loop {
            if chunked {
                length = usize::from_str_radix(&self.line()?, 16)?;
            }
            let start = body.len();
            body.resize(start + length, 0);
            self.stream.read_exact(&mut body[start..])?;
            if !chunked {
                break;
            }
            self.line()?;
            if length == 0 {
                break;
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        if !status.contains(" 20") {
            bail!("{path} is answered with {status}: {}", body.trim());
        }
        Ok(body)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("{} has closed the connection", self.server);
        }
        Ok(line.trim_end().to_owned())
    }
}
