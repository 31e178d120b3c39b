//! The broker with keys: who comes in, who is told why not, and that no key speaks for another's publisher.

#[path = "../../transport/tests/conformance/listener.rs"]
mod listener;
mod support;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lastbeat_transport::{Outbound, PublishOptions, publish, zeromq::KeyPair};
use listener::{KEEPALIVE, Listener, PATIENCE, endpoint, send};
use rustix::process::Signal;
use support::BrokerProcess;

const FREE: [&str; 4] = ["--publishers", "tcp://127.0.0.1:0", "--subscribers", "tcp://127.0.0.1:0"];

/// A folder with key files, and an allow-list of some of them.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new(names: &[&str]) -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        for name in names {
            KeyPair::generate().unwrap().write(&keys.file(name)).unwrap();
        }
        keys
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Each entry: a key's name, and its rights.
    fn allow(&self, entries: &[(&str, &str)]) -> String {
        let entry = |(name, rights): &(&str, &str)| {
            let key = KeyPair::read(&self.file(name)).unwrap().public();
            format!("[{name}]\nkey = \"{key}\"\n{rights}\n")
        };
        fs::write(self.file("allow.toml"), entries.iter().map(entry).collect::<String>()).unwrap();
        self.path("allow.toml")
    }

    /// The URL of somebody who has the key `own` and takes the broker's to be `server`.
    fn url(&self, address: &str, own: Option<&str>, server: Option<&str>) -> String {
        let option = |name: &str, key: &str| format!("{name}={}", self.path(key));
        let server = server.map(|server| option("server", &format!("{server}.pub")));
        let options: Vec<_> = own.map(|own| option("key", own)).into_iter().chain(server).collect();
        format!("zmq+{address}{}{}", if options.is_empty() { "" } else { "?" }, options.join("&"))
    }
}

fn publisher(url: &str) -> Box<dyn Outbound> {
    publish(&endpoint(url), PublishOptions { keepalive: KEEPALIVE, ..PublishOptions::default() }).unwrap()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lastbeat-broker")).args(arguments).env("NO_COLOR", "1").output().unwrap()
}

/// Waits for a line of the log.
fn wait_for_line(log: &Path, said: &str) {
    while !fs::read_to_string(log).unwrap().contains(said) {
        std::thread::yield_now();
    }
}

#[test]
fn keygen_writes_a_pair_that_its_owner_alone_may_read_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.key");
    let path = path.to_str().unwrap();
    let made = run(&["keygen", "--out", path]);
    assert_eq!(made.status.code(), Some(0));
    let printed = String::from_utf8(made.stdout).unwrap();
    let secret = fs::read_to_string(path).unwrap();
    assert!(secret.contains(printed.trim()) && printed.trim().len() == 40, "{printed}");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let public = fs::read_to_string(format!("{path}.pub")).unwrap();
    assert!(public.contains(printed.trim()) && !public.contains("secret"), "{public}");
    let again = run(&["keygen", "--out", path]);
    assert_eq!(again.status.code(), Some(1));
    let error = String::from_utf8(again.stderr).unwrap();
    assert!(error.contains("broker.key") && error.contains("exists"), "{error}");
    assert_eq!(fs::read_to_string(path).unwrap(), secret);
}

#[test]
fn a_key_or_a_list_that_is_not_as_it_should_be_ends_it_and_is_named() {
    let keys = Keys::new(&["broker"]);
    fs::write(keys.file("bad.toml"), "[kim]\nkey = 'nothing'\n").unwrap();
    for (arguments, said) in [
        (vec!["--key".to_owned(), keys.path("none")], "none: No such file"),
        (vec!["--key".to_owned(), keys.path("broker.pub")], "has no secret key"),
        (
            vec!["--key".to_owned(), keys.path("broker"), "--allow".to_owned(), keys.path("bad.toml")],
            "bad.toml: [\"kim\"]",
        ),
        (vec!["--allow".to_owned(), keys.path("bad.toml")], "LASTBEAT_KEY: is not set"),
    ] {
        let arguments: Vec<_> = FREE.iter().copied().chain(arguments.iter().map(String::as_str)).collect();
        let output = run(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains(said), "{said}: {error}");
    }
}

#[test]
fn who_comes_in_and_what_the_others_are_told() {
    let keys = Keys::new(&["broker", "watch", "kitchen", "stranger"]);
    let allow = keys.allow(&[("watch", "subscribe = true"), ("kitchen", "publish = ['kitchen']")]);
    let key = keys.path("broker");
    let plain = BrokerProcess::start(&FREE);
    let keyed = BrokerProcess::start(&[&FREE[..], &["--key", &key]].concat());
    let listed = BrokerProcess::start(&[&FREE[..], &["--key", &key, "--allow", &allow]].concat());
    for (broker, own, server, reason) in [
        (&plain, None, None, None),
        (&plain, Some("watch"), Some("broker"), Some("without keys")),
        (&keyed, None, None, Some("wants a key")),
        (&keyed, None, Some("broker"), None),
        (&keyed, Some("stranger"), Some("broker"), None),
        (&keyed, Some("watch"), Some("stranger"), Some("has another key than server= says")),
        (&listed, None, None, Some("wants a key")),
        (&listed, Some("watch"), Some("broker"), None),
        (&listed, None, Some("broker"), Some("refuses our key")),
        (&listed, Some("stranger"), Some("broker"), Some("refuses our key")),
        (&listed, Some("kitchen"), Some("broker"), Some("refuses our key")),
        (&listed, Some("watch"), Some("stranger"), Some("has another key than server= says")),
    ] {
        let url = keys.url(&broker.subscribers[0], own, server);
        let mut listener = Listener::new(&url, "watch", &[]);
        match reason {
            None => listener.wait_for_up(),
            Some(said) => {
                let reason = listener.wait_for_down();
                assert!(reason.contains(said), "{own:?} {server:?}: {reason}");
            }
        }
    }
}

