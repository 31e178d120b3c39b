//! What only MQTT does, against a real Mosquitto: receipts, redelivery, retained messages, wills, passwords, freezing.

#[path = "conformance/listener.rs"]
mod listener;
#[path = "conformance/mosquitto.rs"]
mod mosquitto;

use std::{collections::BTreeSet, fs, process::Command, thread, time::Duration};

use lastbeat_transport::{
    Arrival, Incoming, LinkIndex, Outbound, PublishOptions, Session, SubscribeOptions, TransportError, publish,
    subscribe,
};
use listener::{KEEPALIVE, Listener, PATIENCE, endpoint, send};
use mosquitto::{Mosquitto, mosquitto_pub};
use rustix::process::Signal;
use tokio::sync::mpsc::{self, Receiver};

fn publisher(url: &str, client: &str) -> Box<dyn Outbound> {
    let options = PublishOptions { client: client.to_owned(), keepalive: KEEPALIVE, ..PublishOptions::default() };
    publish(&endpoint(url), options).unwrap()
}

fn next_batch(receiver: &mut Receiver<Incoming>) -> lastbeat_transport::Batch {
    loop {
        if let Arrival::Batch(batch) = receiver.blocking_recv().expect("the transport has ended").arrival {
            return batch;
        }
    }
}

#[test]
fn a_message_whose_receipt_is_dropped_comes_again() {
    let mosquitto = Mosquitto::new("");
    let (incoming, mut receiver) = mpsc::channel(64);
    // The shorter the keepalive, the sooner the broker gives up a client that does not acknowledge.
    let options = SubscribeOptions { keepalive: Duration::from_secs(1), ..SubscribeOptions::default() };
    let subscription = subscribe(&endpoint(&mosquitto.url()), options, LinkIndex(0), incoming).unwrap();
    assert!(matches!(receiver.blocking_recv().unwrap().arrival, Arrival::Up));
    mosquitto_pub(&mosquitto, &["-t", "sensor/1", "-m", "kept"]);
    let batch = next_batch(&mut receiver);
    batch.receipt.expect("MQTT acknowledges").give();
    mosquitto_pub(&mosquitto, &["-t", "sensor/1", "-m", "not kept"]);
    drop(next_batch(&mut receiver));
    assert!(
        matches!(receiver.blocking_recv().unwrap().arrival, Arrival::Down { .. }),
        "and the link is said to be down"
    );
    let again = next_batch(&mut receiver);
    assert_eq!(again.iter().next().unwrap().payload, b"not kept");
    again.receipt.unwrap().give();
    subscription.stop();
}

#[test]
fn what_comes_while_the_subscriber_is_away_is_kept_for_it() {
    let mosquitto = Mosquitto::new("");
    let mut listener = Listener::new(&mosquitto.url(), "away", &[]);
    listener.wait_for_up();
    drop(listener);
    let mut publisher = publisher(&mosquitto.url(), "kept");
    for number in 0..100 {
        send(&mut *publisher, "sensor/kept", number.to_string().as_bytes());
    }
    assert_eq!(publisher.close(PATIENCE).0, 0);
    let mut listener = Listener::new(&mosquitto.url(), "away", &[]);
    for number in 0..100 {
        assert_eq!(listener.payload(), number.to_string());
    }
}

#[test]
fn a_clean_session_is_sent_nothing_that_came_before_it() {
    let mosquitto = Mosquitto::new("");
    let fleeting = || {
        let options =
            SubscribeOptions { client: "fleeting".to_owned(), keepalive: KEEPALIVE, ..SubscribeOptions::default() };
        let mut listener = Listener::with(&mosquitto.url(), SubscribeOptions { session: Session::Clean, ..options });
        listener.wait_for_up();
        listener
    };
    drop(fleeting());
    mosquitto_pub(&mosquitto, &["-t", "sensor/1", "-m", "while it was away"]);
    let mut listener = fleeting();
    mosquitto_pub(&mosquitto, &["-t", "sensor/1", "-m", "now"]);
    assert_eq!(listener.payload(), "now");
}

/// Enough that some are under way whenever the broker goes.
const MESSAGES: u32 = 3_000;

#[test]
fn nothing_taken_is_lost_while_the_broker_restarts() {
    let mut mosquitto = Mosquitto::new("");
    let mut listener = Listener::new(&mosquitto.url(), "lossless", &[]);
    listener.wait_for_up();
    let mut publisher = publisher(&mosquitto.url(), "lossless");
    let sender = thread::spawn(move || {
        for number in 0..MESSAGES {
            send(&mut *publisher, "sensor/lossless", number.to_string().as_bytes());
        }
        publisher.close(PATIENCE)
    });
    let mut missing: BTreeSet<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    while !missing.is_empty() {
        let is_new = missing.remove(&listener.payload());
        // In the middle of the stream, wherever that is; not again for what then comes twice.
        if is_new && missing.len() == 2_000 {
            mosquitto.terminate();
            mosquitto.start();
        }
    }
    assert_eq!(sender.join().unwrap().0, 0);
}

