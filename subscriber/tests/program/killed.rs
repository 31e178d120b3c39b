//! SIGKILL while messages come, again and again: what was acknowledged to the broker is stored, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use lastbeat_host::Own;
use lastbeat_wire::{Body, Header};

use crate::mosquitto::Mosquitto;
use crate::support::http::Api;
use crate::support::{PATIENCE, Publisher, Subscriber, count};

/// How often it is killed, unless `LASTBEAT_KILLS` says otherwise.
const KILLS: u32 = 6;
/// A kill comes after at most so many more messages: some while it still starts.
const MESSAGES: u64 = 600;

#[tokio::test]
async fn killed_under_load_it_has_stored_all_that_it_acknowledged_and_nothing_twice() {
    let kills = std::env::var("LASTBEAT_KILLS").map_or(KILLS, |text| text.parse().expect("LASTBEAT_KILLS: a number"));
    let broker = Mosquitto::new("");
    let dir = tempfile::tempdir().unwrap();
    let url = broker.url();
    let (subscriber, address) = Subscriber::serve(dir.path(), &["--from", &url, "--name", "killed"]);
    let api = Api::at(&address).await;
    // From here on the broker keeps for it what comes while it is away.
    api.events().await.wait_for(&api, "update", |update| update["links"][0]["up"] == true).await;

    let stop = Arc::new(AtomicBool::new(false));
    // Each message is told of, so that a kill can come after any of them; the publisher never runs far ahead.
    let (told, messages) = sync_channel::<()>(1);
    let stopped = Arc::clone(&stop);
    let to = url.clone();
    let publishing = std::thread::spawn(move || {
        let own = Own::read().unwrap();
        let header = Header { process: Some(own.process), host: Some(own.host_name.into()), ..Header::default() };
        let mut publisher = Publisher::connect(&to, "load", header);
        let mut sent = 0;
        while !stopped.load(Ordering::SeqCst) {
            publisher.reading(sent);
            sent += 1;
            // Nobody listens any more once it is told to stop.
            let _ = told.send(());
        }
        publisher.send(Body::Bye);
        publisher.close();
        sent
    });

    let mut subscriber = Some(subscriber);
    for kill in 0..kills {
        let after = rand::random_range(1..MESSAGES);
        for _ in 0..after {
            messages.recv_timeout(PATIENCE).expect("the publisher goes on");
        }
        println!("kill {kill}: {after} messages after the one before");
        subscriber.take().expect("it is there").kill();
        subscriber = Some(Subscriber::start(dir.path(), &url, &["--name", "killed"]));
    }
    stop.store(true, Ordering::SeqCst);
    drop(messages);
    let sent = publishing.join().unwrap();
    let subscriber = subscriber.expect("it is there");
    // The broker delivers in order: when the goodbye is there, so is all before it.
    while subscriber.flip()["to"] != "finished" {}
    assert_eq!(subscriber.stop().code(), Some(0));
    let stored = ["count(*)", "count(DISTINCT fields ->> 'value')"]
        .map(|what| count(dir.path(), &format!("SELECT {what} FROM sensor WHERE publisher = 'load'")));
    assert_eq!(stored, [sent, sent], "rows, and different ones, of all that was sent");
}
