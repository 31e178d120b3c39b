//! What the broker promises beyond passing messages on: exit codes, errors, draining, and no hostage to a stuck subscriber.

#[path = "../../transport/tests/conformance/listener.rs"]
mod listener;
mod support;

use std::{
    fs::{self, File},
    process::{Command, Output},
};

use lastbeat_transport::{Arrival, LinkIndex, PublishOptions, SubscribeOptions, publish, subscribe};
use lastbeat_wire::{BootId, Encoding, Header, HostId, Message, ProcessIdentity, Wanted, encode};
use listener::{KEEPALIVE, Listener, PATIENCE, endpoint, send};
use rustix::process::Signal;
use support::BrokerProcess;
use tokio::sync::mpsc;

const FREE: [&str; 4] = ["--publishers", "tcp://127.0.0.1:0", "--subscribers", "tcp://127.0.0.1:0"];

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lastbeat-broker")).args(arguments).env("NO_COLOR", "1").output().unwrap()
}

#[test]
fn help_teaches_and_bad_usage_is_exit_code_two() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for word in ["--publishers", "--high-water-mark", "Examples:", "Exit codes:"] {
        assert!(text.contains(word), "{word} is missing from: {text}");
    }
    let wrong = run(&["--subscribers", "127.0.0.1:5556"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("127.0.0.1:5556"));
}

#[test]
fn an_address_in_use_is_named_and_exit_code_one() {
    let first = BrokerProcess::start(&FREE);
    let second = run(&["--publishers", "tcp://127.0.0.1:0", "--subscribers", &first.subscribers[0]]);
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(error.contains(&format!("{}: can't bind: Address already in use", first.subscribers[0])), "{error}");
    assert!(!error.contains('\x1b'), "no colours when they are not wanted");
}

#[test]
fn listens_at_several_addresses_of_each_kind_and_tells_the_ports() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("ipc://{}/s.sock", folder.path().display());
    let broker =
        BrokerProcess::start(&[&FREE[..], &["--publishers", "tcp://[::1]:*", "--subscribers", &socket]].concat());
    assert_eq!((broker.publishers.len(), broker.subscribers.len()), (2, 2));
    assert!(broker.publishers[1].starts_with("tcp://[::1]:") && !broker.publishers[1].ends_with(":0"));
    let mut by_tcp = Listener::new(&format!("zmq+{}", broker.subscribers[0]), "tcp", &["sensor/"]);
    let mut by_ipc = Listener::new(&format!("zmq+{}", broker.subscribers[1]), "ipc", &["beat/"]);
    by_tcp.wait_for_up();
    by_ipc.wait_for_up();
    for (number, address) in broker.publishers.iter().enumerate() {
        let mut publisher = publish(&endpoint(&format!("zmq+{address}")), PublishOptions::default()).unwrap();
        send(&mut *publisher, &format!("sensor/{number}"), b"");
        send(&mut *publisher, &format!("beat/{number}"), b"");
        publisher.close(PATIENCE);
        assert_eq!(by_tcp.message().topic, format!("sensor/{number}"));
        assert_eq!(by_ipc.message().topic, format!("beat/{number}"));
    }
}

#[test]
fn a_signal_drains_and_ends_with_exit_code_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let broker = BrokerProcess::start(&FREE);
        let mut listener = Listener::new(&format!("zmq+{}", broker.subscribers[0]), "drain", &[]);
        listener.wait_for_up();
        let url = format!("zmq+{}", broker.publishers[0]);
        let mut publisher = publish(&endpoint(&url), PublishOptions::default()).unwrap();
        for number in 0..1_000 {
            send(&mut *publisher, "sensor/drain", number.to_string().as_bytes());
        }
        assert_eq!(listener.payload(), "0", "some of it is through");
        assert_eq!(publisher.close(PATIENCE).0, 0, "and all of it has left the publisher");
        // What is still in the publisher's kernel is not the broker's: the last one through says that the rest was.
        let heard: Vec<String> = (1..1_000).map(|_| listener.payload()).collect();
        assert_eq!(heard.last().unwrap(), "999");
        broker.signal(signal);
        assert_eq!(broker.wait().code(), Some(0));
        assert!(!listener.wait_for_down().is_empty());
    }
}

