//! A real subscriber process, and a publisher and a client to talk to it.

pub mod http;
pub mod influxd;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lastbeat_host::Own;
use lastbeat_transport::{Handed, Outbound, PublishOptions, publish};
use lastbeat_wire::{Body, Encoding, Fields, Header, Message, ProcessIdentity, PublisherId, Reading, Value, encode};

/// How long anything is waited for that must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running subscriber; killed when it is dropped.
pub struct Subscriber {
    child: Child,
    flips: Receiver<serde_json::Value>,
    /// What it logs, where it serves.
    log: Receiver<String>,
}

impl Subscriber {
    /// Starts one with its store in `dir`.
    pub fn start(dir: &Path, from: &str, args: &[&str]) -> Self {
        Self::follow(command(dir, from).args(args).spawn().unwrap(), channel().1)
    }

    /// Starts one that serves HTTP; and the address that it says the page is at.
    pub fn serve(dir: &Path, args: &[&str]) -> (Self, String) {
        Self::serve_by(serving(dir, args))
    }

    /// The same by a command of [`serving`].
    pub fn serve_by(mut command: Command) -> (Self, String) {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("the live page is at ")).expect("it says where it serves");
        let (_, url) = line.split_once("the live page is at ").unwrap();
        let url = url.trim_end_matches('/').to_owned();
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in lines {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        (Self::follow(child, log), url)
    }

    fn follow(mut child: Child, log: Receiver<String>) -> Self {
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, flips) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, flips, log }
    }

    /// The next flip.
    pub fn flip(&self) -> serde_json::Value {
        self.flips.recv_timeout(PATIENCE).expect("a flip")
    }

    /// The next flip, if one comes soon.
    pub fn flips_within_a_second(&self) -> Option<serde_json::Value> {
        self.flips.recv_timeout(Duration::from_secs(1)).ok()
    }

    /// The next flip of one publisher: from, to, cause.
    pub fn expect(&self, publisher: &str, from: &str, to: &str, cause: &str) -> serde_json::Value {
        let flip = self.flip();
        let seen = ["publisher", "from", "to", "cause"].map(|key| flip[key].as_str().unwrap());
        assert_eq!(seen, [publisher, from, to, cause], "{flip:#}");
        flip
    }

    /// The next line of its log with this in it.
    pub fn logged(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("a line of the log");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Its PID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it in order.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }

    /// Kills it where it stands.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts a subscriber with `--json`, serving nothing.
pub fn command(dir: &Path, from: &str) -> Command {
    let mut command = plain(dir);
    command.args(["--from", from, "--http", "off"]);
    command
}

/// The command that starts a subscriber with `--json`, serving on a free port.
pub fn serving(dir: &Path, args: &[&str]) -> Command {
    let mut command = plain(dir);
    command.args(["--http", "127.0.0.1:0"]).args(args);
    command
}

/// The command that starts a subscriber with `--json`, and nothing else.
pub fn plain(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastbeat-subscriber"));
    command.args(["--json", "--store"]).arg(dir.join("store.db"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The address at which a subscriber listens for publishers, and the one at which they reach it.
pub fn bound() -> (String, String) {
    let port = free_port();
    (format!("zmq+tcp://127.0.0.1:{port}?bind"), format!("zmq+tcp://127.0.0.1:{port}"))
}

/// A process that waits, and who it is.
pub fn child() -> (Child, ProcessIdentity) {
    let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let table = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let start = table.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let process = ProcessIdentity { pid: child.id(), start, ..Own::read().unwrap().process };
    (child, process)
}

/// A port that nobody uses.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A publisher's end.
pub struct Publisher {
    outbound: Box<dyn Outbound>,
    id: PublisherId,
    next: u64,
    header: Header<'static>,
}

impl Publisher {
    /// A publisher that says of itself what is in `header`.
    pub fn connect(to: &str, id: &str, header: Header<'static>) -> Self {
        let options = PublishOptions { client: id.to_owned(), ..PublishOptions::default() };
        Self { outbound: publish(&to.parse().unwrap(), options).unwrap(), id: id.parse().unwrap(), next: 0, header }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, topic: &str, payload: &[u8]) {
        while self.outbound.try_send(topic, payload).unwrap() == Handed::NotNow {
            assert!(self.outbound.wait_ready(topic, PATIENCE), "nobody listens to {topic}");
        }
    }

    /// Sends a numbered message.
    pub fn send(&mut self, body: Body<'_>) {
        let topic = body.kind().topic(&self.id);
        let header = Header { sequence: Some(self.next), ..self.header.clone() };
        self.next += 1;
        self.raw(&topic, &encode(&Message { header, body, log: None }, Encoding::Json));
    }

    /// Sends a reading with one field.
    pub fn reading(&mut self, value: i64) {
        let fields: Fields<'_> = [("value".into(), Value::Integer(value))].into_iter().collect();
        self.send(Body::Reading(Reading { fields, ..Reading::default() }));
    }

    /// Waits until all is sent, and closes.
    pub fn close(self) {
        assert_eq!(self.outbound.close(PATIENCE).0, 0, "messages were left unsent");
    }
}

/// A number from the store.
pub fn count(dir: &Path, sql: &str) -> i64 {
    let store = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    store.query_row(sql, [], |row| row.get(0)).unwrap()
}
