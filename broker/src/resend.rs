//! [`Resender`]: searches the [`Ring`] for what subscribers ask for, a slice at a time, so that live messages go on.
//!
//! Requests are not trusted: they are bounded in size, number and cost, and those beyond are dropped and counted. Pure:
//! what is to be sent is given back.

use std::collections::{HashSet, VecDeque};

use lastbeat_wire::{Inbox, ProcessIdentity, PublisherId, ResendRequest, Topic, Wanted, decode};

use crate::ring::{Place, Ring};

/// Most requests that wait, of all subscribers …
const MOST_REQUESTS: usize = 512;
/// … and of one inbox.
const MOST_OF_ONE: usize = 96;
/// What a slice may cost …
const SLICE: usize = 4_000;
/// … where a look at a message that is somebody else's costs 1, and one at its header so much.
const DECODED: usize = 20;
/// Ends of searches that are remembered, for the next range mostly begins where one ended.
const MOST_ENDS: usize = 256;
/// Most processes whose last messages are looked for in one request.
const MOST_PROCESSES: usize = 100_000;

/// What is to be done for those who asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the message at this place again to this inbox.
    Send(Inbox, Place),
    /// Ask the publishers for what is not kept here.
    PassOn(ResendRequest),
}

/// The requests that wait, and what was found out so far.
#[derive(Debug, Default)]
pub struct Resender {
    waiting: VecDeque<Search>,
    ends: VecDeque<End>,
}

/// Where a search for messages of one process ended: what comes before that place is before this number.
#[derive(Debug)]
struct End {
    publisher: PublisherId,
    process: ProcessIdentity,
    number: u64,
    place: Place,
}

#[derive(Debug)]
struct Search {
    request: ResendRequest,
    /// Where to look next.
    place: Place,
    /// Of a range: the number that is due. Of the last: where the search ends.
    until: u64,
    /// Of the last: those that were found.
    found: HashSet<(PublisherId, ProcessIdentity)>,
}

impl Resender {
    /// Takes a request; `false` if there are too many.
    pub fn take(&mut self, ring: &Ring, request: ResendRequest) -> bool {
        if self.waiting.iter().any(|search| search.request == request) {
            return true;
        }
        let of_this = self.waiting.iter().filter(|search| search.request.inbox == request.inbox).count();
        if self.waiting.len() >= MOST_REQUESTS || of_this >= MOST_OF_ONE {
            return false;
        }
        let (place, until) = match &request.wanted {
            Wanted::Range { publisher, process, from, .. } => {
                let end = self.ends.iter().find(|end| end.is_of(publisher, *process) && end.number == *from);
                (end.map_or(ring.first(), |end| end.place), *from)
            }
            Wanted::Last => (ring.end(), ring.first()),
        };
        self.waiting.push_back(Search { request, place, until, found: HashSet::new() });
        true
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Looks on for the request whose turn it is; what was found. Requests take turns.
    pub fn slice(&mut self, ring: &Ring) -> Vec<Step> {
        let Some(mut search) = self.waiting.pop_front() else { return Vec::new() };
        let mut steps = Vec::new();
        let goes_on = match search.request.wanted.clone() {
            Wanted::Range { publisher, process, to, .. } => {
                let goes_on = search.range(ring, &publisher, process, to, &mut steps);
                if !goes_on {
                    self.remember(End { publisher, process, number: to, place: search.place });
                }
                goes_on
            }
            Wanted::Last => search.last(ring, &mut steps),
        };
        if goes_on {
            self.waiting.push_back(search);
        }
        steps
    }

    fn remember(&mut self, end: End) {
        self.ends.retain(|known| !known.is_of(&end.publisher, end.process));
        if self.ends.len() >= MOST_ENDS {
            self.ends.pop_front();
        }
        self.ends.push_back(end);
    }
}

impl End {
    /// A process numbers the messages of each of its publishers by itself.
    fn is_of(&self, publisher: &PublisherId, process: ProcessIdentity) -> bool {
        self.process == process && self.publisher == *publisher
    }
}

impl Search {
    /// Forward, for messages of one process come in the order of their numbers; whether there is more to look at.
    fn range(
        &mut self,
        ring: &Ring,
        publisher: &PublisherId,
        process: ProcessIdentity,
        to: u64,
        steps: &mut Vec<Step>,
    ) -> bool {
        let mut cost = 0;
        self.place = self.place.max(ring.first());
        while cost < SLICE {
            let Some(kept) = ring.get(self.place) else {
                self.pass_on(to, steps);
                return false;
            };
            cost += 1;
            let number = header(kept.topic, kept.payload, Some(publisher)).filter(|header| header.1 == process);
            cost += if kept.topic.ends_with(publisher.as_str().as_bytes()) { DECODED } else { 0 };
            match number {
                Some((_, _, number)) if number >= to => {
                    self.pass_on(to, steps);
                    return false;
                }
                Some((_, _, number)) if number >= self.until => {
                    self.pass_on(number, steps);
                    steps.push(Step::Send(self.request.inbox, self.place));
                    self.until = number + 1;
                }
                _ => {}
            }
            self.place += 1;
            if self.until >= to {
                return false;
            }
        }
        true
    }

