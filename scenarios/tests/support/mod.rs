//! What the tests need: the programs built, and an InfluxDB of their own.
#![allow(dead_code, reason = "not each test file that uses this one needs all of it")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program under test. The others stand beside it; cargo builds them here, for it builds only this one by itself.
pub fn scenarios() -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_lastbeat-scenarios"));
    let built = cargo_build(program).status().unwrap();
    assert!(built.success(), "cargo build failed: {built}");
    Command::new(program)
}

/// The folder that cargo builds into, and the profile.
pub fn target() -> (PathBuf, String) {
    let folder = Path::new(env!("CARGO_BIN_EXE_lastbeat-scenarios")).parent().unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    (folder.parent().unwrap().to_owned(), profile.to_owned())
}

fn cargo_build(program: &Path) -> Command {
    let (target, profile) = target();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args(["build", "--quiet", "--profile", &profile, "--target-dir"]).arg(target);
    cargo.args(["-p", "lastbeat-broker", "-p", "lastbeat-publisher", "-p", "lastbeat-subscriber"]);
    // The one under test, too: with the same selection nothing is built twice.
    cargo.args(["-p", "lastbeat-scenarios"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(program.is_file());
    cargo
}

/// An InfluxDB 1.x on free ports, with its data in a folder of its own. Ends when it is dropped.
pub struct InfluxServer {
    process: Child,
    pub url: String,
    _folder: tempfile::TempDir,
}

impl InfluxServer {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Held together, so that they differ.
        let held = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let [rpc, http] = held.map(|listener| listener.local_addr().unwrap());
        let place = folder.path().display();
        let config = format!(
            "reporting-enabled = false\nbind-address = '{rpc}'\n[meta]\ndir = '{place}/meta'\n\
             [data]\ndir = '{place}/data'\nwal-dir = '{place}/wal'\n\
             [http]\nbind-address = '{http}'\nauth-enabled = false\n"
        );
        let file = folder.path().join("influxdb.conf");
        std::fs::write(&file, config).unwrap();
        let mut process = Command::new("influxd")
            .arg("-config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("influxd: {error}; on Debian: apt-get install influxdb"));
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut before = Vec::new();
        let listens = log.by_ref().any(|line| {
            let listens = line.contains("Listening on HTTP");
            before.push(line);
            listens
        });
        assert!(listens, "influxd ended: {}", before.join("\n"));
        // Somebody must go on reading, or it stands still when the pipe is full.
        std::thread::spawn(move || log.for_each(drop));
        Self { process, url: format!("http://{http}/lastbeat"), _folder: folder }
    }
}

impl Drop for InfluxServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
