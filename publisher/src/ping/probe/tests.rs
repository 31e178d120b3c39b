//! Probes over real sockets of this host.

#[path = "../../../../transport/tests/conformance/certificates.rs"]
mod certificates;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use certificates::Authority;
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};

use super::*;

const PAGE: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello";

/// Measures a target with one probe.
fn measure(target: &str, trust: &Trust) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let target = target.parse().unwrap();
    runtime.block_on(async { Prober::open(&target, trust).await?.probe(0).await })
}

fn system() -> Trust {
    Trust::new(None).unwrap()
}

/// A server on a port of its own, that does this with each connection.
fn serve(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    port
}

/// Reads a request's head, and answers; a client that is gone is none of its business.
fn answer(mut stream: impl Read + Write, page: &[u8]) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut stream);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|bytes| bytes > 0) {}
    let _ = stream.write_all(page);
    head
}

#[test]
fn this_host_answers_echo_requests_over_both_families() {
    for target in ["127.0.0.1", "::1", "localhost"] {
        let answer = measure(target, &system());
        let answer = answer.unwrap_or_else(|error| panic!("{target}: this test needs ICMP: {error}"));
        assert!(answer.took > Duration::ZERO && answer.took < TIMEOUT && answer.page.is_none());
    }
}

#[test]
fn a_listener_takes_a_connection_and_a_closed_port_refuses_it() {
    let port = serve(drop);
    assert!(measure(&format!("127.0.0.1:{port}"), &system()).unwrap().page.is_none());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = measure(&format!("127.0.0.1:{closed}"), &system()).unwrap_err();
    assert!(error.contains("refused"), "{error}");
}

#[test]
fn a_name_that_is_none_is_said_to_be() {
    let error = measure("does-not-exist.invalid", &system()).unwrap_err();
    assert!(error.starts_with("the name "), "{error}");
}

#[test]
fn a_page_is_asked_for_properly_and_its_parts_follow_each_other() {
    let (sender, heads) = std::sync::mpsc::channel();
    let port = serve(move |stream| sender.send(answer(stream, PAGE)).unwrap());
    let answer = measure(&format!("http://127.0.0.1:{port}?a=b#c"), &system()).unwrap();
    let page = answer.page.unwrap();
    assert_eq!((page.status, page.tls), (404, None));
    assert!(page.connect <= page.first_byte && page.first_byte <= answer.took, "{answer:?}");
    let head = heads.recv().unwrap().to_lowercase();
    for line in ["get /?a=b http/1.1", &format!("host: 127.0.0.1:{port}"), "connection: close", "user-agent: lastbeat"]
    {
        assert!(head.contains(line), "{line} is not in {head}");
    }
}

#[test]
fn an_endless_page_is_read_for_64_kib() {
    let port = serve(|mut stream| {
        answer(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(measure(&format!("http://127.0.0.1:{port}/"), &system()).unwrap().page.unwrap().status, 200);
}

#[test]
fn what_is_no_http_is_said_to_be() {
    let port = serve(|stream| drop(answer(stream, b"220 mail ready\r\n")));
    let error = measure(&format!("http://127.0.0.1:{port}/"), &system()).unwrap_err();
    assert!(error.contains("HTTP"), "{error}");
}

#[test]
fn who_takes_a_connection_and_never_answers_is_waited_for_two_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(measure(&format!("http://127.0.0.1:{port}/"), &system()), Err("no answer within 2s".to_owned()));
}

#[test]
fn a_page_over_tls_is_trusted_by_its_authority_alone() {
    let authority = Authority::new();
    let own = authority.sign("server", "DNS:localhost,IP:127.0.0.1");
    let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate_chain_file(&own.certificate).unwrap();
    acceptor.set_private_key_file(&own.key, SslFiletype::PEM).unwrap();
    let acceptor = acceptor.build();
    let port = serve(move |stream| {
        // A client that does not trust it ends the handshake.
        if let Ok(stream) = acceptor.accept(stream) {
            answer(stream, PAGE);
        }
    });
    let trust = Trust::new(Some(&authority.certificate())).unwrap();
    let found = measure(&format!("https://127.0.0.1:{port}/"), &trust).unwrap();
    let page = found.page.unwrap();
    assert!(page.connect < page.tls.unwrap() && page.tls.unwrap() <= page.first_byte, "{page:?}");
    let distrusted = measure(&format!("https://127.0.0.1:{port}/"), &system()).unwrap_err();
    assert!(distrusted.starts_with("TLS: ") && distrusted.contains("certificate"), "{distrusted}");
    let plain = serve(|stream| drop(answer(stream, PAGE)));
    let error = measure(&format!("https://127.0.0.1:{plain}/"), &trust).unwrap_err();
    assert!(error.starts_with("TLS: "), "{error}");
}

#[test]
fn an_authority_that_can_not_be_read_is_named() {
    let error = format!("{:#}", Trust::new(Some(std::path::Path::new("/does/not/exist.pem"))).err().unwrap());
    assert!(error.starts_with("--ca /does/not/exist.pem: "), "{error}");
}
