//! The conformance suite on every transport that needs no broker of ours; `broker/tests` runs it through the broker.

#[path = "conformance/bodies.rs"]
mod bodies;
#[path = "conformance/listener.rs"]
mod listener;
#[path = "conformance/mosquitto.rs"]
mod mosquitto;

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

use bodies::Setting;
use lastbeat_transport::{Outbound, memory::Hub};
use mosquitto::Mosquitto;

/// Through memory: the hub is cut and restored.
struct Memory(String);

impl Memory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(format!("conformance-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Setting for Memory {
    fn publisher_url(&self) -> String {
        format!("memory://{}", self.0)
    }

    fn subscriber_url(&self) -> String {
        self.publisher_url()
    }

    fn break_link(&mut self, _publisher: &mut Option<Box<dyn Outbound>>) {
        Hub::named(&self.0).cut();
    }

    fn mend_link(&mut self, _publisher: &mut Option<Box<dyn Outbound>>) {
        Hub::named(&self.0).restore();
    }
}

/// ZeroMQ without a broker: the publisher binds, it goes and comes back.
struct Direct {
    url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Direct {
    fn tcp(host: &str) -> Self {
        let port = TcpListener::bind((host.trim_matches(['[', ']']), 0)).unwrap().local_addr().unwrap().port();
        Self { url: format!("zmq+tcp://{host}:{port}"), _folder: None }
    }

    fn ipc() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("zmq+ipc://{}/direct.sock", folder.path().display()), _folder: Some(folder) }
    }
}

impl Setting for Direct {
    fn publisher_url(&self) -> String {
        format!("{}?bind", self.url)
    }

    fn subscriber_url(&self) -> String {
        self.url.clone()
    }

    fn break_link(&mut self, publisher: &mut Option<Box<dyn Outbound>>) {
        *publisher = None;
    }

    fn mend_link(&mut self, publisher: &mut Option<Box<dyn Outbound>>) {
        *publisher = Some(self.publisher("asked"));
    }
}

/// MQTT through a Mosquitto of its own: it is killed and started again.
impl Setting for Mosquitto {
    fn publisher_url(&self) -> String {
        self.url()
    }

    fn subscriber_url(&self) -> String {
        self.url()
    }

    fn break_link(&mut self, _publisher: &mut Option<Box<dyn Outbound>>) {
        self.kill();
    }

    fn mend_link(&mut self, _publisher: &mut Option<Box<dyn Outbound>>) {
        self.start();
    }
}

conforms!(memory, Memory::new());
conforms!(zmq_direct_over_ipv4, Direct::tcp("127.0.0.1"));
conforms!(zmq_direct_over_ipv6, Direct::tcp("[::1]"));
conforms!(zmq_direct_over_ipc, Direct::ipc());
conforms!(mqtt, Mosquitto::new(""));
