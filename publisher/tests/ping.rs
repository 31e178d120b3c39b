//! The program as an agent of a swarm, with a real Mosquitto: what it sends where, and what it listens to.

#![cfg(unix)]
#![allow(missing_docs, reason = "the names of tests are sentences")]

#[path = "../../transport/tests/conformance/mosquitto.rs"]
mod mosquitto;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use lastbeat_transport::{Arrival, Endpoint, Incoming, LinkIndex, Receipt, SubscribeOptions, Subscription, subscribe};
use lastbeat_wire::{Body, Kind, UtcNanos, Value, WATCH_TOPIC, decode, decode_ping};
use mosquitto::{Mosquitto, mosquitto_pub};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{Receiver, channel};

/// A subscriber to all that agents send, to some brokers.
struct Listener {
    incoming: Receiver<Incoming>,
    waiting: VecDeque<(LinkIndex, String, Vec<u8>)>,
    /// Which of the brokers the last message came from.
    link: LinkIndex,
    _subscriptions: Vec<Subscription>,
}

impl Listener {
    fn new(mosquitto: &Mosquitto) -> Self {
        Self::of(&[mosquitto])
    }

    fn of(brokers: &[&Mosquitto]) -> Self {
        let (sender, mut incoming) = channel(1024);
        let subscriptions = brokers.iter().zip(0..).map(|(broker, link)| {
            let endpoint: Endpoint = broker.url().parse().unwrap();
            let subscription =
                subscribe(&endpoint, SubscribeOptions::default(), LinkIndex(link), sender.clone()).unwrap();
            while !matches!(incoming.blocking_recv().expect("the subscription lives").arrival, Arrival::Up) {}
            subscription
        });
        let subscriptions = subscriptions.collect();
        Self { incoming, waiting: VecDeque::new(), link: LinkIndex(0), _subscriptions: subscriptions }
    }

    /// The next message on a topic that begins so; what comes before it is passed over.
    fn next(&mut self, prefix: &str) -> (String, Vec<u8>) {
        loop {
            while let Some((link, topic, payload)) = self.waiting.pop_front() {
                if topic.starts_with(prefix) {
                    self.link = link;
                    return (topic, payload);
                }
            }
            let Incoming { link, arrival } = self.incoming.blocking_recv().expect("the subscription lives");
            let Arrival::Batch(mut batch) = arrival else { continue };
            batch.receipt.take().into_iter().for_each(Receipt::give);
            let text = |topic: &[u8]| String::from_utf8(topic.to_vec()).unwrap();
            self.waiting.extend(batch.iter().map(|delivery| (link, text(delivery.topic), delivery.payload.to_vec())));
        }
    }

    /// The next result: who measured what, when it was sent, and its fields.
    fn result(&mut self) -> Found {
        let (topic, payload) = self.next("ping/");
        let (agent, message) = decode_ping(topic.as_bytes(), &payload).unwrap().unwrap();
        let Body::Reading(reading) = message.body else { panic!("no reading") };
        let fields = reading.fields.iter().map(|(name, value)| (name.to_owned(), shown(value))).collect();
        Found { agent: agent.as_str().to_owned(), topic, sent_at: message.header.sent_at, fields }
    }
}

#[derive(Debug)]
struct Found {
    agent: String,
    topic: String,
    sent_at: Option<UtcNanos>,
    fields: BTreeMap<String, String>,
}

impl Found {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(_) => panic!("{value:?}"),
    }
}

