//! [`Picker`]: picks values from the JSON of stored readings.

use std::collections::HashMap;
use std::fmt;

use lastbeat_wire::{UtcNanos, Value};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::HistoryError;
use super::buckets::Collect;

/// Picks the wanted fields from a reading's JSON; of the others nothing is kept or copied.
#[derive(Debug)]
pub struct Picker {
    places: HashMap<String, usize>,
    /// The names of the last reading in their order, each with its place if it is wanted. The next one mostly has the same,
    /// and then nothing is hashed.
    usual: Vec<(String, Option<usize>)>,
}

impl Picker {
    /// For fields of these names, each of them once.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { places: names.into_iter().zip(0..).collect(), usual: Vec::new() }
    }

    /// Hands on a row: its time, then the values that are wanted.
    pub fn pick(&mut self, time: UtcNanos, json: &str, into: &mut impl Collect) -> Result<(), HistoryError> {
        into.row(time);
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let row = Row { picker: self, into };
        row.deserialize(&mut deserializer).map_err(|error| {
            let start: String = json.chars().take(100).collect();
            HistoryError::Failed(anyhow::anyhow!("the fields of the reading at {time}: {error}: {start}"))
        })
    }

    /// The place of the name that comes as the `number`th one of its reading.
    fn place(&mut self, number: usize, name: &str) -> Option<usize> {
        if let Some((usual, place)) = self.usual.get(number)
            && usual == name
        {
            return *place;
        }
        let place = self.places.get(name).copied();
        self.usual.truncate(number);
        self.usual.push((name.to_owned(), place));
        place
    }
}

struct Row<'p, C> {
    picker: &'p mut Picker,
    into: &'p mut C,
}

impl<'de, C: Collect> DeserializeSeed<'de> for Row<'_, C> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, C: Collect> Visitor<'de> for Row<'_, C> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(place) = map.next_key_seed(Name { picker: self.picker, number })? {
            number += 1;
            match place {
                Some(place) => map.next_value_seed(Cell { place, into: &mut *self.into })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

/// A field's name, which is looked up and not kept.
struct Name<'p> {
    picker: &'p mut Picker,
    number: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.picker.place(self.number, name))
    }
}

struct Cell<'p, C> {
    place: usize,
    into: &'p mut C,
}

impl<'de, C: Collect> DeserializeSeed<'de> for Cell<'_, C> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<C: Collect> Visitor<'_> for Cell<'_, C> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, a text, true or false")
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.into.value(self.place, Value::Boolean(value));
        Ok(())
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.into.value(self.place, Value::Integer(value));
        Ok(())
    }
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^63 a float is the nearest thing every database has")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let value = i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer);
        self.into.value(self.place, value);
        Ok(())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.into.value(self.place, Value::Float(value));
        Ok(())
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.into.value(self.place, Value::Text(value.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Seen(Vec<(usize, String)>);

    impl Collect for Seen {
        fn row(&mut self, _: UtcNanos) {}
        fn value(&mut self, field: usize, value: Value<'_>) {
            self.0.push((field, serde_json::to_string(&value).unwrap()));
        }
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_found_in_whatever_order_it_comes(
            rows in proptest::collection::vec(proptest::collection::vec(("[a-e\"]{1,2}", -9_i64..9), 0..6), 0..20),
            wanted in proptest::collection::btree_set("[a-e\"]{1,2}", 0..5),
        ) {
            let wanted: Vec<String> = wanted.into_iter().collect();
            let mut picker = Picker::new(wanted.clone());
            for row in rows {
                let cells = row.iter().map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap()));
                let json = format!("{{{}}}", cells.collect::<Vec<_>>().join(","));
                let mut seen = Seen::default();
                picker.pick(UtcNanos(0), &json, &mut seen).unwrap();
                let place = |name| wanted.iter().position(|wanted| wanted == name);
                let expected = row.iter().filter_map(|(name, value)| Some((place(name)?, value.to_string())));
                prop_assert_eq!(seen.0, expected.collect::<Vec<_>>());
            }
        }
    }
}