#[test]
fn a_retained_message_is_marked_as_such() {
    let mosquitto = Mosquitto::new("");
    mosquitto_pub(&mosquitto, &["-r", "-t", "sensor/old", "-m", "21"]);
    let mut listener = Listener::new(&mosquitto.url(), "retained", &[]);
    let message = listener.message();
    assert_eq!((message.topic.as_str(), message.retained), ("sensor/old", true));
    mosquitto_pub(&mosquitto, &["-r", "-t", "sensor/old", "-m", "22"]);
    assert!(!listener.message().retained, "what is sent now is no history, whatever becomes of it");
}

#[test]
fn the_will_of_a_publisher_that_vanishes_is_delivered_and_that_of_one_that_leaves_is_not() {
    let mosquitto = Mosquitto::new("");
    let mut listener = Listener::new(&mosquitto.url(), "will", &["rip/", "bye/"]);
    listener.wait_for_up();
    let with_will = |client: &str| {
        let options = PublishOptions {
            client: client.to_owned(),
            keepalive: KEEPALIVE,
            will: Some((format!("rip/{client}"), b"will".to_vec())),
            ..PublishOptions::default()
        };
        let mut publisher = publish(&endpoint(&mosquitto.url()), options).unwrap();
        send(&mut *publisher, &format!("bye/{client}"), b"");
        publisher
    };
    assert_eq!(with_will("leaves").close(PATIENCE).0, 0);
    assert_eq!(listener.message().topic, "bye/leaves");
    let first = with_will("vanishes");
    assert_eq!(listener.message().topic, "bye/vanishes");
    // A second client of the same name throws the first one out, as a lost connection would.
    let second = with_will("vanishes");
    assert_eq!(listener.message().topic, "rip/vanishes");
    drop((first, second));
}

#[test]
fn a_wrong_password_is_an_error_of_its_own_on_both_ends() {
    let mut mosquitto = Mosquitto::new("password_file {folder}/passwords");
    let passwords = mosquitto.folder().join("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["kim", "right"]).status();
    assert!(made.expect("this test needs mosquitto_passwd: install Debian's package mosquitto").success());
    assert!(fs::metadata(&passwords).unwrap().len() > 0);
    mosquitto.start();
    let url = |password: &str| format!("mqtt://kim:{password}@127.0.0.1:{}", mosquitto.port());
    let reason = Listener::new(&url("wrong"), "password", &[]).wait_for_down();
    assert!(reason.contains("return code 5") && !reason.contains("wrong"), "{reason}");
    let mut refused = publisher(&url("wrong"), "password-wrong");
    let error = loop {
        assert!(refused.wait_ready("sensor/1", PATIENCE));
        if let Err(error) = refused.try_send("sensor/1", b"") {
            break error;
        }
    };
    assert!(matches!(error, TransportError::Refused { .. }), "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    let mut listener = Listener::new(&url("right"), "password", &[]);
    listener.wait_for_up();
    send(&mut *publisher(&url("right"), "password-right"), "sensor/1", b"in");
    assert_eq!(listener.payload(), "in");
}

#[test]
fn who_is_to_be_heard_but_once_in_an_age_has_a_link_like_any_other() {
    let mosquitto = Mosquitto::new("");
    let options = SubscribeOptions { keepalive: Duration::MAX, ..SubscribeOptions::default() };
    let mut listener = Listener::with(&mosquitto.url(), options);
    listener.wait_for_up();
    let options = PublishOptions { keepalive: Duration::MAX, ..PublishOptions::default() };
    let mut publisher = publish(&endpoint(&mosquitto.url()), options).unwrap();
    send(&mut *publisher, "sensor/1", b"there");
    assert_eq!(listener.payload(), "there");
}

#[test]
fn a_broker_that_freezes_is_noticed() {
    let mosquitto = Mosquitto::new("");
    let mut listener = Listener::new(&mosquitto.url(), "frozen", &[]);
    listener.wait_for_up();
    mosquitto.signal(Signal::STOP);
    let reason = listener.wait_for_down();
    assert!(reason.contains("did not answer"), "{reason}");
    mosquitto.signal(Signal::CONT);
    listener.wait_for_up();
}

#[test]
fn tls_works_with_the_right_authority_only() {
    let mut mosquitto =
        Mosquitto::new("cafile {folder}/cert.pem\ncertfile {folder}/cert.pem\nkeyfile {folder}/key.pem");
    let (certificate, key) = (mosquitto.folder().join("cert.pem"), mosquitto.folder().join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("this test needs openssl: install Debian's package openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    mosquitto.start();
    let url = |host: &str| format!("mqtts://{host}:{}?ca={}", mosquitto.port(), certificate.display());
    let mut listener = Listener::new(&url("localhost"), "tls", &[]);
    listener.wait_for_up();
    send(&mut *publisher(&url("localhost"), "tls"), "sensor/tls", b"secret");
    assert_eq!(listener.payload(), "secret");
    // The certificate is not for this name, and the system's authorities do not know it.
    assert!(!Listener::new(&url("127.0.0.1"), "tls-name", &[]).wait_for_down().is_empty());
    let unknown = format!("mqtts://localhost:{}", mosquitto.port());
    assert!(!Listener::new(&unknown, "tls-authority", &[]).wait_for_down().is_empty());
}
