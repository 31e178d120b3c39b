//! [`Refusals`]: why messages are refused, counted by reason, and how often that is told.

use std::time::Duration;

use lastbeat_wire::{DecodeError, Monotonic};

/// Each reason is told in the log at most so often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Why a message is refused. There are no others, so that a label made of them stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its topic is none of ours, or names no publisher.
    Topic,
    /// Over ZeroMQ: not two frames. Nothing of it is kept.
    Frames,
    /// A reading without fields.
    Empty,
    /// Its payload is too large.
    TooLarge,
    /// An envelope of a version that is not known.
    Version,
    /// Not JSON, or not of the shape it should have.
    Json,
    /// Not MessagePack, or not of the shape it should have.
    MessagePack,
    /// Its publisher, or all of them together, have had too many different fields.
    Fields,
    /// On `ping/`: it names no target or no agent.
    Ping,
}

/// How many messages were refused for each reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusedBy([u64; Reason::ALL.len()]);

/// Counts what is refused, and knows when it is to be told again.
#[derive(Debug, Default)]
pub struct Refusals {
    by: RefusedBy,
    tellers: [Teller; Reason::ALL.len()],
}

/// Tells of something that may happen very often, at most every ten seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Teller {
    told: Option<Monotonic>,
    since: u64,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 9] = [
        Self::Topic,
        Self::Frames,
        Self::Empty,
        Self::TooLarge,
        Self::Version,
        Self::Json,
        Self::MessagePack,
        Self::Fields,
        Self::Ping,
    ];

    /// The reason as one word, as in the metric's label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Frames => "frames",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::Version => "version",
            Self::Json => "json",
            Self::MessagePack => "messagepack",
            Self::Fields => "fields",
            Self::Ping => "ping",
        }
    }

    /// Why a payload could not be read.
    pub fn of(error: &DecodeError) -> Self {
        match error {
            DecodeError::Empty => Self::Empty,
            DecodeError::TooLarge { .. } => Self::TooLarge,
            DecodeError::Version(_) => Self::Version,
            DecodeError::MessagePack(_) => Self::MessagePack,
            _ => Self::Json,
        }
    }
}

impl RefusedBy {
    /// For one reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }
}

impl Refusals {
    /// Counts messages, and returns how many were refused for this reason since that was told last, if it is to be told now.
    pub fn count(&mut self, now: Monotonic, reason: Reason, messages: u64) -> Option<u64> {
        self.by.0[reason as usize] += messages;
        self.tellers[reason as usize].happened(now, messages)
    }

    /// What was counted.
    pub fn by(&self) -> RefusedBy {
        self.by
    }
}

impl Teller {
    /// It happened so often; how often since it was told last, if it is to be told now.
    pub fn happened(&mut self, now: Monotonic, times: u64) -> Option<u64> {
        self.since += times;
        if self.told.is_some_and(|told| now.since(told) < TELL_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_at_once_and_then_every_ten_seconds_with_all_that_came_between() {
        let mut refusals = Refusals::default();
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        assert_eq!(refusals.count(at(0), Reason::Json, 1), Some(1));
        assert_eq!(refusals.count(at(1), Reason::Json, 1), None);
        assert_eq!(refusals.count(at(1), Reason::Topic, 1), Some(1), "another reason");
        assert_eq!(refusals.count(Monotonic(9_999_999_999), Reason::Json, 5), None);
        assert_eq!(refusals.count(at(10), Reason::Json, 1), Some(7));
        assert_eq!((refusals.by().count(Reason::Json), refusals.by().count(Reason::Fields)), (8, 0));
    }

    #[test]
    fn each_reason_has_its_own_place_and_word() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            assert_eq!(Reason::ALL.iter().filter(|other| other.word() == reason.word()).count(), 1);
        }
    }
}