/// A running agent, and what it logs.
struct Agent {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Agent {
    /// One that measures with one probe at a time, a second apart, and keeps what it has to in a folder.
    fn new(brokers: &[&str], folder: &Path, line: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lastbeat-publisher"));
        command.arg("ping").env_remove("LASTBEAT_LOG");
        command.env("LASTBEAT_SPOOL", folder).args(["--probes", "1", "--pause", "1s"]);
        for broker in brokers {
            command.args(["--to", broker]);
        }
        command.args(line.split_whitespace());
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a line with this text.
    fn line_with(&mut self, text: &str) -> String {
        self.lines_to(text).pop().unwrap()
    }

    /// The next lines, to one with this text.
    fn lines_to(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.lines.by_ref().map(Result::unwrap) {
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
        panic!("no line with {text:?} in {lines:#?}");
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn watch(mosquitto: &Mosquitto, targets: &str) {
    mosquitto_pub(mosquitto, &["-r", "-t", WATCH_TOPIC, "-m", targets]);
}

/// A broker, who listens there, and a folder for what agents keep.
struct Stage {
    mosquitto: Mosquitto,
    listener: Listener,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let mosquitto = Mosquitto::new("");
        let listener = Listener::new(&mosquitto);
        Self { mosquitto, listener, folder: tempfile::tempdir().unwrap() }
    }

    /// An agent that is called paris.
    fn paris(&self, line: &str) -> Agent {
        Agent::new(&[&self.mosquitto.url()], self.folder.path(), &format!("--agent paris {line}"))
    }
}

/// A port of this host that takes connections for as long as the listener lives.
fn open_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    (listener, target)
}

#[test]
fn results_beats_and_a_goodbye_come_from_one_agent_with_numbers_in_a_row() {
    let mut stage = Stage::new();
    let (_open, target) = open_port();
    let agent = stage.paris(&format!("--network dsl {target}"));
    let listener = &mut stage.listener;
    let (topic, beat) = listener.next("beat/");
    assert_eq!(topic, "beat/agent/paris");
    let header = decode(Kind::Beat, &beat).unwrap().header;
    assert_eq!((header.sequence, header.process.unwrap().pid), (Some(0), agent.child.id()));
    let found = listener.result();
    assert_eq!((found.agent.as_str(), found.topic.as_str()), ("agent/paris", format!("ping/{target}").as_str()));
    for (name, value) in [("probe", "tcp"), ("sent", "1"), ("received", "1"), ("loss", "0"), ("network", "dsl")] {
        assert_eq!(found.field(name), value);
    }
    // A pause of 1 s, and 2 s at most until a probe is answered.
    assert_eq!(found.field("every"), "3");
    assert_eq!(agent.end(Signal::TERM), Some(0));
    assert_eq!(listener.next("bye/").0, "bye/agent/paris");
}

#[test]
fn a_kill_is_told_by_the_will() {
    let mut stage = Stage::new();
    let agent = stage.paris("");
    stage.listener.next("beat/agent/paris");
    assert_eq!(agent.end(Signal::KILL), None);
    assert_eq!(stage.listener.next("rip/").0, "rip/agent/paris");
}

#[test]
fn a_list_on_watch_takes_the_place_of_the_targets_and_is_there_after_a_restart() {
    let mut stage = Stage::new();
    let [(_first, first), (_second, second)] = [open_port(), open_port()];
    let mut agent = stage.paris(&first);
    assert_eq!(stage.listener.result().topic, format!("ping/{first}"));
    watch(&stage.mosquitto, &format!("{second} -c"));
    agent.line_with("\"-c\"");
    agent.line_with("1 targets");
    let measured: Vec<_> = (0..4).map(|_| agent.line_with(" % of 1 lost")).collect();
    let of_the_first = measured.iter().take_while(|line| line.contains(&first)).count();
    assert!(of_the_first <= 1, "one was under way at most: {measured:?}");
    assert!(measured[of_the_first..].iter().all(|line| line.contains(&second)), "{measured:?}");
    while stage.listener.result().topic != format!("ping/{second}") {}
    agent.end(Signal::TERM);
    // Another broker, which has no list.
    stage = Stage { folder: stage.folder, ..Stage::new() };
    let mut agent = stage.paris("");
    assert_eq!(stage.listener.result().topic, format!("ping/{second}"));
    watch(&stage.mosquitto, "");
    agent.line_with("0 targets");
    assert_eq!(agent.end(Signal::TERM), Some(0));
    stage.paris("").line_with("there are no targets yet");
}

#[test]
fn what_is_no_target_is_named_once_though_the_link_breaks_and_a_list_that_is_too_long_is_told() {
    let mut stage = Stage::new();
    let (_open, target) = open_port();
    watch(&stage.mosquitto, &format!("{target} -c -c"));
    let mut agent = stage.paris("");
    let lines = agent.lines_to(&format!("{target}: 0 %"));
    assert_eq!(lines.iter().filter(|line| line.contains("\"-c\"")).count(), 1, "{lines:#?}");
    stage.mosquitto.terminate();
    agent.line_with("no link with");
    stage.mosquitto.start();
    agent.line_with(" s without a link");
    // Whatever the broker retains comes before what it acknowledges later.
    let lines = [agent.lines_to(&format!("{target}: 0 %")), agent.lines_to(&format!("{target}: 0 %"))].concat();
    assert!(!lines.iter().any(|line| line.contains("\"-c\"")), "{lines:#?}");
    let file = stage.folder.path().join("long");
    std::fs::write(&file, "a ".repeat(1 << 20)).unwrap();
    mosquitto_pub(&stage.mosquitto, &["-r", "-t", WATCH_TOPIC, "-f", &file.display().to_string()]);
    agent.line_with("a message on \"watch\" was passed over");
    assert_eq!(agent.end(Signal::TERM), Some(0));
}

#[test]
fn what_is_measured_while_no_broker_is_there_comes_later_with_its_own_times() {
    let stage = Stage::new();
    let (_open, target) = open_port();
    let mut agent = stage.paris(&target);
    let Stage { mut mosquitto, mut listener, folder: _folder } = stage;
    listener.result();
    mosquitto.kill();
    agent.line_with("nobody takes messages");
    // It has measured while there was none.
    (0..3).for_each(|_| drop(agent.line_with(&format!("{target}: 0 %"))));
    drop(listener);
    mosquitto.start();
    let mut listener = Listener::new(&mosquitto);
    let times: Vec<_> = (0..3).map(|_| listener.result().sent_at.unwrap()).collect();
    for pair in times.windows(2) {
        assert!(pair[1].since(pair[0]).as_millis() >= 900, "each at its own time: {times:?}");
    }
    assert_eq!(agent.end(Signal::TERM), Some(0));
}

#[test]
fn once_measures_each_target_and_what_can_not_be_measured_is_a_result() {
    let mut stage = Stage::new();
    let ((_open, open), (closed, refusing)) = (open_port(), open_port());
    drop(closed);
    let mut agent = stage.paris(&format!("--named-topics --once {open} {refusing} does-not-exist.invalid"));
    let mut found: Vec<_> = (0..3).map(|_| stage.listener.result()).collect();
    found.sort_by_key(|found| !found.topic.ends_with(&format!("{open}/paris")));
    assert_eq!(found[0].field("loss"), "0");
    let refused = found.iter().find(|found| found.topic.ends_with(&format!("{refusing}/paris"))).unwrap();
    assert_eq!((refused.field("loss"), refused.field("received")), ("100", "0"));
    assert!(refused.field("error").contains("refused"), "{refused:?}");
    let unknown = found.iter().find(|found| found.topic.ends_with("invalid/paris")).unwrap();
    assert!(unknown.field("error").starts_with("the name "), "{unknown:?}");
    assert!(!unknown.fields.contains_key("loss") && !unknown.fields.contains_key("every"), "{unknown:?}");
    agent.lines.by_ref().for_each(drop);
    assert_eq!(agent.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_form_of_the_original_bears_no_number_and_leaves_no_gap() {
    let mut stage = Stage::new();
    let (_open, target) = open_port();
    let _agent = stage.paris(&format!("--format swarming --once {target}"));
    let (_, payload) = stage.listener.next("ping/");
    let text = String::from_utf8(payload).unwrap();
    assert!(text.starts_with(r#"["paris","ok",{"Error":null,"loss":0.0,"Round trip":["#), "{text}");
    let (_, bye) = stage.listener.next("bye/");
    assert_eq!(decode(Kind::Bye, &bye).unwrap().header.sequence, Some(1), "the beat was 0");
}

#[test]
fn two_agents_on_a_host_have_two_names_that_stay() {
    let mosquitto = Mosquitto::new("");
    let folder = tempfile::tempdir().unwrap();
    let start = || Agent::new(&[&mosquitto.url()], folder.path(), "");
    let name = |agent: &mut Agent| {
        let line = agent.line_with("publishing as agent/");
        line.split("publishing as ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    let (mut first, mut second) = (start(), start());
    let names = BTreeSet::from([name(&mut first), name(&mut second)]);
    assert_eq!(names.len(), 2);
    first.end(Signal::KILL);
    second.end(Signal::KILL);
    let (mut first, mut second) = (start(), start());
    assert_eq!(BTreeSet::from([name(&mut first), name(&mut second)]), names);
}

#[test]
fn an_agent_goes_on_at_another_broker_with_its_targets_and_results() {
    let [mut one, mut two] = [Mosquitto::new(""), Mosquitto::new("")];
    let folder = tempfile::tempdir().unwrap();
    let (_open, target) = open_port();
    let mut listener = Listener::of(&[&one, &two]);
    watch(&one, &target);
    watch(&two, &target);
    let agent = Agent::new(&[&one.url(), &two.url()], folder.path(), "--agent paris");
    listener.result();
    // Which one it goes to first is chance.
    let first = listener.link;
    if first == LinkIndex(0) { &mut one } else { &mut two }.kill();
    while listener.result().topic != format!("ping/{target}") || listener.link == first {}
    assert_eq!(agent.end(Signal::TERM), Some(0));
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    for (broker, line, told) in [
        ("zmq+tcp://127.0.0.1:5555", "a.example", "publishes over MQTT only"),
        ("mqtt://127.0.0.1", "--interval 100ms a.example", "--interval 100ms: at least 200ms"),
        ("mqtt://127.0.0.1", "--interval 200ms --once", "--once needs targets"),
        ("mqtt://127.0.0.1", "--ca does-not-exist.pem a.example", "--ca does-not-exist.pem"),
    ] {
        let mut agent = Agent::new(&[broker], folder.path(), line);
        agent.line_with(told);
        assert_eq!(agent.child.wait().unwrap().code(), Some(2), "{line}");
    }
}

/// An agent in namespaces of its own, in which its user may do what `permit` does and has no privilege then; without a broker.
fn confined(folder: &Path, permit: &str, targets: &str) -> Agent {
    // What is sent to these networks goes round within the host, and nobody answers.
    let roads = "ip link set lo up && ip route add 192.0.2.0/24 dev lo && ip -6 route add 2001:db8::/32 dev lo";
    let agent = format!(
        "exec setpriv --bounding-set -net_raw --inh-caps -net_raw {} ping --to mqtt://127.0.0.1:1 --once --probes 2 \
         --interval 200ms --pause 1s --drain 1ms {targets}",
        env!("CARGO_BIN_EXE_lastbeat-publisher")
    );
    // These tests need user namespaces, which some systems keep from all but root.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", &format!("{roads} && {permit} && {agent}")]);
    command.env("LASTBEAT_SPOOL", folder).env_remove("LASTBEAT_LOG");
    Agent::of(command)
}

#[test]
fn what_icmp_needs_is_said_where_it_is_not_permitted_and_the_rest_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = confined(folder.path(), "true", "127.0.0.1 127.0.0.1:1");
    let lines = [agent.line_with("INFO 127.0.0.1"), agent.line_with("INFO 127.0.0.1")].concat();
    let told =
        "127.0.0.1: not measured: ICMP is not permitted: as root, `sysctl net.ipv4.ping_group_range=\"0 2147483647\"`";
    assert!(lines.contains(told), "{lines}");
    assert!(lines.contains("127.0.0.1:1: 100 % of 2 lost: Connection refused"), "{lines}");
    assert_eq!(agent.end(Signal::TERM), Some(0));
}

#[test]
fn where_it_is_permitted_no_privilege_is_needed_and_who_never_answers_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let permit = "echo 0 0 > /proc/sys/net/ipv4/ping_group_range";
    let mut agent = confined(folder.path(), permit, "127.0.0.1 ::1 192.0.2.9 2001:db8::9 192.0.2.9:80");
    let lines: Vec<_> = (0..5).map(|_| agent.line_with(" % of 2 lost")).collect();
    let of = |target: &str| lines.iter().find(|line| line.contains(&format!(" {target}: "))).unwrap();
    assert!(of("127.0.0.1").contains(" 0 % of") && of("::1").contains(" 0 % of"), "{lines:?}");
    for silent in ["192.0.2.9", "2001:db8::9", "192.0.2.9:80"] {
        assert!(of(silent).contains(": 100 % of 2 lost: no answer within 2s"), "{lines:?}");
    }
    assert_eq!(agent.end(Signal::TERM), Some(0));
}
