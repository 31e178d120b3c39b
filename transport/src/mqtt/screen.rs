//! [`Screen`]: what a broker may send the MQTT library. It follows the packets (MQTT 3.1.1, chapter 2 and 3) and holds back
//! nothing but the head of a message; what the library would not survive it stops.
//!
//! - A topic that is not UTF-8, or has a NUL in it, ends the whole program within the library. Each offending byte becomes
//!   U+001A (SUBSTITUTE): no publisher's id may have that, so the message is refused like any other, and acknowledged.
//! - A payload may have 256 MiB, and the library would hold it more than once. What is beyond one byte more than a payload
//!   may have is left out: enough for it to be refused as too large.
//! - What is no MQTT ends the connection.

use lastbeat_wire::MAX_PAYLOAD_BYTES;

/// What stands in for a byte of a topic that can't be passed on.
const SUBSTITUTE: u8 = 0x1a;
const PUBLISH: u8 = 3;
/// The length of a packet takes at most so many bytes.
const LENGTH_BYTES: usize = 4;

/// One direction of one connection, from the broker to the library.
#[derive(Debug)]
pub struct Screen {
    state: State,
    changed: Changed,
}

/// How many messages did not pass as they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Their topics had bytes that could not be passed on.
    pub topics: u64,
    /// Their payloads were longer than a payload may be.
    pub payloads: u64,
}

/// Why the broker's bytes are no MQTT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No packet that a broker sends begins like this.
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

#[derive(Debug)]
enum State {
    /// Within a head: all of it so far, at most 5 + 2 + 65,535 + 2 bytes.
    Head(Vec<u8>),
    /// Within the rest of a packet: so many bytes to be passed on, then so many to be left out.
    Rest { pass: usize, leave_out: usize },
}

/// A head, as far as it is there.
enum Head {
    /// Known once it has so many bytes.
    Needs(usize),
    /// Complete.
    Known(Known),
}

struct Known {
    /// Where the topic stands in the head; nowhere in what is no message.
    topic: std::ops::Range<usize>,
    /// Bytes of the packet behind the head.
    rest: usize,
}

impl Default for Screen {
    fn default() -> Self {
        Self { state: State::Head(Vec::new()), changed: Changed::default() }
    }
}

impl Screen {
    /// Takes what came, in pieces of any size, and adds to `out` what is to be passed on: at most as many bytes as came
    /// so far.
    ///
    /// # Errors
    /// When it is no MQTT; the connection is to be closed then.
    pub fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Rest { pass, leave_out } => {
                    let (passed, rest) = bytes.split_at(bytes.len().min(*pass));
                    let (left_out, rest) = rest.split_at(rest.len().min(*leave_out));
                    out.extend_from_slice(passed);
                    bytes = rest;
                    *pass -= passed.len();
                    *leave_out -= left_out.len();
                }
                State::Head(held) => match look(held)? {
                    Head::Needs(length) => {
                        let (more, rest) = bytes.split_at(bytes.len().min(length - held.len()));
                        held.extend_from_slice(more);
                        bytes = rest;
                    }
                    Head::Known(_) => {}
                },
            }
            self.advance(out)?;
        }
        Ok(())
    }

    /// What did not pass as it was, since this was asked last.
    pub fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Goes on to the next state where this one is through.
    fn advance(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        if let State::Head(held) = &mut self.state
            && let Head::Known(known) = look(held)?
        {
            let mut head = std::mem::take(held);
            self.state = self.changed.let_through(&mut head, &known);
            out.extend_from_slice(&head);
        }
        if matches!(self.state, State::Rest { pass: 0, leave_out: 0 }) {
            self.state = State::Head(Vec::new());
        }
        Ok(())
    }
}

impl Changed {
    /// Makes a head fit for the library; what is to become of the rest.
    fn let_through(&mut self, head: &mut Vec<u8>, known: &Known) -> State {
        if mend(&mut head[known.topic.clone()]) {
            self.topics += 1;
        }
        let most = MAX_PAYLOAD_BYTES + 1;
        if known.topic.is_empty() || known.rest <= most {
            return State::Rest { pass: known.rest, leave_out: 0 };
        }
        self.payloads += 1;
        let start = known.topic.start - 2;
        let length = written(head.len() - start + most);
        head.splice(1..start, length);
        State::Rest { pass: most, leave_out: known.rest - most }
    }
}

