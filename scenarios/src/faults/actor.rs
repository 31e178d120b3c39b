//! [`Actor`]: a program with a fixed role, started again and again under the same addresses; and what can be done to it.
//! Knows nothing of what must come of it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_wire::UtcNanos;
use rustix::process::Signal;

use crate::events::Feed;
use crate::faults::clock::WallClock;
use crate::faults::disk::Disk;
use crate::faults::fault::Fault;
use crate::network::Network;
use crate::process::{Process, Program, Reads};

/// Makes the command for the n-th life, counted from 0.
pub type Recipe = Box<dyn Fn(usize) -> anyhow::Result<Command>>;
/// What is read of the output of each life.
pub type Reading = Box<dyn Fn() -> Reads>;

/// What an actor's surroundings are: none, unless a case does something to them.
#[derive(Default)]
pub struct Surroundings {
    /// The network that it runs in.
    pub network: Option<Network>,
    /// The disk that it writes to.
    pub disk: Option<Disk>,
    /// The wall clock that it sees.
    pub clock: Option<WallClock>,
}

/// One run of the program.
#[derive(Debug, Clone)]
pub struct Life {
    /// Its process id.
    pub pid: i32,
    /// When it was started.
    pub began: UtcNanos,
    /// Its log.
    pub log: PathBuf,
}

/// A program with a role. It is killed when it is dropped.
pub struct Actor {
    /// What it is called.
    pub name: String,
    /// Its runs so far, the last one maybe still going on.
    pub lives: Vec<Life>,
    recipe: Recipe,
    reading: Reading,
    folder: PathBuf,
    feed: Feed,
    process: Option<Process>,
    around: Surroundings,
}

impl Actor {
    /// One that is not running yet; its logs are `folder/name.N.log`.
    pub fn new(name: &str, recipe: Recipe, reading: Reading, around: Surroundings, place: (PathBuf, Feed)) -> Self {
        let (folder, feed) = place;
        Self { name: name.to_owned(), lives: Vec::new(), recipe, reading, folder, feed, process: None, around }
    }

    /// Starts it.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let mut command = (self.recipe)(self.lives.len())?;
        if let Some(clock) = &self.around.clock {
            clock.shown_to(&mut command);
        }
        if let Some(network) = &self.around.network {
            command = network.within(&command)?;
        }
        let name = format!("{}.{}", self.name, self.lives.len());
        let log = self.folder.join(format!("{name}.log"));
        let began = Clock.now().utc;
        let process = Process::start(Program { name, command, reads: (self.reading)() }, &self.folder, &self.feed)?;
        self.lives.push(Life { pid: process.pid(), began, log });
        self.process = Some(process);
        Ok(())
    }

    /// A fault begins.
    pub fn suffer(&self, fault: Fault) -> anyhow::Result<()> {
        let around = &self.around;
        match fault {
            Fault::Kill => self.signal(Signal::KILL),
            Fault::Term => self.signal(Signal::TERM),
            Fault::Freeze => self.signal(Signal::STOP),
            Fault::Cut => around.network.as_ref().context("invariant: who is cut has a network")?.cut(),
            Fault::Fill => around.disk.as_ref().context("invariant: whose disk is filled has one")?.fill(),
            Fault::Clock(seconds) => self.clock()?.set(seconds),
        }
    }

    /// It ends.
    pub fn recover(&mut self, fault: Fault) -> anyhow::Result<()> {
        let around = &self.around;
        match fault {
            Fault::Kill | Fault::Term => self.start(),
            Fault::Freeze => self.signal(Signal::CONT),
            Fault::Cut => around.network.as_ref().context("invariant: who is cut has a network")?.mend(),
            Fault::Fill => around.disk.as_ref().context("invariant: whose disk is filled has one")?.empty(),
            Fault::Clock(_) => self.clock()?.set(0),
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process.as_ref().with_context(|| format!("{} was never started", self.name))?.signal(signal)
    }

    /// Whether it runs, be it stopped.
    pub fn runs(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.ended().is_none())
    }

    /// Whether its last run ended by itself or by SIGTERM with exit code 0.
    pub fn ended_well(&self) -> bool {
        self.process.as_ref().and_then(Process::ended).is_some_and(|status| status.success())
    }

    /// What it wrote in its last run, its end.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.as_ref().map_or_else(String::new, |process| process.log_tail(lines))
    }

    fn clock(&self) -> anyhow::Result<&WallClock> {
        self.around.clock.as_ref().context("invariant: whose clock is stepped has one")
    }
}
