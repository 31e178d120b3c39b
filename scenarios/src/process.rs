//! [`Process`]: a program that was started, in a process group of its own; it is killed when it is dropped. Its output
//! goes to a log file, and line by line to whoever reads it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::events::{Event, Feed};

/// Takes the lines that a process writes, one after the other, on a thread of its own.
pub type Lines = Box<dyn FnMut(&str) + Send>;

/// What is read of a process's output. All of it goes into its log.
pub enum Reads {
    /// Nothing.
    Nothing,
    /// Its stdout.
    Stdout(Lines),
    /// Its stderr.
    Stderr(Lines),
}

/// A program to be started.
pub struct Program {
    /// What it is called here, and its log.
    pub name: String,
    /// The program and its arguments.
    pub command: Command,
    /// What is read of its output.
    pub reads: Reads,
}

/// A process that was started here.
pub struct Process {
    name: String,
    pid: Pid,
    log: PathBuf,
    /// Locked while it is reaped and while it is signalled, so that no signal goes to a PID that is somebody else's.
    ended: Arc<Mutex<Option<ExitStatus>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts it; its log is `folder/name.log`. Its end is told to `feed`.
    pub fn start(program: Program, folder: &Path, feed: &Feed) -> anyhow::Result<Self> {
        let Program { name, mut command, reads } = program;
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let copy = || file.try_clone().with_context(|| log.display().to_string());
        command.stdin(Stdio::null()).stdout(copy()?).stderr(copy()?).process_group(0).env("NO_COLOR", "1");
        match reads {
            Reads::Nothing => {}
            Reads::Stdout(_) => drop(command.stdout(Stdio::piped())),
            Reads::Stderr(_) => drop(command.stderr(Stdio::piped())),
        }
        let shown = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("start {name}: {shown}"))?;
        let pid = Pid::from_child(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = Arc::new(Mutex::new(None));
        let waiting = {
            let (name, ended, feed) = (name.clone(), ended.clone(), feed.clone());
            move || wait_for_end(&name, pid, child, &ended, &feed)
        };
        let mut threads = vec![thread::spawn(waiting)];
        match (reads, stdout, stderr) {
            (Reads::Stdout(lines), Some(stdout), _) => threads.push(thread::spawn(|| read(stdout, lines, file))),
            (Reads::Stderr(lines), _, Some(stderr)) => threads.push(thread::spawn(|| read(stderr, lines, file))),
            _ => {}
        }
        Ok(Self { name, pid, log, ended, threads })
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = *ended {
            bail!("{} has ended: {status}", self.name);
        }
        let pid = self.pid();
        rustix::process::kill_process_group(self.pid, signal)
            .with_context(|| format!("signal {}, PID {pid}", self.name))
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        match std::fs::read_to_string(&self.log) {
            Ok(text) => {
                let all: Vec<_> = text.lines().collect();
                all[all.len().saturating_sub(lines)..].join("\n")
            }
            Err(error) => format!("{}: {error}", self.log.display()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error says that it has ended: nothing is left to be killed.
        let _ = self.signal(Signal::KILL);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn read(output: impl Read, mut lines: Lines, mut log: File) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        lines(&line);
        // A log that can't be written shows nothing; what is seen is judged all the same.
        let _ = writeln!(log, "{line}");
    }
}

/// Reaps it at once, as a shell or systemd would.
fn wait_for_end(name: &str, pid: Pid, mut child: Child, ended: &Mutex<Option<ExitStatus>>, feed: &Feed) {
    // First without reaping: until the lock is held the PID stays its own.
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
    let status = {
        let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait();
        *ended = status.as_ref().ok().copied();
        status
    };
    if let Ok(status) = status {
        feed.tell(Event::Ended { name: name.to_owned(), status });
    }
}
