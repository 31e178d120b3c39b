//! [`Json`]: JSON without spaces and escapes (RFC 8259).

use super::{Plain, Source, Unusual};
use crate::value::Value;

pub(super) struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Plain<Self> {
        // One look at all of it, many bytes at once, spares one at each byte of each text.
        let is_found = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'\\');
        let is_escaped = payload.iter().fold(0, |found, &byte| found | is_found(byte)) > 0;
        let text = std::str::from_utf8(payload).ok().filter(|_| !is_escaped).ok_or(Unusual)?;
        Ok(Self { text, at: 0 })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes a byte, if it is there; whether it is.
    fn passes(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn take(&mut self, byte: u8) -> Plain<()> {
        if self.passes(byte) { Ok(()) } else { Err(Unusual) }
    }

    /// A word like `true`.
    fn word<T>(&mut self, word: &str, meaning: T) -> Plain<T> {
        let is_there = self.text[self.at..].starts_with(word);
        self.at += word.len();
        if is_there { Ok(meaning) } else { Err(Unusual) }
    }

    /// Passes digits, and appends them to a number; how many.
    fn digits(&mut self, number: &mut u64) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let mut count = 0;
        while let Some(digit @ b'0'..=b'9') = rest.get(count) {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            count += 1;
        }
        self.at += count;
        count
    }

    /// The digits of a whole number, none of them too many for 64 bits: 19 are below 2^64.
    fn whole(&mut self) -> Plain<u64> {
        let is_zero = self.peek() == Some(b'0');
        let mut number = 0;
        let count = self.digits(&mut number);
        if (1..=19).contains(&count) && (count == 1 || !is_zero) { Ok(number) } else { Err(Unusual) }
    }

    /// Whether what was passed so far is all of a number, and not the beginning of a fraction.
    fn is_whole(&self) -> bool {
        !matches!(self.peek(), Some(b'.' | b'e' | b'E'))
    }

    fn number(&mut self) -> Plain<Value<'a>> {
        let start = self.at;
        let is_negative = self.passes(b'-');
        let whole = self.whole()?;
        if self.is_whole() {
            let magnitude = i64::try_from(whole).ok().filter(|whole| !is_negative || *whole != 0).ok_or(Unusual)?;
            return Ok(Value::Integer(if is_negative { -magnitude } else { magnitude }));
        }
        let (mut mantissa, mut decimals) = (whole, 0);
        if self.passes(b'.') {
            decimals = self.digits(&mut mantissa);
            if decimals == 0 {
                return Err(Unusual);
            }
        }
        if self.passes(b'e') || self.passes(b'E') {
            let _signed = self.passes(b'-') || self.passes(b'+');
            if self.digits(&mut 0) == 0 {
                return Err(Unusual);
            }
        } else if self.at - start <= EXACT_DIGITS {
            // A third fewer instructions for a number than with the standard library's way, for all that is longer.
            let magnitude = as_float(mantissa) / POWERS[decimals];
            return Ok(Value::Float(if is_negative { -magnitude } else { magnitude }));
        }
        self.text[start..self.at].parse().ok().filter(|float: &f64| float.is_finite()).map(Value::Float).ok_or(Unusual)
    }
}

/// So many digits make a number below 2^53, which a float holds exactly; and so it does these powers of ten. The quotient of
/// two such numbers is then the float nearest to the decimal (Clinger 1990, "How to read floating point numbers accurately").
const EXACT_DIGITS: usize = 15;
const POWERS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn as_float(mantissa: u64) -> f64 {
    mantissa as f64
}

impl<'a> Source<'a> for Json<'a> {
    /// Whether it is still at its beginning.
    type Map = bool;
    type Text = &'a str;

    fn map(&mut self) -> Plain<bool> {
        self.take(b'{')?;
        Ok(true)
    }

    fn key(&mut self, is_first: &mut bool) -> Plain<Option<&'a str>> {
        if self.passes(b'}') {
            return Ok(None);
        }
        if !std::mem::take(is_first) {
            self.take(b',')?;
        }
        let key = self.text()?;
        self.take(b':')?;
        Ok(Some(key))
    }

    fn unsigned(&mut self) -> Plain<u64> {
        let number = self.whole()?;
        if self.is_whole() { Ok(number) } else { Err(Unusual) }
    }

    fn signed(&mut self) -> Plain<i64> {
        match self.number()? {
            Value::Integer(number) => Ok(number),
            _ => Err(Unusual),
        }
    }

    fn text(&mut self) -> Plain<&'a str> {
        self.take(b'"')?;
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| byte == b'"').ok_or(Unusual)?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn utf8(text: &'a str) -> Plain<&'a str> {
        Ok(text)
    }

    fn value(&mut self) -> Plain<Option<Value<'a>>> {
        match self.peek() {
            Some(b'"') => self.text().map(|text| Some(Value::Text(text.into()))),
            Some(b't') => self.word("true", Some(Value::Boolean(true))),
            Some(b'f') => self.word("false", Some(Value::Boolean(false))),
            Some(b'n') => self.word("null", None),
            _ => self.number().map(Some),
        }
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }
}
