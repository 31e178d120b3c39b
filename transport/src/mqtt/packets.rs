//! [`Packets`]: takes apart what an MQTT broker sends (MQTT 3.1.1, chapters 2 and 3): messages, which the subscriber wants, and
//! the rest, which the client library does.
//!
//! A payload may have 256 MiB. What is beyond one byte more than a payload may have is left out, which is enough for it to
//! be refused as too large.

use lastbeat_wire::MAX_PAYLOAD_BYTES;

const PUBLISH: u8 = 3;
/// How PINGREQ begins.
const PING: u8 = 0xc0;
/// The length of a packet takes at most so many bytes.
const LENGTH_BYTES: usize = 4;
/// Most bytes of a payload that are held.
const HELD_BYTES: usize = MAX_PAYLOAD_BYTES + 1;

/// One direction of one connection, from the broker. Holds what has not come whole yet, little more than a payload.
#[derive(Debug, Default)]
pub struct Packets {
    held: Vec<u8>,
    /// So many bytes of what comes next are left out.
    leave_out: usize,
}

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A message.
    Publish(Publish<'a>),
    /// Anything else, as it came.
    Other(&'a [u8]),
}

/// A message as the broker sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Any bytes, though the standard wants UTF-8 without NUL; one at least.
    pub topic: &'a [u8],
    /// All of it, or the first byte too many and what is before that.
    pub payload: &'a [u8],
    /// Whether the broker kept it from earlier.
    pub retained: bool,
    /// What to acknowledge it by; `None` at quality of service 0.
    pub number: Option<u16>,
}

/// Why the broker's bytes are no MQTT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No packet that a broker sends us begins like this.
    #[error("a packet begins with {0:#04x}")]
    Kind(u8),
    /// Longer than a length may be.
    #[error("a packet's length has more than four bytes")]
    Length,
    /// A packet of this kind does not have this length.
    #[error("a packet of type {kind} has {bytes} bytes")]
    Size {
        /// The packet's type, 1 to 15.
        kind: u8,
        /// How many bytes it says to have.
        bytes: usize,
    },
}

impl Packets {
    /// Takes what came, in pieces of any size, and gives each packet that is whole.
    ///
    /// # Errors
    /// When it is no MQTT; the connection is to be closed then.
    pub fn take(&mut self, bytes: &[u8], mut each: impl FnMut(Packet<'_>)) -> Result<(), Malformed> {
        let bytes = self.without_what_is_left_out(bytes);
        self.held.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(whole) = look(&self.held[start..])? {
            each(whole.packet);
            start += whole.held;
            let left_out = whole.left_out.min(self.held.len() - start);
            start += left_out;
            self.leave_out = whole.left_out - left_out;
        }
        self.held.drain(..start);
        Ok(())
    }

    fn without_what_is_left_out<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (left_out, rest) = bytes.split_at(bytes.len().min(self.leave_out));
        self.leave_out -= left_out.len();
        rest
    }
}

struct Whole<'a> {
    packet: Packet<'a>,
    /// Bytes of it that are held, and those that are not wanted.
    held: usize,
    left_out: usize,
}

/// The packet that bytes begin with, once enough of it is there.
fn look(held: &[u8]) -> Result<Option<Whole<'_>>, Malformed> {
    let Some(&first) = held.first() else { return Ok(None) };
    let kind = first >> 4;
    let quality = first >> 1 & 3;
    // From a broker come, to who subscribes at quality of service 1: CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP.
    if !matches!(kind, 2..=4 | 9 | 11 | 13) || (kind == PUBLISH && quality > 1) {
        return Err(Malformed::Kind(first));
    }
    let Some((length, behind)) = length(held)? else { return Ok(None) };
    let size = Malformed::Size { kind, bytes: length };
    if kind != PUBLISH {
        let fits = match kind {
            13 => length == 0,
            // One byte for each subscription; ours are few.
            9 => (3..=1024).contains(&length),
            _ => length == 2,
        };
        if !fits {
            return Err(size);
        }
        let packet = held.get(..behind + length);
        return Ok(packet.map(|packet| Whole { packet: Packet::Other(packet), held: packet.len(), left_out: 0 }));
    }
    if length < 2 {
        return Err(size);
    }
    let Some(sized) = held.get(behind..behind + 2) else { return Ok(None) };
    let topic = behind + 2..behind + 2 + usize::from(u16::from_be_bytes([sized[0], sized[1]]));
    let payload = topic.end + if quality > 0 { 2 } else { 0 };
    let end = behind + length;
    // A topic has a character at least.
    if topic.is_empty() || payload > end {
        return Err(size);
    }
    let wanted = end.min(payload + HELD_BYTES);
    let Some(packet) = held.get(..wanted) else { return Ok(None) };
    let number = (quality > 0).then(|| u16::from_be_bytes([packet[payload - 2], packet[payload - 1]]));
    let publish = Publish { topic: &packet[topic], payload: &packet[payload..], retained: first & 1 == 1, number };
    Ok(Some(Whole { packet: Packet::Publish(publish), held: wanted, left_out: end - wanted }))
}

