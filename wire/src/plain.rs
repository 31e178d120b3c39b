//! [`read`]: envelopes as our own encoders write them, in one pass; whatever is in any way unusual is left to serde, which
//! tells its errors, too. What both read is the same: `tests/codec.rs` holds one against the other.
//!
//! Of a message of 300 bytes with five fields it takes half of serde's instructions: JSON 6,000 for 12,300, MessagePack
//! 2,800 for 7,400.

mod json;
mod messagepack;

use crate::envelope::{Envelope, VERSION};
use crate::process::{BootId, HostId, ProcessIdentity};
use crate::time::UtcNanos;
use crate::value::{Fields, Text, Value};
use crate::{MAX_FIELD_NAME_BYTES, MAX_FIELDS};

/// Room for as many fields as most readings have.
const USUAL_FIELDS: usize = 8;

/// What was met is not plain, which says nothing of whether it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unusual;

/// What was read, where it is plain.
type Plain<T> = Result<T, Unusual>;

/// One encoding, read from front to back. Once something was not plain nothing more is asked.
trait Source<'a> {
    /// What it takes to find the end of a map.
    type Map;
    /// A text as it stands there.
    type Text: AsRef<[u8]> + Copy;

    /// Begins a map.
    fn map(&mut self) -> Plain<Self::Map>;
    /// The next key of a map; `None` at its end.
    fn key(&mut self, map: &mut Self::Map) -> Plain<Option<Self::Text>>;
    fn unsigned(&mut self) -> Plain<u64>;
    fn signed(&mut self) -> Plain<i64>;
    fn text(&mut self) -> Plain<Self::Text>;
    /// The same as UTF-8, if that is what it is.
    fn utf8(text: Self::Text) -> Plain<&'a str>;
    /// A value of a field that is no map and no list; `None` where it is none at all.
    fn value(&mut self) -> Plain<Option<Value<'a>>>;
    /// Whether all was read.
    fn is_at_end(&self) -> bool;
}

/// Reads a plain envelope; `None` if it is not plain, which says nothing of whether it is right.
pub(crate) fn read(payload: &[u8]) -> Option<Envelope<'_>> {
    let read = if payload.first() == Some(&b'{') {
        json::Json::new(payload).and_then(envelope)
    } else {
        envelope(messagepack::MessagePack::new(payload))
    };
    read.ok()
}

fn envelope<'a, S: Source<'a>>(mut source: S) -> Plain<Envelope<'a>> {
    let mut envelope = Envelope::default();
    let mut map = source.map()?;
    while let Some(key) = source.key(&mut map)? {
        match key.as_ref() {
            b"lastbeat" => put(&mut envelope.lastbeat, source.unsigned()?),
            b"seq" => put(&mut envelope.seq, source.unsigned()?),
            b"sent" => put(&mut envelope.sent, UtcNanos(source.signed()?)),
            b"up" => put(&mut envelope.up, source.unsigned()?),
            b"host" => put(&mut envelope.host, Text(S::utf8(source.text()?)?.into())),
            b"process" => put(&mut envelope.process, process(&mut source)?),
            b"time" => put(&mut envelope.time, UtcNanos(source.signed()?)),
            b"row" => put(&mut envelope.row, UtcNanos(source.signed()?)),
            b"fields" => put(&mut envelope.fields, fields(&mut source)?),
            b"log" => put(&mut envelope.log, Text(S::utf8(source.text()?)?.into())),
            _ => Err(Unusual),
        }?;
    }
    if source.is_at_end() && envelope.lastbeat == Some(VERSION) { Ok(envelope) } else { Err(Unusual) }
}

/// A key that comes twice is not plain.
fn put<T>(place: &mut Option<T>, value: T) -> Plain<()> {
    if place.replace(value).is_none() { Ok(()) } else { Err(Unusual) }
}

