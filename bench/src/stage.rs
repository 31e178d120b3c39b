//! [`Stage`]: what a measurement starts processes on, and waits on. Whatever it started ends with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_host::Clock;
use lastbeat_scenarios::events::{Event, Events};
use lastbeat_scenarios::hub::{Hub, Transport};
use lastbeat_scenarios::network::free_port;
use lastbeat_scenarios::process::{Lines, Process, Program, Reads};
use lastbeat_scenarios::{influxd, programs};
use lastbeat_wire::Monotonic;
use serde_json::Value;
use tempfile::TempDir;

use crate::page::Connection;
use crate::tally::Tally;
use crate::usage;

/// How long a program may take to start.
const STARTED_WITHIN: Duration = Duration::from_secs(20);
/// How often is looked for what has no event.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After so long without anything new nothing more is expected.
const QUIET: Duration = Duration::from_millis(700);

/// One measurement's processes and files.
pub struct Stage<'a> {
    events: &'a Events,
    folder: TempDir,
}

/// A role of this program, or a peer that tells tallies as one does.
pub struct Role {
    /// Its process.
    pub process: Process,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// A line that a role wrote.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it was read, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// The line.
    pub text: String,
}

/// An `InfluxDB` of its own.
pub struct Influx {
    /// Its process.
    pub process: Process,
    /// Where it answers.
    pub at: SocketAddr,
}

impl<'a> Stage<'a> {
    /// An empty one.
    pub fn new(events: &'a Events) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lastbeat-bench-").tempdir().context("make a temporary folder")?;
        Ok(Self { events, folder })
    }

    /// Where files may be put.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path of its own in there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a program.
    pub fn start(&self, name: &str, command: Command, reads: Reads) -> anyhow::Result<Process> {
        Process::start(Program { name: name.to_owned(), command, reads }, self.folder(), self.events.feed())
    }

