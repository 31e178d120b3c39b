//! [`BrokerProcess`]: the real program, started for a test on free ports.
#![allow(dead_code, reason = "not each test file needs all of it")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

pub struct BrokerProcess {
    child: Child,
    pub publishers: Vec<String>,
    pub subscribers: Vec<String>,
}

impl BrokerProcess {
    /// Starts it and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with_log(arguments, Stdio::null())
    }

    /// The same, with its log going somewhere.
    pub fn start_with_log(arguments: &[&str], log: impl Into<Stdio>) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_lastbeat-broker")).args(arguments).stderr(log))
    }

    /// The same, with variables in its environment.
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lastbeat-broker"));
        Self::spawn(command.args(arguments).envs(variables.iter().copied()).stderr(Stdio::null()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.arg("--json").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON once it is ready");
        let list = |name: &str| -> Vec<String> { serde_json::from_value(addresses[name].clone()).unwrap() };
        Self { child, publishers: list("publishers"), subscribers: list("subscribers") }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // One that has ended already can't be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
