//! A relay between a library and a broker that are both the test's own.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc::{Receiver, channel};
use tokio_util::sync::CancellationToken;

use super::{BUFFER_BYTES, PING, PONG};
use crate::{
    Arrival, Batch, Endpoint, Incoming, LinkIndex,
    filter::Filter,
    mqtt::{
        relay::{Recipient, Relay, TURNED_AWAY},
        subscriber::Listener,
    },
    subscription::Inbox,
};

/// A relay with the library's side and the broker's.
struct Rig {
    relay: Relay,
    near: TcpStream,
    far: TcpStream,
    broker: TcpListener,
    incoming: Receiver<Incoming>,
}

impl Rig {
    fn new() -> Self {
        Self::with(Duration::from_mins(1))
    }

    fn with(keepalive: Duration) -> Self {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let Endpoint::Mqtt(endpoint) = format!("mqtt://{}", broker.local_addr().unwrap()).parse().unwrap() else {
            panic!("not MQTT")
        };
        let (sender, incoming) = channel(1000);
        let inbox = Inbox { link: LinkIndex(0), incoming: sender, stop: CancellationToken::new() };
        let listener = Arc::new(Listener::new(inbox, Filter::new(vec!["sensor/".to_owned()]), "here".to_owned()));
        let relay = Relay::start(&endpoint, keepalive, Recipient::Subscriber(listener)).unwrap();
        let near = TcpStream::connect(relay.address()).unwrap();
        let (far, _) = broker.accept().unwrap();
        Self { relay, near, far, broker, incoming }
    }

    fn arrival(&mut self) -> Arrival {
        self.incoming.blocking_recv().unwrap().arrival
    }

    fn batch(&mut self) -> Batch {
        match self.arrival() {
            Arrival::Batch(batch) => batch,
            Arrival::Up => self.batch(),
            Arrival::RoundTrip(span) => panic!("a round trip of {span:?}"),
            Arrival::Down { reason } => panic!("down: {reason}"),
        }
    }
}

