//! A publisher is asked for what it sent: all that its spool has of it is sent again, once and in order; what still waits for
//! its turn is not; and nothing that it has is said to be gone.

use arbitrary::Arbitrary;
use lastbeat_publisher::fuzzed::{self, Sent};
use lastbeat_wire::{Inbox, Kind, PublisherId, ResendGone, ResendRequest, Resent, Wanted, decode};

use super::{payload, process, publisher_id};

const INBOX: Inbox = Inbox(7);
/// So many numbers are answered for at most.
const MOST_NUMBERS: u64 = 10_000;
/// As many refusals in a row, and an answer is given up.
const MOST_REFUSALS: usize = 100;

#[derive(Debug, Arbitrary)]
struct Spooled<'a> {
    /// The messages of the processes, one process after the other: how many numbers are missing before each, and whether it
    /// may be long.
    processes: [Vec<(u8, bool)>; 2],
    /// How many of the last process's messages still wait.
    waiting: u8,
    takes: Vec<bool>,
    requests: Vec<Request<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Request<'a> {
    Range { publisher: u8, process: u8, from: u16, count: u16 },
    Last,
    Raw(&'a [u8]),
}

/// A message in the spool.
struct Written {
    /// Which process's.
    process: u8,
    number: u64,
    payload: Vec<u8>,
    /// Not sent for the first time yet.
    waits: bool,
}

pub fn publisher(bytes: &[u8]) {
    let Some(input) = crate::made_of::<Spooled<'_>>(bytes) else { return };
    let requests: Vec<_> = input.requests.iter().take(3).filter_map(Request::made).collect();
    if requests.is_empty() {
        return;
    }
    let folder = crate::folder();
    let mut written: Vec<Written> = Vec::new();
    for (of, messages) in (0..).zip(&input.processes) {
        let mut number = 0;
        let mut own = Vec::new();
        for (lost, long) in messages.iter().take(100) {
            number += u64::from(lost % 8);
            own.push((Kind::Sensor, payload(process(of), number, *long && lost % 4 == 0)));
            number += 1;
        }
        // All of a process before is sent before the next one's.
        let waiting = if of == 1 { usize::from(input.waiting).min(own.len()) } else { 0 };
        let settled = own.len() - waiting;
        fuzzed::spool(folder.path(), &own, settled);
        written.extend(own.into_iter().enumerate().map(|(at, (kind, payload))| {
            let number = decode(kind, &payload).expect("a message").header.sequence.expect("a number");
            Written { process: of, number, payload, waits: at >= settled }
        }));
    }
    for wanted in requests {
        let request = ResendRequest { inbox: INBOX, wanted: wanted.clone() };
        let takes = input.takes.iter().copied().take(MOST_REFUSALS).collect();
        // The process that answers has sent nothing yet: it is the third, on the host of the first.
        let answers = fuzzed::answers(folder.path(), &publisher_id(0), process(2), request, takes);
        check(&wanted, &answers, &written);
    }
}

fn check(wanted: &Wanted, answers: &[Sent], written: &[Written]) {
    let own = publisher_id(0);
    let mut sent = answers.iter().map(|answer| Answer::of(answer, &own));
    match wanted {
        Wanted::Last => {
            let last = |of: u8| written.iter().rfind(|message| message.process == of);
            let lasts = [0, 1].into_iter().filter_map(last).filter(|message| !message.waits);
            assert!(sent.eq(lasts.map(|message| Answer::Message(&message.payload))));
        }
        Wanted::Range { publisher, .. } if *publisher != own => assert_eq!(sent.next(), None),
        Wanted::Range { process: of, from, to, .. } => {
            let range = *from..(*to).min(from.saturating_add(MOST_NUMBERS));
            let of_process = written.iter().filter(|message| process(message.process) == *of);
            let asked: Vec<_> = of_process.filter(|message| range.contains(&message.number)).collect();
            let mut due = asked.iter().filter(|message| !message.waits);
            let mut next = range.start;
            for answer in sent {
                match answer {
                    Answer::Message(payload) => {
                        let message = due.next().expect("no more than was asked for");
                        assert!(message.payload == payload, "not what is due, {}", message.number);
                        assert!(next <= message.number, "{} was said to be gone", message.number);
                        next = message.number + 1;
                    }
                    Answer::Gone(gone) => {
                        assert!(gone.process == *of && next <= gone.from && gone.to <= range.end, "{gone:?}");
                        let there = asked.iter().find(|message| (gone.from..gone.to).contains(&message.number));
                        assert!(there.is_none(), "{gone:?}, but it is there");
                        next = gone.to;
                    }
                }
            }
            assert!(due.next().is_none(), "not all of it was sent");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer<'a> {
    Message(&'a [u8]),
    Gone(ResendGone),
}

impl<'a> Answer<'a> {
    fn of((topic, payload): &'a Sent, own: &PublisherId) -> Self {
        let behind = topic.strip_prefix(&INBOX.prefix()).expect("it is for the inbox");
        match Resent::parse(behind.as_bytes()).expect("a topic of an answer") {
            Resent::Message(topic) => {
                assert_eq!((topic.kind, topic.publisher), (Kind::Sensor, own.as_str()));
                Self::Message(payload)
            }
            Resent::Gone(publisher) => {
                assert_eq!(publisher, own.as_str());
                Self::Gone(ResendGone::decode(payload).expect("an answer"))
            }
        }
    }
}

impl Request<'_> {
    /// `None` where there is nothing in it.
    fn made(&self) -> Option<Wanted> {
        match self {
            Self::Range { publisher, process: of, from, count } => {
                let (from, to) = (u64::from(*from), u64::from(*from) + u64::from(*count));
                (from < to).then(|| Wanted::Range {
                    publisher: publisher_id(*publisher),
                    process: process(*of),
                    from,
                    to,
                })
            }
            Self::Last => Some(Wanted::Last),
            Self::Raw(bytes) => ResendRequest::decode(bytes).ok().map(|request| request.wanted),
        }
    }
}
