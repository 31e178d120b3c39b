//! [`Entry`]: what a record of the spool says, and its bytes.

use lastbeat_log::Position;
use lastbeat_wire::Kind;

/// What a record says. The bytes are for good: a spool outlives the program that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        /// What it is.
        kind: Kind,
        /// Its bytes.
        payload: &'a [u8],
    },
}

/// The record's kind where it is the beginning of a process.
pub const BEGAN: u8 = 1;
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
            _ => {
                let kind = Kind::ALL.into_iter().find(|kind| self::code(*kind) == code)?;
                Some(Self::Message { kind, payload: body })
            }
        }
    }
}

/// The record's kind where it is a message.
pub fn code(kind: Kind) -> u8 {
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
        for kind in Kind::ALL {
            assert_eq!(Entry::read(code(kind), b"x"), Some(Entry::Message { kind, payload: b"x" }));
        }
        assert_eq!(Entry::read(99, b"x"), None);
    }
}
