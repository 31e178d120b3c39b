//! A broker that passes on what none should: topics that are no text, payloads of 100 MB. It speaks MQTT 3.1.1 by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::{PATIENCE, most_memory, readings};
use crate::support::{Subscriber, count};

/// The broker's end of a connection.
struct Broker(TcpStream);

impl Broker {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut broker = Self(stream);
        assert_eq!(broker.packet().0 >> 4, 1, "CONNECT");
        broker.0.write_all(&[0x20, 2, 0, 0]).unwrap();
        let (first, body) = broker.packet();
        assert_eq!(first >> 4, 8, "SUBSCRIBE");
        // Each subscription: two bytes of length, the filter, one byte of quality of service.
        let (mut at, mut granted) = (2, Vec::new());
        while at < body.len() {
            at += 2 + usize::from(body[at]) * 256 + usize::from(body[at + 1]) + 1;
            granted.push(1);
        }
        let length = u8::try_from(2 + granted.len()).unwrap();
        broker.0.write_all(&[&[0x90, length, body[0], body[1]], &granted[..]].concat()).unwrap();
        broker
    }

    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut byte = [0];
        self.0.read_exact(&mut byte).unwrap();
        let first = byte[0];
        let (mut length, mut factor) = (0, 1);
        loop {
            self.0.read_exact(&mut byte).unwrap();
            length += usize::from(byte[0] & 0x7f) * factor;
            factor *= 128;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (first, body)
    }

    /// Sends a message with quality of service 1, and waits for its acknowledgement.
    fn publish(&mut self, number: u8, topic: &[u8], payload_bytes: usize) {
        let mut length = 2 + topic.len() + 2 + payload_bytes;
        let mut head = vec![0x32];
        loop {
            let byte = u8::try_from(length % 128).unwrap();
            length /= 128;
            head.push(if length > 0 { byte | 0x80 } else { byte });
            if length == 0 {
                break;
            }
        }
        head.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        self.0.write_all(&[&head, topic, &[0, number]].concat()).unwrap();
        let piece = vec![b'1'; 1 << 20];
        let mut left = payload_bytes;
        while left > 0 {
            let now = left.min(piece.len());
            self.0.write_all(&piece[..now]).unwrap();
            left -= now;
        }
        loop {
            match self.packet() {
                (0xc0, _) => self.0.write_all(&[0xd0, 0]).unwrap(),
                (0x40, body) => break assert_eq!(body, [0, number], "the message is acknowledged"),
                // Its own message to itself, which this broker passes to nobody.
                (0x30, body) => assert!(body[2..].starts_with(b"canary/"), "{body:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn topics_that_are_no_text_and_payloads_of_100_megabytes_are_refused_and_acknowledged() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let from = format!("mqtt://{}", listener.local_addr().unwrap());
    let subscriber = Subscriber::start(dir.path(), &from, &[]);
    let mut broker = Broker::accept(&listener);
    broker.publish(1, b"sensor/bystander", 1);
    subscriber.expect("bystander", "unseen", "alive", "heard");
    for (number, topic) in (2..).zip([&b"sensor/\xff\xfe"[..], b"sensor/a\0b", b"beat/\xed\xa0\x80", b"\xc3"]) {
        broker.publish(number, topic, 1);
    }
    broker.publish(6, b"sensor/large", 100_000_000);
    broker.publish(7, b"sensor/bystander", 2);
    let most = most_memory(subscriber.pid());
    assert!(most < 150 << 10, "{most} KiB of memory");
    assert_eq!(subscriber.stop().code(), Some(0));
    assert_eq!(readings(dir.path(), "bystander"), 2);
    // That of another topic than was subscribed to is acknowledged and no more.
    assert_eq!(count(dir.path(), "SELECT count(*) FROM refused WHERE reason LIKE 'topic%'"), 3);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM refused WHERE reason LIKE 'payload of 1048577 bytes%'"), 1);
}
