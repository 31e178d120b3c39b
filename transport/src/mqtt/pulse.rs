//! [`Pulse`]: has a broker that is silent give a sign of life. The library counts in whole seconds; where a publisher's
//! silence is to be told from the link's sooner than that, the relay asks by itself, between two packets of the library's.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError, TryLockError},
    time::Duration,
};

const PINGREQ: &[u8] = &[0xc0, 0];
/// However short its keepalive, no broker is asked sooner than after so much silence.
const SHORTEST: Duration = Duration::from_millis(200);

/// The way to a broker, which the library's bytes and our own question share.
#[derive(Clone)]
pub(super) struct Outward(Arc<Mutex<Way>>);

struct Way {
    far: TcpStream,
    packets: Packets,
}

/// The way from a broker. Of one that was heard and is then silent for `span`, it asks for an answer, and waits for it
/// twice as long: so a dead link shows after three spans.
pub(super) struct Pulse {
    far: TcpStream,
    outward: Outward,
    span: Duration,
    /// Whether the broker has said anything yet: nothing may come before its answer to the connection.
    heard: bool,
}

/// Where the library's packets end (MQTT 3.1.1, section 2.2).
#[derive(Debug, Default)]
enum Packets {
    /// Between two packets.
    #[default]
    Between,
    /// Within the length of one: so much of it, at so many bits.
    Length { length: usize, bits: u32 },
    /// Within one, so many bytes before its end.
    Within(usize),
    /// Nobody knows: it is no MQTT.
    Lost,
}

impl Outward {
    pub(super) fn new(far: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Way { far, packets: Packets::default() })))
    }

    /// Asks for a sign of life; whether that could be done now. Where the library writes, it need not, and where it is in
    /// the middle of a packet, it can't.
    fn ask(&self) -> io::Result<bool> {
        let mut way = match self.0.try_lock() {
            Ok(way) => way,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let between = matches!(way.packets, Packets::Between);
        if between {
            way.far.write_all(PINGREQ)?;
        }
        Ok(between)
    }
}

impl Write for Outward {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        way.far.write_all(bytes)?;
        way.packets.follow(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pulse {
    pub(super) fn new(far: TcpStream, outward: Outward, keepalive: Duration) -> Self {
        Self { far, outward, span: keepalive.max(SHORTEST), heard: false }
    }
}

impl Read for Pulse {
    /// Ends with [`TimedOut`](io::ErrorKind::TimedOut) when no answer came. Only the time in here counts, not that in which
    /// the library takes what came.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut asked = false;
        loop {
            self.far.set_read_timeout(Some(if asked { self.span.saturating_mul(2) } else { self.span }))?;
            match self.far.read(buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if asked {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    asked = self.heard && self.outward.ask()?;
                }
                read => {
                    self.heard |= read.as_ref().is_ok_and(|length| *length > 0);
                    return read;
                }
            }
        }
    }
}

impl Packets {
    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            *self = match self {
                Self::Lost => return,
                Self::Between => Self::Length { length: 0, bits: 0 },
                Self::Length { bits: 28, .. } => Self::Lost,
                Self::Length { length, bits } => {
                    let length = *length | usize::from(first & 0x7f) << *bits;
                    match (first & 0x80, length) {
                        (0, 0) => Self::Between,
                        (0, length) => Self::Within(length),
                        _ => Self::Length { length, bits: *bits + 7 },
                    }
                }
                Self::Within(left) => {
                    let more = bytes.len().min(*left);
                    bytes = &bytes[more..];
                    *self = if more == *left { Self::Between } else { Self::Within(*left - more) };
                    continue;
                }
            };
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_packet_is_known_however_it_is_cut_up() {
        let mut long = vec![0x30, 0x80, 0x01];
        long.extend([0xc0; 128]);
        let packets: [&[u8]; 4] = [PINGREQ, &[0x40, 2, 0, 1], &long, &[0xe0, 0]];
        let bytes = packets.concat();
        let ends: Vec<_> = packets
            .iter()
            .scan(0, |end, packet| {
                *end += packet.len();
                Some(*end)
            })
            .collect();
        for size in 1..bytes.len() {
            let (mut packets, mut passed) = (Packets::default(), 0);
            for piece in bytes.chunks(size) {
                packets.follow(piece);
                passed += piece.len();
                assert_eq!(matches!(packets, Packets::Between), ends.contains(&passed), "{passed} of {size} each");
            }
        }
    }

    #[test]
    fn what_is_no_mqtt_has_no_end() {
        let mut packets = Packets::default();
        packets.follow(&[0x30, 0x80, 0x80, 0x80, 0x80, 0, 0, 0]);
        assert!(matches!(packets, Packets::Lost));
    }
}
