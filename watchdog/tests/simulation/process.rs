//! [`Processes`]: the processes of all publishers, and what the process table of the watchdog's host shows of them.

use lastbeat_watchdog::Fact;
use lastbeat_wire::{BootId, HostId, ProcessIdentity};

use super::script::Place;

const SECOND: u64 = 1_000_000_000;

/// One process of a publisher.
#[derive(Debug, Clone)]
pub struct Process {
    pub publisher: String,
    pub identity: ProcessIdentity,
    /// True time of its start; earlier than 0 is not possible.
    pub started: u64,
    pub condition: Condition,
    /// Runs, but says nothing.
    pub hung: bool,
    pub hidden: bool,
    pub next_sequence: u64,
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Runs,
    Stopped,
    Zombie,
    Gone,
    /// Gone, and its PID belongs to a process that started at this tick.
    Reused(u64),
}

/// All processes there ever were.
#[derive(Debug, Clone)]
pub struct Processes {
    pub all: Vec<Process>,
    next_pid: u32,
    /// The boot of the watchdog's host; the other host never reboots.
    boots: u128,
}

impl Default for Processes {
    fn default() -> Self {
        Self { all: Vec::new(), next_pid: 1000, boots: 1 }
    }
}

impl Processes {
    /// The watchdog's own process.
    pub fn own(&self) -> ProcessIdentity {
        ProcessIdentity { host: HostId(1), boot: BootId(self.boots), pid_namespace: 1, pid: 1, start: 1 }
    }

    pub fn start(&mut self, publisher: &str, place: Place, now: u64) -> usize {
        self.next_pid += 1;
        let own = self.own();
        let (pid, start) = (self.next_pid, now / (SECOND / 100) + 100);
        let identity = match place {
            Place::Here => ProcessIdentity { pid, start, ..own },
            Place::Container => ProcessIdentity { pid, start, pid_namespace: 2, ..own },
            Place::Elsewhere => ProcessIdentity { host: HostId(2), boot: BootId(1 << 64), pid, start, ..own },
        };
        self.all.push(Process {
            publisher: publisher.to_owned(),
            identity,
            started: now,
            condition: Condition::Runs,
            hung: false,
            hidden: false,
            next_sequence: 0,
        });
        self.all.len() - 1
    }

    /// The processes of a publisher, as places in [`Self::all`], in order of their start.
    pub fn of<'a>(&'a self, publisher: &'a str) -> impl Iterator<Item = usize> + 'a {
        (0..self.all.len()).filter(move |&place| self.all[place].publisher == publisher)
    }

    /// The host of the watchdog is started again.
    pub fn reboot(&mut self) {
        let own = self.own();
        self.boots += 1;
        for process in self.all.iter_mut().filter(|process| process.identity.boot == own.boot) {
            process.condition = Condition::Gone;
        }
    }

    /// What is found when the process table is asked for a process.
    pub fn look(&self, wanted: ProcessIdentity) -> Fact {
        let found = self.all.iter().find(|process| process.identity == wanted);
        match found.map(|process| (process.condition, process.hidden)) {
            Some((Condition::Reused(start), _)) => Fact::Reused { start },
            None | Some((Condition::Gone, _)) => Fact::Gone,
            Some((_, true)) => Fact::NotPermitted,
            Some((Condition::Runs, _)) => Fact::Runs { detail: "sleeping".to_owned() },
            Some((Condition::Stopped, _)) => Fact::Stopped,
            Some((Condition::Zombie, _)) => Fact::Zombie,
        }
    }

    /// Whether a process has really ended.
    pub fn has_ended(&self, identity: ProcessIdentity) -> bool {
        let found = self.all.iter().find(|process| process.identity == identity);
        found.is_none_or(Process::has_ended)
    }
}

impl Process {
    pub fn has_ended(&self) -> bool {
        !matches!(self.condition, Condition::Runs | Condition::Stopped)
    }

    /// Whether it can send.
    pub fn speaks(&self) -> bool {
        self.condition == Condition::Runs && !self.hung
    }
}