#[test]
fn a_stuck_subscriber_holds_nobody_up_for_good_and_is_counted() {
    const MESSAGES: u32 = 4_000;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let arguments = [&FREE[..], &["--high-water-mark", "1000", "--patience", "200ms"]].concat();
    let broker = BrokerProcess::start_with_log(&arguments, File::create(&log).unwrap());
    let url = format!("zmq+{}", broker.subscribers[0]);
    let (incoming, mut stuck) = mpsc::channel(1);
    let options = SubscribeOptions { high_water_mark: 10, keepalive: KEEPALIVE * 100, ..SubscribeOptions::default() };
    let subscription = subscribe(&endpoint(&url), options, LinkIndex(0), incoming).unwrap();
    assert!(matches!(stuck.blocking_recv().unwrap().arrival, Arrival::Up));
    let mut listener = Listener::new(&url, "well", &[]);
    listener.wait_for_up();
    let mut publisher =
        publish(&endpoint(&format!("zmq+{}", broker.publishers[0])), PublishOptions::default()).unwrap();
    // From here on the stuck one reads nothing more than its first batch.
    send(&mut *publisher, "sensor/0", b"");
    while !matches!(stuck.blocking_recv().unwrap().arrival, Arrival::Batch(_)) {}
    let sender = std::thread::spawn(move || {
        let payload = vec![0; 16 << 10];
        for number in 1..=MESSAGES {
            send(&mut *publisher, &format!("sensor/{number}"), &payload);
        }
        publisher.close(PATIENCE)
    });
    let mut last = 0;
    while last < MESSAGES {
        let number: u32 = listener.message().topic.strip_prefix("sensor/").unwrap().parse().unwrap();
        assert!(number == last + 1 || last == 0, "{number} after {last}");
        last = number;
    }
    assert_eq!(sender.join().unwrap().0, 0);
    drop(stuck);
    subscription.stop();
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("messages pass it by"), "{log}");
    assert!(!log.contains(" 0 dropped"), "{log}");
}

#[test]
fn a_frozen_broker_is_noticed_by_the_subscriber_before_long() {
    let broker = BrokerProcess::start(&FREE);
    let mut listener = Listener::new(&format!("zmq+{}", broker.subscribers[0]), "frozen", &[]);
    listener.wait_for_up();
    broker.signal(Signal::STOP);
    let reason = listener.wait_for_down();
    assert!(reason.contains("did not answer in time"), "{reason}");
    broker.signal(Signal::CONT);
    listener.wait_for_up();
}

#[test]
fn what_a_subscriber_lost_is_sent_again_and_what_is_no_request_goes_nowhere() {
    let process = ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4, start: 5 };
    let broker = BrokerProcess::start(&FREE);
    let [to, from] = [&broker.publishers[0], &broker.subscribers[0]].map(|address| format!("zmq+{address}"));
    let options = PublishOptions { client: "a".to_owned(), keepalive: KEEPALIVE, ..PublishOptions::default() };
    let mut publisher = publish(&endpoint(&to), options).unwrap();
    let mut first = Listener::new(&from, "first", &[]);
    first.wait_for_up();
    let payload = |sequence| {
        let header = Header { process: Some(process), sequence: Some(sequence), ..Header::default() };
        encode(&Message { header, ..Message::default() }, Encoding::Json)
    };
    for sequence in 10..20 {
        send(&mut *publisher, "beat/a", &payload(sequence));
        first.message();
    }
    let mut late = Listener::new(&from, "late", &[]);
    late.wait_for_up();
    let context = zmq::Context::new();
    let rude = context.socket(zmq::XSUB).unwrap();
    rude.connect(&broker.subscribers[0]).unwrap();
    rude.send("give me everything", 0).unwrap();
    rude.send(vec![b'{'; 1 << 20], 0).unwrap();
    let range = |from, to| Wanted::Range { publisher: "a".parse().unwrap(), process, from, to };
    assert!(late.asker().unwrap().ask(range(8, 22)));
    for sequence in 10..20 {
        let message = late.message();
        assert_eq!((&*message.topic, message.payload, message.resent), ("beat/a", payload(sequence), true));
    }
    // What it does not keep is asked of the publisher, in two parts.
    let mut asked = Vec::new();
    while asked.len() < 2 {
        publisher.wait_ready("nobody/listens", KEEPALIVE / 100);
        asked.extend(publisher.requests().into_iter().map(|request| request.wanted));
    }
    assert_eq!(asked, [range(8, 10), range(20, 22)]);
    assert!(late.asker().unwrap().ask(Wanted::Last));
    assert_eq!(late.message().payload, payload(19));
    assert!(first.message_now().is_none(), "answers are for who asked");
}
