//! In simulated time: who is asked for what, and when.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use lastbeat_wire::{BootId, HostId};
use proptest::prelude::*;

use super::*;

const LINK: LinkNumber = LinkNumber(0);
const OTHER: LinkNumber = LinkNumber(1);
const ACKNOWLEDGES: LinkNumber = LinkNumber(2);

/// What is missing, by publisher; each has one process.
#[derive(Default)]
struct Lost(RefCell<BTreeMap<PublisherId, BTreeSet<u64>>>);

impl Gaps for Lost {
    fn first(&self, publisher: &PublisherId, _process: ProcessIdentity, from: u64) -> Option<(u64, u64)> {
        let lost = self.0.borrow();
        let mut numbers = lost.get(publisher)?.range(from..).copied();
        let start = numbers.next()?;
        let end = (start + 1..=start + 10_000).find(|number| !lost[publisher].contains(number))?;
        Some((start, end))
    }

    fn all(&self) -> impl Iterator<Item = Missing> {
        let publishers: Vec<_> = self.0.borrow().keys().cloned().collect();
        publishers.into_iter().filter_map(|publisher| self.of(&publisher, LINK))
    }
}

impl Lost {
    fn lose(&self, publisher: &str, numbers: std::ops::Range<u64>) -> Missing {
        let id: PublisherId = publisher.parse().unwrap();
        self.0.borrow_mut().entry(id.clone()).or_default().extend(numbers.clone());
        Missing { publisher: id, process: process(), link: LINK, from: numbers.start, to: numbers.end }
    }

    fn of(&self, publisher: &PublisherId, link: LinkNumber) -> Option<Missing> {
        let (from, to) = self.first(publisher, process(), 0)?;
        Some(Missing { publisher: publisher.clone(), process: process(), link, from, to })
    }

    /// It is sent again.
    fn find(&self, now: Monotonic, recoverer: &mut Recoverer, publisher: &str, numbers: std::ops::Range<u64>) {
        let id: PublisherId = publisher.parse().unwrap();
        for number in numbers {
            if self.0.borrow_mut().get_mut(&id).unwrap().remove(&number) {
                recoverer.came(now, publisher, process(), self);
            }
        }
    }
}

fn process() -> ProcessIdentity {
    ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4, start: 5 }
}

fn at(millis: u64) -> Monotonic {
    Monotonic(1_000_000_000_000 + millis * 1_000_000)
}

/// Two links that can be asked, the first of them up, its last messages asked for; and one that acknowledges.
fn recoverer() -> Recoverer {
    let mut recoverer = Recoverer::new([true, true, false]);
    recoverer.link_up(at(0), LINK);
    while let Some(due) = recoverer.lasts.next() {
        recoverer.lasts.due(due).for_each(drop);
    }
    recoverer
}

/// The ranges asked for, with whose they are.
fn ranges(asks: &[Ask]) -> Vec<(String, u64, u64)> {
    let range = |ask: &Ask| match &ask.wanted {
        Wanted::Range { publisher, from, to, .. } => (publisher.to_string(), *from, *to),
        Wanted::Last => panic!("{ask:?}"),
    };
    asks.iter().map(range).collect()
}

fn one(from: u64, to: u64) -> Vec<(String, u64, u64)> {
    vec![("a".to_owned(), from, to)]
}

