//! [`Conflict`]: a field that a server has as another type, as its reason names it, and the lines that have it.

use std::ops::Range;

/// What a type conflict's reason names.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict<'a> {
    field: &'a str,
    measurement: &'a str,
    /// The type that was sent.
    kind: &'a str,
    /// The type that the server has.
    existing: &'a str,
}

impl<'a> Conflict<'a> {
    /// From `… input field "value" on measurement "hb" is type string, already exists as type integer …`.
    pub fn named_in(reason: &'a str) -> Option<Self> {
        let (_, rest) = reason.split_once("input field \"")?;
        let (field, rest) = rest.split_once("\" on measurement \"")?;
        let (measurement, rest) = rest.split_once("\" is type ")?;
        let (kind, rest) = rest.split_once(", already exists as type ")?;
        let existing = rest.split(' ').next()?;
        Some(Self { field, measurement, kind, existing })
    }

    /// Whether a line has the field as the type that was sent.
    pub fn is_in(&self, line: &[u8]) -> bool {
        self.place_in(line).is_some()
    }

    /// The line with the field as an integer, where the server has integers (of somebody else's making) and a whole number
    /// was sent.
    pub fn fitted(&self, line: &[u8]) -> Option<Vec<u8>> {
        let place = self.place_in(line).filter(|_| (self.kind, self.existing) == ("float", "integer"))?;
        let whole = line[place.clone()].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-'));
        whole.then(|| [&line[..place.end], b"i", &line[place.end..]].concat())
    }

    /// Where in a line the value stands.
    fn place_in(&self, line: &[u8]) -> Option<Range<usize>> {
        let rest = line.strip_prefix(self.measurement.as_bytes())?;
        if !matches!(rest.first(), Some(b',' | b' ')) {
            return None;
        }
        let mut name = Vec::new();
        super::line::key(&mut name, self.field);
        let mut at = until(line, 0, b" ") + 1;
        loop {
            let equals = until(line, at, b"=");
            let value = equals + 1;
            let end = match line.get(value)? {
                b'"' => until(line, value + 1, b"\"") + 1,
                _ => until(line, value, b", \n"),
            };
            if line[at..equals] == *name && kind_of(&line[value..end]) == self.kind {
                return Some(value..end);
            }
            if line.get(end) != Some(&b',') {
                return None;
            }
            at = end + 1;
        }
    }
}

/// The place of the first of these bytes that has no backslash before it, or the end.
fn until(line: &[u8], from: usize, bytes: &[u8]) -> usize {
    let mut at = from;
    while at < line.len() && !bytes.contains(&line[at]) {
        at += if line[at] == b'\\' { 2 } else { 1 };
    }
    at.min(line.len())
}

fn kind_of(value: &[u8]) -> &'static str {
    match value {
        [b'"', ..] => "string",
        [b't' | b'f', ..] => "boolean",
        [.., b'i'] => "integer",
        _ => "float",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REASON: &str = "partial write: field type conflict: input field \"lux\" on measurement \"sensor\" is type \
                          float, already exists as type integer dropped=2";

    #[test]
    fn the_field_is_found_where_it_is_a_field_and_a_whole_number_made_an_integer() {
        let conflict = Conflict::named_in(REASON).unwrap();
        for (line, is_in, fitted) in [
            ("sensor,publisher=a lux=1 1", true, Some("sensor,publisher=a lux=1i 1")),
            (
                "sensor,publisher=a\\ lux\\=9 on=t,lux=-5,x=1 1",
                true,
                Some("sensor,publisher=a\\ lux\\=9 on=t,lux=-5i,x=1 1"),
            ),
            (
                "sensor,publisher=a t=\"\\\",lux=9 \",lux=1 1",
                true,
                Some("sensor,publisher=a t=\"\\\",lux=9 \",lux=1i 1"),
            ),
            ("sensor,publisher=a lux=1.5 1", true, None),
            ("sensor,publisher=a lux=1e9 1", true, None),
            ("sensor,publisher=a t=\" lux=9,lux=9\" 1", false, None),
            ("sensor,publisher=a lux=1i 1", false, None),
            ("sensor,publisher=a flux=1 1", false, None),
            ("sensors lux=1 1", false, None),
            ("heartbeat lux=1 1", false, None),
        ] {
            assert_eq!(conflict.is_in(line.as_bytes()), is_in, "{line}");
            assert_eq!(conflict.fitted(line.as_bytes()).as_deref(), fitted.map(str::as_bytes), "{line}");
        }
        let other = REASON.replace("integer dropped", "string dropped");
        assert_eq!(Conflict::named_in(&other).unwrap().fitted(b"sensor lux=1 1"), None);
        assert_eq!(Conflict::named_in("points beyond retention policy dropped=1"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "(sensor)?[a-z=\\\\\", 0-9i]*") {
            Conflict::named_in(REASON).unwrap().fitted(line.as_bytes());
        }
    }
}
