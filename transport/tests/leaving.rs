//! Who leaves while what it sent fills our queue. libzmq 4.3.4 ends the whole program when its heartbeat is due then.

#[path = "conformance/listener.rs"]
mod listener;

use std::{
    fs,
    io::Read,
    os::unix::net::{UnixListener, UnixStream},
    time::Duration,
};

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

/// Whether what comes next from this publisher is heard.
fn hears(mut publisher: Box<dyn Outbound>, mut held: mpsc::Receiver<Incoming>) -> bool {
    let heard = std::thread::spawn(move || {
        while let Some(message) = held.blocking_recv() {
            if let Arrival::Batch(batch) = message.arrival
                && batch.iter().any(|delivery| delivery.topic == b"beat/next")
            {
                return true;
            }
        }
        false
    });
    send(&mut *publisher, "beat/next", b"1");
    heard.join().unwrap()
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
    assert!(hears(publisher(&bound), held));
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
    assert!(hears(publisher(&address), held));
    drop(subscription);
}
