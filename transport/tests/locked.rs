//! ZeroMQ links without a broker, locked with keys, and strangers that knock at bound ones.

#[path = "conformance/bodies.rs"]
mod bodies;
#[path = "conformance/listener.rs"]
mod listener;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use bodies::Setting;
use lastbeat_transport::{Outbound, PublishOptions, TransportError, publish, zeromq::KeyPair};
use listener::{KEEPALIVE, Listener, PATIENCE, endpoint, send};

/// A free port, and key files of a server and of some who are on its list.
struct Locked {
    folder: tempfile::TempDir,
    port: u16,
}

impl Locked {
    fn new(entries: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        KeyPair::generate().unwrap().write(&folder.path().join("server")).unwrap();
        let mut list = String::new();
        for (name, rights) in entries {
            let key = KeyPair::generate().unwrap();
            key.write(&folder.path().join(name)).unwrap();
            list += &format!("[{name}]\nkey = \"{}\"\n{rights}\n", key.public());
        }
        fs::write(folder.path().join("allow.toml"), list).unwrap();
        Self { folder, port }
    }

    fn url(&self, options: &str) -> String {
        let options = options.replace("{}", &self.folder.path().display().to_string());
        format!("zmq+tcp://127.0.0.1:{}?{options}", self.port)
    }

    fn bound(&self) -> String {
        self.url("bind&key={}/server&allow={}/allow.toml")
    }

    fn connecting(&self, name: &str) -> String {
        self.url(&format!("key={{}}/{name}&server={{}}/server.pub"))
    }
}

fn publisher(url: &str) -> Box<dyn Outbound> {
    publish(&endpoint(url), PublishOptions { keepalive: KEEPALIVE, ..PublishOptions::default() }).unwrap()
}

/// The conformance suite: the publisher binds and has the list, it goes and comes back.
impl Setting for Locked {
    fn publisher_url(&self) -> String {
        self.bound()
    }

    fn subscriber_url(&self) -> String {
        self.connecting("watch")
    }

    fn break_link(&mut self, publisher: &mut Option<Box<dyn Outbound>>) {
        *publisher = None;
    }

    fn mend_link(&mut self, publisher: &mut Option<Box<dyn Outbound>>) {
        *publisher = Some(self.publisher("asked"));
    }
}

conforms!(zmq_direct_with_keys, Locked::new(&[("watch", "subscribe = true")]));

#[test]
fn a_bound_publisher_lets_in_who_may_subscribe_alone() {
    let setting = Locked::new(&[("watch", "subscribe = true"), ("kitchen", "publish = ['kitchen']")]);
    let mut publisher = publisher(&setting.bound());
    // It looks who comes when it sends.
    assert_eq!(publisher.try_send("sensor/x", b"").unwrap(), lastbeat_transport::Handed::NotNow);
    for (url, said) in [
        (setting.connecting("kitchen"), "refuses our key"),
        (setting.connecting("server"), "refuses our key"),
        (setting.url("server={}/kitchen.pub"), "has another key"),
        (format!("zmq+tcp://127.0.0.1:{}", setting.port), "wants a key"),
    ] {
        let reason = Listener::new(&url, "watch", &[]).wait_for_down();
        assert!(reason.contains(said), "{url}: {reason}");
    }
    let mut listener = Listener::new(&setting.connecting("watch"), "watch", &[]);
    listener.wait_for_up();
    send(&mut *publisher, "sensor/x", b"secret");
    assert_eq!(listener.payload(), "secret");
}

#[test]
fn a_bound_subscriber_hears_of_each_key_what_it_may_say() {
    let setting = Locked::new(&[("a", "publish = ['a']"), ("site", "publish = ['site/*']")]);
    let mut listener = Listener::new(&setting.bound(), "bound", &[]);
    listener.wait_for_up();
    let mut a = publisher(&setting.connecting("a"));
    let mut site = publisher(&setting.connecting("site"));
    for topic in ["sensor/site/1", "sensor/b", "sensor/a"] {
        send(&mut *a, topic, b"");
    }
    assert_eq!(listener.message().topic, "sensor/a");
    for topic in ["sensor/a", "sensor/site/1"] {
        send(&mut *site, topic, b"");
    }
    assert_eq!(listener.message().topic, "sensor/site/1");
}

#[test]
fn a_key_file_that_is_missing_is_an_error_that_names_it() {
    let setting = Locked::new(&[]);
    for url in [setting.url("bind&key={}/none"), setting.url("key={}/none&server={}/server.pub")] {
        let error = publish(&endpoint(&url), PublishOptions::default()).err().unwrap();
        assert!(matches!(error, TransportError::Key { .. }) && error.to_string().contains("/none: "), "{error}");
    }
}

#[test]
fn strangers_that_knock_at_a_bound_publisher_do_not_cost_it_its_subscriber() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("zmq+tcp://127.0.0.1:{port}");
    let mut publisher = publisher(&format!("{url}?bind"));
    let mut listener = Listener::new(&url, "known", &[]);
    listener.wait_for_up();
    send(&mut *publisher, "sensor/1", b"before");
    assert_eq!(listener.payload(), "before");
    for knock in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64]] {
        let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stranger.write_all(knock).unwrap();
        stranger.shutdown(std::net::Shutdown::Write).unwrap();
        // It hangs up on them, having said what it is.
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stranger.read_to_end(&mut Vec::new());
        // Looks who has left.
        assert!(publisher.wait_ready("sensor/1", PATIENCE));
        send(&mut *publisher, "sensor/1", b"after");
        assert_eq!(listener.payload(), "after");
    }
}
