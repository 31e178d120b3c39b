//! Who leaves while what it sent fills our queue. libzmq 4.3.4 ends the whole program when its heartbeat is due then.

#[path = "conformance/listener.rs"]
mod listener;

use std::{
    fs,
    io::Read,
    os::unix::net::{UnixListener, UnixStream},
    sync::mpsc::Receiver,
    time::Duration,
};

use lastbeat_transport::zeromq::Monitor;
use lastbeat_transport::{
    Arrival, Handed, Incoming, LinkIndex, Outbound, PublishOptions, SubscribeOptions, Subscription, publish, subscribe,
};
use listener::{KEEPALIVE, PATIENCE, endpoint, send};
use tokio::sync::mpsc;

/// How long nothing may move before everything between two ends is full.
const FULL: Duration = Duration::from_millis(20);

fn subscriber(url: &str) -> (Subscription, mpsc::Receiver<Incoming>) {
    let (incoming, held) = mpsc::channel(1);
    let keepalive = Duration::from_millis(300);
    let options = SubscribeOptions { keepalive, high_water_mark: 10, ..SubscribeOptions::default() };
    (subscribe(&endpoint(url), options, LinkIndex(0), incoming).unwrap(), held)
}

fn publisher(url: &str) -> Box<dyn Outbound> {
    publish(&endpoint(url), PublishOptions { keepalive: KEEPALIVE, ..PublishOptions::default() }).unwrap()
}

/// Fills whatever is between it and a subscriber that does not read, and goes.
fn leave_a_full_queue(mut publisher: Box<dyn Outbound>) {
    assert!(publisher.wait_ready("beat/leaving", PATIENCE));
    while publisher.try_send("beat/leaving", &[b'x'; 1_000]).unwrap() == Handed::Taken
        || publisher.wait_ready("beat/leaving", FULL)
    {}
    publisher.close(Duration::ZERO);
}

/// Reads what a subscriber hands over, from now on.
fn read(mut held: mpsc::Receiver<Incoming>) -> Receiver<Incoming> {
    let (sender, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Some(message) = held.blocking_recv()
            && sender.send(message).is_ok()
        {}
    });
    heard
}

/// How many messages with this topic the next thing holds.
fn next(heard: &Receiver<Incoming>, topic: &str) -> usize {
    match heard.recv_timeout(PATIENCE).expect("nothing more was heard").arrival {
        Arrival::Batch(batch) => batch.iter().filter(|delivery| delivery.topic == topic.as_bytes()).count(),
        _ => 0,
    }
}

/// What comes next from this publisher is heard.
fn hears(mut publisher: Box<dyn Outbound>, held: mpsc::Receiver<Incoming>) {
    let heard = read(held);
    send(&mut *publisher, "beat/next", b"1");
    while next(&heard, "beat/next") == 0 {}
}

#[test]
fn a_peer_that_we_went_to_and_that_leaves_a_full_queue_behind_ends_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaving.sock");
    let address = format!("zmq+ipc://{}", path.display());
    let bound = format!("{address}?bind");
    let leaving = publisher(&bound);
    let (subscription, held) = subscriber(&address);
    leave_a_full_queue(leaving);
    // Whoever comes here gives each of these up after one keepalive: meanwhile some heartbeats were due.
    fs::remove_file(&path).unwrap();
    let silent = UnixListener::bind(&path).unwrap();
    for _ in 0..2 {
        let (mut stream, _) = silent.accept().unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    drop(silent);
    fs::remove_file(&path).unwrap();
    hears(publisher(&bound), held);
    drop(subscription);
}

#[test]
fn a_publisher_that_came_to_us_and_leaves_a_full_queue_behind_ends_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaving.sock");
    let address = format!("zmq+ipc://{}", path.display());
    let (subscription, held) = subscriber(&format!("{address}?bind"));
    leave_a_full_queue(publisher(&address));
    // Each of these is shut out after one keepalive: meanwhile some heartbeats were due.
    for _ in 0..2 {
        let mut silent = UnixStream::connect(&path).unwrap();
        silent.read_to_end(&mut Vec::new()).unwrap();
    }
    hears(publisher(&address), held);
    drop(subscription);
}

/// Messages of one publisher.
const FEW: usize = 3;
const MANY: usize = 100;
/// The one that messages come by, and the pilot.
const BOTH_CONNECTIONS: usize = 2;

/// The events of both connections wait while the loop is busy: what they tell of the one who left is not of the one who came.
#[test]
fn whoever_comes_while_we_are_busy_is_heard_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("zmq+ipc://{}", folder.path().join("busy.sock").display());
    let bound = format!("{address}?bind");
    let mut leaving = publisher(&bound);
    // Nobody reads what it holds: with the link's being up it is full.
    let (subscription, held) = subscriber(&address);
    for _ in 0..FEW {
        send(&mut *leaving, "beat/leaving", b"1");
    }
    leaving.close(PATIENCE);
    let millis = i32::try_from(PATIENCE.as_millis()).unwrap();
    let context = zmq::Context::new();
    let coming = context.socket(zmq::XPUB).unwrap();
    let mut monitor = Monitor::new(&context, &coming, "coming").unwrap();
    coming.bind(address.strip_prefix("zmq+").unwrap()).unwrap();
    while monitor.joined() < BOTH_CONNECTIONS {
        let mut waited_for = [monitor.socket().as_poll_item(zmq::POLLIN)];
        assert_eq!(zmq::poll(&mut waited_for, millis.into()), Ok(1), "nobody more came");
        monitor.next_event();
    }
    let heard = read(held);
    // It is asked for all there is.
    coming.set_rcvtimeo(millis).unwrap();
    assert_eq!(coming.recv_bytes(0).unwrap().first(), Some(&1));
    for _ in 0..MANY {
        coming.send_multipart(["beat/next", "1"], 0).unwrap();
    }
    let mut came = 0;
    while came < MANY {
        came += next(&heard, "beat/next");
    }
    drop((coming, subscription));
}
