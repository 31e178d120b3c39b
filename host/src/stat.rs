//! [`Stat`]: the two fields of `/proc/<pid>/stat` that tell whether a process is still the same and still runs.

use crate::error::{IdentityError, form, read};

/// State and start time of a process, from proc(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Field 3: R, S, D, Z, T, t, X or I.
    pub state: char,
    /// Field 22: clock ticks since boot.
    pub start: u64,
}

impl Stat {
    /// # Errors
    /// `Read` with `ErrorKind::NotFound` when there is no such process.
    pub fn read(pid: u32) -> Result<Self, IdentityError> {
        let path = format!("/proc/{pid}/stat");
        let text = read(&path)?;
        Self::parse(&text).ok_or_else(|| form(&path, &text))
    }

    /// The name, in parentheses, may hold anything, parentheses and spaces included: the last `)` ends it.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let start = fields.nth(18)?.parse().ok()?;
        Some(Self { state, start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "42 (evil) Z 1 (x)) T 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 98765 20 21\n";
        assert_eq!(Stat::parse(text), Some(Stat { state: 'T', start: 98765 }));
    }

    #[test]
    fn a_cut_line_is_no_stat() {
        for text in ["", "42", "42 (a", "42 (a) S 1 2", "42 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x"] {
            assert_eq!(Stat::parse(text), None, "{text:?}");
        }
    }
}
