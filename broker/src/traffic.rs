//! [`Traffic`]: what went through the broker, and when to say so. Reads no clock.

use std::{fmt, time::Duration};

use lastbeat_wire::Monotonic;

/// How often the log says what went through, at most.
pub const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages received from publishers.
    pub messages: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Bytes handed on to subscribers, counted once however many get them.
    pub bytes_out: u64,
    /// Messages that at least one subscriber was passed by with.
    pub dropped: u64,
    /// Messages that their senders' keys may not send.
    pub forbidden: u64,
    /// Messages that were sent again to those who asked.
    pub resent: u64,
    /// Requests to send again that came.
    pub requests: u64,
    /// Requests that were not answered: not to be read, too many, or of a subscriber that takes nothing.
    pub unanswered: u64,
    /// Publishers there now.
    pub publishers: usize,
    /// Subscribers there now.
    pub subscribers: usize,
}

/// Counts, and what of them was already told.
#[derive(Debug)]
pub struct Traffic {
    /// What is counted.
    pub counts: Counts,
    told: Counts,
    told_at: Monotonic,
}

impl Traffic {
    /// Nothing yet.
    pub fn new(now: Monotonic) -> Self {
        Self { counts: Counts::default(), told: Counts::default(), told_at: now }
    }

    /// When there will be something to tell; `None` while nothing has changed.
    pub fn due(&self) -> Option<Monotonic> {
        (self.counts != self.told).then(|| self.told_at.plus(REPORT_EVERY))
    }

    /// What to tell now, if it is time to.
    pub fn report(&mut self, now: Monotonic) -> Option<Report> {
        let due = self.due()?;
        if now < due {
            return None;
        }
        let report = Report { since: self.told, counts: self.counts, over: now.since(self.told_at) };
        (self.told, self.told_at) = (self.counts, now);
        Some(report)
    }
}

/// What went through in a while.
#[derive(Debug)]
pub struct Report {
    since: Counts,
    counts: Counts,
    over: Duration,
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "rates for people to read")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, counts, over } = self;
        let rate = |now: u64, before: u64| (now - before) as f64 / over.as_secs_f64();
        write!(
            f,
            "{:.0} messages/s, {:.3} MB/s in, {:.3} MB/s out; {} dropped, {} in all; ",
            rate(counts.messages, since.messages),
            rate(counts.bytes_in, since.bytes_in) / 1e6,
            rate(counts.bytes_out, since.bytes_out) / 1e6,
            counts.dropped - since.dropped,
            counts.dropped
        )?;
        if counts.forbidden > 0 {
            write!(f, "{} forbidden, {} in all; ", counts.forbidden - since.forbidden, counts.forbidden)?;
        }
        write!(f, "{} publishers, {} connections of subscribers", counts.publishers, counts.subscribers)?;
        if counts.requests > since.requests || counts.resent > since.resent || counts.unanswered > since.unanswered {
            let (resent, requests) = (counts.resent - since.resent, counts.requests - since.requests);
            let unanswered = counts.unanswered - since.unanswered;
            write!(f, "; {resent} sent again for {requests} requests, {unanswered} unanswered")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_changes_only_and_not_too_often() {
        let start = Monotonic(5);
        let mut traffic = Traffic::new(start);
        assert!(traffic.due().is_none() && traffic.report(start.plus(REPORT_EVERY)).is_none());
        traffic.counts.messages = 20;
        traffic.counts.bytes_in = 40_000_000;
        let due = start.plus(REPORT_EVERY);
        assert_eq!(traffic.due(), Some(due));
        assert!(traffic.report(Monotonic(due.0 - 1)).is_none());
        let report = traffic.report(due).unwrap().to_string();
        assert!(report.starts_with("2 messages/s, 4.000 MB/s in, 0.000 MB/s out; 0 dropped"), "{report}");
        assert!(!report.contains("forbidden") && report.ends_with("connections of subscribers"), "{report}");
        assert!(traffic.due().is_none());
        (traffic.counts.resent, traffic.counts.requests, traffic.counts.unanswered) = (7, 2, 1);
        let report = traffic.report(due.plus(REPORT_EVERY)).unwrap().to_string();
        assert!(report.ends_with("; 7 sent again for 2 requests, 1 unanswered"), "{report}");
        let due = due.plus(REPORT_EVERY);
        traffic.counts.subscribers = 1;
        assert_eq!(traffic.due(), Some(due.plus(REPORT_EVERY)));
        traffic.counts.forbidden = 3;
        let report = traffic.report(due.plus(REPORT_EVERY)).unwrap().to_string();
        assert!(report.ends_with("; 3 forbidden, 3 in all; 0 publishers, 1 connections of subscribers"), "{report}");
    }
}