#[test]
fn all_that_a_key_lets_through_comes_complete_and_in_order() {
    let keys = Keys::new(&["broker", "watch", "kitchen"]);
    let allow = keys.allow(&[("watch", "subscribe = true"), ("kitchen", "publish = ['*']")]);
    let broker = BrokerProcess::start(&[&FREE[..], &["--key", &keys.path("broker"), "--allow", &allow]].concat());
    let mut listener = Listener::new(&keys.url(&broker.subscribers[0], Some("watch"), Some("broker")), "watch", &[]);
    listener.wait_for_up();
    let mut publisher = publisher(&keys.url(&broker.publishers[0], Some("kitchen"), Some("broker")));
    for number in 0..2_000 {
        send(&mut *publisher, "sensor/anybody", number.to_string().as_bytes());
    }
    for number in 0..2_000 {
        assert_eq!(listener.payload(), number.to_string());
    }
}

#[test]
fn a_key_for_one_publisher_does_not_speak_for_another() {
    let keys = Keys::new(&["broker", "watch", "a", "site"]);
    let allow =
        keys.allow(&[("watch", "subscribe = true"), ("a", "publish = ['a']"), ("site", "publish = ['site/*', 'b']")]);
    let log = keys.file("log");
    let key = keys.path("broker");
    let arguments = [&FREE[..], &["--key", &key, "--allow", &allow]].concat();
    let broker = BrokerProcess::start_with_log(&arguments, File::create(&log).unwrap());
    let mut listener = Listener::new(&keys.url(&broker.subscribers[0], Some("watch"), Some("broker")), "watch", &[]);
    listener.wait_for_up();
    let mut a = publisher(&keys.url(&broker.publishers[0], Some("a"), Some("broker")));
    let mut site = publisher(&keys.url(&broker.publishers[0], Some("site"), Some("broker")));
    for topic in ["sensor/a", "sensor/b", "bye/b", "beat/site/x", "rip/a"] {
        send(&mut *a, topic, b"a's");
    }
    let mut heard = vec![listener.message().topic, listener.message().topic];
    for topic in ["sensor/a", "sensor/site/x", "sensor/site", "sensor/b"] {
        send(&mut *site, topic, b"site's");
    }
    heard.extend([listener.message().topic, listener.message().topic]);
    assert_eq!(heard, ["sensor/a", "rip/a", "sensor/site/x", "sensor/b"]);
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("the key \"a\" may not speak for \"b\": dropped (1 so far)"), "{log}");
    assert!(log.contains(" 5 forbidden"), "{log}");
}

#[test]
fn a_list_that_is_read_again_lets_in_and_shuts_out_and_a_wrong_one_changes_nothing() {
    let keys = Keys::new(&["broker", "watch", "late"]);
    let watch = ("watch", "subscribe = true");
    let allow = keys.allow(&[watch]);
    let log = keys.file("log");
    let key = keys.path("broker");
    let arguments = [&FREE[..], &["--key", &key, "--allow", &allow]].concat();
    let broker = BrokerProcess::start_with_log(&arguments, File::create(&log).unwrap());
    let mut listener = Listener::new(&keys.url(&broker.subscribers[0], Some("watch"), Some("broker")), "watch", &[]);
    listener.wait_for_up();
    let mut late = publisher(&keys.url(&broker.publishers[0], Some("late"), Some("broker")));
    wait_for_line(&log, "is not on the list");

    fs::write(keys.file("allow.toml"), "nonsense").unwrap();
    broker.signal(Signal::HUP);
    wait_for_line(&log, "the allow-list stays as it was");

    keys.allow(&[watch, ("late", "publish = ['late', 'other']")]);
    broker.signal(Signal::HUP);
    wait_for_line(&log, "was read again, 2 keys");
    // It has gone on knocking.
    send(&mut *late, "sensor/other", b"in");
    assert_eq!(listener.payload(), "in");

    keys.allow(&[watch, ("late", "publish = ['late']")]);
    broker.signal(Signal::HUP);
    while fs::read_to_string(&log).unwrap().matches("was read again").count() < 2 {
        std::thread::yield_now();
    }
    send(&mut *late, "sensor/other", b"no longer");
    send(&mut *late, "sensor/late", b"still");
    assert_eq!(listener.payload(), "still");
    assert!(late.close(PATIENCE).0 == 0);
}

#[test]
fn the_key_may_come_from_the_environment() {
    let keys = Keys::new(&["broker"]);
    let allow = keys.allow(&[("broker", "subscribe = true")]);
    let text = fs::read_to_string(keys.file("broker")).unwrap();
    let broker = BrokerProcess::start_with(&[&FREE[..], &["--allow", &allow]].concat(), &[("LASTBEAT_KEY", &text)]);
    let mut listener = Listener::new(&keys.url(&broker.subscribers[0], Some("broker"), Some("broker")), "self", &[]);
    listener.wait_for_up();
}
