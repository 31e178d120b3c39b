//! [`Publisher`]: which message is sent when: beats at their interval, readings at their pace. `now` is passed in; it
//! neither waits nor reads a clock.

use std::time::Duration;

use anyhow::{Context, anyhow};
use lastbeat_transport::Handed;
use lastbeat_wire::{Body, Kind, MAX_PAYLOAD_BYTES, Monotonic, Now};

use crate::address::Address;
use crate::failure::Failure;
use crate::left::Left;
use crate::letterhead::Letterhead;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::report::Report;
use crate::source::{Form, Source, Step};

/// How much is done before time and signals are looked at again.
const TURN_MESSAGES: usize = 256;
/// How long the first reading waits for the first beat, so that a watchdog knows the process before its readings.
const GREETING: Duration = Duration::from_secs(1);

/// What a publisher is made of.
pub struct Parts {
    /// Where readings come from.
    pub source: Box<dyn Source>,
    /// When they are due.
    pub pace: Pace,
    /// What stands at the head of messages.
    pub letterhead: Letterhead,
    /// Where they go.
    pub outbox: Outbox,
    /// How often it says that it is alive.
    pub beat_every: Duration,
    /// What a bad row does.
    pub bad_rows: BadRows,
}

/// What a bad row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRows {
    /// It is reported, counted and left out.
    Skip,
    /// It ends the program.
    Stop,
}

/// Decides what is sent when.
pub struct Publisher {
    parts: Parts,
    stage: Stage,
    /// When the next beat is due.
    beat_due: Monotonic,
    /// The first reading is made once this is reached or a beat was sent.
    readings_from: Monotonic,
    report: Report,
}

/// What becomes of the source next.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// To be asked for a row, at the earliest then.
    Ask(Option<Monotonic>),
    /// Its row is to be sent then.
    Hold(Monotonic),
    /// There is no further row.
    Ended,
}

/// What there is to do until the next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: there is more to be sent at once.
    More,
    /// To wait until an instant.
    Until(Monotonic),
    /// To wait until a message of a kind may be taken, or until an instant.
    Blocked(Kind, Monotonic),
    /// All is sent.
    Done,
}

/// What came of looking at the source.
enum Look {
    /// A row was dealt with; there may be another.
    Row,
    /// Nothing to do before.
    NotBefore(Monotonic),
    /// A row could be sent, but nobody takes it.
    Blocked,
    /// No row will come.
    Ended,
}

impl Publisher {
    /// Starts now.
    pub fn new(parts: Parts, now: Now) -> Self {
        Self {
            parts,
            stage: Stage::Ask(None),
            beat_due: now.monotonic,
            readings_from: now.monotonic.plus(GREETING),
            report: Report::default(),
        }
    }

    /// Sends what is due, as far as it is taken, and says what to wait for.
    pub fn turn(&mut self, now: Now) -> Result<Turn, Failure> {
        // Before what is held, for it tells that this process is alive, and that late messages don't.
        self.beat(now)?;
        self.parts.outbox.flush(TURN_MESSAGES).context("sending what was held")?;
        for told in self.parts.outbox.told() {
            self.parts.source.told(&told);
        }
        let answers_at = self.parts.outbox.answer(now.monotonic).context("sending again")?;
        let mut look = Look::Row;
        for _ in 0..TURN_MESSAGES {
            look = self.look(now)?;
            if !matches!(look, Look::Row) {
                break;
            }
        }
        self.parts.outbox.tend(now);
        let clear = self.parts.outbox.is_clear();
        let beat_waits = now.monotonic >= self.beat_due;
        let blocked = !clear || beat_waits || matches!(look, Look::Blocked);
        self.report.link(self.parts.outbox.tally(), self.parts.outbox.held(), blocked, now.monotonic);
        let until = match look {
            Look::Row => return Ok(Turn::More),
            _ if answers_at.is_some_and(|at| at <= now.monotonic) => return Ok(Turn::More),
            Look::Ended if clear => return Ok(Turn::Done),
            Look::NotBefore(until) if beat_waits => until,
            Look::NotBefore(until) => until.min(self.beat_due),
            Look::Blocked | Look::Ended if beat_waits => Monotonic(u64::MAX),
            Look::Blocked | Look::Ended => self.beat_due,
        };
        let wakes = [self.report.stall_line_at(), self.parts.outbox.due(), answers_at];
        let until = wakes.into_iter().flatten().fold(until, Monotonic::min);
        Ok(if blocked {
            Turn::Blocked(if beat_waits { Kind::Beat } else { Kind::Sensor }, until)
        } else {
            Turn::Until(until)
        })
    }

    /// Waits until something may be taken; whether it may.
    pub fn wait_ready(&mut self, kind: Kind, limit: Duration) -> bool {
        self.parts.outbox.wait_ready(kind, limit)
    }

    /// How many messages were taken so far.
    pub fn sent(&self) -> u64 {
        self.parts.outbox.tally().sent
    }

    /// Whether somebody asked for messages a moment ago, and may ask for more at any time.
    pub fn is_asked(&self, now: Monotonic) -> bool {
        self.parts.outbox.is_asked(now)
    }

    /// Sends what is held and then the goodbye, as far as they are taken; whether both are on their way.
    pub fn goodbye(&mut self, now: Now) -> Result<bool, Failure> {
        self.parts.outbox.flush(TURN_MESSAGES).context("sending what was held")?;
        let said = self.send_now(Body::Bye, now)?;
        self.parts.outbox.tend(now);
        Ok(said)
    }

