//! [`Processes`]: the processes of all publishers, and what the process table of the watchdog's host shows of them.

use std::collections::HashMap;

use lastbeat_watchdog::Fact;
use lastbeat_wire::{BootId, HostId, ProcessIdentity};
use serde::Deserialize;

const SECOND: u64 = 1_000_000_000;

/// Where a process runs, as seen from the watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On the watchdog's host.
    #[default]
    Here,
    /// On the watchdog's host, in another PID namespace.
    Container,
    /// On another host.
    Elsewhere,
}

/// One process of a publisher.
#[derive(Debug, Clone)]
pub struct Process {
    /// Whose process.
    pub publisher: String,
    /// Which.
    pub identity: ProcessIdentity,
    /// True time of its start; earlier than 0 is not possible.
    pub started: u64,
    /// What became of it.
    pub condition: Condition,
    /// Runs, but says nothing.
    pub hung: bool,
    /// It may not be looked at: EPERM.
    pub hidden: bool,
    /// The number of its next message.
    pub next_sequence: u64,
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Runs,
    /// It is stopped, by SIGSTOP say.
    Stopped,
    /// It has ended and waits to be reaped.
    Zombie,
    /// It has ended.
    Gone,
    /// Gone, and its PID belongs to a process that started at this tick.
    Reused(u64),
}

/// All processes there ever were.
#[derive(Debug, Clone)]
pub struct Processes {
    /// In the order of their start.
    pub all: Vec<Process>,
    places: HashMap<ProcessIdentity, usize>,
    next_pid: u32,
    /// The boot of the watchdog's host; the other host never reboots.
    boots: u128,
}

impl Default for Processes {
    fn default() -> Self {
        Self { all: Vec::new(), places: HashMap::new(), next_pid: 1000, boots: 1 }
    }
}

impl Processes {
    /// The watchdog's own process.
    pub fn own(&self) -> ProcessIdentity {
        ProcessIdentity { host: HostId(1), boot: BootId(self.boots), pid_namespace: 1, pid: 1, start: 1 }
    }

    /// Starts a process at `now`, nanoseconds of true time. Returns its place in [`Self::all`].
    pub fn start(&mut self, publisher: &str, place: Place, now: u64) -> usize {
        let own = self.own();
        let kernel = match place {
            Place::Here => own,
            Place::Container => ProcessIdentity { pid_namespace: 2, ..own },
            Place::Elsewhere => ProcessIdentity { host: HostId(2), boot: BootId(1 << 64), ..own },
        };
        self.start_on(publisher, kernel, now)
    }

    /// Starts a process on the host, the boot and the namespace of another.
    pub fn start_on(&mut self, publisher: &str, kernel: ProcessIdentity, now: u64) -> usize {
        self.next_pid += 1;
        let identity = ProcessIdentity { pid: self.next_pid, start: now / (SECOND / 100) + 100, ..kernel };
        self.places.insert(identity, self.all.len());
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
        self.end_all(own.boot);
    }

    /// A host goes down: all that ran on that boot is gone.
    pub fn end_all(&mut self, boot: BootId) {
        for process in self.all.iter_mut().filter(|process| process.identity.boot == boot) {
            process.condition = Condition::Gone;
        }
    }

    /// What is found when the process table is asked for a process.
    pub fn look(&self, wanted: ProcessIdentity) -> Fact {
        match self.find(wanted).map(|process| (process.condition, process.hidden)) {
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
        self.find(identity).is_none_or(Process::has_ended)
    }

    fn find(&self, identity: ProcessIdentity) -> Option<&Process> {
        self.places.get(&identity).map(|place| &self.all[*place])
    }
}

impl Process {
    /// Whether it has really ended.
    pub fn has_ended(&self) -> bool {
        !matches!(self.condition, Condition::Runs | Condition::Stopped)
    }

    /// Whether it can send.
    pub fn speaks(&self) -> bool {
        self.condition == Condition::Runs && !self.hung
    }
}
