//! A publisher that may go to several MQTT brokers, against real Mosquittos: it is connected to one, and moves when that one is
//! gone, silent, or does not let it in.

#[path = "conformance/certificates.rs"]
mod certificates;
#[path = "conformance/listener.rs"]
mod listener;
#[path = "conformance/log.rs"]
mod log;
#[path = "conformance/mosquitto.rs"]
mod mosquitto;

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{Ipv6Addr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use certificates::{Authority, Certificate, shown};
use lastbeat_host::Clock;
use lastbeat_transport::{Endpoint, Handed, Outbound, PublishOptions, Told, TransportError, publish_to_one_of};
use listener::{KEEPALIVE, Listener, PATIENCE, endpoint, send};
use log::Log;
use mosquitto::{Mosquitto, Port, mosquitto_pub};
use rustix::process::Signal;

fn options(client: &str) -> PublishOptions {
    PublishOptions { client: client.to_owned(), keepalive: KEEPALIVE, ..PublishOptions::default() }
}

fn listen(url: &str, client: &str, topics: &[&str]) -> Listener {
    Log::start();
    Listener::new(url, client, topics)
}

fn open(urls: &[&str], options: PublishOptions) -> Box<dyn Outbound> {
    Log::start();
    let endpoints: Vec<Endpoint> = urls.iter().map(|url| endpoint(url)).collect();
    publish_to_one_of(&endpoints, options).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Clock.now().monotonic.plus(PATIENCE);
    while !done() {
        assert!(Clock.now().monotonic < limit, "{what}: not in time");
        thread::park_timeout(Duration::from_millis(5));
    }
}

fn wait_for_peer(publisher: &dyn Outbound, url: &str) {
    until(url, || publisher.peer().as_deref() == Some(url));
}

/// A broker that lets in "kim" with the password "right" only.
fn with_password(extra: &str) -> Mosquitto {
    let mut mosquitto = Mosquitto::new(&format!("password_file {{folder}}/passwords\n{extra}"));
    set_password(&mosquitto, "right");
    mosquitto.start();
    mosquitto
}

fn set_password(mosquitto: &Mosquitto, password: &str) {
    let passwords = mosquitto.folder().join("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["kim", password]).status();
    assert!(made.expect("this test needs mosquitto_passwd: install Debian's package mosquitto").success());
}

fn as_kim(mosquitto: &Mosquitto, password: &str) -> String {
    format!("mqtt://kim:{password}@127.0.0.1:{}", mosquitto.port())
}

#[test]
fn the_first_that_is_there_is_used_and_each_move_is_logged_once_with_its_reason() {
    let log = Log::start();
    let mut brokers = [Mosquitto::new(""), Mosquitto::new("")];
    // Nobody listens there.
    let nowhere = Port::new();
    let (away, first, second) = (nowhere.url(), brokers[0].url(), brokers[1].url());
    let mut publisher = open(&[&away, &first, &second], options("moves"));
    assert_eq!(publisher.peer(), None);
    wait_for_peer(&*publisher, &first);
    send(&mut *publisher, "sensor/moves", b"1");
    brokers[0].terminate();
    wait_for_peer(&*publisher, &second);
    send(&mut *publisher, "sensor/moves", b"2");
    brokers[0].start();
    brokers[1].terminate();
    wait_for_peer(&*publisher, &first);
    assert_eq!(publisher.close(PATIENCE).0, 0);
    let refused = log.lines(&[&format!("no link with {away}"), "Connection refused"]);
    assert_eq!(refused.len(), 2, "{refused:?}");
    for line in refused {
        assert!(line.contains(&format!("; trying {first}")), "{line}");
    }
    for (left, next, to) in [(&first, &second, &second), (&second, &away, &first)] {
        let lost = log.lines(&[&format!("WARN message=no link with {left}: the "), "connection"]);
        assert!(lost.len() == 1 && lost[0].contains(&format!("; trying {next}")), "{lost:?}");
        let moved = log.lines(&[&format!("INFO message=moved from {left} to {to}, after "), " s without a link"]);
        assert_eq!(moved.len(), 1, "{moved:?}");
    }
}

#[test]
fn nothing_taken_is_lost_while_brokers_stop_and_start_again() {
    const MESSAGES: u32 = 3_000;
    let mut brokers = [Mosquitto::new(""), Mosquitto::new(""), Mosquitto::new("")];
    let urls = [brokers[0].url(), brokers[1].url(), brokers[2].url()];
    let mut listeners = urls.each_ref().map(|url| listen(url, "moves", &[]));
    listeners.iter_mut().for_each(Listener::wait_for_up);
    let mut publisher = open(&urls.each_ref().map(String::as_str), options("lossless"));
    let mut used = BTreeSet::new();
    for number in 0..MESSAGES {
        send(&mut *publisher, "sensor/lossless", number.to_string().as_bytes());
        used.extend(publisher.peer());
        // With messages under way.
        if number % 500 == 499 {
            let url = publisher.peer().unwrap_or_else(|| urls[0].clone());
            let broker = urls.iter().position(|other| *other == url).unwrap();
            brokers[broker].terminate();
            until("another one", || publisher.peer().is_some_and(|peer| peer != url));
            brokers[broker].start();
        }
    }
    assert_eq!(publisher.close(PATIENCE).0, 0);
    assert!(used.len() > 1, "it moved");
    let mut missing: BTreeSet<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    until("all are heard", || {
        for listener in &mut listeners {
            while let Some(message) = listener.message_now() {
                missing.remove(&String::from_utf8(message.payload).unwrap());
            }
        }
        missing.is_empty()
    });
}

#[test]
fn a_broker_that_freezes_is_left_for_the_next_and_what_it_had_not_acknowledged_goes_there() {
    let log = Log::start();
    let brokers = [Mosquitto::new(""), Mosquitto::new("")];
    let (first, second) = (brokers[0].url(), brokers[1].url());
    let mut listener = listen(&second, "frozen", &[]);
    listener.wait_for_up();
    let mut publisher = open(&[&first, &second], options("frozen"));
    wait_for_peer(&*publisher, &first);
    brokers[0].signal(Signal::STOP);
    send(&mut *publisher, "sensor/frozen", b"under way");
    assert_eq!(publisher.settled(), 0);
    wait_for_peer(&*publisher, &second);
    assert_eq!(listener.payload(), "under way");
    until("it is acknowledged", || publisher.settled() == 1);
    let why = log.lines(&[&format!("no link with {first}"), "did not answer in time", &format!("trying {second}")]);
    assert_eq!(why.len(), 1);
    brokers[0].signal(Signal::CONT);
}

#[test]
fn one_that_refuses_the_password_is_let_be_while_the_other_is_used() {
    let log = Log::start();
    let mut brokers = [with_password(""), with_password("")];
    let (wrong, right) = (as_kim(&brokers[0], "wrong"), as_kim(&brokers[1], "right"));
    let shown = right.replace(":right", "");
    let mut publisher = open(&[&wrong, &right], options("one-wrong"));
    wait_for_peer(&*publisher, &shown);
    send(&mut *publisher, "sensor/1", b"in");
    brokers[1].terminate();
    until("the link is lost", || publisher.peer().is_none());
    brokers[1].start();
    send(&mut *publisher, "sensor/1", b"in again");
    assert_eq!(publisher.close(PATIENCE).0, 0);
    let refused = log.lines(&[&wrong.replace(":wrong", ""), "refuses to let us in", "return code 5"]);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(log.lines(&[":wrong"]), [] as [String; 0]);
}

#[test]
fn when_all_refuse_that_is_an_error_which_names_them() {
    let brokers = [with_password(""), with_password("")];
    let urls = brokers.each_ref().map(|broker| as_kim(broker, "wrong"));
    let mut publisher = open(&urls.each_ref().map(String::as_str), options("all-wrong"));
    let error = loop {
        assert!(publisher.wait_ready("sensor/1", PATIENCE));
        if let Err(error) = publisher.try_send("sensor/1", b"") {
            break error;
        }
    };
    assert!(matches!(error, TransportError::Refused { .. }), "{error}");
    let said = error.to_string();
    assert!(urls.iter().all(|url| said.contains(&url.replace(":wrong", ""))), "{said}");
    assert!(said.contains("return code 5") && !said.contains("wrong"), "{said}");
    assert_eq!(publisher.peer(), None);
}

#[test]
fn who_was_let_in_once_goes_on_trying_when_all_refuse_later() {
    let log = Log::start();
    let mut broker = with_password("");
    let url = as_kim(&broker, "right");
    let shown = url.replace(":right", "");
    let mut publisher = open(&[&url], options("refused-later"));
    wait_for_peer(&*publisher, &shown);
    broker.terminate();
    set_password(&broker, "another");
    broker.start();
    until("it is refused", || !log.lines(&[&shown, "refuses to let us in", "trying again"]).is_empty());
    until("there is no link", || publisher.peer().is_none());
    assert_eq!(publisher.try_send("sensor/1", b"").unwrap(), Handed::NotNow);
}

/// A broker with this certificate.
fn with_tls(own: &Certificate) -> Mosquitto {
    let mut mosquitto =
        Mosquitto::new(&format!("certfile {}\nkeyfile {}\n# {{folder}}", shown(&own.certificate), shown(&own.key)));
    mosquitto.start();
    mosquitto
}

#[test]
fn each_broker_has_its_own_authority_and_what_is_wrong_with_one_is_said_of_it() {
    let log = Log::start();
    let (ours, others) = (Authority::new(), Authority::new());
    let good = ours.sign("good", "DNS:localhost");
    let brokers = [
        with_tls(&ours.sign_expired("expired", "DNS:localhost")),
        with_tls(&good),
        with_tls(&ours.sign("elsewhere", "DNS:elsewhere")),
        with_tls(&others.sign("others", "DNS:localhost")),
    ];
    let url = |broker: usize, authority: &Authority| {
        format!("mqtts://localhost:{}?ca={}", brokers[broker].port(), shown(&authority.certificate()))
    };
    let urls = [url(0, &ours), url(1, &others), url(2, &ours), url(3, &others)];
    let publisher = open(&urls.each_ref().map(String::as_str), options("tls"));
    wait_for_peer(&*publisher, &urls[3]);
    let unknown = format!("from no authority that {} holds", shown(&others.certificate()));
    for (url, why) in [
        (&urls[0], "the broker's certificate has expired"),
        (&urls[1], unknown.as_str()),
        (&urls[2], "the broker's certificate is not for \"localhost\""),
    ] {
        let lines = log.lines(&[&format!("no link with {url}: ")]);
        // More than one where a busy machine made a second round of it.
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(why)), "{lines:?}");
    }
}

