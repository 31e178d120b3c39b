//! [`Value`] and [`Fields`]: the named, typed columns of a reading.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{MAX_FIELD_NAME_BYTES, MAX_FIELDS};

/// How deep objects may be nested in a foreign payload.
const MAX_DEPTH: usize = 16;
/// The name of the field when a payload is a single value.
const SINGLE: &str = "value";

/// The value of one field. Floats are finite.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A whole number.
    Integer(i64),
    /// A finite floating-point number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Text.
    Text(Cow<'a, str>),
}

/// The fields of one reading, in the order they were sent, at most [`MAX_FIELDS`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields<'a> {
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
    skipped: u32,
}

impl<'a> Fields<'a> {
    /// No fields yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields yet, with room for so many.
    pub fn with_capacity(fields: usize) -> Self {
        Self { entries: Vec::with_capacity(fields), skipped: 0 }
    }

    /// Adds a field. A number that is not finite is counted in [`skipped`](Self::skipped) instead: no database takes it.
    pub fn push(&mut self, name: impl Into<Cow<'a, str>>, value: Value<'a>) {
        if matches!(value, Value::Float(float) if !float.is_finite()) {
            self.skipped += 1;
        } else {
            self.entries.push((name.into(), value));
        }
    }

    /// The fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value<'a>)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many values were left out because they were NaN or infinite.
    pub fn skipped(&self) -> u32 {
        self.skipped
    }
}

impl<'a> IntoIterator for Fields<'a> {
    type Item = (Cow<'a, str>, Value<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Value<'a>)> for Fields<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Value<'a>)>>(fields: I) -> Self {
        let mut collected = Self::new();
        for (name, value) in fields {
            collected.push(name, value);
        }
        collected
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Any value becomes fields: an object one per member, `{"a":{"b":1}}` as `a.b`, a list one per place, a single value
/// as `value`; null is no field.
impl<'de: 'a, 'a> de::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields::<'de>::new();
        Node { name: Cow::Borrowed(""), depth: 0, into: &mut fields }.deserialize(deserializer)?;
        Ok(fields)
    }
}

/// One value of a payload on its way into `into`, under the name its path has given it.
struct Node<'n, 'de> {
    name: Cow<'de, str>,
    depth: usize,
    into: &'n mut Fields<'de>,
}

impl<'de> Node<'_, 'de> {
    fn add<E: de::Error>(self, value: Value<'de>) -> Result<(), E> {
        let name = if self.name.is_empty() { Cow::Borrowed(SINGLE) } else { self.name };
        if name.len() > MAX_FIELD_NAME_BYTES {
            let start: String = name.chars().take(32).collect();
            return Err(E::custom(format_args!(
                "field {start:?}… has a name of {} bytes, at most {MAX_FIELD_NAME_BYTES} are taken",
                name.len()
            )));
        }
        if self.into.len() == MAX_FIELDS {
            return Err(E::custom(format_args!("more than {MAX_FIELDS} fields")));
        }
        self.into.push(name, value);
        Ok(())
    }

    fn child<E: de::Error>(&mut self, key: Cow<'de, str>) -> Result<Node<'_, 'de>, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        let name = if self.name.is_empty() { key } else { format!("{}.{key}", self.name).into() };
        Ok(Node { name, depth: self.depth + 1, into: self.into })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, a text, true or false, or an object of such")
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.add(Value::Boolean(value))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.add(Value::Integer(value))
    }
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^63 a float is the nearest thing every database has")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.add(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.add(Value::Float(value))
    }
    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<(), E> {
        self.add(Value::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.add(Value::Text(Cow::Owned(value.to_owned())))
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            map.next_value_seed(self.child(key)?)?;
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        for place in 0usize.. {
            if list.next_element_seed(self.child(place.to_string().into())?)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// A string that is borrowed from the input wherever it has no escapes.
#[derive(Debug, PartialEq)]
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> de::Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}
