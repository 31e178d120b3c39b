//! MQTT over TLS, against a real Mosquitto that wants passwords and client certificates: what fails says why.

#[path = "conformance/certificates.rs"]
mod certificates;
#[path = "conformance/listener.rs"]
mod listener;
#[path = "conformance/mosquitto.rs"]
mod mosquitto;

use std::{fs, net::TcpListener, process::Command, thread};

use certificates::{Authority, Certificate, shown};
use lastbeat_transport::{LinkIndex, PublishOptions, SubscribeOptions, TransportError, publish, subscribe};
use listener::{KEEPALIVE, Listener, endpoint, send};
use mosquitto::Mosquitto;

/// A broker with this certificate, which wants one of `clients`' and the password "right" of the user "kim".
fn broker(clients: &Authority, own: &Certificate) -> Mosquitto {
    let mut mosquitto = Mosquitto::new(&format!(
        "password_file {{folder}}/passwords\nrequire_certificate true\ncafile {}\ncertfile {}\nkeyfile {}",
        shown(&clients.certificate()),
        shown(&own.certificate),
        shown(&own.key)
    ));
    let passwords = mosquitto.folder().join("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["kim", "right"]).status();
    assert!(made.expect("this test needs mosquitto_passwd: install Debian's package mosquitto").success());
    mosquitto.start();
    mosquitto
}

fn url(port: u16, user: &str, host: &str, ca: &Authority, client: Option<&Certificate>) -> String {
    let client = client
        .map_or_else(String::new, |client| format!("&cert={}&key={}", shown(&client.certificate), shown(&client.key)));
    format!("mqtts://{user}@{host}:{port}?ca={}{client}", shown(&ca.certificate()))
}

fn why_down(url: &str) -> String {
    let reason = Listener::new(url, "tls", &[]).wait_for_down();
    assert!(!reason.contains("right") && !reason.contains("wrong"), "{reason}");
    reason
}

#[test]
fn a_client_certificate_and_a_password_let_in_and_what_fails_says_why() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (server, client) = (ours.sign("server", "DNS:localhost"), ours.sign("kim", "DNS:kim"));
    let stranger = others.sign("kim", "DNS:kim");
    let mosquitto = broker(&ours, &server);
    let port = mosquitto.port();
    let good = url(port, "kim:right", "localhost", &ours, Some(&client));
    let mut listener = Listener::new(&good, "in", &[]);
    listener.wait_for_up();
    let options = PublishOptions { keepalive: KEEPALIVE, ..PublishOptions::default() };
    let mut publisher = publish(&endpoint(&good), options).unwrap();
    send(&mut *publisher, "sensor/tls", b"secret");
    assert_eq!(listener.payload(), "secret");
    let authority = shown(&others.certificate());
    for (url, said) in [
        (url(port, "kim:wrong", "localhost", &ours, Some(&client)), "refuses to let us in"),
        (url(port, "kim:right", "localhost", &ours, None), "wants a client certificate, cert= and key="),
        (url(port, "kim:right", "localhost", &ours, Some(&stranger)), "refuses our certificate"),
        (
            url(port, "kim:right", "localhost", &others, Some(&client)),
            &format!("from no authority that {authority} holds"),
        ),
        (url(port, "kim:right", "127.0.0.1", &ours, Some(&client)), "certificate is not for \"127.0.0.1\""),
        (format!("mqtts://kim:right@localhost:{port}"), "from no authority that the system trusts; ca= names"),
    ] {
        let reason = why_down(&url);
        assert!(reason.contains(said), "{url}: {reason}");
    }
}

#[test]
fn an_expired_certificate_of_the_broker_is_called_that() {
    let ours = Authority::new();
    let (server, client) = (ours.sign_expired("server", "DNS:localhost"), ours.sign("kim", "DNS:kim"));
    let mosquitto = broker(&ours, &server);
    let reason = why_down(&url(mosquitto.port(), "kim:right", "localhost", &ours, Some(&client)));
    assert!(reason.contains("the broker's certificate has expired"), "{reason}");
}

#[test]
fn a_server_without_tls_is_told_from_one_whose_certificate_is_wrong() {
    let ours = Authority::new();
    let mosquitto = Mosquitto::new("");
    let reason = why_down(&url(mosquitto.port(), "kim:right", "localhost", &ours, None));
    assert!(
        reason.contains("the broker ends the TLS handshake") || reason.contains("TLS with the broker fails"),
        "{reason}"
    );
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up_in_time() {
    let ours = Authority::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    // Holds what it accepts for as long as the test lives.
    thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let reason = why_down(&url(port, "kim:right", "localhost", &ours, None));
    assert!(reason.contains("does not answer"), "{reason}");
}

#[test]
fn a_file_that_can_not_be_used_is_an_error_at_the_start_that_names_it() {
    let ours = Authority::new();
    let (client, other) = (ours.sign("kim", "DNS:kim"), ours.sign("pat", "DNS:pat"));
    let folder = tempfile::tempdir().unwrap();
    let nonsense = folder.path().join("nonsense.pem");
    fs::write(&nonsense, "nonsense").unwrap();
    let (certificate, key, nonsense) = (shown(&client.certificate), shown(&client.key), shown(&nonsense));
    for (options, said) in [
        ("ca=/no/such/file".to_owned(), "/no/such/file"),
        (format!("ca={nonsense}"), "ca="),
        (format!("cert={certificate}&key=/no/such/key"), "/no/such/key"),
        (format!("cert={nonsense}&key={key}"), "cert="),
        (format!("cert={certificate}&key={nonsense}"), "nonsense.pem"),
        (format!("cert={certificate}&key={}", shown(&other.key)), "pat.key"),
    ] {
        let url = format!("mqtts://localhost:1?{options}");
        let published = publish(&endpoint(&url), PublishOptions::default()).err().unwrap();
        let (incoming, _receiver) = tokio::sync::mpsc::channel(1);
        let subscribed = subscribe(&endpoint(&url), SubscribeOptions::default(), LinkIndex(0), incoming).err().unwrap();
        for error in [published, subscribed] {
            let named = matches!(error, TransportError::Tls { .. } | TransportError::Mqtt { .. });
            assert!(named && error.to_string().contains(said), "{options}: {error}");
        }
    }
}