/// The length that a packet says to have behind its head, and how long that head is.
fn length(held: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (place, byte) in held[1..].iter().take(LENGTH_BYTES).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((length, place + 2)));
        }
    }
    if held.len() > LENGTH_BYTES { Err(Malformed::Length) } else { Ok(None) }
}

/// What the library sent, as far as it is whole packets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// How many bytes they have.
    pub(super) bytes: usize,
    /// Whether one of them asks the broker whether it is there.
    pub(super) pings: bool,
}

impl Sent {
    pub(super) fn of(sent: &[u8]) -> Self {
        let mut whole = Self::default();
        while let Some(rest) = sent.get(whole.bytes..).filter(|rest| !rest.is_empty())
            && let Ok(Some((length, behind))) = length(rest)
            && rest.len() >= behind + length
        {
            whole.bytes += behind + length;
            whole.pings |= rest[0] == PING;
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Came {
        Message { topic: Vec<u8>, payload: Vec<u8>, number: Option<u16>, retained: bool },
        Other(Vec<u8>),
    }

    /// A message of quality of service 1, number 7.
    fn publish(topic: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![PUBLISH << 4 | 2];
        let mut length = 2 + topic.len() + 2 + payload.len();
        while length > 127 {
            packet.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        packet.push(u8::try_from(length).unwrap());
        packet.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        [&packet[..], topic, &[0, 7], payload].concat()
    }

    fn message(topic: &[u8], payload: &[u8]) -> Came {
        Came::Message { topic: topic.to_vec(), payload: payload.to_vec(), number: Some(7), retained: false }
    }

    fn taken(bytes: &[u8], piece: usize) -> Result<Vec<Came>, Malformed> {
        let (mut packets, mut came) = (Packets::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            packets.take(piece, |packet| {
                came.push(match packet {
                    Packet::Other(packet) => Came::Other(packet.to_vec()),
                    Packet::Publish(Publish { topic, payload, retained, number }) => {
                        Came::Message { topic: topic.to_vec(), payload: payload.to_vec(), number, retained }
                    }
                });
            })?;
            assert!(packets.held.len() <= HELD_BYTES + 5 + 2 + 65_535 + 2);
        }
        Ok(came)
    }

    #[test]
    fn what_comes_in_pieces_of_any_size_is_taken_apart_into_the_same_packets() {
        let (connack, suback, pong) = ([0x20, 2, 0, 0], [0x90, 8, 0, 1, 1, 1, 1, 1, 1, 1], [0xd0, 0]);
        let kept_and_not_acknowledged = [0x31, 4, 0, 1, b'x', b'!'];
        let all = [
            &connack[..],
            &suback,
            &publish("sensor/Küche".as_bytes(), &[0xff; 300]),
            &pong,
            &kept_and_not_acknowledged,
            &publish(b"bye/\xff\0", b""),
        ]
        .concat();
        let expected = vec![
            Came::Other(connack.to_vec()),
            Came::Other(suback.to_vec()),
            message("sensor/Küche".as_bytes(), &[0xff; 300]),
            Came::Other(pong.to_vec()),
            Came::Message { topic: b"x".to_vec(), payload: b"!".to_vec(), number: None, retained: true },
            message(b"bye/\xff\0", b""),
        ];
        for piece in [1, 2, 3, 7, 4096] {
            assert_eq!(taken(&all, piece), Ok(expected.clone()), "{piece}");
        }
    }

    #[test]
    fn of_a_payload_that_is_too_large_just_so_much_is_held_that_it_is_refused() {
        let next = publish(b"beat/x", b"!");
        for (bytes, held) in
            [(MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES), (MAX_PAYLOAD_BYTES + 1, HELD_BYTES), (5 << 20, HELD_BYTES)]
        {
            let all = [publish(b"sensor/x", &vec![b'1'; bytes]), next.clone()].concat();
            for piece in [1000, 64 << 10, all.len()] {
                let expected = [message(b"sensor/x", &vec![b'1'; held]), message(b"beat/x", b"!")];
                assert!(taken(&all, piece).unwrap() == expected, "{bytes} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_mqtt_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request"[..],
            &[0x00, 0],
            &[0x10, 0],
            &[0x36, 5, 0, 1, b'x', 0, 1],
            &[0x20, 3, 0, 0, 0],
            &[0xd0, 1, 0],
            &[0x90, 0],
            &[0x30, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x30, 1, 0],
            &[0x30, 2, 0, 0],
            &[0x32, 3, 0, 1, b'x'],
            &[0x30, 3, 0, 9, b'x'],
        ] {
            assert!(taken(bytes, 1).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn what_the_library_sends_is_cut_between_packets() {
        let (subscribe, ping, disconnect) = (publish(b"x", &[0; 200]), [0xc0, 0], [0xe0, 0]);
        let all = [&subscribe[..], &ping, &disconnect].concat();
        let (first, second) = (subscribe.len(), subscribe.len() + 2);
        for length in 0..=all.len() {
            let expected = match length {
                _ if length < first => Sent { bytes: 0, pings: false },
                _ if length < second => Sent { bytes: first, pings: false },
                _ if length < all.len() => Sent { bytes: second, pings: true },
                _ => Sent { bytes: all.len(), pings: true },
            };
            assert_eq!(Sent::of(&all[..length]), expected, "{length}");
        }
    }
}
