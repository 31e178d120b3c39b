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
    /// Whether all publishers are taken, and the swarm is being.
    is_at_swarm: bool,
    slice: usize,
    /// When the last one was begun, and where the log ended then.
    begun: Monotonic,
    began_at: Position,
}

/// What there is to be taken.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// So many publishers.
    pub publishers: usize,
    /// So many pairs of a swarm, of which the log grows as of publishers.
    pub pairs: usize,
    /// Whether anything of the swarm is left to be taken.
    pub is_more: bool,
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
        Self { next: now.plus(AT_LEAST), place: None, is_at_swarm: false, slice, begun: now, began_at: reaches }
    }

    /// When [`due`](Self::due) has something to do.
    pub fn next(&self) -> Monotonic {
        self.next
    }

    /// Whether one is under way, and ends with a part that is still to come.
    pub fn is_under_way(&self) -> bool {
        self.place.is_some()
    }

    /// Whether what is taken next is of the swarm.
    pub fn is_at_swarm(&self) -> bool {
        self.is_at_swarm
    }

    /// The writer has not taken the last part yet: nothing is due before the next time.
    pub fn put_off(&mut self, now: Monotonic) {
        self.next = now.plus(if self.is_under_way() { BETWEEN } else { AT_LEAST });
    }

    /// Nothing becomes of the one that is under way.
    pub fn abandon(&mut self, now: Monotonic) {
        (self.place, self.is_at_swarm) = (None, false);
        self.next = now.plus(AT_LEAST);
    }

    /// The part to take now, if one is due: of what is known, while the log ends at `end`. Publishers that come when all are taken wait
    /// for the next snapshot, so that what the swarm has of each is taken after it.
    pub fn due(&mut self, now: Monotonic, end: Position, known: Known) -> Option<Part> {
        let Known { publishers, pairs, is_more } = known;
        if now < self.next {
            return None;
        }
        let is_first = self.place.is_none();
        if is_first {
            let grown = end.0.saturating_sub(self.began_at.0) >= GROWTH * (publishers + pairs) as u64;
            if publishers + pairs > FEW && !grown && now < self.begun.plus(AT_MOST) {
                self.next = now.plus(AT_LEAST);
                return None;
            }
            (self.begun, self.began_at) = (now, end);
        }
        let from = self.place.unwrap_or(0);
        let to = if self.is_at_swarm { from } else { publishers.min(from.saturating_add(self.slice)) };
        let has_all = self.is_at_swarm || to == publishers;
        let is_last = has_all && !is_more;
        self.is_at_swarm = has_all && is_more;
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

    fn of(publishers: usize) -> Known {
        Known { publishers, pairs: 0, is_more: false }
    }

    fn part(places: Range<usize>, is_first: bool, is_last: bool) -> Part {
        Part { places, is_first, is_last }
    }

    #[test]
    fn many_publishers_are_taken_slice_by_slice_and_those_that_come_meanwhile_too() {
        let mut slicing = Slicing::new(seconds(0), Position::START, 100);
        assert_eq!(slicing.next(), seconds(10));
        assert_eq!(slicing.due(Monotonic(seconds(10).0 - 1), Position(1), of(150)), None);
        assert_eq!(slicing.due(seconds(10), Position(1), of(150)), Some(part(0..100, true, false)));
        assert_eq!(slicing.due(seconds(10), Position(1), of(150)), None, "not twice at one time");
        assert_eq!(slicing.next(), seconds(10).plus(BETWEEN));
        assert_eq!(slicing.due(slicing.next(), Position(2), of(250)), Some(part(100..200, false, false)));
        assert_eq!(slicing.due(slicing.next(), Position(2), of(250)), Some(part(200..250, false, true)));
        assert_eq!(slicing.next(), seconds(20));
        assert_eq!(slicing.due(seconds(20), Position(3), of(0)), Some(part(0..0, true, true)));
    }

    #[test]
    fn one_of_many_publishers_waits_until_the_log_has_grown_or_for_ten_minutes() {
        let many = FEW + 1;
        let enough = Position(GROWTH * many as u64);
        let mut slicing = Slicing::new(seconds(0), Position::START, many);
        assert_eq!(slicing.due(seconds(10), Position(enough.0 - 1), of(many)), None);
        assert_eq!(slicing.next(), seconds(20));
        assert_eq!(slicing.due(seconds(20), enough, of(many)), Some(part(0..many, true, true)));
        assert_eq!(slicing.due(seconds(619), enough, of(many)), None);
        assert_eq!(slicing.due(seconds(629), enough, of(many)), Some(part(0..many, true, true)));
        assert_eq!(
            slicing.due(seconds(640), enough, of(FEW)),
            Some(part(0..FEW, true, true)),
            "of few it does not wait"
        );
    }

    #[test]
    fn the_swarm_is_taken_after_all_publishers_and_those_that_come_meanwhile_wait() {
        let known = |publishers, is_more| Known { publishers, pairs: 300, is_more };
        let mut slicing = Slicing::new(seconds(0), Position::START, 100);
        assert_eq!(slicing.due(seconds(10), Position(1), known(150, true)), Some(part(0..100, true, false)));
        assert!(!slicing.is_at_swarm());
        assert_eq!(slicing.due(slicing.next(), Position(1), known(150, true)), Some(part(100..150, false, false)));
        assert!(slicing.is_at_swarm() && slicing.is_under_way());
        assert_eq!(slicing.due(slicing.next(), Position(2), known(170, true)), Some(part(150..150, false, false)));
        assert_eq!(slicing.due(slicing.next(), Position(2), known(170, false)), Some(part(150..150, false, true)));
        assert!(!slicing.is_at_swarm() && !slicing.is_under_way());
        assert_eq!(slicing.next(), seconds(20));
    }

    #[test]
    fn pairs_are_waited_for_like_publishers() {
        let known = Known { publishers: 1, pairs: FEW, is_more: true };
        let mut slicing = Slicing::new(seconds(0), Position::START, 100);
        assert_eq!(slicing.due(seconds(10), Position(1), known), None);
    }
}
