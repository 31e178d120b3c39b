//! [`MessagePack`]: maps of texts, numbers and truths (<https://github.com/msgpack/msgpack/blob/master/spec.md>).

use super::{Plain, Source, Unusual};
use crate::value::Value;

pub(super) struct MessagePack<'a> {
    rest: &'a [u8],
}

impl<'a> MessagePack<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    fn byte(&mut self) -> Plain<u8> {
        let (first, rest) = self.rest.split_first().ok_or(Unusual)?;
        self.rest = rest;
        Ok(*first)
    }

    fn bytes<const N: usize>(&mut self) -> Plain<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Unusual)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// The bytes of the text behind its marker.
    fn text_behind(&mut self, marker: u8) -> Plain<&'a [u8]> {
        let length = match marker {
            0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => usize::from(self.byte()?),
            0xda => usize::from(u16::from_be_bytes(self.bytes()?)),
            0xdb => u32::from_be_bytes(self.bytes()?) as usize,
            _ => return Err(Unusual),
        };
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Unusual)?;
        self.rest = rest;
        Ok(text)
    }

    /// The whole number behind its marker.
    fn whole_behind(&mut self, marker: u8) -> Plain<i128> {
        Ok(match marker {
            0x00..=0x7f | 0xe0..=0xff => i128::from(marker.cast_signed()),
            0xcc => i128::from(self.byte()?),
            0xcd => i128::from(u16::from_be_bytes(self.bytes()?)),
            0xce => i128::from(u32::from_be_bytes(self.bytes()?)),
            0xcf => i128::from(u64::from_be_bytes(self.bytes()?)),
            0xd0 => i128::from(self.byte()?.cast_signed()),
            0xd1 => i128::from(i16::from_be_bytes(self.bytes()?)),
            0xd2 => i128::from(i32::from_be_bytes(self.bytes()?)),
            0xd3 => i128::from(i64::from_be_bytes(self.bytes()?)),
            _ => return Err(Unusual),
        })
    }

    fn whole(&mut self) -> Plain<i128> {
        let marker = self.byte()?;
        self.whole_behind(marker)
    }
}

impl<'a> Source<'a> for MessagePack<'a> {
    /// How many entries are left.
    type Map = u32;
    type Text = &'a [u8];

    fn map(&mut self) -> Plain<u32> {
        Ok(match self.byte()? {
            marker @ 0x80..=0x8f => u32::from(marker & 0x0f),
            0xde => u32::from(u16::from_be_bytes(self.bytes()?)),
            0xdf => u32::from_be_bytes(self.bytes()?),
            _ => return Err(Unusual),
        })
    }

    fn key(&mut self, left: &mut u32) -> Plain<Option<&'a [u8]>> {
        let Some(fewer) = left.checked_sub(1) else { return Ok(None) };
        *left = fewer;
        self.text().map(Some)
    }

    fn unsigned(&mut self) -> Plain<u64> {
        self.whole()?.try_into().map_err(|_| Unusual)
    }

    fn signed(&mut self) -> Plain<i64> {
        self.whole()?.try_into().map_err(|_| Unusual)
    }

    fn text(&mut self) -> Plain<&'a [u8]> {
        let marker = self.byte()?;
        self.text_behind(marker)
    }

    fn utf8(text: &'a [u8]) -> Plain<&'a str> {
        std::str::from_utf8(text).map_err(|_| Unusual)
    }

    fn value(&mut self) -> Plain<Option<Value<'a>>> {
        Ok(Some(match self.byte()? {
            0xcb => Value::Float(f64::from_be_bytes(self.bytes()?)),
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xc0 => return Ok(None),
            0xca => Value::Float(f64::from(f32::from_be_bytes(self.bytes()?))),
            marker @ (0xa0..=0xbf | 0xd9..=0xdb) => Value::Text(Self::utf8(self.text_behind(marker)?)?.into()),
            marker => Value::Integer(self.whole_behind(marker)?.try_into().map_err(|_| Unusual)?),
        }))
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}
