//! [`Slicing`]: when the next slice of a snapshot is taken, and of whom.

use std::ops::Range;
use std::time::Duration;

use lastbeat_log::Position;
use lastbeat_wire::Monotonic;

/// Publishers of one slice: some 100 µs of the loop.
pub const SLICE: usize = 256;
/// The time between two slices: what they take of the loop is a twentieth.
const BETWEEN: Duration = Duration::from_millis(2);
/// No snapshot is begun sooner than this after the one before: what a crash leaves to be read again from the log.
pub const AT_LEAST: Duration = Duration::from_secs(10);
/// Nor before the log has grown by so many bytes a publisher, what it takes in memory: so the work is in proportion to what has
/// come, and reading the log again takes about as long as reading the snapshot.
const GROWTH: u64 = 512;
/// One of so few is made however little has come.
const FEW: usize = 2_000;
/// And so is any after this.
const AT_MOST: Duration = Duration::from_mins(10);

/// When the next slice of a snapshot is taken, and of whom. It is given the time and reads no clock.
#[derive(Debug, Clone)]
pub struct Slicing {
    next: Monotonic,
    /// The publisher at which the next slice begins; `None` while no snapshot is under way.
    place: Option<usize>,
    slice: usize,
    /// When the last one was begun, and where the log ended then.
    begun: Monotonic,
    began_at: Position,
}

/// What of a snapshot is to be taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The publishers at these places.
    pub places: Range<usize>,
    /// Whether a snapshot begins with them.
    pub is_first: bool,
    /// Whether it ends with them.
    pub is_last: bool,
}

impl Slicing {
    /// Takes so many publishers at a time; the first ones ten seconds from `now`. The log needs to be read from `reaches` on
    /// as things are.
    pub fn new(now: Monotonic, reaches: Position, slice: usize) -> Self {
        Self { next: now.plus(AT_LEAST), place: None, slice, begun: now, began_at: reaches }
    }

    /// When [`due`](Self::due) has something to do.
    pub fn next(&self) -> Monotonic {
        self.next
    }

    /// Whether one is under way, and ends with a part that is still to come.
    pub fn is_under_way(&self) -> bool {
        self.place.is_some()
    }

    /// The writer has not taken the last part yet: nothing is due before the next time.
    pub fn put_off(&mut self, now: Monotonic) {
        self.next = now.plus(if self.is_under_way() { BETWEEN } else { AT_LEAST });
    }

    /// Nothing becomes of the one that is under way.
    pub fn abandon(&mut self, now: Monotonic) {
        self.place = None;
        self.next = now.plus(AT_LEAST);
    }

    /// The part to take now, if one is due: of so many publishers, while the log ends at `end`.
    pub fn due(&mut self, now: Monotonic, end: Position, publishers: usize) -> Option<Part> {
        if now < self.next {
            return None;
        }
        let is_first = self.place.is_none();
        if is_first {
            let grown = end.0.saturating_sub(self.began_at.0) >= GROWTH * publishers as u64;
            if publishers > FEW && !grown && now < self.begun.plus(AT_MOST) {
                self.next = now.plus(AT_LEAST);
                return None;
            }
            (self.begun, self.began_at) = (now, end);
        }
        let from = self.place.unwrap_or(0);
        let to = publishers.min(from.saturating_add(self.slice));
        let is_last = to == publishers;
        (self.place, self.next) = if is_last {
            (None, self.begun.plus(AT_LEAST).max(now.plus(BETWEEN)))
        } else {
            (Some(to), now.plus(BETWEEN))
        };
        Some(Part { places: from..to, is_first, is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000_000)
    }

    fn part(places: Range<usize>, is_first: bool, is_last: bool) -> Part {
        Part { places, is_first, is_last }
    }

    #[test]
    fn many_publishers_are_taken_slice_by_slice_and_those_that_come_meanwhile_too() {
        let mut slicing = Slicing::new(seconds(0), Position::START, 100);
        assert_eq!(slicing.next(), seconds(10));
        assert_eq!(slicing.due(Monotonic(seconds(10).0 - 1), Position(1), 150), None);
        assert_eq!(slicing.due(seconds(10), Position(1), 150), Some(part(0..100, true, false)));
        assert_eq!(slicing.due(seconds(10), Position(1), 150), None, "not twice at one time");
        assert_eq!(slicing.next(), seconds(10).plus(BETWEEN));
        assert_eq!(slicing.due(slicing.next(), Position(2), 250), Some(part(100..200, false, false)));
        assert_eq!(slicing.due(slicing.next(), Position(2), 250), Some(part(200..250, false, true)));
        assert_eq!(slicing.next(), seconds(20));
        assert_eq!(slicing.due(seconds(20), Position(3), 0), Some(part(0..0, true, true)));
    }

    #[test]
    fn one_of_many_publishers_waits_until_the_log_has_grown_or_for_ten_minutes() {
        let many = FEW + 1;
        let enough = Position(GROWTH * many as u64);
        let mut slicing = Slicing::new(seconds(0), Position::START, many);
        assert_eq!(slicing.due(seconds(10), Position(enough.0 - 1), many), None);
        assert_eq!(slicing.next(), seconds(20));
        assert_eq!(slicing.due(seconds(20), enough, many), Some(part(0..many, true, true)));
        assert_eq!(slicing.due(seconds(619), enough, many), None);
        assert_eq!(slicing.due(seconds(629), enough, many), Some(part(0..many, true, true)));
        assert_eq!(slicing.due(seconds(640), enough, FEW), Some(part(0..FEW, true, true)), "of few it does not wait");
    }
}
