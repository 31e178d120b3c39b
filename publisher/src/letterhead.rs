//! [`Letterhead`]: what this process says of itself on each message: who, the how manieth, and when. Reads no clock.

use std::borrow::Cow;
use std::time::Duration;

use lastbeat_host::Own;
use lastbeat_wire::{Body, Encoding, Header, Message, Monotonic, Now, UtcNanos, encode};

/// A wall clock that goes back by less is being slewed, and times go on from the last one; one that goes back by more was
/// set, and is followed.
const STEP: Duration = Duration::from_secs(1);

/// Writes messages with their headers.
#[derive(Debug)]
pub struct Letterhead {
    own: Own,
    encoding: Encoding,
    started: Monotonic,
    next_sequence: u64,
    last_sent_at: Option<UtcNanos>,
}

/// A message that was written but has no number of its own until it is [counted](Letterhead::count).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The encoded message.
    pub payload: Vec<u8>,
    sent_at: UtcNanos,
    numbered: bool,
}

impl Letterhead {
    /// For a process that started now.
    pub fn new(own: Own, encoding: Encoding, now: Now) -> Self {
        Self { own, encoding, started: now.monotonic, next_sequence: 0, last_sent_at: None }
    }

    /// Writes a message as if it was sent now. Until it is counted, the next one bears the same number.
    pub fn draft(&self, body: Body<'_>, now: Now) -> Draft {
        self.write(body, Some(self.next_sequence), now)
    }

    /// Writes a message that goes ahead of others that wait: without a number, for it would look as if those were lost.
    pub fn draft_ahead(&self, body: Body<'_>, now: Now) -> Draft {
        self.write(body, None, now)
    }

    fn write(&self, body: Body<'_>, sequence: Option<u64>, now: Now) -> Draft {
        let sent_at = self.sent_at(now.utc);
        let uptime = now.monotonic.since(self.started).as_nanos();
        let header = Header {
            process: Some(self.own.process),
            sequence,
            sent_at: Some(sent_at),
            uptime: u64::try_from(uptime).ok(),
            host: Some(Cow::Borrowed(&self.own.host_name)),
        };
        let payload = encode(&Message { header, body, log: None }, self.encoding);
        Draft { payload, sent_at, numbered: sequence.is_some() }
    }

    /// The draft is on its way, or kept to be: its number, if it has one, and its time are used.
    pub fn count(&mut self, draft: &Draft) {
        self.next_sequence += u64::from(draft.numbered);
        self.last_sent_at = Some(draft.sent_at);
    }

    /// The will: what a broker says in our place when we can't. It has no number and no time, for nobody knows when.
    pub fn will(&self) -> Vec<u8> {
        let header = Header {
            process: Some(self.own.process),
            host: Some(Cow::Borrowed(&self.own.host_name)),
            ..Header::default()
        };
        encode(&Message { header, body: Body::Rip, log: None }, self.encoding)
    }

    /// No two messages bear the same time: databases tell points apart by it.
    fn sent_at(&self, now: UtcNanos) -> UtcNanos {
        match self.last_sent_at {
            Some(last) if now <= last && last.since(now) < STEP => UtcNanos(last.0.saturating_add(1)),
            _ => now,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use lastbeat_wire::{BootId, HostId, Kind, ProcessIdentity, decode};

    use super::*;

    /// A process that exists nowhere.
    pub fn own() -> Own {
        let process = ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4, start: 5 };
        Own { process, host_name: "here".to_owned() }
    }

    fn now(seconds: u64) -> Now {
        Now { monotonic: Monotonic(seconds * 1_000_000_000), utc: UtcNanos(seconds.cast_signed() * 1_000_000_000) }
    }

    fn header(draft: &Draft) -> Header<'_> {
        decode(Kind::Beat, &draft.payload).unwrap().header
    }

    #[test]
    fn numbers_go_up_by_one_for_each_message_that_was_counted() {
        let mut letterhead = Letterhead::new(own(), Encoding::Json, now(10));
        let dropped = letterhead.draft(Body::Beat, now(11));
        assert_eq!(header(&dropped).sequence, Some(0));
        let first = letterhead.draft(Body::Beat, now(12));
        letterhead.count(&first);
        let second = letterhead.draft(Body::Beat, now(13));
        assert_eq!((header(&first).sequence, header(&second).sequence), (Some(0), Some(1)));
        assert_eq!(header(&second).uptime, Some(3_000_000_000));
        assert_eq!(header(&second).process, Some(own().process));
        assert_eq!(header(&second).host.as_deref(), Some("here"));
    }

    #[test]
    fn times_differ_though_the_clock_stands_still_or_is_slewed_and_follow_it_when_it_is_set_back() {
        let mut letterhead = Letterhead::new(own(), Encoding::MessagePack, now(10));
        let mut sent_at = |now: Now| {
            let draft = letterhead.draft(Body::Beat, now);
            letterhead.count(&draft);
            header(&draft).sent_at.unwrap().0
        };
        let second = 1_000_000_000;
        let at = |nanos: i64| Now { monotonic: Monotonic(0), utc: UtcNanos(nanos) };
        assert_eq!(sent_at(at(10 * second)), 10 * second);
        assert_eq!(sent_at(at(10 * second)), 10 * second + 1);
        assert_eq!(sent_at(at(9 * second + 2)), 10 * second + 2, "less than a second back");
        assert_eq!(sent_at(at(9 * second + 2)), 9 * second + 2, "a whole second back");
        assert_eq!(sent_at(at(9 * second + 3)), 9 * second + 3);
    }

    #[test]
    fn the_will_names_the_process_and_nothing_that_changes() {
        let letterhead = Letterhead::new(own(), Encoding::Json, now(10));
        let will = letterhead.will();
        let message = decode(Kind::Rip, &will).unwrap();
        assert_eq!(message.body, Body::Rip);
        assert_eq!((message.header.process, message.header.sequence), (Some(own().process), None));
    }
}
