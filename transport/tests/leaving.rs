//! A publisher that leaves while what it sent fills our queue.

#[path = "conformance/listener.rs"]
mod listener;

use std::{io::Read, os::unix::net::UnixStream, time::Duration};

use lastbeat_transport::{Arrival, Handed, LinkIndex, PublishOptions, SubscribeOptions, publish, subscribe};
use listener::{KEEPALIVE, PATIENCE, endpoint, send};
use tokio::sync::mpsc;

/// How long nothing may move before everything between two ends is full.
const FULL: Duration = Duration::from_millis(20);

/// libzmq 4.3.4 ended the whole program when its heartbeat was due then.
#[test]
fn who_leaves_a_full_queue_behind_ends_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaving.sock");
    let address = format!("zmq+ipc://{}", path.display());
    let (incoming, mut held) = mpsc::channel(1);
    let keepalive = Duration::from_millis(300);
    let options = SubscribeOptions { keepalive, high_water_mark: 10, ..SubscribeOptions::default() };
    let subscription = subscribe(&endpoint(&format!("{address}?bind")), options, LinkIndex(0), incoming).unwrap();
    let connect = || publish(&endpoint(&address), PublishOptions { keepalive: KEEPALIVE, ..PublishOptions::default() });
    let mut leaving = connect().unwrap();
    assert!(leaving.wait_ready("beat/leaving", PATIENCE));
    while leaving.try_send("beat/leaving", &[b'x'; 1_000]).unwrap() == Handed::Taken
        || leaving.wait_ready("beat/leaving", FULL)
    {}
    leaving.close(Duration::ZERO);
    // Each of these is shut out after one keepalive: meanwhile some heartbeats were due.
    for _ in 0..2 {
        let mut silent = UnixStream::connect(&path).unwrap();
        silent.read_to_end(&mut Vec::new()).unwrap();
    }
    let mut next = connect().unwrap();
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
    send(&mut *next, "beat/next", b"1");
    assert!(heard.join().unwrap());
    drop(subscription);
}