    /// Starts this program in a role.
    pub fn role(&self, name: &str, args: &[&str]) -> anyhow::Result<Role> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args);
        self.teller(name, command)
    }

    /// Starts a program that tells of itself as a role does.
    pub fn teller(&self, name: &str, command: Command) -> anyhow::Result<Role> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let keep: Lines = Box::new(move |line| {
            let line = Line { at: Clock.now().monotonic.0, text: line.to_owned() };
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        });
        Ok(Role { process: self.start(name, command, Reads::Stdout(keep))?, lines })
    }

    /// A bare proxy: its publishers' and its subscribers' side.
    pub fn proxy(&self, high_water_mark: i32) -> anyhow::Result<(Role, String, String)> {
        let role = self.role("proxy", &["proxy", "--high-water-mark", &high_water_mark.to_string()])?;
        self.sides(role)
    }

    /// The broker alone, with options of its own; and both its sides.
    pub fn broker_with(&self, options: &[&str]) -> anyhow::Result<(Role, String, String)> {
        let mut command = programs::own("lastbeat-broker")?;
        let any = "tcp://127.0.0.1:0";
        command.args(["--json", "--publishers", any, "--subscribers", any]).args(options);
        self.sides(self.teller("broker", command)?)
    }

    fn sides(&self, role: Role) -> anyhow::Result<(Role, String, String)> {
        let line = self.first_line(&role)?;
        let url = |side: &str| Some(format!("zmq+{}", line[side][0].as_str()?));
        let urls = url("publishers").zip(url("subscribers"));
        let (publishers, subscribers) = urls.with_context(|| format!("the proxy said {line}"))?;
        Ok((role, publishers, subscribers))
    }

    /// The broker.
    pub fn broker(&self) -> anyhow::Result<Hub> {
        Hub::start(Transport::Zmq, Ipv4Addr::LOCALHOST, self.folder(), self.events.feed())
    }

    /// A Mosquitto that drops nothing for want of room, with more in its configuration.
    pub fn mosquitto(&self, more: &str) -> anyhow::Result<Hub> {
        Hub::mosquitto(Ipv4Addr::LOCALHOST, more, self.folder(), self.events.feed())
    }

    /// An `InfluxDB` with these databases.
    pub fn influx(&self, databases: &[&str]) -> anyhow::Result<Influx> {
        let (at, rpc) = (free_port(Ipv4Addr::LOCALHOST)?, free_port(Ipv4Addr::LOCALHOST)?);
        self.influx_at(at, rpc, databases)
    }

    /// The same at a place that is known before.
    pub fn influx_at(&self, at: SocketAddr, rpc: SocketAddr, databases: &[&str]) -> anyhow::Result<Influx> {
        let process = self.start("influxd", influxd::command(&self.path("influxd"), at, rpc)?, Reads::Nothing)?;
        let limit = deadline(STARTED_WITHIN);
        self.until(limit, "InfluxDB answers", || Ok(Connection::open(at).is_ok_and(|mut to| to.get("/ping").is_ok())))?;
        for database in databases {
            Connection::open(at)?.post(&format!("/query?q=CREATE%20DATABASE%20{database}"), b"")?;
        }
        Ok(Influx { process, at })
    }

    /// Lets so much time pass.
    ///
    /// # Errors
    /// On Ctrl-C.
    pub fn pause(&self, span: Duration) -> anyhow::Result<()> {
        let until = deadline(span);
        while Clock.now().monotonic < until {
            // Ends are seen where somebody waits for them.
            if let Some(Event::Strange(line)) = self.events.next(until)? {
                bail!("{line}");
            }
        }
        Ok(())
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it is not at that instant, and on Ctrl-C.
    pub fn until(
        &self,
        limit: Monotonic,
        what: &str,
        mut is_so: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        while !is_so()? {
            if Clock.now().monotonic >= limit {
                bail!("in vain waited until {what}");
            }
            self.pause(LOOK_EVERY)?;
        }
        Ok(())
    }

    /// What a role told first.
    pub fn first_line(&self, role: &Role) -> anyhow::Result<Value> {
        self.until(deadline(STARTED_WITHIN), "a role is ready", || Ok(!role.lines().is_empty() || role.has_failed()))?;
        let line = role.lines().first().cloned();
        Ok(serde_json::from_str(&line.with_context(|| role.process.log_tail(3))?.text)?)
    }

    /// Waits until a role has done its work; what that was.
    pub fn finished(&self, role: &Role, within: Duration) -> anyhow::Result<Tally> {
        let is_done = || Ok(role.tally().done || role.has_failed());
        self.until(deadline(within), "a role has done its work", is_done)?;
        let tally = role.tally();
        if !tally.done {
            bail!("{}: {}", role.process.name(), role.process.log_tail(3));
        }
        Ok(tally)
    }

    /// Waits until a role has got nothing more for a while, and has no less than `at_least`, or for so long; what it got.
    pub fn settled(&self, role: &Role, at_least: u64, within: Duration) -> anyhow::Result<Tally> {
        let (mut before, mut since, limit) = (role.tally(), Clock.now().monotonic, deadline(within));
        loop {
            self.pause(LOOK_EVERY)?;
            let (tally, now) = (role.tally(), Clock.now().monotonic);
            if tally.count != before.count {
                (before, since) = (tally, now);
            }
            let quiet = now.since(since) >= QUIET;
            if quiet && (tally.count >= at_least || now.since(since) >= 3 * QUIET) || now >= limit {
                return Ok(tally);
            }
        }
    }
}

impl Role {
    /// The newest of what it told of itself.
    pub fn tally(&self) -> Tally {
        self.lines().last().and_then(|line| serde_json::from_str(&line.text).ok()).unwrap_or_default()
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_failed(&self) -> bool {
        self.process.ended().is_some_and(|status| !status.success())
    }

    /// The CPU it has used, in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        usage::cpu_seconds(self.process.pid())
    }
}

impl Influx {
    /// How many points a database holds.
    pub fn points(&self, database: &str) -> anyhow::Result<u64> {
        let query = format!("/query?db={database}&q=SELECT%20count(%22celsius%22)%20FROM%20sensor");
        let answer: Value = serde_json::from_str(&Connection::open(self.at)?.get(&query)?)?;
        Ok(answer["results"][0]["series"][0]["values"][0][1].as_u64().unwrap_or_default())
    }
}

/// The instant that is so far off.
pub fn deadline(span: Duration) -> Monotonic {
    Clock.now().monotonic.plus(span)
}

/// A Python program of `bench/peers`.
pub fn peer(name: &str) -> anyhow::Result<Command> {
    let mut command = programs::installed("python3", "python3")?;
    // Debian's own, for its packages are what scripts/install brings.
    if Path::new("/usr/bin/python3").is_file() {
        command = Command::new("/usr/bin/python3");
    }
    command.arg(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/peers")).join(name));
    Ok(command)
}