/// Looks at as much of a packet as there is.
fn look(held: &[u8]) -> Result<Head, Malformed> {
    let Some(first) = held.first() else { return Ok(Head::Needs(1)) };
    let kind = first >> 4;
    let quality = first >> 1 & 3;
    // From a broker come: CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP.
    if !matches!(kind, 2..=7 | 9 | 11 | 13) || (kind == PUBLISH && quality == 3) {
        return Err(Malformed::Kind(*first));
    }
    let mut length = 0;
    let mut behind = 1;
    loop {
        let Some(byte) = held.get(behind) else { return Ok(Head::Needs(behind + 1)) };
        length |= usize::from(byte & 0x7f) << (7 * (behind - 1));
        behind += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if behind > LENGTH_BYTES {
            return Err(Malformed::Length);
        }
    }
    let size = Malformed::Size { kind, bytes: length };
    if kind != PUBLISH {
        let fits = match kind {
            13 => length == 0,
            // One byte for each subscription; ours are few.
            9 => (3..=1024).contains(&length),
            _ => length == 2,
        };
        return if fits { Ok(Head::Known(Known { topic: 0..0, rest: length })) } else { Err(size) };
    }
    let Some(sized) = held.get(behind..behind + 2) else {
        return if length < 2 { Err(size) } else { Ok(Head::Needs(behind + 2)) };
    };
    let topic = usize::from(u16::from_be_bytes([sized[0], sized[1]]));
    let number = if quality > 0 { 2 } else { 0 };
    // A topic has a character at least.
    if topic == 0 || 2 + topic + number > length {
        return Err(size);
    }
    let end = behind + 2 + topic;
    if held.len() < end + number {
        return Ok(Head::Needs(end + number));
    }
    Ok(Head::Known(Known { topic: behind + 2..end, rest: length - 2 - topic - number }))
}

/// Puts the substitute in the place of what the library can't have in a topic; whether there was any of it.
fn mend(topic: &mut [u8]) -> bool {
    let mut mended = false;
    let mut at = 0;
    while let Err(error) = std::str::from_utf8(&topic[at..]) {
        let bad = at + error.valid_up_to();
        let end = error.error_len().map_or(topic.len(), |length| bad + length);
        topic[bad..end].fill(SUBSTITUTE);
        (mended, at) = (true, end);
    }
    for byte in topic.iter_mut().filter(|byte| **byte == 0) {
        *byte = SUBSTITUTE;
        mended = true;
    }
    mended
}

/// A packet's length as it is written.
fn written(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH_BYTES);
    loop {
        let byte = u8::try_from(length & 0x7f).expect("invariant: seven bits");
        length >>= 7;
        bytes.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of quality of service 1, number 7.
    fn publish(topic: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![PUBLISH << 4 | 2];
        packet.extend(written(2 + topic.len() + 2 + payload.len()));
        packet.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        [&packet[..], topic, &[0, 7], payload].concat()
    }

    fn passed(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Changed), Malformed> {
        let (mut screen, mut out) = (Screen::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            screen.pass(piece, &mut out)?;
        }
        Ok((out, screen.take_changed()))
    }

    #[test]
    fn what_is_well_passes_as_it_is_in_pieces_of_any_size() {
        let connack = [0x20, 2, 0, 0];
        let all = [
            &connack[..],
            &[0x90, 8, 0, 1, 1, 1, 1, 1, 1, 1],
            &publish("sensor/Küche".as_bytes(), &[0xff; 300]),
            &[0x40, 2, 0, 1],
            &[0xd0, 0],
            &publish(b"bye/x", b""),
        ]
        .concat();
        for piece in [1, 2, 3, 7, 4096] {
            assert_eq!(passed(&all, piece), Ok((all.clone(), Changed::default())), "{piece}");
        }
    }

    #[test]
    fn a_topic_that_is_no_text_becomes_one_that_no_publisher_has() {
        let next = publish(b"beat/x", b"!");
        for (topic, mended) in [
            (&b"sensor/a\xffb"[..], &b"sensor/a\x1ab"[..]),
            (b"sensor/\xe2\x82", b"sensor/\x1a\x1a"),
            (b"sensor/\xc3\xbc\0", b"sensor/\xc3\xbc\x1a"),
            (b"\0", b"\x1a"),
            (b"sensor/\xed\xa0\x80x", b"sensor/\x1a\x1a\x1ax"),
        ] {
            let (out, changed) = passed(&[publish(topic, b"1"), next.clone()].concat(), 3).unwrap();
            assert_eq!(out, [publish(mended, b"1"), next.clone()].concat());
            assert_eq!(changed, Changed { topics: 1, payloads: 0 });
            assert!(lastbeat_wire::Topic::parse(mended).is_err());
        }
    }

    #[test]
    fn of_a_payload_that_is_too_large_just_so_much_passes_that_it_is_refused() {
        let next = publish(b"beat/x", b"!");
        let largest = publish(b"sensor/x", &vec![b'1'; MAX_PAYLOAD_BYTES + 1]);
        let larger = publish(b"sensor/x", &vec![b'1'; 5 << 20]);
        let (out, changed) = passed(&[larger, next.clone()].concat(), 64 << 10).unwrap();
        assert!(out == [largest.clone(), next].concat());
        assert_eq!(changed, Changed { topics: 0, payloads: 1 });
        assert_eq!(passed(&largest, 64 << 10).unwrap().1, Changed::default());
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
            assert!(passed(bytes, 1).is_err(), "{bytes:x?}");
        }
    }
}
