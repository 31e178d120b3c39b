//! [`Left`]: what is left when a publisher ends, and what becomes of it.

use std::fmt;

/// What is left when an outbox is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Messages that were not taken, or were and did not get through.
    pub unsent: u64,
    /// How many of these are on the disk: the next process sends them.
    pub kept: u64,
    /// Messages that were taken and of which nobody knows whether they left this host; at most so many did not.
    pub unsure: u64,
    /// Whether these are on the disk: who misses them can ask the next process for them.
    pub askable: bool,
}

impl Left {
    /// Whether there is nothing.
    pub fn is_nothing(self) -> bool {
        self.unsent == 0 && self.unsure == 0
    }
}

/// For people: what is lost is told apart from what will be sent.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unsent, kept, unsure, askable } = *self;
        if unsent > 0 || unsure == 0 {
            write!(f, "{unsent} messages did not get through")?;
            match (kept, unsent - kept) {
                (_, 0) => f.write_str(", they are kept for the next start")?,
                (0, _) => f.write_str(", they are lost")?,
                (kept, lost) => write!(f, ", {kept} of them are kept for the next start, {lost} are lost")?,
            }
        }
        if unsent > 0 && unsure > 0 {
            f.write_str("; ")?;
        }
        if unsure > 0 {
            let fate = if askable { "they can be asked for after the next start" } else { "those are lost" };
            write!(f, "at most {unsure} messages did not leave this host in time, {fate}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told_apart_from_what_will_be_sent() {
        let told = |unsent, kept, unsure, askable| Left { unsent, kept, unsure, askable }.to_string();
        assert_eq!(told(3, 3, 0, true), "3 messages did not get through, they are kept for the next start");
        assert_eq!(told(3, 0, 0, false), "3 messages did not get through, they are lost");
        let some = "3 messages did not get through, 2 of them are kept for the next start, 1 are lost";
        assert_eq!(told(3, 2, 0, true), some);
        let asked = "at most 5 messages did not leave this host in time, they can be asked for after the next start";
        assert_eq!(told(0, 0, 5, true), asked);
        assert_eq!(told(3, 2, 5, true), format!("{some}; {asked}"));
        assert_eq!(told(0, 0, 5, false), "at most 5 messages did not leave this host in time, those are lost");
    }
}