#[test]
fn one_that_is_dropped_while_it_connects_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", silent.local_addr().unwrap());
    let broker = Mosquitto::new("");
    for _ in 0..20 {
        let first = open(&[&url, &broker.url()], options("dropped"));
        let (_asked, _) = silent.accept().unwrap();
        drop(first);
    }
    let other = open(&[&broker.url()], options("other"));
    wait_for_peer(&*other, &broker.url());
}

/// The next that is told.
fn told(publisher: &mut dyn Outbound) -> Told {
    let mut told = Vec::new();
    until("something is told", || {
        told.extend(publisher.told());
        !told.is_empty()
    });
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

#[test]
fn what_is_retained_and_what_is_sent_on_a_topic_listened_to_is_told_at_each_broker() {
    let mut brokers = [Mosquitto::new(""), Mosquitto::new("")];
    for (broker, name) in brokers.iter().zip(["first", "second"]) {
        mosquitto_pub(broker, &["-r", "-t", "watch", "-m", name]);
        mosquitto_pub(broker, &["-r", "-t", "other", "-m", name]);
    }
    let (first, second) = (brokers[0].url(), brokers[1].url());
    let listening = PublishOptions { listen: vec!["watch".to_owned(), "swarm/".to_owned()], ..options("listens") };
    let mut publisher = open(&[&first, &second], listening);
    let watch = |payload: &str, retained| Told { topic: "watch".to_owned(), payload: payload.into(), retained };
    assert_eq!(told(&mut *publisher), watch("first", true));
    mosquitto_pub(&brokers[0], &["-t", "watch", "-m", "now"]);
    assert_eq!(told(&mut *publisher), watch("now", false));
    brokers[0].terminate();
    assert_eq!(told(&mut *publisher), watch("second", true));
    wait_for_peer(&*publisher, &second);
    mosquitto_pub(&brokers[1], &["-t", "swarm/1/stop", "-n"]);
    let stop = Told { topic: "swarm/1/stop".to_owned(), payload: Vec::new(), retained: false };
    assert_eq!(told(&mut *publisher), stop);
    // More than a broker that waits for acknowledgements has under way.
    let many: Vec<_> = (0..100).map(|number| format!("{number}\n")).collect();
    for lines in many.chunks(10) {
        for line in lines {
            mosquitto_pub(&brokers[1], &["-t", "watch", "-m", line]);
        }
        let mut came = Vec::new();
        until("all are told", || {
            came.extend(publisher.told().into_iter().map(|told| String::from_utf8(told.payload).unwrap()));
            came.len() >= lines.len()
        });
        assert_eq!(came, lines);
    }
    send(&mut *publisher, "sensor/1", b"");
    assert_eq!(publisher.close(PATIENCE).0, 0);
}

#[test]
fn a_broker_that_is_not_available_is_left_for_the_next_and_its_return_code_is_told() {
    let log = Log::start();
    let unavailable = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", unavailable.local_addr().unwrap());
    let asked = thread::spawn(move || refuse_for_now(&unavailable));
    let broker = Mosquitto::new("");
    let publisher = open(&[&url, &broker.url()], options("unavailable"));
    wait_for_peer(&*publisher, &broker.url());
    asked.join().unwrap();
    let lines = log.lines(&[&format!("no link with {url}: "), "return code 3"]);
    assert_eq!(lines.len(), 1, "{:?}", log.lines(&[&url]));
}

/// Tells one client that the server is not available.
fn refuse_for_now(broker: &TcpListener) {
    let (mut client, _) = broker.accept().unwrap();
    let mut head = [0; 2];
    client.read_exact(&mut head).unwrap();
    client.read_exact(&mut vec![0; head[1].into()]).unwrap();
    client.write_all(&[0x20, 2, 0, 3]).unwrap();
    // It hangs up first.
    client.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn why_there_is_no_link_is_told_once_however_often_it_is_tried() {
    let log = Log::start();
    let unavailable = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", unavailable.local_addr().unwrap());
    let publisher = open(&[&url], options("often"));
    (0..4).for_each(|_| refuse_for_now(&unavailable));
    until("it is told", || log.lines(&[&url, "return code 3"]).len() > 2);
    let told = log.lines(&["WARN", &url]);
    assert!(told.len() == 1 && told[0].contains("return code 3"), "{told:?}");
    drop(publisher);
}

/// Answers one client, and refuses each subscription.
fn refuse_subscriptions(broker: &TcpListener) -> io::Result<()> {
    let (mut client, _) = broker.accept()?;
    loop {
        let mut head = [0; 2];
        client.read_exact(&mut head)?;
        assert!(head[1] < 128, "no packet of this test is longer");
        let mut rest = vec![0; head[1].into()];
        client.read_exact(&mut rest)?;
        match head[0] {
            0x10 => client.write_all(&[0x20, 2, 0, 0])?,
            0x82 => client.write_all(&[0x90, 3, rest[0], rest[1], 0x80])?,
            0x32 => {
                let number = 2 + usize::from(rest[1]);
                client.write_all(&[0x40, 2, rest[number], rest[number + 1]])?;
            }
            0xc0 => client.write_all(&[0xd0, 0])?,
            _ => return Ok(()),
        }
    }
}

#[test]
fn a_broker_that_does_not_let_us_listen_is_published_to() {
    let log = Log::start();
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", broker.local_addr().unwrap());
    let broker = thread::spawn(move || refuse_subscriptions(&broker));
    let listening = PublishOptions { listen: vec!["watch".to_owned()], ..options("deaf") };
    let mut publisher = open(&[&url], listening);
    send(&mut *publisher, "sensor/1", b"");
    assert_eq!(publisher.close(PATIENCE).0, 0);
    broker.join().unwrap().unwrap();
    let refused = log.lines(&[&format!("WARN message={url} does not let us listen to watch: ")]);
    assert_eq!(refused.len(), 1, "{:?}", log.lines(&[&url]));
    assert_eq!(log.lines(&[&url, "no link"]), [] as [String; 0]);
}

#[test]
fn the_will_goes_with_each_connection() {
    let mut brokers = [Mosquitto::new(""), Mosquitto::new("")];
    let (first, second) = (brokers[0].url(), brokers[1].url());
    let mut listener = listen(&second, "will", &["rip/"]);
    listener.wait_for_up();
    let with_will = PublishOptions { will: Some(("rip/vanishes".to_owned(), b"will".to_vec())), ..options("vanishes") };
    let publisher = open(&[&first, &second], with_will);
    wait_for_peer(&*publisher, &first);
    brokers[0].terminate();
    wait_for_peer(&*publisher, &second);
    // A second client of the same name throws it out, as a lost connection would.
    let other = open(&[&second], options("vanishes"));
    let will = listener.message();
    assert_eq!((will.topic.as_str(), will.payload.as_slice()), ("rip/vanishes", &b"will"[..]));
    drop((publisher, other));
}

#[test]
fn brokers_may_have_addresses_of_both_kinds_and_names_that_do_not_exist() {
    // This test needs IPv6 on the loopback.
    let port = Port::of(Ipv6Addr::LOCALHOST);
    let mut six = Mosquitto::new(&format!("listener {} ::1", port.number()));
    let mut four = Mosquitto::new("");
    let (url_six, url_four) = (port.url(), four.url());
    // Its second port is open a moment later than its first.
    let listens_on_six = || until("it listens", || TcpStream::connect(("::1", port.number())).is_ok());
    listens_on_six();
    let mut publisher = open(&["mqtt://no-such-host.invalid", &url_six, &url_four], options("six"));
    wait_for_peer(&*publisher, &url_six);
    send(&mut *publisher, "sensor/six", b"");
    six.terminate();
    wait_for_peer(&*publisher, &url_four);
    six.start();
    listens_on_six();
    four.terminate();
    wait_for_peer(&*publisher, &url_six);
    send(&mut *publisher, "sensor/six", b"");
    assert_eq!(publisher.close(PATIENCE).0, 0);
}

#[test]
fn what_is_no_mqtt_broker_is_an_error_that_names_it() {
    let refused = |urls: &[&str]| {
        let endpoints: Vec<Endpoint> = urls.iter().map(|url| endpoint(url)).collect();
        publish_to_one_of(&endpoints, options("none")).err().unwrap()
    };
    for other in ["zmq+tcp://127.0.0.1:5555", "memory://here"] {
        let error = refused(&["mqtt://kim:secret@127.0.0.1", other]);
        assert!(matches!(&error, TransportError::Url { url, .. } if url == other), "{error}");
    }
    assert!(matches!(refused(&[]), TransportError::NoBroker));
    let error = refused(&["mqtt://127.0.0.1", "mqtts://localhost:1?ca=/no/such/file"]);
    assert!(error.to_string().contains("localhost:1") && error.to_string().contains("/no/such/file"), "{error}");
}