fn process<'a>(source: &mut impl Source<'a>) -> Plain<ProcessIdentity> {
    let (mut host, mut boot, mut pid_namespace, mut pid, mut start) = (None, None, None, None, None);
    let mut map = source.map()?;
    while let Some(key) = source.key(&mut map)? {
        match key.as_ref() {
            b"host" => put(&mut host, HostId(hexadecimal(source.text()?.as_ref())?)),
            b"boot" => {
                let text = source.text()?;
                let (high, low) = text.as_ref().split_at_checked(16).ok_or(Unusual)?;
                put(&mut boot, BootId(u128::from(hexadecimal(high)?) << 64 | u128::from(hexadecimal(low)?)))
            }
            b"pidns" => put(&mut pid_namespace, source.unsigned()?),
            b"pid" => put(&mut pid, u32::try_from(source.unsigned()?).map_err(|_| Unusual)?),
            b"start" => put(&mut start, source.unsigned()?),
            _ => Err(Unusual),
        }?;
    }
    match (host, boot, pid_namespace, pid, start) {
        (Some(host), Some(boot), Some(pid_namespace), Some(pid), Some(start)) => {
            Ok(ProcessIdentity { host, boot, pid_namespace, pid, start })
        }
        _ => Err(Unusual),
    }
}

/// 16 digits, as we write them.
fn hexadecimal(digits: &[u8]) -> Plain<u64> {
    let digits: &[u8; 16] = digits.try_into().map_err(|_| Unusual)?;
    let mut number = 0;
    for &digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(Unusual),
        };
        number = number << 4 | u64::from(value);
    }
    Ok(number)
}

fn fields<'a, S: Source<'a>>(source: &mut S) -> Plain<Fields<'a>> {
    let mut map = source.map()?;
    let mut fields = Fields::with_capacity(USUAL_FIELDS);
    while let Some(name) = source.key(&mut map)? {
        let name = S::utf8(name)?;
        if let Some(value) = source.value()? {
            if name.is_empty() || name.len() > MAX_FIELD_NAME_BYTES || fields.len() == MAX_FIELDS {
                return Err(Unusual);
            }
            fields.push(name, value);
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Body, Encoding, Message, encode};

    fn told(log: &'static str) -> Message<'static> {
        Message { body: Body::Fail, log: Some(log.into()), ..Message::default() }
    }

    #[test]
    fn what_our_own_encoders_write_is_plain_but_for_escapes() {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let bytes = encode(&told("disk full: 99 %, größer"), encoding);
            let log = read(&bytes).and_then(|envelope| envelope.log);
            assert_eq!(log, Some(Text("disk full: 99 %, größer".into())), "{encoding:?}");
        }
        assert_eq!(read(&encode(&told("two\nlines"), Encoding::Json)), None);
    }

    #[test]
    fn the_limits_of_numbers_are_read_to_the_last_digit() {
        let read = |number: &str| -> Option<Value<'static>> {
            let payload = format!(r#"{{"lastbeat":1,"fields":{{"a":{number}}}}}"#);
            let value = super::read(payload.as_bytes())?.fields?.iter().next().map(|(_, value)| value.clone())?;
            match value {
                Value::Integer(whole) => Some(Value::Integer(whole)),
                Value::Float(float) => Some(Value::Float(float)),
                other => panic!("{other:?}"),
            }
        };
        let whole = |number| Some(Value::Integer(number));
        assert_eq!(read("9223372036854775807"), whole(i64::MAX));
        assert_eq!(read("-9223372036854775807"), whole(-i64::MAX));
        assert_eq!(read("0.1e-5"), Some(Value::Float(1e-6)));
        assert_eq!(read("-0.0"), Some(Value::Float(-0.0)));
        for left_to_serde in ["9223372036854775808", "-0", "01", "1.", ".5", "1e", "1e999", "+1", "NaN"] {
            assert_eq!(read(left_to_serde), None, "{left_to_serde}");
        }
    }
}
