//! [`Report`]: what is told to people while a publisher runs and at its end. Counts, and keeps a flood out of the log.

use std::time::Duration;

use lastbeat_wire::Monotonic;

use crate::left::Left;
use crate::outbox::OutboxTally;

/// How many lines of one sort are written in a row.
const BURST: u32 = 20;
/// After a burst, one line each so often.
const PAUSE: Duration = Duration::from_secs(10);
/// How long nothing may be taken before that is worth a line: a receiver that is slow for a moment is not.
const STALL: Duration = Duration::from_secs(2);

/// What was sent and what was not.
#[derive(Debug, Default)]
pub struct Report {
    /// Readings that were made of rows.
    pub readings: u64,
    /// Beats that were sent.
    pub beats: u64,
    /// Rows without a value.
    pub empty_rows: u64,
    bad_rows: u64,
    bad_lines: Limit,
    drop_lines: Limit,
    drops_told: u64,
    sent_before: u64,
    stalled_since: Option<Monotonic>,
    stall_told: bool,
}

/// Lets through the first lines, and then one now and then.
#[derive(Debug, Default)]
struct Limit {
    written: u32,
    left_out: u64,
    pause_until: Option<Monotonic>,
}

impl Report {
    /// A row can't be sent.
    pub fn bad_row(&mut self, fault: &dyn std::fmt::Display, now: Monotonic) {
        self.bad_rows += 1;
        match self.bad_lines.line(now) {
            Some(0) => tracing::warn!("{fault}"),
            Some(left_out) => tracing::warn!("{fault} ({left_out} more bad rows since the last line)"),
            None => {}
        }
    }

    /// Takes note of whether messages are taken and how many had to be dropped.
    pub fn link(&mut self, tally: OutboxTally, held: u64, blocked: bool, now: Monotonic) {
        let dropped = tally.dropped - self.drops_told;
        if dropped > 0 && self.drop_lines.line(now).is_some() {
            tracing::warn!("the buffer is full: {dropped} of the oldest messages dropped, {held} held");
            self.drops_told = tally.dropped;
        }
        // A backlog that gets through bit by bit is no stall.
        let moves = std::mem::replace(&mut self.sent_before, tally.sent) != tally.sent;
        if !blocked || moves {
            if self.stall_told {
                tracing::info!("messages are taken again");
            }
            (self.stalled_since, self.stall_told) = (None, false);
            return;
        }
        let since = *self.stalled_since.get_or_insert(now);
        if !self.stall_told && now.since(since) >= STALL {
            tracing::warn!("nobody takes messages; holding them and trying again ({held} held)");
            self.stall_told = true;
        }
    }

    /// When [`link`](Self::link) has something new to say though nothing happens.
    pub fn stall_line_at(&self) -> Option<Monotonic> {
        self.stalled_since.filter(|_| !self.stall_told).map(|since| since.plus(STALL))
    }

    /// The last line.
    pub fn summary(&self, tally: OutboxTally, left: Left) {
        tracing::info!(
            "{} messages sent ({} readings made, {} beats), {} held for a while, {} dropped, {} sent again, {} not sent, \
             {} of them kept for the next start; {} bad rows, {} empty ones",
            tally.sent,
            self.readings,
            self.beats,
            tally.held,
            tally.dropped,
            tally.sent_again,
            left.unsent,
            left.kept,
            self.bad_rows,
            self.empty_rows
        );
    }
}

impl Limit {
    /// Whether to write a line now, and how many were left out since the last one.
    fn line(&mut self, now: Monotonic) -> Option<u64> {
        if self.pause_until.is_some_and(|until| now < until) {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        if self.written >= BURST {
            self.pause_until = Some(now.plus(PAUSE));
        }
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_that_gets_through_bit_by_bit_is_no_stall() {
        let mut report = Report::default();
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        for second in 0..10 {
            let tally = OutboxTally { sent: second / 2, ..OutboxTally::default() };
            report.link(tally, 100, true, at(second));
            assert!(!report.stall_told, "at {second} s");
        }
        let stands = OutboxTally { sent: 4, ..OutboxTally::default() };
        report.link(stands, 100, true, at(10));
        assert_eq!((report.stall_told, report.stall_line_at()), (false, Some(at(11))));
        report.link(stands, 100, true, at(11));
        assert!(report.stall_told);
    }

    #[test]
    fn a_flood_is_told_by_twenty_lines_and_then_one_each_ten_seconds() {
        let mut limit = Limit::default();
        let lines = |limit: &mut Limit, seconds: u64, count: usize| {
            let now = Monotonic(seconds * 1_000_000_000);
            (0..count).filter_map(|_| limit.line(now)).collect::<Vec<_>>()
        };
        assert_eq!(lines(&mut limit, 0, 100), [0; 20]);
        assert_eq!(lines(&mut limit, 9, 10), [0; 0]);
        assert_eq!(lines(&mut limit, 10, 10), [90]);
        assert_eq!(lines(&mut limit, 20, 1), [9]);
    }
}
