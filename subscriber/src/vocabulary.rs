//! [`Vocabulary`]: which fields each publisher has had, so that one that makes up a new name with every message is stopped
//! before the databases are full of them. Counted since the start of the program.
//!
//! A publisher whose readings have the fields they had the last time costs one look.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use lastbeat_wire::Fields;

use crate::sets::{SetId, Sets};

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
    sets: Sets,
    /// The fields of each publisher, by its place in the watchdog.
    publishers: Vec<SetId>,
    /// How many fields of publishers there are in all.
    fields: usize,
    names: HashSet<u64>,
    most_fields: usize,
}

/// What a reading has that was not known before.
#[derive(Debug, Default)]
pub struct News {
    /// All its names, in order.
    sequence: u64,
    /// Those that are new.
    names: Vec<u64>,
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
            sets: Sets::default(),
            publishers: Vec::new(),
            fields: 0,
            names: HashSet::new(),
            most_fields: max_publishers.saturating_mul(FIELDS_EACH).max(FIELDS_AT_LEAST),
        }
    }

    /// What of a reading is new, of the publisher at a place in the watchdog, or of one that has none yet; to be
    /// [learned](Self::learn) once the reading is taken in. `None` where nothing is.
    ///
    /// # Errors
    /// When it would be too many.
    pub fn news(&self, place: Option<u32>, fields: &Fields<'_>) -> Result<Option<News>, TooMany> {
        let known = place.and_then(|place| self.publishers.get(place as usize)).copied().unwrap_or_default();
        let mut all = self.hasher.build_hasher();
        fields.iter().for_each(|(name, _)| name.hash(&mut all));
        let sequence = all.finish();
        if self.sets.covers(known, sequence) {
            return Ok(None);
        }
        let mut news = News { sequence, names: Vec::new() };
        let mut names = self.names.len();
        for (name, _) in fields.iter() {
            let its_name = self.hasher.hash_one(name);
            if self.sets.contains(known, its_name) || news.names.contains(&its_name) {
                continue;
            }
            let shown = || name.chars().take(32).collect();
            if self.sets.len(known) + news.names.len() >= FIELDS_OF_ONE {
                return Err(TooMany::OfOne { field: shown() });
            }
            names += usize::from(!self.names.contains(&its_name));
            if names > NAMES || self.fields + news.names.len() >= self.most_fields {
                return Err(TooMany::OfAll { field: shown(), most: self.most_fields });
            }
            news.names.push(its_name);
        }
        Ok(Some(news))
    }

    /// Takes note of what was new of the publisher at a place.
    pub fn learn(&mut self, place: u32, news: News) {
        let place = place as usize;
        if self.publishers.len() <= place {
            self.publishers.resize(place + 1, SetId::default());
        }
        self.fields += news.names.len();
        self.names.extend(&news.names);
        self.publishers[place] = self.sets.grow(self.publishers[place], news.names);
        self.sets.note_covered(self.publishers[place], news.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_wire::Value;

    fn fields(names: impl Iterator<Item = String>) -> Fields<'static> {
        names.map(|name| (name.into(), Value::Integer(1))).collect()
    }

    fn take(vocabulary: &mut Vocabulary, place: u32, names: impl Iterator<Item = String>) -> Result<(), TooMany> {
        if let Some(news) = vocabulary.news(Some(place), &fields(names))? {
            vocabulary.learn(place, news);
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
            take(&mut all, 1, numbered(start..start + 1024)).unwrap();
        }
        let error = take(&mut all, 1, numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 1)).unwrap_err();
        assert_eq!(error, TooMany::OfOne { field: "field 4096".to_owned() });
        take(&mut all, 1, numbered(5..9)).unwrap();
        take(&mut all, 2, numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 1)).unwrap();
    }

    #[test]
    fn a_reading_that_is_refused_leaves_nothing_behind() {
        let mut all = Vocabulary::new(10);
        take(&mut all, 1, numbered(1..FIELDS_OF_ONE)).unwrap();
        assert!(take(&mut all, 1, numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 2)).is_err());
        take(&mut all, 1, numbered(FIELDS_OF_ONE..FIELDS_OF_ONE + 1)).unwrap();
        // A name that stands twice in a reading is one.
        let twice = ["x".to_owned(), "x".to_owned()];
        take(&mut all, 2, twice.into_iter()).unwrap();
        assert_eq!(all.fields, FIELDS_OF_ONE + 1);
    }

    #[test]
    fn all_together_may_have_so_many_names_and_what_has_a_name_may_go_on() {
        let mut all = Vocabulary::new(10);
        take(&mut all, 100, numbered(0..3)).unwrap();
        let refused = (0..30).find_map(|publisher: u32| {
            let names = (0..4_000).map(|number| format!("{publisher} {number}"));
            take(&mut all, publisher, names).err()
        });
        assert!(matches!(refused, Some(TooMany::OfAll { .. })), "{refused:?}");
        assert!(all.names.len() <= NAMES);
        take(&mut all, 100, numbered(1..3)).unwrap();
        take(&mut all, 101, numbered(0..3)).unwrap();
    }
}