    /// Says goodbye though messages are held, or else leaves it with them; whether it is on its way.
    pub fn goodbye_ahead(&mut self, now: Now) -> Result<bool, Failure> {
        let said = self.send_ahead(Body::Bye, now)?;
        if !said {
            let draft = self.parts.letterhead.draft(Body::Bye, now);
            self.parts.letterhead.count(&draft);
            self.parts.outbox.hold(Kind::Bye, draft.payload);
        }
        Ok(said)
    }

    /// Waits until all that was taken has left; what did not.
    pub fn close(self, limit: Duration) -> Left {
        let (report, tally) = (self.report, self.parts.outbox.tally());
        let left = self.parts.outbox.close(limit);
        report.summary(tally, left);
        left
    }

    /// A beat that can't be sent now is not made: a stale one proves nothing.
    fn beat(&mut self, now: Now) -> Result<(), Failure> {
        if now.monotonic < self.beat_due {
            return Ok(());
        }
        let said = if self.parts.outbox.is_clear() {
            self.send_now(Body::Beat, now)?
        } else {
            self.send_ahead(Body::Beat, now)?
        };
        if said {
            self.report.beats += 1;
            let late = now.monotonic.since(self.beat_due) >= self.parts.beat_every;
            self.beat_due = if late { now.monotonic } else { self.beat_due }.plus(self.parts.beat_every);
            self.readings_from = self.readings_from.min(now.monotonic);
        }
        Ok(())
    }

    /// Sends a message if it is taken; it then counts, and else never was.
    fn send_now(&mut self, body: Body<'_>, now: Now) -> Result<bool, Failure> {
        let kind = body.kind();
        if !self.parts.outbox.is_clear() {
            return Ok(false);
        }
        let draft = self.parts.letterhead.draft(body, now);
        let taken = self.parts.outbox.try_send(kind, &draft.payload).context("sending")? == Handed::Taken;
        if taken {
            self.parts.letterhead.count(&draft);
        }
        Ok(taken)
    }

    /// Sends a message without a number, ahead of what is held, if it is taken.
    fn send_ahead(&mut self, body: Body<'_>, now: Now) -> Result<bool, Failure> {
        let kind = body.kind();
        let draft = self.parts.letterhead.draft_ahead(body, now);
        let taken = self.parts.outbox.send_ahead(kind, &draft.payload).context("sending")? == Handed::Taken;
        if taken {
            self.parts.letterhead.count(&draft);
        }
        Ok(taken)
    }

    fn look(&mut self, now: Now) -> Result<Look, Failure> {
        if now.monotonic < self.readings_from {
            return Ok(Look::NotBefore(self.readings_from));
        }
        if self.parts.pace.is_unpaced() && !self.parts.outbox.is_clear() && !matches!(self.stage, Stage::Ended) {
            return Ok(Look::Blocked);
        }
        match self.stage {
            Stage::Ended => Ok(Look::Ended),
            Stage::Hold(due) if now.monotonic < due => Ok(Look::NotBefore(due)),
            Stage::Hold(_) => self.send_reading(now),
            Stage::Ask(later) => match later.max(self.parts.pace.asks_at()) {
                Some(at) if now.monotonic < at => Ok(Look::NotBefore(at)),
                _ => self.ask(now),
            },
        }
    }

    fn ask(&mut self, now: Now) -> Result<Look, Failure> {
        self.stage = Stage::Ask(None);
        match self.parts.source.advance(now)? {
            Step::Reading { row_time } => {
                let due = self.parts.pace.row(row_time, now.monotonic);
                self.stage = Stage::Hold(due);
                if due <= now.monotonic {
                    return self.send_reading(now);
                }
            }
            Step::Nothing => self.report.empty_rows += 1,
            Step::Bad(fault) if self.parts.bad_rows == BadRows::Stop => return Err(Failure::BadRow(anyhow!(fault))),
            Step::Bad(fault) => self.report.bad_row(&fault, now.monotonic),
            Step::Later(wait) => self.stage = Stage::Ask(Some(now.monotonic.plus(wait))),
            Step::End => self.stage = Stage::Ended,
        }
        Ok(Look::Row)
    }

    fn send_reading(&mut self, now: Now) -> Result<Look, Failure> {
        self.stage = Stage::Ask(None);
        let address = match self.parts.source.form() {
            Form::Own => Address::Own(Kind::Sensor),
            Form::Ping(target) => Address::Ping(target),
            Form::Foreign(target, payload) => {
                self.report.readings += 1;
                self.parts.outbox.send(Address::Ping(target), payload).context("sending")?;
                return Ok(Look::Row);
            }
        };
        let draft = self.parts.letterhead.draft(Body::Reading(self.parts.source.reading()), now);
        if draft.payload.len() > MAX_PAYLOAD_BYTES {
            let fault = anyhow!(
                "{}: makes a message of {} bytes, at most {MAX_PAYLOAD_BYTES} are taken",
                self.parts.source.place(),
                draft.payload.len()
            );
            match self.parts.bad_rows {
                BadRows::Stop => return Err(Failure::BadRow(fault)),
                BadRows::Skip => self.report.bad_row(&fault, now.monotonic),
            }
            return Ok(Look::Row);
        }
        self.parts.letterhead.count(&draft);
        self.report.readings += 1;
        self.parts.outbox.send(address, draft.payload).context("sending")?;
        Ok(Look::Row)
    }
}

#[cfg(test)]
mod tests;
