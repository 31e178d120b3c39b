//! The bytes of one record: a head of 12 bytes, then the body.
//!
//! ```text
//! 0        4          8          12
//! │ size   │ head crc │ body crc │ body …      all little-endian
//!   size     = kind << 24 | length of the body
//!   head crc = crc32c(position u64, size u32, body crc u32)
//!   body crc = crc32c(body)
//! ```
//!
//! The position is part of the sum, so a record is valid only where it was written: bytes that a publisher made up, or
//! a copy of another segment, are never taken for a record when a reader looks for the next one behind some damage. A
//! valid head vouches for the length, so a damaged body is skipped exactly.

/// Most bytes the body of a record may have.
pub const MAX_RECORD_BYTES: usize = 4 << 20;
/// Length of the head.
pub(crate) const HEAD_BYTES: usize = 12;

/// What precedes the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    size: u32,
    body_crc: u32,
}

impl Head {
    /// The head of a body in several parts; `None` when they are longer than [`MAX_RECORD_BYTES`].
    pub(crate) fn new(kind: u8, parts: &[&[u8]]) -> Option<Self> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).ok().filter(|_| length <= MAX_RECORD_BYTES)?;
        let body_crc = parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
        Some(Self { size: u32::from(kind) << 24 | length, body_crc })
    }

    pub(crate) fn kind(self) -> u8 {
        self.size.to_le_bytes()[3]
    }

    /// Length of the body.
    pub(crate) fn length(self) -> usize {
        (self.size & 0x00ff_ffff) as usize
    }

    /// Length of head and body.
    pub(crate) fn total(self) -> usize {
        HEAD_BYTES + self.length()
    }

    pub(crate) fn to_bytes(self, position: u64) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&self.size.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.crc(position).to_le_bytes());
        bytes[8..].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes
    }

    fn crc(self, position: u64) -> u32 {
        let mut sum = [0; 16];
        sum[..8].copy_from_slice(&position.to_le_bytes());
        sum[8..12].copy_from_slice(&self.size.to_le_bytes());
        sum[12..].copy_from_slice(&self.body_crc.to_le_bytes());
        crc32c::crc32c(&sum)
    }

    fn from_bytes(bytes: [u8; HEAD_BYTES], position: u64) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let head = Self { size: word(0), body_crc: word(8) };
        (head.length() <= MAX_RECORD_BYTES && head.crc(position) == word(4)).then_some(head)
    }
}

/// What stands at the beginning of some bytes of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole record, and its sums are right.
    Record { kind: u8, body: &'a [u8] },
    /// What is there may be the beginning of a record of `total` bytes.
    More { total: usize },
    /// No record. The next one can't begin earlier than `skip` bytes further on.
    Damaged { skip: usize },
}

/// Looks at bytes that begin at `position`.
pub(crate) fn find(bytes: &[u8], position: u64) -> Found<'_> {
    let Some(head) = bytes.first_chunk() else { return Found::More { total: HEAD_BYTES } };
    let Some(head) = Head::from_bytes(*head, position) else { return Found::Damaged { skip: 1 } };
    match bytes.get(HEAD_BYTES..head.total()) {
        None => Found::More { total: head.total() },
        Some(body) if crc32c::crc32c(body) == head.body_crc => Found::Record { kind: head.kind(), body },
        Some(_) => Found::Damaged { skip: head.total() },
    }
}

/// The kind and body of the first of some bytes' records, whose sums have been checked before.
pub(crate) fn checked(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let head = bytes.first_chunk::<HEAD_BYTES>()?;
    let size = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let head = Head { size, body_crc: 0 };
    Some((head.kind(), bytes.get(HEAD_BYTES..head.total())?))
}

/// How many of the bytes are whole records, one after another from the first byte on.
pub(crate) fn whole_records(bytes: &[u8], position: u64) -> usize {
    let mut at = 0;
    while let Found::Record { body, .. } = find(&bytes[at..], position + at as u64) {
        at += HEAD_BYTES + body.len();
    }
    at
}

/// Where behind the damage at the first byte the next whole record begins.
pub(crate) fn next_record(bytes: &[u8], position: u64) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() {
        at += match find(&bytes[at..], position + at as u64) {
            Found::Record { .. } => return Some(at),
            Found::Damaged { skip } => skip,
            Found::More { .. } => 1,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(kind: u8, body: &[u8], position: u64) -> Vec<u8> {
        let mut bytes = Head::new(kind, &[body]).unwrap().to_bytes(position).to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn the_bytes_are_these() {
        assert_eq!(
            bytes_of(7, b"abc", 32),
            [3, 0, 0, 7, 0xb4, 0x49, 0x0e, 0xf5, 0xb7, 0x3f, 0x4b, 0x36, b'a', b'b', b'c']
        );
    }

    #[test]
    fn the_longest_body_fits_and_one_byte_more_does_not() {
        let body = vec![1; MAX_RECORD_BYTES + 1];
        assert_eq!(Head::new(255, &[&body[1..]]).unwrap().length(), MAX_RECORD_BYTES);
        assert_eq!(Head::new(255, &[&body[1..]]).unwrap().kind(), 255);
        assert_eq!(Head::new(255, &[&body[1..], &body[..1]]), None);
    }

    #[test]
    fn a_record_within_a_damaged_body_is_not_found() {
        let inner = bytes_of(1, b"made up", 100 + HEAD_BYTES as u64);
        let mut bytes = bytes_of(1, &inner, 100);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let behind = bytes.len();
        bytes.extend(bytes_of(2, b"next", 100 + behind as u64));
        assert_eq!(next_record(&bytes, 100), Some(behind));
    }

    proptest! {
        #[test]
        fn any_record_is_found_whole_at_its_position_and_nowhere_else(
            kind: u8, body: Vec<u8>, position in 0..u64::MAX / 2, other in 0..u64::MAX / 2, cut: prop::sample::Index,
        ) {
            let bytes = bytes_of(kind, &body, position);
            prop_assert_eq!(find(&bytes, position), Found::Record { kind, body: &body });
            let is_more = matches!(find(&bytes[..cut.index(bytes.len())], position), Found::More { .. });
            prop_assert!(is_more);
            if other != position {
                prop_assert_eq!(find(&bytes, other), Found::Damaged { skip: 1 });
            }
        }

        #[test]
        fn any_flipped_bit_is_noticed(kind: u8, body: Vec<u8>, bit: prop::sample::Index) {
            let mut bytes = bytes_of(kind, &body, 9);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let is_damaged = matches!(find(&bytes, 9), Found::Damaged { .. });
            prop_assert!(is_damaged);
        }

        #[test]
        fn any_bytes_are_looked_through_without_a_panic(bytes: Vec<u8>, position in 0..u64::MAX / 2) {
            whole_records(&bytes, position);
            next_record(&bytes, position);
        }
    }
}
