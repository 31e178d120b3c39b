//! [`Vocabulary`]: which fields each publisher has had, so that one that makes up a new name with every message is stopped
//! before the databases are full of them. Counted since the start of the program.
//!
//! Names are remembered by a keyed hash of 64 bits, which nobody outside can make collide. A publisher whose readings have
//! the fields they had the last time costs one look.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use lastbeat_wire::Fields;

/// Most different fields of one publisher.
pub const FIELDS_OF_ONE: usize = 4_096;
/// Most different names of fields, whoever's they are: all readings are one measurement in InfluxDB.
pub const NAMES: usize = 100_000;
/// Fields of all publishers together: so many for each that there may be.
const FIELDS_EACH: usize = 16;
/// The same where there may be few.
const FIELDS_AT_LEAST: usize = 1 << 20;

/// Which fields each publisher has had.
#[derive(Debug)]
pub struct Vocabulary {
    hasher: RandomState,
    publishers: HashMap<u64, Known>,
    /// Each field of each publisher.
    fields: HashSet<u64>,
    names: HashSet<u64>,
    most_fields: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The names of its last reading, in order.
    last: u64,
    /// How many fields it has had.
    count: usize,
}

/// What a reading has that was not known before.
#[derive(Debug, Default)]
pub struct News {
    publisher: u64,
    last: u64,
    /// Field and name of each that is new.
    fields: Vec<(u64, u64)>,
}

/// Why a reading's fields are too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// Of this publisher.
    #[error("field {field:?} would be one more than the {FIELDS_OF_ONE} different ones that a publisher may have")]
    OfOne {
        /// The one, its beginning.
        field: String,
    },
    /// Of all.
    #[error("field {field:?} would be one more than all publishers together may have (names {NAMES}, in all {most})")]
    OfAll {
        /// The one, its beginning.
        field: String,
        /// How many fields there may be in all.
        most: usize,
    },
}

impl Vocabulary {
    /// Nothing is known yet; there may be so many publishers.
    pub fn new(max_publishers: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            publishers: HashMap::new(),
            fields: HashSet::new(),
            names: HashSet::new(),
            most_fields: max_publishers.saturating_mul(FIELDS_EACH).max(FIELDS_AT_LEAST),
        }
    }

    /// What of a reading is new; to be [learned](Self::learn) once the reading is taken in. `None` where nothing is.
    ///
    /// # Errors
    /// When it would be too many.
    pub fn news(&self, publisher: &str, fields: &Fields<'_>) -> Result<Option<News>, TooMany> {
        let publisher = self.hasher.hash_one(publisher);
        let mut all = self.hasher.build_hasher();
        fields.iter().for_each(|(name, _)| name.hash(&mut all));
        let last = all.finish();
        let known = self.publishers.get(&publisher).copied().unwrap_or_default();
        if known.last == last {
            return Ok(None);
        }
        let mut news = News { publisher, last, fields: Vec::new() };
        let mut names = self.names.len();
        for (name, _) in fields.iter() {
            let its_name = self.hasher.hash_one(name);
            let field = self.hasher.hash_one((publisher, its_name));
            if self.fields.contains(&field) || news.fields.iter().any(|(new, _)| *new == field) {
                continue;
            }
            let shown = || name.chars().take(32).collect();
            if known.count + news.fields.len() >= FIELDS_OF_ONE {
                return Err(TooMany::OfOne { field: shown() });
            }
            names += usize::from(!self.names.contains(&its_name));
            if names > NAMES || self.fields.len() + news.fields.len() >= self.most_fields {
                return Err(TooMany::OfAll { field: shown(), most: self.most_fields });
            }
            news.fields.push((field, its_name));
        }
        Ok(Some(news))
    }

    /// Takes note of what was new.
    pub fn learn(&mut self, news: News) {
        let known = self.publishers.entry(news.publisher).or_default();
        known.last = news.last;
        known.count += news.fields.len();
        for (field, name) in news.fields {
            self.fields.insert(field);
            self.names.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_wire::Value;

    fn fields(names: impl Iterator<Item = String>) -> Fields<'static> {
        names.map(|name| (name.into(), Value::Integer(1))).collect()
    }

    fn take(vocabulary: &mut Vocabulary, publisher: &str, names: impl Iterator<Item = String>) -> Result<(), TooMany> {
        if let Some(news) = vocabulary.news(publisher, &fields(names))? {
            vocabulary.learn(news);
        }
        Ok(())
    }

    fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
        range.map(|number| format!("field {number}"))
    }

    #[test]
    fn one_that_makes_up_names_is_stopped_and_may_still_use_those_it_had() {
        let mut all = Vocabulary::new(10);
        for start in (0..FIELDS_OF_ONE).step_by(1024) {
            take(&mut all, "one", numbered(start..start + 1024)).unwrap();
        }
        let error = take(&mut all, "one", numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 1)).unwrap_err();
        assert_eq!(error, TooMany::OfOne { field: "field 4096".to_owned() });
        take(&mut all, "one", numbered(5..9)).unwrap();
        take(&mut all, "other", numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 1)).unwrap();
    }

    #[test]
    fn a_reading_that_is_refused_leaves_nothing_behind() {
        let mut all = Vocabulary::new(10);
        take(&mut all, "one", numbered(1..FIELDS_OF_ONE)).unwrap();
        assert!(take(&mut all, "one", numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 2)).is_err());
        take(&mut all, "one", numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 1)).unwrap();
        // A name that stands twice in a reading is one.
        let twice = ["x".to_owned(), "x".to_owned()];
        take(&mut all, "other", twice.into_iter()).unwrap();
        assert_eq!(all.fields.len(), FIELDS_OF_ONE + 1);
    }

    #[test]
    fn all_together_may_have_so_many_names_and_what_has_a_name_may_go_on() {
        let mut all = Vocabulary::new(10);
        take(&mut all, "honest", numbered(0..3)).unwrap();
        let refused = (0..30).find_map(|publisher: usize| {
            let names = (0..4_000).map(|number| format!("{publisher} {number}"));
            take(&mut all, &publisher.to_string(), names).err()
        });
        assert!(matches!(refused, Some(TooMany::OfAll { .. })), "{refused:?}");
        assert!(all.names.len() <= NAMES);
        take(&mut all, "honest", numbered(1..3)).unwrap();
        take(&mut all, "new", numbered(0..3)).unwrap();
    }
}
