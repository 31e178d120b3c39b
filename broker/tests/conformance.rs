//! The transports' conformance suite through the real broker, which is killed and started again.

#[path = "../../transport/tests/conformance/bodies.rs"]
mod bodies;
#[path = "../../transport/tests/conformance/listener.rs"]
mod listener;
mod support;

use bodies::Setting;
use lastbeat_transport::Outbound;
use support::BrokerProcess;

struct Brokered {
    publishers: String,
    subscribers: String,
    broker: Option<BrokerProcess>,
    _folder: tempfile::TempDir,
}

impl Brokered {
    fn new(publishers: &str, subscribers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |address: &str| address.replace("{folder}", &folder.path().display().to_string());
        let broker = BrokerProcess::start(&["--publishers", &path(publishers), "--subscribers", &path(subscribers)]);
        // The same ports again after a restart.
        let (publishers, subscribers) = (broker.publishers[0].clone(), broker.subscribers[0].clone());
        Self { publishers, subscribers, broker: Some(broker), _folder: folder }
    }
}

impl Setting for Brokered {
    fn publisher_url(&self) -> String {
        format!("zmq+{}", self.publishers)
    }

    fn subscriber_url(&self) -> String {
        format!("zmq+{}", self.subscribers)
    }

    fn break_link(&mut self, _publisher: &mut Option<Box<dyn Outbound>>) {
        // Dropping kills it with SIGKILL.
        self.broker = None;
    }

    fn mend_link(&mut self, _publisher: &mut Option<Box<dyn Outbound>>) {
        let arguments = ["--publishers", &self.publishers, "--subscribers", &self.subscribers];
        self.broker = Some(BrokerProcess::start(&arguments));
    }
}

conforms!(over_ipv4, Brokered::new("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"));
conforms!(over_ipv6, Brokered::new("tcp://[::1]:0", "tcp://[::1]:0"));
conforms!(over_ipc, Brokered::new("ipc://{folder}/publishers.sock", "ipc://{folder}/subscribers.sock"));
