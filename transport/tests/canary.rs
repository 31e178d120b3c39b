//! A broker that takes connections and passes nothing on is found out by a message that the subscriber sends itself.

#[path = "conformance/listener.rs"]
mod listener;
#[path = "conformance/mosquitto.rs"]
mod mosquitto;

use std::{fs, thread, time::Duration};

use lastbeat_transport::{PublishOptions, SubscribeOptions, publish};
use listener::{Listener, PATIENCE, endpoint, send};
use mosquitto::Mosquitto;
use rustix::process::Signal;

const KEEPALIVE: Duration = Duration::from_millis(300);
const ALL: &str = "topic readwrite #\n";

fn broker(acl: &str) -> Mosquitto {
    let mut mosquitto = Mosquitto::new("acl_file {folder}/acl");
    fs::write(mosquitto.folder().join("acl"), acl).unwrap();
    mosquitto.start();
    mosquitto
}

fn permit(mosquitto: &Mosquitto, acl: &str) {
    fs::write(mosquitto.folder().join("acl"), acl).unwrap();
    mosquitto.signal(Signal::HUP);
}

fn listen(mosquitto: &Mosquitto) -> Listener {
    let options = SubscribeOptions {
        client: "watch".to_owned(),
        keepalive: KEEPALIVE,
        canary: true,
        ..SubscribeOptions::default()
    };
    let mut listener = Listener::with(&mosquitto.url(), options);
    listener.wait_for_up();
    listener
}

#[test]
fn a_broker_that_passes_nothing_on_any_more_is_a_link_that_is_down_until_it_does() {
    let mosquitto = broker(ALL);
    let mut listener = listen(&mosquitto);
    assert!(listener.round_trip() < PATIENCE);
    // Everything is taken, and given to nobody.
    permit(&mosquitto, "topic write #\n");
    let reason = listener.wait_for_down();
    assert!(reason.starts_with(&mosquitto.url()) && reason.contains("passes nothing on"), "{reason}");
    permit(&mosquitto, ALL);
    listener.wait_for_up();
    assert!(listener.round_trip() < PATIENCE);
}

#[test]
fn who_may_not_write_it_is_thrown_out_twice_at_the_start_and_then_hears_all() {
    let mosquitto = broker("topic read #\ntopic write beat/#\n");
    let mut listener = listen(&mosquitto);
    let options = PublishOptions { client: "a".to_owned(), keepalive: KEEPALIVE, ..PublishOptions::default() };
    let mut publisher = publish(&endpoint(&mosquitto.url()), options).unwrap();
    let mut hear = |number: u32| {
        let text = number.to_string();
        send(&mut *publisher, "beat/a", text.as_bytes());
        // What came as it was thrown out is delivered again.
        while listener.payload() != text {}
        listener.downs()
    };
    let mut number = 0;
    while hear(number) < 2 {
        number += 1;
        thread::park_timeout(KEEPALIVE);
    }
    for further in 1..10 {
        thread::park_timeout(KEEPALIVE);
        assert_eq!(hear(number + further), 2);
    }
}
