//! A broker is asked for what it keeps: each number of a range is sent or asked of the publishers, once and in order, and
//! what is kept is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::Arbitrary;
use lastbeat_broker::fuzzed::{Place, Resender, Ring, Step};
use lastbeat_wire::{Inbox, Monotonic, ProcessIdentity, PublisherId, ResendRequest, Topic, Wanted, decode};

use super::{payload, process, publisher_id};

/// What it may keep: so little that some has to make room.
const KEPT_BYTES: usize = 1 << 20;
/// More slices than any searches take.
const MOST_SLICES: usize = 100_000;

#[derive(Debug, Arbitrary)]
enum Event<'a> {
    /// The next messages of a process, behind some that were lost.
    Messages {
        publisher: u8,
        process: u8,
        lost: u8,
        count: u8,
        long: bool,
    },
    /// What anybody may send; it may be a message out of order.
    Anything {
        topic: &'a [u8],
        payload: &'a [u8],
    },
    Pass {
        seconds: u8,
    },
    Ask(Request<'a>),
    Slice,
}

#[derive(Debug, Arbitrary)]
enum Request<'a> {
    /// So many numbers, beginning so many before the last.
    Range {
        publisher: u8,
        process: u8,
        back: u8,
        count: u8,
    },
    Last,
    Raw(&'a [u8]),
}

/// A process of a publisher.
type Whose = (PublisherId, ProcessIdentity);

/// A message as the ring has it.
type Numbered = (Whose, u64);

struct Broker {
    now: Monotonic,
    ring: Ring,
    resender: Resender,
    /// What stands at each place, where it is numbered.
    places: Vec<Option<Numbered>>,
    /// The next number of each process.
    next: BTreeMap<(u8, u8), u64>,
    /// Whether each process's numbers came in order.
    in_order: bool,
    asked: Vec<Asked>,
}

/// A request and how far it is answered. Its inbox is its place among all requests.
struct Asked {
    request: ResendRequest,
    /// The number that is due.
    due: u64,
    /// The ring's end when it came.
    end: Place,
    sent: BTreeSet<Whose>,
}

pub fn broker(bytes: &[u8]) {
    let Some(events) = crate::made_of::<Vec<Event<'_>>>(bytes) else { return };
    let mut broker = Broker::new();
    for event in events.iter().take(200) {
        broker.take(event);
    }
    let mut slices = 0;
    while !broker.resender.is_idle() {
        broker.slice();
        slices += 1;
        assert!(slices < MOST_SLICES, "the search never ends");
    }
    broker.check_all_is_answered();
}