#[test]
fn one_range_after_the_other_is_asked_for_in_order() {
    let (lost, mut recoverer) = (Lost::default(), recoverer());
    recoverer.missing(&lost.lose("a", 10..1_200));
    recoverer.missing(&lost.lose("a", 1_300..1_310));
    assert_eq!(ranges(&recoverer.due(at(0), &lost)), one(10, 510));
    assert_eq!(recoverer.counted().wanted, 1_200);
    assert_eq!(ranges(&recoverer.due(at(1), &lost)), []);
    lost.find(at(2), &mut recoverer, "a", 10..509);
    assert_eq!(ranges(&recoverer.due(at(2), &lost)), [], "one of it is still to come");
    lost.find(at(3), &mut recoverer, "a", 509..510);
    assert_eq!(recoverer.next(), Some(at(3)));
    assert_eq!(ranges(&recoverer.due(at(3), &lost)), one(510, 1_010));
    lost.find(at(4), &mut recoverer, "a", 510..1_010);
    assert_eq!(ranges(&recoverer.due(at(4), &lost)), one(1_010, 1_200));
    lost.find(at(5), &mut recoverer, "a", 1_010..1_200);
    assert_eq!(ranges(&recoverer.due(at(5), &lost)), one(1_300, 1_310));
    lost.find(at(6), &mut recoverer, "a", 1_300..1_310);
    assert_eq!(ranges(&recoverer.due(at(6), &lost)), []);
    assert_eq!((recoverer.next(), recoverer.asking.len()), (None, 0));
    assert_eq!(recoverer.counted(), Recovery { requests: 4, recovered: 1_200, given_up: 0, wanted: 0 });
}

#[test]
fn what_nobody_has_is_asked_for_ever_more_rarely_and_then_given_up() {
    let (lost, mut recoverer) = (Lost::default(), recoverer());
    recoverer.missing(&lost.lose("a", 0..600));
    let mut asked = Vec::new();
    recoverer.due(at(0), &lost);
    while let Some(due) = recoverer.next() {
        for (_, from, to) in ranges(&recoverer.due(due, &lost)) {
            asked.push((due.since(at(0)).as_secs(), from, to));
        }
    }
    let first: Vec<_> = asked.iter().filter(|(_, from, _)| *from == 0).map(|(second, ..)| *second).collect();
    assert_eq!(first, [1, 3, 7, 15, 31, 61, 91]);
    assert_eq!(asked[7..].iter().map(|(second, from, _)| (*second, *from)).next(), Some((121, 500)));
    assert_eq!(recoverer.counted(), Recovery { requests: 16, recovered: 0, given_up: 600, wanted: 0 });
}

#[test]
fn a_part_that_comes_gives_the_rest_all_its_tries_again() {
    let (lost, mut recoverer) = (Lost::default(), recoverer());
    recoverer.missing(&lost.lose("a", 0..100));
    recoverer.due(at(0), &lost);
    for number in 0..100 {
        let due = recoverer.next().unwrap();
        assert_eq!(ranges(&recoverer.due(due, &lost)), one(number, 100));
        lost.find(due, &mut recoverer, "a", number..number + 1);
    }
    assert_eq!(recoverer.counted().recovered, 100);
}

#[test]
fn what_is_gone_is_given_up_at_once_and_the_rest_asked_for() {
    let (lost, mut recoverer) = (Lost::default(), recoverer());
    recoverer.missing(&lost.lose("a", 0..700));
    let gone = |from, to| ResendGone { process: process(), from, to };
    recoverer.due(at(0), &lost);
    recoverer.gone(at(1), "b", &gone(0, 700), &lost);
    recoverer.gone(at(1), "a", &gone(300, 700), &lost);
    assert_eq!(recoverer.counted().given_up, 0, "what comes before it may be on its way");
    recoverer.gone(at(1), "a", &gone(0, 200), &lost);
    assert_eq!(ranges(&recoverer.due(at(1), &lost)), one(200, 700));
    lost.find(at(2), &mut recoverer, "a", 200..650);
    recoverer.gone(at(2), "a", &gone(0, u64::MAX), &lost);
    assert_eq!(ranges(&recoverer.due(at(2), &lost)), []);
    assert_eq!(recoverer.counted(), Recovery { requests: 2, recovered: 450, given_up: 250, wanted: 0 });
}

