//! A real subscriber process, and a publisher to talk to it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lastbeat_transport::{Handed, Outbound, PublishOptions, publish};
use lastbeat_wire::{Body, Encoding, Fields, Header, Message, PublisherId, Reading, Value, encode};

/// How long anything is waited for that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running subscriber; killed when it is dropped.
pub struct Subscriber {
    child: Child,
    flips: Receiver<serde_json::Value>,
}

impl Subscriber {
    /// Starts one with its store in `dir`.
    pub fn start(dir: &Path, from: &str, args: &[&str]) -> Self {
        let mut child = command(dir, from).args(args).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, flips) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, flips }
    }

    /// The next flip.
    pub fn flip(&self) -> serde_json::Value {
        self.flips.recv_timeout(PATIENCE).expect("a flip")
    }

    /// The next flip of one publisher: from, to, cause.
    pub fn expect(&self, publisher: &str, from: &str, to: &str, cause: &str) -> serde_json::Value {
        let flip = self.flip();
        let seen = ["publisher", "from", "to", "cause"].map(|key| flip[key].as_str().unwrap());
        assert_eq!(seen, [publisher, from, to, cause], "{flip:#}");
        flip
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

/// The command that starts a subscriber with `--json`.
pub fn command(dir: &Path, from: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastbeat-subscriber"));
    command.args(["--from", from, "--json", "--http", "off", "--store"]).arg(dir.join("store.db"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
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
        self.raw(&topic, &encode(&Message { header, body }, Encoding::Json));
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
