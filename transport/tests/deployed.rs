//! `deploy/mosquitto` as it is, in a real Mosquitto: each publisher writes under its own name alone.

#[path = "conformance/certificates.rs"]
mod certificates;
#[path = "conformance/listener.rs"]
mod listener;
#[path = "conformance/mosquitto.rs"]
mod mosquitto;

use std::{fs, path::Path, process::Command};

use certificates::{Authority, shown};
use lastbeat_transport::{Outbound, PublishOptions, publish};
use listener::{KEEPALIVE, Listener, endpoint, send};
use mosquitto::Mosquitto;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/mosquitto");

/// Started with its files in a folder of its own, and a password for each user that is its name.
fn deployed(ours: &Authority) -> Mosquitto {
    let server = ours.sign("server", "DNS:localhost");
    let mut mosquitto = Mosquitto::configured(|folder, port| {
        let text = fs::read_to_string(format!("{DEPLOY}/mosquitto.conf")).unwrap();
        let text = text.replace("listener 8883", &format!("listener {port} 127.0.0.1"));
        let folder = format!("{}/", folder.display());
        format!(
            "user root\n{}",
            text.replace("/etc/mosquitto/lastbeat/", &folder).replace("/var/lib/mosquitto/", &folder)
        )
    });
    let copy = |from: &Path, name: &str| fs::copy(from, mosquitto.folder().join(name)).unwrap();
    copy(&server.certificate, "server.pem");
    copy(&server.key, "server.key");
    copy(Path::new(&format!("{DEPLOY}/acl")), "acl");
    let passwords = mosquitto.folder().join("passwords");
    fs::write(&passwords, "").unwrap();
    for user in ["watch", "targets", "a", "b"] {
        let made = Command::new("mosquitto_passwd").arg("-b").arg(&passwords).args([user, user]).status();
        assert!(made.expect("this test needs mosquitto_passwd: install Debian's package mosquitto").success());
    }
    mosquitto.start();
    mosquitto
}

fn url(mosquitto: &Mosquitto, user: &str, ours: &Authority) -> String {
    format!("mqtts://{user}:{user}@localhost:{}?ca={}", mosquitto.port(), shown(&ours.certificate()))
}

fn publisher(url: &str, client: &str, will: &str) -> Box<dyn Outbound> {
    let options = PublishOptions {
        client: client.to_owned(),
        keepalive: KEEPALIVE,
        will: Some((will.to_owned(), b"will".to_vec())),
        ..PublishOptions::default()
    };
    publish(&endpoint(url), options).unwrap()
}

/// What a client of somebody else's does; Mosquitto may throw it out for it.
fn forge(mosquitto: &Mosquitto, user: &str, topic: &str, ours: &Authority) {
    let done = Command::new("mosquitto_pub")
        .args(["-h", "localhost", "-p", &mosquitto.port().to_string(), "-u", user, "-P", user, "-q", "1"])
        .args(["--cafile", &shown(&ours.certificate()), "-t", topic, "-m", "forged"])
        .output();
    done.expect("this test needs mosquitto_pub: install Debian's package mosquitto-clients");
}

#[test]
fn a_publisher_does_not_speak_for_another_nor_the_subscriber_for_any() {
    let ours = Authority::new();
    let mosquitto = deployed(&ours);
    let mut watch = Listener::new(&url(&mosquitto, "watch", &ours), "watch", &[]);
    watch.wait_for_up();
    for topic in ["sensor/b", "bye/b", "rip/b", "sensor/ab", "other/a", "sensor/b/a", "beat/b"] {
        forge(&mosquitto, "a", topic, &ours);
    }
    for topic in ["sensor/a", "beat/b", "rip/a"] {
        forge(&mosquitto, "watch", topic, &ours);
    }
    let mut a = publisher(&url(&mosquitto, "a", &ours), "a", "rip/a");
    for topic in ["sensor/a", "sensor/a/oven", "beat/a", "start/a", "fail/a", "bye/a", "rip/a", "beat/a/x/y"] {
        send(&mut *a, topic, b"own");
        let message = watch.message();
        assert_eq!((message.topic.as_str(), message.payload.as_slice()), (topic, &b"own"[..]));
    }
}

#[test]
fn an_agent_speaks_under_its_own_name_alone_and_reads_what_to_measure_and_only_who_may_says_so() {
    let ours = Authority::new();
    let mosquitto = deployed(&ours);
    let mut watch = Listener::new(&url(&mosquitto, "watch", &ours), "watch", &["ping/", "beat/", "rip/"]);
    watch.wait_for_up();
    let mut listens = Listener::new(&url(&mosquitto, "b", &ours), "agent", &["watch"]);
    listens.wait_for_up();
    for topic in ["ping/x.example/b", "ping/x.example", "beat/agent/b", "rip/agent/b", "watch"] {
        forge(&mosquitto, "a", topic, &ours);
    }
    forge(&mosquitto, "watch", "watch", &ours);
    forge(&mosquitto, "targets", "ping/x.example/targets/x", &ours);
    let mut a = publisher(&url(&mosquitto, "a", &ours), "a", "rip/agent/a");
    for topic in ["ping/x.example/a", "ping/https:%2F%2Fx.example%2F/a", "beat/agent/a", "rip/agent/a"] {
        send(&mut *a, topic, b"own");
        assert_eq!(watch.message().topic, topic);
    }
    let mut targets = publisher(&url(&mosquitto, "targets", &ours), "targets", "rip/targets");
    send(&mut *targets, "watch", b"x.example");
    let told = listens.message();
    assert_eq!((told.topic.as_str(), told.payload.as_slice()), ("watch", &b"x.example"[..]));
}

#[test]
fn a_will_is_held_to_the_same() {
    let ours = Authority::new();
    let mosquitto = deployed(&ours);
    let mut watch = Listener::new(&url(&mosquitto, "watch", &ours), "watch", &[]);
    watch.wait_for_up();
    let a = url(&mosquitto, "a", &ours);
    let mut vanish = |will: &str| {
        let mut first = publisher(&a, "twice", will);
        send(&mut *first, "beat/a", b"");
        assert_eq!(watch.message().topic, "beat/a");
        // A second client of the same name throws the first one out, as a lost connection would.
        let mut second = publisher(&a, "twice", "rip/a/second");
        send(&mut *second, "beat/a/second", b"");
        let heard = [watch.message().topic];
        (heard, first, second)
    };
    let (heard, ..) = vanish("rip/b");
    assert_eq!(heard, ["beat/a/second"], "no will in b's name");
}
