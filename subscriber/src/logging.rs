//! The program's own log: to stderr, and while the live table has the terminal, into its lowest lines.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::outlet::Outlet;

/// How many lines the table can show.
const LINES: usize = 50;

/// The newest lines of the log, for the live table.
#[derive(Debug, Clone, Default)]
pub struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    /// The newest `count` lines, oldest first.
    pub fn newest(&self, count: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    fn push(&self, text: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text.lines() {
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(line.to_owned());
        }
    }
}

/// Begins to log: to stderr by way of an outlet, which is returned, or into `tail` where the terminal is the table's.
pub fn begin(tail: Option<Tail>) -> Option<Outlet> {
    let filter = EnvFilter::try_from_env("LASTBEAT_LOG").unwrap_or_else(|_| EnvFilter::new("info,paho_mqtt=error"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    if let Some(tail) = tail {
        builder.with_ansi(false).with_writer(tail).init();
        None
    } else {
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let builder = builder.with_ansi(colours);
        let outlet = Outlet::start("stderr", io::stderr()).ok();
        match &outlet {
            Some(outlet) => builder.with_writer(outlet.clone()).init(),
            // There is no room for another thread: what comes next will say so.
            None => builder.with_writer(io::stderr).init(),
        }
        outlet
    }
}

impl<'a> MakeWriter<'a> for Tail {
    type Writer = TailWriter;
    fn make_writer(&'a self) -> TailWriter {
        TailWriter(self.clone())
    }
}

/// Puts each event, which comes in one piece, into the tail.
#[derive(Debug)]
pub struct TailWriter(Tail);

impl Write for TailWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
