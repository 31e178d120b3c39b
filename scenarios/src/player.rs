//! [`Player`]: one publisher of a scenario: its process, its network if it has one of its own, and what was done to it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_wire::UtcNanos;
use rustix::process::Signal;

use crate::events::Feed;
use crate::how::How;
use crate::network::Network;
use crate::process::{Process, Program, Reads};
use crate::programs;

/// A publisher that replays a CSV file.
pub struct Player {
    /// The id it publishes under.
    pub id: String,
    /// Its process.
    pub process: Process,
    /// When something was last done to it, taken before that was done.
    pub touched: Option<UtcNanos>,
    network: Option<Network>,
}

/// What a publisher is told.
pub struct Part<'a> {
    /// The id it publishes under.
    pub id: &'a str,
    /// What it replays.
    pub file: PathBuf,
    /// Where it publishes.
    pub to: &'a str,
    /// The silence that it is allowed.
    pub threshold: Duration,
}

impl Player {
    /// Starts it, in `network` if there is one.
    pub fn start(part: &Part<'_>, network: Option<Network>, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        let mut command = programs::own("lastbeat-publisher")?;
        let readings_every = Duration::from_secs(1).min(part.threshold / 5);
        let spell = |span| humantime::format_duration(span).to_string();
        command.arg("csv").arg(&part.file).args(["--id", part.id, "--to", part.to]);
        command.args(["--threshold", &spell(part.threshold), "--every", &spell(readings_every)]);
        command.arg("--spool").arg(folder.join("spool"));
        let command: Command = match &network {
            Some(network) => network.within(&command)?,
            None => command,
        };
        let process =
            Process::start(Program { name: part.id.to_owned(), command, reads: Reads::Nothing }, folder, feed)?;
        Ok(Self { id: part.id.to_owned(), process, touched: None, network })
    }

    /// Puts it down.
    pub fn put_down(&mut self, how: How) -> anyhow::Result<()> {
        self.touched = Some(Clock.now().utc);
        match how {
            How::Kill => self.process.signal(Signal::KILL),
            How::Stop => self.process.signal(Signal::STOP),
            How::Term => self.process.signal(Signal::TERM),
            How::Net => self.network()?.cut(),
        }
    }

    /// Undoes what [`put_down`](Self::put_down) did, where it can be undone.
    pub fn heal(&mut self, how: How) -> anyhow::Result<()> {
        self.touched = Some(Clock.now().utc);
        match how {
            How::Net => self.network()?.mend(),
            How::Kill | How::Stop | How::Term => self.process.signal(Signal::CONT),
        }
    }

    fn network(&self) -> anyhow::Result<&Network> {
        self.network.as_ref().with_context(|| format!("{} has no network of its own", self.id))
    }
}
