//! [`Mosquitto`]: a real broker for a test, on a port and with a folder of its own.
#![allow(dead_code, reason = "not each test file that uses this one needs all of it")]

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpSocket;

/// A port of this machine's loopback on which nobody listens but who is told to: while its broker is not running, no other
/// test's broker, relay or client is given it, whose peers this one's would then take it for.
pub struct Port {
    address: SocketAddr,
    /// Bound, but not listening: that keeps the system from giving it away, and lets in who asks for it with `SO_REUSEADDR`.
    _held: TcpSocket,
}

impl Port {
    pub fn new() -> Self {
        Self::of(Ipv4Addr::LOCALHOST)
    }

    /// On one of this machine's own addresses.
    pub fn of(address: impl Into<IpAddr>) -> Self {
        let address = SocketAddr::new(address.into(), 0);
        let held = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind(address).unwrap();
        Self { address: held.local_addr().unwrap(), _held: held }
    }

    pub fn number(&self) -> u16 {
        self.address.port()
    }

    /// The URL of an MQTT broker there.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }
}

pub struct Mosquitto {
    folder: tempfile::TempDir,
    port: Port,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts one; `extra` is added to its configuration, with `{folder}` standing for its folder.
    pub fn new(extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = Port::new();
        let number = port.number();
        let path = folder.path().display().to_string();
        // Anyone may come in unless `extra` asks for a password.
        let anonymous = !extra.contains("password_file");
        let configuration = format!(
            "user root\nlistener {number} 127.0.0.1\nallow_anonymous {anonymous}\npersistence true\n\
             persistence_location {path}/\nmax_queued_messages 0\nmax_inflight_messages 0\n{}\n",
            extra.replace("{folder}", &path)
        );
        fs::write(folder.path().join("mosquitto.conf"), configuration).unwrap();
        let mut mosquitto = Self { folder, port, child: None };
        if !extra.contains("{folder}") {
            mosquitto.start();
        }
        mosquitto
    }

    /// One that is not started yet, with a configuration made of its folder and port.
    pub fn configured(configuration: impl FnOnce(&Path, u16) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = Port::new();
        fs::write(folder.path().join("mosquitto.conf"), configuration(folder.path(), port.number())).unwrap();
        Self { folder, port, child: None }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn url(&self) -> String {
        self.port.url()
    }

    pub fn start(&mut self) {
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"]
            .into_iter()
            .find(|program| Path::new(program).exists())
            .unwrap_or("mosquitto");
        let child = Command::new(program)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs a real MQTT broker: install Debian's packages mosquitto and mosquitto-clients");
        self.child = Some(child);
        // It listens within milliseconds, and has no other way to say so.
        while TcpStream::connect(("127.0.0.1", self.port())).is_err() {
            let exited = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(exited.is_none(), "mosquitto has ended at once: {exited:?}");
            thread::yield_now();
        }
    }

    /// Ends it without a warning; what it had in memory is gone.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Ends it with time to save its sessions.
    pub fn terminate(&mut self) {
        self.end(Signal::TERM);
    }

    /// Freezes it, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it is running");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), signal).unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// What a client of somebody else's publishes.
pub fn mosquitto_pub(mosquitto: &Mosquitto, arguments: &[&str]) {
    let status = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &mosquitto.port().to_string(), "-q", "1"])
        .args(arguments)
        .status()
        .expect("this test needs mosquitto_pub: install Debian's package mosquitto-clients");
    assert!(status.success());
}