impl Broker {
    fn new() -> Self {
        Self {
            now: Monotonic(1),
            ring: Ring::new(KEPT_BYTES, Duration::from_mins(10)),
            resender: Resender::default(),
            places: Vec::new(),
            next: BTreeMap::new(),
            in_order: true,
            asked: Vec::new(),
        }
    }

    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Messages { publisher, process: of, lost, count, long } => {
                let place = (publisher % 4, of % 4);
                // One of them comes to the end of all numbers.
                let begin = if place == (1, 3) { u64::MAX - 20 } else { 0 };
                let (id, process) = (publisher_id(*publisher), process(*of));
                for step in 0..=u64::from(count % 32) {
                    let lost = if step == 0 { u64::from(lost % 8) } else { 0 };
                    let next = self.next.entry(place).or_insert(begin);
                    let Some(number) = next.checked_add(lost).filter(|number| *number < u64::MAX) else { return };
                    *next = number + 1;
                    let payload = payload(process, number, *long && step == 0);
                    let numbered = Some(((id.clone(), process), number));
                    self.push(format!("sensor/{id}").as_bytes(), &payload, numbered);
                }
            }
            Event::Anything { topic, payload } => {
                let numbered = numbered(topic, payload);
                self.in_order &= numbered.is_none();
                self.push(topic, payload, numbered);
            }
            Event::Pass { seconds } => self.now = self.now.plus(Duration::from_secs(u64::from(*seconds))),
            Event::Ask(request) => self.ask(request),
            Event::Slice => self.slice(),
        }
    }

    fn push(&mut self, topic: &[u8], payload: &[u8], numbered: Option<Numbered>) {
        self.ring.push(self.now, topic, payload);
        let kept = self.ring.end() > self.places.len() as u64;
        assert!(kept || numbered.is_none() || !payload.starts_with(b"{\"lastbeat"), "what is numbered is kept");
        if kept {
            self.places.push(numbered);
        }
        assert_eq!(self.ring.end(), self.places.len() as u64);
    }

    fn ask(&mut self, request: &Request<'_>) {
        let wanted = match request {
            Request::Range { publisher, process: of, back, count } => {
                let next = self.next.get(&(publisher % 4, of % 4)).copied().unwrap_or(0);
                // Mostly few, so that one search begins where another one ended.
                let few = |number: u8, most: u8| u64::from(if number < 224 { number % most } else { number });
                let from = next.saturating_sub(few(*back, 32));
                let to = from.saturating_add(few(*count, 16));
                Wanted::Range { publisher: publisher_id(*publisher), process: process(*of), from, to }
            }
            Request::Last => Wanted::Last,
            Request::Raw(bytes) => match ResendRequest::decode(bytes) {
                Ok(request) => request.wanted,
                Err(_) => return,
            },
        };
        if matches!(wanted, Wanted::Range { from, to, .. } if from >= to) {
            return;
        }
        let inbox = Inbox(self.asked.len() as u64);
        let request = ResendRequest { inbox, wanted };
        self.ring.forget(self.now);
        assert!(self.resender.take(&self.ring, request.clone()), "there is room for 200");
        assert!(self.resender.take(&self.ring, request.clone()), "asked twice is asked once");
        let due = if let Wanted::Range { from, .. } = request.wanted { from } else { 0 };
        self.asked.push(Asked { request, due, end: self.ring.end(), sent: BTreeSet::new() });
    }

    fn slice(&mut self) {
        for step in self.resender.slice(&self.ring) {
            match step {
                Step::Send(inbox, place) => self.sent(inbox, place),
                Step::PassOn(request) => self.passed_on(&request),
            }
        }
    }

    fn sent(&mut self, inbox: Inbox, place: Place) {
        let numbered = usize::try_from(place).ok().and_then(|place| self.places[place].clone());
        let (whose, number) = numbered.expect("what is sent has a number");
        assert!(self.ring.get(place).is_some(), "what is sent is kept");
        let asked = &mut self.asked[usize::try_from(inbox.0).expect("a place")];
        match &asked.request.wanted {
            Wanted::Range { publisher, process, to, .. } => {
                assert_eq!((publisher, process), (&whose.0, &whose.1));
                assert!(number == asked.due && number < *to, "{number} is sent, {} is due", asked.due);
                asked.due = number + 1;
            }
            Wanted::Last => {
                assert!(asked.sent.insert(whose.clone()), "the last of {whose:?} is sent twice");
                let end = usize::try_from(asked.end).expect("a place");
                let last =
                    self.places[..end].iter().rposition(|there| there.as_ref().is_some_and(|(of, _)| *of == whose));
                assert_eq!(last.map(|last| last as u64), Some(place), "not the last of {whose:?}");
            }
        }
    }

    fn passed_on(&mut self, passed: &ResendRequest) {
        let asked = &mut self.asked[usize::try_from(passed.inbox.0).expect("a place")];
        let (Wanted::Range { publisher, process, from, to }, Wanted::Range { publisher: id, process: of, to: end, .. }) =
            (&passed.wanted, &asked.request.wanted)
        else {
            panic!("only ranges are passed on by a search");
        };
        assert_eq!((publisher, process), (id, of));
        assert!(*from == asked.due && from < to && to <= end, "{passed:?} is passed on, {} is due", asked.due);
        asked.due = *to;
        if self.in_order {
            let first = usize::try_from(self.ring.first()).expect("a place");
            let wanted = |whose: &Whose| whose.0 == *publisher && whose.1 == *process;
            let kept = self.places[first..].iter().flatten();
            let kept: Vec<_> = kept.filter(|(whose, number)| wanted(whose) && (*from..*to).contains(number)).collect();
            assert!(kept.is_empty(), "{passed:?} is passed on, and {kept:?} are kept");
        }
    }

    fn check_all_is_answered(&self) {
        let first = usize::try_from(self.ring.first()).expect("a place");
        for Asked { request, due, end, sent } in &self.asked {
            match &request.wanted {
                Wanted::Range { to, .. } => assert_eq!(due, to, "{request:?} is not answered"),
                Wanted::Last => {
                    let end = usize::try_from(*end).expect("a place");
                    for (whose, _) in self.places[first.min(end)..end].iter().flatten() {
                        assert!(sent.contains(whose), "the last of {whose:?} is not sent");
                    }
                }
            }
        }
    }
}

/// Whose message it is, and its number, if it tells.
fn numbered(topic: &[u8], payload: &[u8]) -> Option<Numbered> {
    let topic = Topic::parse(topic).ok()?;
    let header = decode(topic.kind, payload).ok()?.header;
    Some(((topic.publisher.parse().ok()?, header.process?), header.sequence?))
}
