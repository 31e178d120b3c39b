//! As much of MQTT 3.1.1 as bare clients need: packets by hand, so that a client costs next to nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// Connects under a name; with a keepalive in seconds (0 for none), and a will's topic.
pub fn connect(server: SocketAddr, client: &str, keepalive: u16, will: Option<&str>) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(server).with_context(|| format!("connect to {server}"))?;
    stream.set_nodelay(true)?;
    // Clean session; the will, where there is one, at QoS 1.
    let flags = 2 | if will.is_some() { 0b0000_1100 } else { 0 };
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags];
    body.extend_from_slice(&keepalive.to_be_bytes());
    text(&mut body, client.as_bytes());
    if let Some(topic) = will {
        text(&mut body, topic.as_bytes());
        text(&mut body, b"");
    }
    stream.write_all(&packet(0x10, &body))?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    if answer != [0x20, 2, 0, 0] {
        bail!("{server} answers {answer:?}");
    }
    Ok(stream)
}

/// Subscribes, and waits until that is so.
pub fn subscribe(stream: &mut TcpStream, filter: &str, qos: u8) -> anyhow::Result<()> {
    let mut body = vec![0, 1];
    text(&mut body, filter.as_bytes());
    body.push(qos);
    stream.write_all(&packet(0x82, &body))?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    if answer != [0x90, 3, 0, 1, qos] {
        bail!("a subscription is answered with {answer:?}");
    }
    Ok(())
}

/// Adds a message; with an id at `QoS` 1, without at `QoS` 0.
pub fn publish(out: &mut Vec<u8>, topic: &[u8], payload: &[u8], id: Option<u16>) {
    out.push(if id.is_some() { 0x32 } else { 0x30 });
    length(out, 2 + topic.len() + payload.len() + if id.is_some() { 2 } else { 0 });
    text(out, topic);
    if let Some(id) = id {
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// Says that a message with an id has come.
pub fn acknowledge(out: &mut Vec<u8>, id: [u8; 2]) {
    out.extend_from_slice(&[0x40, 2, id[0], id[1]]);
}

/// "I am alive".
pub const PING: [u8; 2] = [0xc0, 0];

/// What comes, packet by packet.
pub struct Incoming {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A packet's first byte, and what follows its length.
pub type Packet<'a> = (u8, &'a [u8]);

impl Incoming {
    /// Reads from this connection, and waits no longer than a span for more.
    pub fn new(stream: TcpStream, patience: Duration) -> anyhow::Result<Self> {
        stream.set_read_timeout(Some(patience))?;
        Ok(Self { stream, buffer: vec![0; 1 << 18], start: 0, end: 0 })
    }

    /// Reads once; how many bytes came, none after a timeout.
    pub fn read(&mut self) -> anyhow::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => bail!("the server has closed the connection"),
            Ok(bytes) => {
                self.end += bytes;
                Ok(bytes)
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The next whole packet that was read.
    pub fn next_packet(&mut self) -> Option<Packet<'_>> {
        let bytes = &self.buffer[self.start..self.end];
        let first = *bytes.first()?;
        let (mut length, mut at) = (0, 1);
        loop {
            let byte = *bytes.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = self.start + at;
        if body + length > self.end {
            return None;
        }
        self.start = body + length;
        Some((first, &self.buffer[body..body + length]))
    }
}

/// The id of a message that came at `QoS` 1.
pub fn id_of((first, body): Packet<'_>) -> Option<[u8; 2]> {
    let at = 2 + usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    if first & 0x06 == 0 { None } else { Some([*body.get(at)?, *body.get(at + 1)?]) }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    length(&mut packet, body.len());
    packet.extend_from_slice(body);
    packet
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

fn length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let more = length > 0x7f;
        out.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            return;
        }
    }
}
