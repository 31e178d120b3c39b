//! [`Person`]: one publisher as it really is, and what the watchdog can know of its processes.

use std::collections::{BTreeSet, VecDeque};

use lastbeat_watchdog::Reception;
use lastbeat_wire::Kind;

use super::fleet::Member;

/// One publisher as it really is.
#[derive(Debug, Clone, Default)]
pub struct Person {
    pub id: String,
    pub host: usize,
    pub links: Vec<usize>,
    /// When the last message of it was taken in.
    pub quiet_since: Option<u64>,
    /// Since when it does not speak although it should, and whether that was found.
    pub trouble: Option<u64>,
    pub found: bool,
    pub trouble_over: Option<u64>,
    pub events: VecDeque<(u64, String)>,
    /// The processes that the watchdog has in mind, the later one first: it remembers two.
    recent: [Option<usize>; 2],
    /// Those that it has forgotten: what comes again of them is not known as such.
    forgotten: BTreeSet<usize>,
    last_speaker: Option<usize>,
    pub noted: VecDeque<(u64, u64, Kind, Reception)>,
    /// The process that was heard last since the watchdog was started.
    pub known: Option<usize>,
    /// Whether the watchdog was misled about its clocks.
    pub misled: Option<Misled>,
}

/// A step of a clock misled the watchdog: it knows better once two windows of a threshold have begun.
#[derive(Debug, Clone, Copy)]
pub struct Misled {
    windows: u8,
    /// When the latest one began.
    began: u64,
}

impl Misled {
    /// Since then.
    pub fn since(began: u64) -> Self {
        Self { windows: 0, began }
    }
}

impl Person {
    /// One of which nothing happened yet.
    pub fn of(member: &Member) -> Self {
        Self { id: member.id.to_string(), host: member.host, links: member.links.clone(), ..Self::default() }
    }

    /// Whether a process was the last that was heard since the watchdog was started; it is from now on.
    pub fn knows(&mut self, process: usize) -> bool {
        self.known.replace(process) == Some(process)
    }

    /// Whether the watchdog may be misled about its clocks.
    pub fn misled(&self) -> bool {
        self.misled.is_some()
    }

    /// A message was taken in, by which the watchdog learns about its clocks.
    pub fn learned(&mut self, now: u64, window: u64) {
        if let Some(misled) = self.misled.as_mut().filter(|misled| now >= misled.began + window) {
            *misled = Misled { windows: misled.windows + 1, began: now };
            if misled.windows == 2 {
                self.misled = None;
            }
        }
    }

    /// Takes note of the process that speaks; whether nothing of it was forgotten. The watchdog remembers two; which of them goes
    /// where a third speaks is clear only while they took turns in the order of their starts.
    pub fn remembers(&mut self, process: usize) -> bool {
        let [newest, other] = self.recent;
        if !self.recent.contains(&Some(process)) {
            self.forgotten.extend(other);
            let in_turn = Some(process) > newest && self.last_speaker == newest;
            if !in_turn {
                self.forgotten.extend(newest);
            }
            self.recent = if Some(process) > newest { [Some(process), newest] } else { [newest, Some(process)] };
        }
        self.last_speaker = Some(process);
        !self.forgotten.contains(&process)
    }
}