fn publish(number: u8, topic: &[u8]) -> Vec<u8> {
    let topic_length = u8::try_from(topic.len()).unwrap();
    [&[0x32, topic_length + 5, 0, topic_length], topic, &[0, number, b'!']].concat()
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn ends(stream: &mut TcpStream) {
    assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
}

#[test]
fn a_broker_that_goes_ends_what_is_read_and_not_what_is_written() {
    let mut rig = Rig::new();
    rig.near.write_all(&PING).unwrap();
    assert_eq!(read(&mut rig.far), PING);
    drop((rig.far, rig.broker));
    assert_eq!(read(&mut rig.near), TURNED_AWAY, "no answer came");
    ends(&mut rig.near);
    // More than all buffers on the way hold: somebody takes it.
    for _ in 0..(8 << 20) / BUFFER_BYTES {
        rig.near.write_all(&PING.repeat(BUFFER_BYTES)).unwrap();
    }
}

#[test]
fn what_was_written_before_the_end_is_passed_on() {
    let mut rig = Rig::new();
    rig.far.write_all(&PONG).unwrap();
    assert_eq!(read(&mut rig.near), PONG);
    rig.near.write_all(&PING).unwrap();
    drop(rig.near);
    rig.relay.finish(Duration::from_mins(1));
    drop(rig.relay);
    assert_eq!(read(&mut rig.far), PING);
}

#[test]
fn messages_wait_for_their_receipts_together_and_are_acknowledged_in_their_order() {
    let mut rig = Rig::new();
    rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
    assert!(matches!(rig.arrival(), Arrival::Up));
    let mut first = rig.batch();
    rig.far.write_all(&[publish(2, b"sensor/b\xff"), publish(3, b"other/c")].concat()).unwrap();
    let mut second = rig.batch();
    assert_eq!(second.iter().map(|delivery| delivery.topic.to_vec()).collect::<Vec<_>>(), [b"sensor/b\xff"]);
    second.receipt.take().unwrap().give();
    first.receipt.take().unwrap().give();
    // What is not wanted is acknowledged too.
    assert_eq!(read(&mut rig.far), [0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0, 3]);
}

#[test]
fn a_receipt_that_is_dropped_cuts_the_connection_and_no_later_one_is_passed_on() {
    let mut rig = Rig::new();
    rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
    let first = rig.batch();
    rig.far.write_all(&publish(2, b"sensor/b")).unwrap();
    let mut second = rig.batch();
    second.receipt.take().unwrap().give();
    drop(first);
    ends(&mut rig.far);
    ends(&mut rig.near);
    assert!(matches!(rig.arrival(), Arrival::Down { reason } if reason.contains("could not be kept")));
}

#[test]
fn while_receipts_are_long_in_coming_the_link_is_down() {
    let mut rig = Rig::with(Duration::from_millis(200));
    let mut broker = rig.far.try_clone().unwrap();
    let (acknowledged, heard) = std::sync::mpsc::channel();
    // Answers the questions whether it is there.
    let answers = std::thread::spawn(move || {
        let mut kind = [0; 2];
        while broker.read_exact(&mut kind).is_ok() {
            if kind == PING {
                broker.write_all(&PONG).unwrap();
            } else {
                let mut number = [0; 2];
                broker.read_exact(&mut number).unwrap();
                acknowledged.send(number[1]).unwrap();
            }
        }
    });
    rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
    let mut first = rig.batch();
    assert!(matches!(rig.arrival(), Arrival::Down { reason } if reason.contains("acknowledged")));
    rig.far.write_all(&publish(2, b"sensor/a")).unwrap();
    let Arrival::Batch(mut second) = rig.arrival() else { panic!("it is not up") };
    first.receipt.take().unwrap().give();
    assert!(matches!(rig.arrival(), Arrival::Up));
    second.receipt.take().unwrap().give();
    assert_eq!((heard.recv(), heard.recv()), (Ok(1), Ok(2)));
    drop(rig);
    answers.join().unwrap();
}

#[test]
fn an_acknowledgement_does_not_come_within_a_packet_of_the_library() {
    let mut rig = Rig::new();
    rig.near.write_all(&PING[..1]).unwrap();
    rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
    rig.batch().receipt.take().unwrap().give();
    assert_eq!(read(&mut rig.far), [0x40, 2, 0, 1]);
    rig.near.write_all(&PING[1..]).unwrap();
    assert_eq!(read(&mut rig.far), PING);
}

#[test]
fn a_message_answers_the_librarys_question_whether_the_broker_is_there() {
    let mut rig = Rig::new();
    rig.near.write_all(&PING).unwrap();
    assert_eq!(read(&mut rig.far), PING);
    rig.far.write_all(&publish(1, b"sensor/a")).unwrap();
    assert_eq!(read(&mut rig.near), PONG);
}

#[test]
fn a_broker_that_is_silent_is_asked_between_packets_and_one_that_does_not_answer_is_gone() {
    let mut rig = Rig::with(Duration::ZERO);
    rig.near.write_all(&PING[..1]).unwrap();
    for _ in 0..2 {
        rig.far.write_all(&PONG).unwrap();
        assert_eq!(read(&mut rig.near), PONG);
        assert_eq!(read(&mut rig.far), PING);
    }
    ends(&mut rig.near);
}

#[test]
fn what_is_no_broker_is_cut_off() {
    let mut rig = Rig::new();
    rig.far.write_all(&PONG).unwrap();
    assert_eq!(read(&mut rig.near), PONG);
    rig.far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    ends(&mut rig.near);
    ends(&mut rig.far);
}

#[test]
fn says_why_the_broker_can_not_be_reached() {
    let Rig { relay, broker, .. } = Rig::new();
    let address = broker.local_addr().unwrap();
    drop(broker);
    let mut near = TcpStream::connect(relay.address()).unwrap();
    assert_eq!(read(&mut near), TURNED_AWAY);
    ends(&mut near);
    let error = relay.take_error().unwrap();
    assert!(error.starts_with(&format!("{address}: Connection refused")), "{error}");
}

#[test]
fn nobody_else_is_let_in_nor_is_our_connection_harmed() {
    let mut rig = Rig::new();
    let port = rig.relay.address().port();
    let say_ping = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf '\\300\\0' >&3; cat <&3");
    let other = std::process::Command::new("bash").args(["-c", &say_ping]).output().unwrap();
    assert_eq!(other.stdout, b"");
    rig.far.write_all(&PONG).unwrap();
    assert_eq!(read(&mut rig.near), PONG);
    rig.broker.set_nonblocking(true).unwrap();
    assert!(rig.broker.accept().is_err());
}