#[test]
fn nobody_is_asked_on_a_link_that_is_down_or_that_acknowledges() {
    let (lost, mut recoverer) = (Lost::default(), recoverer());
    recoverer.missing(&Missing { link: ACKNOWLEDGES, ..lost.lose("kept", 0..1) });
    recoverer.missing(&Missing { link: OTHER, ..lost.lose("other", 0..1) });
    recoverer.missing(&lost.lose("a", 0..1));
    assert_eq!(ranges(&recoverer.due(at(0), &lost)), one(0, 1));
    recoverer.link_down(LINK);
    assert_eq!((recoverer.next(), recoverer.due(at(1_000_000), &lost)), (None, Vec::new()));
    recoverer.link_up(at(1_000_000), LINK);
    let asks = recoverer.due(at(1_000_000), &lost);
    assert_eq!(asks[0], Ask { link: LINK, wanted: Wanted::Last });
    assert_eq!(ranges(&asks[1..]), one(0, 1));
    recoverer.link_up(at(1_000_000), OTHER);
    assert_eq!(recoverer.due(at(1_000_000), &lost).len(), 2, "its last, and what was missing on it");
    recoverer.link_up(at(1_000_000), ACKNOWLEDGES);
    assert_eq!(recoverer.counted().wanted, 2);
}

#[test]
fn the_last_messages_are_asked_for_several_times_after_a_link_came_up() {
    let (lost, mut recoverer) = (Lost::default(), Recoverer::new([true]));
    assert_eq!(recoverer.next(), None);
    recoverer.link_up(at(0), LINK);
    let mut times = Vec::new();
    while let Some(due) = recoverer.next() {
        times.push(due.since(at(0)).as_secs());
        assert_eq!(recoverer.due(due, &lost), [Ask { link: LINK, wanted: Wanted::Last }]);
    }
    assert_eq!(times, [0, 2, 10, 30]);
}

#[test]
fn only_so_many_are_asked_at_once_and_the_others_wait_however_many_there_are() {
    let (lost, mut recoverer) = (Lost::default(), recoverer());
    let publishers = MOST_WAITING + AT_ONCE + 100;
    for number in 0..publishers {
        recoverer.missing(&lost.lose(&format!("p{number:05}"), 0..1));
    }
    assert_eq!(recoverer.places.len(), MOST_WAITING);
    let mut asked = BTreeSet::new();
    let mut asks = recoverer.due(at(0), &lost);
    while !asks.is_empty() {
        assert!(asks.len() <= AT_ONCE);
        for (publisher, from, to) in ranges(&asks) {
            lost.find(at(0), &mut recoverer, &publisher, from..to);
            asked.insert(publisher);
        }
        asks = recoverer.due(at(0), &lost);
    }
    assert_eq!(asked.len(), publishers);
    assert_eq!((recoverer.next(), recoverer.counted().wanted), (None, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Keepers that lose requests and answers, and let go of some messages for good.
    #[test]
    fn all_is_recovered_or_given_up_and_nothing_is_asked_for_that_is_there(
        gaps in proptest::collection::vec((0..100usize, 0..2_000u64, 1..700u64), 1..10),
        luck in proptest::collection::vec(0..10u8, 1..50),
        kept in 0..3_000u64
    ) {
        let (lost, mut recoverer) = (Lost::default(), recoverer());
        for (publisher, from, count) in gaps {
            recoverer.missing(&lost.lose(&format!("p{publisher}"), from..from + count));
        }
        let mut luck = luck.into_iter().cycle();
        let mut now = at(0);
        let mut rounds = 0;
        loop {
            let asks = recoverer.due(now, &lost);
            prop_assert!(recoverer.asking.len() <= AT_ONCE);
            for (publisher, from, to) in ranges(&asks) {
                prop_assert!(from < to && to - from <= MOST_MESSAGES);
                prop_assert!((from..to).all(|number| lost.0.borrow()[&*publisher].contains(&number)));
                match luck.next().unwrap() {
                    0..4 => {}
                    4 => lost.find(now, &mut recoverer, &publisher, from..to.min(from + 7).min(kept.max(from))),
                    _ => lost.find(now, &mut recoverer, &publisher, from..to.min(kept.max(from))),
                }
            }
            let Some(next) = recoverer.next() else { break };
            now = next.max(now);
            rounds += 1;
            prop_assert!(rounds < 100_000, "it never ends");
        }
        let left: u64 = lost.0.borrow().values().map(|lost| lost.len() as u64).sum();
        let counted = recoverer.counted();
        prop_assert_eq!((left, 0), (counted.given_up, counted.wanted));
    }
}
