//! [`Entry`]: what a record of the spool says, and its bytes.

use lastbeat_log::Position;
use lastbeat_wire::{Kind, Target};

use crate::address::Address;

/// What a record says. The bytes are for good: a spool outlives the program that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A process began: the messages behind this are its own.
    Began,
    /// All before `to` is settled, and `waiting` messages between there and this record are not.
    Settled {
        /// Where what is not settled begins.
        to: Position,
        /// How many messages.
        waiting: u64,
    },
    /// A message, its payload as it was sent.
    Message {
        /// Whose topic it goes to.
        address: Address,
        /// Its bytes.
        payload: &'a [u8],
    },
}

/// The record's kind where it is the beginning of a process.
pub const BEGAN: u8 = 1;
/// The record's kind where it is a result: the target's length in one byte, the target, the payload.
pub const PING: u8 = 32;
/// The record's kind where it says what is settled.
pub const SETTLED: u8 = 2;

impl<'a> Entry<'a> {
    /// `None` for a record of another version, or one whose sums are right by chance.
    pub fn read(code: u8, body: &'a [u8]) -> Option<Self> {
        match code {
            BEGAN => Some(Self::Began),
            SETTLED => {
                let (to, rest) = body.split_first_chunk()?;
                let waiting = u64::from_le_bytes(*rest.first_chunk()?);
                Some(Self::Settled { to: Position(u64::from_le_bytes(*to)), waiting })
            }
            PING => {
                let (length, rest) = body.split_first()?;
                let (target, payload) = rest.split_at_checked(usize::from(*length))?;
                let target: Target = std::str::from_utf8(target).ok()?.parse().ok()?;
                Some(Self::Message { address: Address::Ping(target), payload })
            }
            _ => {
                let kind = Kind::ALL.into_iter().find(|kind| self::code(*kind) == code)?;
                Some(Self::Message { address: Address::Own(kind), payload: body })
            }
        }
    }
}

/// Writes a message, by its parts: the record's kind and its body go to `append`.
///
/// # Panics
/// Never: a target has 200 bytes at most.
pub fn write<T>(address: &Address, payload: &[u8], append: impl FnOnce(u8, &[&[u8]]) -> T) -> T {
    match address {
        Address::Own(kind) => append(code(*kind), &[payload]),
        Address::Ping(target) => {
            let target = target.as_str().as_bytes();
            let length = u8::try_from(target.len()).expect("invariant: a target has 200 bytes at most");
            append(PING, &[&[length], target, payload])
        }
    }
}

/// The record's kind where it is a message on a topic of the publisher's own.
fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Sensor => 16,
        Kind::Beat => 17,
        Kind::Start => 18,
        Kind::Fail => 19,
        Kind::Bye => 20,
        Kind::Rip => 21,
    }
}

/// The body of a record that says what is settled.
pub fn settled(to: Position, waiting: u64) -> [u8; 16] {
    let mut body = [0; 16];
    body[..8].copy_from_slice(&to.0.to_le_bytes());
    body[8..].copy_from_slice(&waiting.to_le_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Entry::read(BEGAN, b""), Some(Entry::Began));
        let body = settled(Position(7), 3);
        assert_eq!(Entry::read(SETTLED, &body), Some(Entry::Settled { to: Position(7), waiting: 3 }));
        assert_eq!(Entry::read(SETTLED, &body[..15]), None);
        // As all versions have written them.
        let codes = [16, 17, 18, 19, 20, 21];
        let kinds = [Kind::Sensor, Kind::Beat, Kind::Start, Kind::Fail, Kind::Bye, Kind::Rip];
        for (code, kind) in codes.into_iter().zip(kinds) {
            assert_eq!(write(&kind.into(), b"x", |code, body| (code, body.concat())), (code, b"x".to_vec()));
            assert_eq!(Entry::read(code, b"x"), Some(Entry::Message { address: kind.into(), payload: b"x" }));
        }
        assert_eq!(Entry::read(99, b"x"), None);
    }

    #[test]
    fn a_result_keeps_its_target() {
        let address = Address::Ping("https://a.example/".parse().unwrap());
        let (code, body) = write(&address, b"[]", |code, parts| (code, parts.concat()));
        assert_eq!((code, &body[..]), (32, &b"\x12https://a.example/[]"[..]));
        assert_eq!(Entry::read(code, &body), Some(Entry::Message { address, payload: b"[]" }));
        for damaged in [&b""[..], b"\x05a.ex", b"\x01-", b"\x01\xff", b"\x00"] {
            assert_eq!(Entry::read(PING, damaged), None);
        }
    }
}
