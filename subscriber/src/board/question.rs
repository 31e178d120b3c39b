//! [`Question`]: which publishers are asked for, in which order, and which of a million these are.

use std::cmp::Ordering;

use lastbeat_watchdog::State;
use lastbeat_wire::Monotonic;

use super::{Figures, Row};

/// Which publishers, in which order.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Only those in these states.
    pub states: Option<Vec<State>>,
    /// Only those with each of these words, in lower case, in their id or their host's name.
    pub words: Vec<String>,
    /// In which order; `None`: in that in which they became known.
    pub sort: Option<Sort>,
    /// Without the first so many of these.
    pub offset: usize,
    /// At most so many; `None`: all.
    pub limit: Option<usize>,
}

/// An order; those that are alike in it are in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: Column,
    /// From the greatest to the least.
    pub down: bool,
}

/// What publishers are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Trouble first.
    State,
    /// The name.
    Id,
    /// The host's name.
    Host,
    /// The cause, as a phrase.
    Cause,
    /// How long it has been silent; never heard is longest.
    Heard,
    /// The same in proportion to what it is allowed.
    Silence,
    /// Messages a second.
    Rate,
    /// Messages that were missed or came twice.
    Missed,
}

/// The publishers that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Their places among all, in order.
    pub places: Vec<u32>,
    /// How many there are without offset and limit.
    pub matching: usize,
}

impl Sort {
    /// A column's word, with `-` before it for the greatest first.
    pub fn parse(text: &str) -> Option<Self> {
        let (down, word) = text.strip_prefix('-').map_or((false, text), |word| (true, word));
        let by = match word {
            "state" => Column::State,
            "id" => Column::Id,
            "host" => Column::Host,
            "cause" => Column::Cause,
            "heard" => Column::Heard,
            "silence" => Column::Silence,
            "rate" => Column::Rate,
            "missed" => Column::Missed,
            _ => return None,
        };
        Some(Self { by, down })
    }
}

impl Question {
    /// Which publishers these are. It takes some 100 ms for a million that are to be put in order.
    pub fn answer(&self, figures: &Figures, at: Monotonic) -> Found {
        let wanted = (0..).zip(&figures.rows).filter(|(_, row)| self.wants(figures, row));
        let (offset, limit) = (self.offset, self.limit.unwrap_or(usize::MAX));
        let Some(sort) = self.sort else {
            let (mut places, mut matching) = (Vec::new(), 0);
            for (place, _) in wanted {
                if matching >= offset && places.len() < limit {
                    places.push(place);
                }
                matching += 1;
            }
            return Found { places, matching };
        };
        let mut found: Vec<(u32, &Row)> = wanted.collect();
        let matching = found.len();
        let order = |one: &(u32, &Row), other: &(u32, &Row)| {
            let by = sort.compare(figures, one.1, other.1, at);
            let by = if sort.down { by.reverse() } else { by };
            by.then_with(|| one.1.id.cmp(&other.1.id))
        };
        // Only those that are asked for are put in order among each other.
        let end = offset.saturating_add(limit);
        if end < found.len() {
            found.select_nth_unstable_by(end, order);
            found.truncate(end);
        }
        if offset >= found.len() {
            return Found { places: Vec::new(), matching };
        }
        if offset > 0 {
            found.select_nth_unstable_by(offset, order);
        }
        let asked = &mut found[offset..];
        asked.sort_unstable_by(order);
        Found { places: asked.iter().map(|(place, _)| *place).collect(), matching }
    }

    fn wants(&self, figures: &Figures, row: &Row) -> bool {
        let has = |text: &str, word: &str| {
            if text.is_ascii() {
                let (text, word) = (text.as_bytes(), word.as_bytes());
                text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
            } else {
                text.to_lowercase().contains(word)
            }
        };
        self.states.as_ref().is_none_or(|states| states.contains(&row.state))
            && self.words.iter().all(|word| has(&row.id, word) || figures.host(row).is_some_and(|host| has(host, word)))
    }
}

impl Sort {
    fn compare(self, figures: &Figures, one: &Row, other: &Row, at: Monotonic) -> Ordering {
        let silence = |row: &Row| row.silence(at).map_or(u128::MAX, |silence| silence.as_nanos());
        let share = |row: &Row| row.silence(at).map_or(f64::INFINITY, |silence| row.thresholds(silence));
        let lost = |row: &Row| {
            let counts = row.counts();
            counts.missed.saturating_add(counts.duplicates)
        };
        match self.by {
            Column::State => severity(one.state).cmp(&severity(other.state)),
            Column::Id => one.id.cmp(&other.id),
            // Who told none comes last.
            Column::Host => {
                let host = |row| figures.host(row).map_or((true, ""), |host| (false, host));
                host(one).cmp(&host(other))
            }
            Column::Cause => one.cause.to_string().cmp(&other.cause.to_string()),
            Column::Heard => silence(one).cmp(&silence(other)),
            Column::Silence => share(one).total_cmp(&share(other)),
            Column::Rate => one.rate().cmp(&other.rate()),
            Column::Missed => lost(one).cmp(&lost(other)),
        }
    }
}

/// Trouble first, as the page has it.
fn severity(state: State) -> u8 {
    match state {
        State::Dead => 0,
        State::Failed => 1,
        State::Suspended => 2,
        State::Silent => 3,
        State::Unknown => 4,
        State::Blind => 5,
        State::Unseen => 6,
        State::Paused => 7,
        State::Alive => 8,
        State::Finished => 9,
    }
}
