//! Peers that do not speak as they should: garbage on the port of ZeroMQ, messages of one frame and of many, HTTP that never
//! ends its question.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{PATIENCE, Place, get};

#[test]
fn garbage_on_the_port_of_zeromq_holds_up_nobody() {
    let mut place = Place::new("");
    let address = place.to.trim_start_matches("zmq+tcp://").to_owned();
    let mut peers = Vec::new();
    for number in 0..100_u8 {
        let mut peer = TcpStream::connect(&address).unwrap();
        // Some say nothing, some begin a greeting and a frame of 2^63 bytes, some anything.
        let said: &[&[u8]] = &[
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            &[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0],
            &[number; 4096],
            &[0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ];
        let _ = peer.write_all(said[usize::from(number) % said.len()]);
        peers.push(peer);
        place.beside();
    }
    let context = zmq::Context::new();
    let odd = context.socket(zmq::PUB).unwrap();
    odd.connect(place.to.trim_start_matches("zmq+")).unwrap();
    let monitored = place.hostile();
    drop(monitored);
    // A PUB drops what goes out before the subscription is there, so each is sent until it was counted.
    let frames: [&[&[u8]]; 3] = [&[b"sensor/x"], &[b"sensor/x", b"1", b"2"], &[b"sensor/x", b"", b"", b"", b""]];
    for frames in frames {
        let name = "lastbeat_messages_refused_total{reason=\"frames\"}";
        let before = place.metric(name);
        super::wait_until(|| {
            odd.send_multipart(frames, 0).unwrap();
            place.metric(name) > before
        });
    }
    // Longer than libzmq takes from a peer: that one is cut off, and the others are not.
    let _ = odd.send_multipart([&b"sensor/x"[..], &vec![b'1'; 3 << 20]], 0);
    place.end(200);
    drop(peers);
}

#[test]
fn http_that_never_ends_its_question_holds_up_nobody() {
    let mut place = Place::new("");
    let address = place.url.trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for number in 0..200 {
        let mut peer = TcpStream::connect(&address).unwrap();
        let said = [
            "",
            "GET /api/v1/publ",
            "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
            "POST /api/v1/beat/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx",
            "POST /api/v1/beat/slow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ];
        peer.write_all(said[number % said.len()].as_bytes()).unwrap();
        held.push(peer);
        place.beside();
    }
    assert!(get(&place.url, "/healthz").ends_with("ok\n"));
    assert!(get(&place.url, "/readyz").contains("\"ready\":true"));
    // Headers without end are not read to it.
    for line in [format!("X: {}\r\n", "x".repeat(1 << 20)), "X: x\r\n".repeat(100_000)] {
        let mut peer = TcpStream::connect(&address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = peer.write_all(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = peer.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut peer = TcpStream::connect(&address).unwrap();
    let long = "a".repeat(60_000);
    peer.write_all(format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    place.end(200);
    drop(held);
}