    /// What is missing here before a number is asked of the publishers.
    fn pass_on(&mut self, before: u64, steps: &mut Vec<Step>) {
        let Wanted::Range { publisher, process, .. } = &self.request.wanted else { return };
        if self.until < before {
            let (publisher, process) = (publisher.clone(), *process);
            let wanted = Wanted::Range { publisher, process, from: self.until, to: before };
            steps.push(Step::PassOn(ResendRequest { inbox: self.request.inbox, wanted }));
            self.until = before;
        }
    }

    /// Backward: the first message that is met of a process is its last.
    fn last(&mut self, ring: &Ring, steps: &mut Vec<Step>) -> bool {
        let mut cost = 0;
        let first = self.until.max(ring.first());
        while cost < SLICE {
            if self.place <= first || self.found.len() >= MOST_PROCESSES {
                return false;
            }
            self.place -= 1;
            cost += 1 + DECODED;
            let Some(kept) = ring.get(self.place) else { return false };
            if let Some((publisher, process, _)) = header(kept.topic, kept.payload, None)
                && let Ok(publisher) = PublisherId::try_from(publisher)
                && self.found.insert((publisher, process))
            {
                steps.push(Step::Send(self.request.inbox, self.place));
            }
        }
        true
    }
}

/// Who sent a message, which process of it, and its number; `None` if it does not tell, or is not of `only`.
fn header<'a>(topic: &'a [u8], payload: &[u8], only: Option<&PublisherId>) -> Option<(&'a str, ProcessIdentity, u64)> {
    if only.is_some_and(|only| !topic.ends_with(only.as_str().as_bytes())) {
        return None;
    }
    let topic = Topic::parse(topic).ok()?;
    if only.is_some_and(|only| only.as_str() != topic.publisher) {
        return None;
    }
    let header = decode(topic.kind, payload).ok()?.header;
    Some((topic.publisher, header.process?, header.sequence?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_wire::{BootId, Encoding, Header, HostId, Kind, Message, Monotonic, encode};
    use std::time::Duration;

    const INBOX: Inbox = Inbox(7);

    fn process(pid: u32) -> ProcessIdentity {
        ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid, start: 5 }
    }

    fn ring(messages: impl IntoIterator<Item = (&'static str, u32, u64)>) -> Ring {
        let mut ring = Ring::new(64 << 20, Duration::from_mins(10));
        for (publisher, pid, number) in messages {
            let header = Header { process: Some(process(pid)), sequence: Some(number), ..Header::default() };
            let payload = encode(&Message { header, ..Message::default() }, Encoding::Json);
            ring.push(Monotonic(1), Kind::Beat.topic(&publisher.parse().unwrap()).as_bytes(), &payload);
        }
        ring
    }

    fn range(publisher: &str, from: u64, to: u64) -> ResendRequest {
        let publisher = publisher.parse().unwrap();
        ResendRequest { inbox: INBOX, wanted: Wanted::Range { publisher, process: process(1), from, to } }
    }

    fn answer(ring: &Ring, resender: &mut Resender, request: ResendRequest) -> Vec<Step> {
        assert!(resender.take(ring, request));
        let mut steps = Vec::new();
        while !resender.is_idle() {
            steps.extend(resender.slice(ring));
        }
        steps
    }

    fn sent(places: impl IntoIterator<Item = u64>) -> Vec<Step> {
        places.into_iter().map(|place| Step::Send(INBOX, place)).collect()
    }

    #[test]
    fn a_range_is_sent_in_order_and_what_is_not_kept_is_asked_of_the_publishers() {
        let ring = ring([("a", 1, 3), ("b", 1, 4), ("a", 2, 4), ("a", 1, 4), ("xa", 1, 5), ("a", 1, 7), ("a", 1, 9)]);
        let mut resender = Resender::default();
        assert_eq!(answer(&ring, &mut resender, range("a", 3, 5)), sent([0, 3]));
        assert_eq!(
            answer(&ring, &mut resender, range("a", 1, 9)),
            [
                Step::PassOn(range("a", 1, 3)),
                Step::Send(INBOX, 0),
                Step::Send(INBOX, 3),
                Step::PassOn(range("a", 5, 7)),
                Step::Send(INBOX, 5),
                Step::PassOn(range("a", 8, 9)),
            ]
        );
        assert_eq!(
            answer(&ring, &mut resender, range("a", 9, 12)),
            [Step::Send(INBOX, 6), Step::PassOn(range("a", 10, 12))]
        );
        assert_eq!(answer(&ring, &mut resender, range("c", 0, 2)), [Step::PassOn(range("c", 0, 2))]);
    }

    #[test]
    fn ranges_one_after_the_other_are_found_without_looking_at_all_again() {
        let ring = ring((0..20_000).map(|number| ("a", 1, number)));
        let mut resender = Resender::default();
        let mut slices = 0;
        for from in (0..20_000).step_by(500) {
            assert!(resender.take(&ring, range("a", from, from + 500)));
            let mut steps = Vec::new();
            while !resender.is_idle() {
                steps.extend(resender.slice(&ring));
                slices += 1;
            }
            assert_eq!(steps, sent(from..from + 500));
        }
        assert!(slices <= 200, "{slices}");
    }

    #[test]
    fn where_one_publisher_s_search_ended_another_s_of_the_same_process_does_not_begin() {
        let ring = ring([("b", 1, 0), ("b", 1, 1), ("a", 1, 0)]);
        let mut resender = Resender::default();
        assert_eq!(answer(&ring, &mut resender, range("a", 0, 1)), sent([2]));
        assert_eq!(answer(&ring, &mut resender, range("b", 1, 2)), sent([1]));
    }

    #[test]
    fn the_last_of_each_process_is_sent_once() {
        let ring = ring([("a", 1, 0), ("b", 1, 0), ("a", 1, 1), ("a", 2, 0), ("b", 1, 1)]);
        let last = ResendRequest { inbox: INBOX, wanted: Wanted::Last };
        assert_eq!(answer(&ring, &mut Resender::default(), last), sent([4, 3, 2]));
    }

    #[test]
    fn requests_take_turns_and_too_many_are_refused() {
        let ring = ring((0..10_000).map(|number| ("a", 1, number)));
        let mut resender = Resender::default();
        for from in 0..MOST_OF_ONE as u64 {
            assert!(resender.take(&ring, range("z", from, from + 1)));
            assert!(resender.take(&ring, range("z", from, from + 1)), "the same again is the same");
        }
        assert!(!resender.take(&ring, range("z", 1_000, 1_001)));
        let other = |inbox| ResendRequest { inbox: Inbox(inbox), wanted: Wanted::Last };
        let taken = (100..2_000).take_while(|inbox| resender.take(&ring, other(*inbox))).count();
        assert_eq!(taken, MOST_REQUESTS - MOST_OF_ONE);
        resender.slice(&ring);
        assert_eq!(resender.waiting.front().unwrap().request, range("z", 1, 2));
    }

    #[test]
    fn what_is_let_go_of_during_a_search_ends_it_well() {
        let mut ring = ring((0..1_000).map(|number| ("a", 1, number)));
        let mut resender = Resender::default();
        assert!(resender.take(&ring, ResendRequest { inbox: INBOX, wanted: Wanted::Last }));
        assert!(resender.take(&ring, range("a", 0, 1_000)));
        resender.slice(&ring);
        resender.slice(&ring);
        ring.forget(Monotonic(u64::MAX));
        let mut steps = Vec::new();
        while !resender.is_idle() {
            steps.extend(resender.slice(&ring));
        }
        assert!(matches!(&steps[..], [Step::PassOn(_)]), "{steps:?}");
    }
}
