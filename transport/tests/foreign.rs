//! Plain PUB and SUB sockets, as a foreign program uses them, are good peers of ours.

#[path = "conformance/listener.rs"]
mod listener;

use lastbeat_transport::{PublishOptions, publish};
use lastbeat_wire::Wanted;
use listener::{KEEPALIVE, Listener, PATIENCE, endpoint, send};

#[test]
fn a_plain_pub_is_heard_and_passes_requests_by() {
    let context = zmq::Context::new();
    let foreign = context.socket(zmq::PUB).unwrap();
    // A PUB drops what its queue has no room for, and below it sends as fast as it can.
    foreign.set_sndhwm(0).unwrap();
    foreign.bind("tcp://127.0.0.1:0").unwrap();
    let address = foreign.get_last_endpoint().unwrap().unwrap();
    let mut listener = Listener::new(&format!("zmq+{address}"), "foreign", &[]);
    listener.wait_for_up();
    for _ in 0..100 {
        assert!(listener.asker().unwrap().ask(Wanted::Last));
    }
    // A PUB drops what nobody has subscribed to yet.
    while listener.message_now().is_none() {
        foreign.send_multipart(["sensor/foreign", "1"], 0).unwrap();
    }
    foreign.send_multipart(["sensor/other", "2"], 0).unwrap();
    foreign.send_multipart(["unasked/other", "2"], 0).unwrap();
    foreign.send_multipart(["bye/foreign", "2"], 0).unwrap();
    let mut second = std::iter::repeat_with(|| listener.message()).filter(|message| message.payload == b"2");
    assert_eq!(second.next().unwrap().topic, "sensor/other");
    assert_eq!(second.next().unwrap().topic, "bye/foreign");
}

#[test]
fn a_plain_sub_hears_our_publisher() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("ipc://{}/foreign.sock", folder.path().display());
    let options = PublishOptions { client: "ours".to_owned(), keepalive: KEEPALIVE, ..PublishOptions::default() };
    let mut publisher = publish(&endpoint(&format!("zmq+{address}?bind")), options).unwrap();
    let context = zmq::Context::new();
    let foreign = context.socket(zmq::SUB).unwrap();
    foreign.set_rcvtimeo(i32::try_from(PATIENCE.as_millis()).unwrap()).unwrap();
    foreign.set_subscribe(b"sensor/").unwrap();
    foreign.connect(&address).unwrap();
    send(&mut *publisher, "sensor/ours", b"1");
    assert_eq!(foreign.recv_multipart(0).unwrap(), [&b"sensor/ours"[..], b"1"]);
    assert_eq!(publisher.requests(), []);
}
