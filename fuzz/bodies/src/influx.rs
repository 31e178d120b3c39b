//! Line protocol as it is written: read by another reader, names and values are what went in; and what a server says of a
//! line that it refuses.

use arbitrary::Arbitrary;
use lastbeat_subscriber::fuzzed;
use lastbeat_wire::{Header, PublisherId, Reading, UtcNanos, Value};

use crate::wire::MadeValue;

#[derive(Debug, Arbitrary)]
struct Point {
    publisher: String,
    host: Option<String>,
    fields: Vec<(String, MadeValue)>,
    row: Option<i64>,
    time: i64,
}

/// What a server says, and to which point.
#[derive(Debug, Arbitrary)]
struct Said<'a> {
    point: Point,
    field: u8,
    kind: &'a str,
    existing: &'a str,
    raw: &'a str,
}

/// The reading as line protocol comes back from a reader that knows nothing of the writer.
pub fn line(bytes: &[u8]) {
    let Some(point) = crate::made_of::<Point>(bytes) else { return };
    let Some((publisher, header, reading)) = point.made() else { return };
    let time = UtcNanos(point.time);
    let Some(line) = fuzzed::line(&publisher, &header, &reading, time) else {
        assert!(reading.fields.is_empty());
        return;
    };
    let text = std::str::from_utf8(&line).expect("line protocol is UTF-8");
    let read = read(text);
    let host = point.host.filter(|host| !host.is_empty());
    let mut tags: Vec<_> = host.map(|host| ("host".to_owned(), fuzzed::stored_tag(&host))).into_iter().collect();
    tags.push(("publisher".to_owned(), fuzzed::stored_tag(publisher.as_str())));
    assert_eq!(read.tags, tags);
    assert_eq!(read.time, point.time);
    let mut fields: Vec<(String, Value<'_>)> =
        reading.fields.iter().map(|(name, value)| (fuzzed::stored_field(name), as_stored(value))).collect();
    fields.extend(point.row.map(|row| ("row_time_ns".to_owned(), Value::Integer(row))));
    assert_eq!(read.fields, fields);
}

/// What a server says of a point is looked at without harm.
pub fn conflict(bytes: &[u8]) {
    let Some(said) = crate::made_of::<Said<'_>>(bytes) else { return };
    let Some((publisher, header, reading)) = said.point.made() else { return };
    let Some(line) = fuzzed::line(&publisher, &header, &reading, UtcNanos(said.point.time)) else { return };
    let names: Vec<_> = reading.fields.iter().map(|(name, _)| fuzzed::stored_field(name)).collect();
    let field = names.get(usize::from(said.field)).map_or("value", String::as_str);
    let kinds = ["float", "integer", "string", "boolean"];
    for kind in kinds.into_iter().chain([said.kind]) {
        for existing in kinds.into_iter().chain([said.existing]) {
            let reason = format!(
                "partial write: field type conflict: input field \"{field}\" on measurement \"sensor\" is type {kind}, \
                 already exists as type {existing} dropped=1"
            );
            fuzzed::conflict(&reason, &line);
        }
    }
    fuzzed::conflict(said.raw, &line);
}

/// Numbers go as floats.
fn as_stored(value: &Value<'_>) -> Value<'static> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "as InfluxDB stores it")]
        Value::Integer(integer) => Value::Float(*integer as f64),
        Value::Float(float) => Value::Float(*float),
        Value::Boolean(boolean) => Value::Boolean(*boolean),
        Value::Text(text) => Value::Text(text.clone().into_owned().into()),
    }
}

impl Point {
    fn made(&self) -> Option<(PublisherId, Header<'static>, Reading<'static>)> {
        let publisher = PublisherId::try_from(self.publisher.as_str()).ok()?;
        let header = Header { host: self.host.clone().map(Into::into), ..Header::default() };
        // A field without a name is called "value" by the time it is read.
        let named = self.fields.iter().filter(|(name, _)| !name.is_empty());
        let fields = named.map(|(name, value)| (name.clone().into(), value.clone().into())).collect();
        Some((publisher, header, Reading { fields, row_time: self.row.map(UtcNanos), ..Reading::default() }))
    }
}

/// A line taken apart.
struct Read {
    tags: Vec<(String, String)>,
    fields: Vec<(String, Value<'static>)>,
    time: i64,
}

/// Reads one line as the reference describes it: a backslash before a comma, an equals sign or a space (in text: before a
/// quote or a backslash) stands for that character, any other for itself.
fn read(line: &str) -> Read {
    let line = line.strip_suffix('\n').expect("a line ends with a line feed");
    let mut rest = line.strip_prefix("sensor,").expect("the measurement");
    let mut tags = Vec::new();
    loop {
        let key = word(&mut rest, &['=']);
        assert_eq!(take(&mut rest), '=');
        tags.push((key, word(&mut rest, &[',', ' '])));
        if take(&mut rest) == ' ' {
            break;
        }
    }
    let mut fields = Vec::new();
    loop {
        let name = word(&mut rest, &['=']);
        assert!(!name.is_empty(), "a field without a name");
        assert_eq!(take(&mut rest), '=');
        fields.push((name, value(&mut rest)));
        if take(&mut rest) == ' ' {
            return Read { tags, fields, time: rest.parse().expect("the time") };
        }
    }
}

fn take(rest: &mut &str) -> char {
    let first = rest.chars().next().expect("more of the line");
    *rest = &rest[first.len_utf8()..];
    first
}

/// Up to one of these characters.
fn word(rest: &mut &str, ends: &[char]) -> String {
    let mut word = String::new();
    loop {
        let next = rest.chars().next().expect("more of the line");
        if ends.contains(&next) {
            return word;
        }
        assert!(!matches!(next, ',' | '=' | ' '), "{next:?} without a backslash");
        take(rest);
        if next == '\\' && rest.starts_with([',', '=', ' ']) {
            word.push(take(rest));
        } else {
            word.push(next);
        }
    }
}

fn value(rest: &mut &str) -> Value<'static> {
    if rest.starts_with('"') {
        take(rest);
        let mut text = String::new();
        loop {
            match take(rest) {
                '"' => return Value::Text(text.into()),
                '\\' if rest.starts_with(['"', '\\']) => text.push(take(rest)),
                other => text.push(other),
            }
        }
    }
    let end = rest.find([',', ' ']).expect("more of the line");
    let (value, more) = rest.split_at(end);
    *rest = more;
    match value {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        integer if integer.ends_with('i') => Value::Integer(integer.trim_end_matches('i').parse().expect("an integer")),
        float => Value::Float(float.parse().expect("a float")),
    }
}
