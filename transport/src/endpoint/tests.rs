//! What URLs are endpoints, what is wrong with others, and that no password shows.

use super::*;

#[test]
fn shows_what_it_read() {
    for url in [
        "zmq+tcp://127.0.0.1:5555",
        "zmq+tcp://[::1]:5555",
        "zmq+tcp://broker.example:5555",
        "zmq+tcp://*:5555?bind",
        "zmq+tcp://127.0.0.1:0?bind",
        "zmq+ipc:///run/last beat.sock?bind",
        "zmq+tcp://broker.example:5555?server=/etc/broker.pub",
        "zmq+tcp://broker.example:5555?key=/etc/kitchen.key&server=/etc/broker.pub",
        "zmq+tcp://*:5555?bind&key=/etc/broker.key&allow=/etc/allow.toml",
        "mqtt://127.0.0.1:1883",
        "mqtt://kim@[::1]:2883",
        "mqtts://kim@broker.example:8883?ca=/etc/ca.pem",
        "mqtts://broker.example:8883?ca=/etc/ca.pem&cert=/etc/kim.pem&key=/etc/kim.key",
        "mqtts://broker.example:8883?cert=/etc/kim.pem&key=/etc/kim.key",
        "memory://hub",
    ] {
        assert_eq!(url.parse::<Endpoint>().unwrap().to_string(), url);
    }
}

#[test]
fn fills_in_the_ports_that_mqtt_has() {
    assert_eq!("mqtt://host".parse::<Endpoint>().unwrap().to_string(), "mqtt://host:1883");
    assert_eq!("mqtts://host".parse::<Endpoint>().unwrap().to_string(), "mqtts://host:8883");
}

#[test]
fn never_shows_a_password() {
    let endpoint: Endpoint = "mqtt://k%40m:s%3Acret@host".parse().unwrap();
    assert!(!endpoint.to_string().contains("cret") && !format!("{endpoint:?}").contains("cret"));
    let Endpoint::Mqtt(mqtt) = endpoint else { panic!("not MQTT") };
    assert_eq!((mqtt.user.as_deref(), mqtt.password.unwrap().reveal()), (Some("k@m"), "s:cret"));
    for wrong in ["mqtt://kim:secret@", "mqt://kim:secret@host", "mqtt://kim:secret@host:99999", "mqtt://:secret@h"] {
        let error = wrong.parse::<Endpoint>().unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn says_what_is_wrong() {
    for (url, reason) in [
        ("127.0.0.1:5555", "is no URL"),
        ("http://host", "there are zmq+tcp"),
        ("zmq+tcp://127.0.0.1", "names no port"),
        ("zmq+tcp://*:5555", "?bind only"),
        ("zmq+tcp://h:1?bound", "there are bind"),
        ("zmq+tcp://h:1?key=x", "needs server="),
        ("zmq+tcp://h:1?key=", "has no value"),
        ("zmq+tcp://h:1?server=x&allow=y", "allow is for ?bind"),
        ("zmq+tcp://h:1?bind&server=x", "not for ?bind"),
        ("zmq+tcp://h:1/x", "path"),
        ("zmq+tcp://u@h:1", "no users"),
        ("zmq+ipc://host", "names no file"),
        ("zmq+ipc:run/x.sock", "names no file"),
        ("zmq+ipc:///run/%1b[2J", "control character"),
        ("mqtt://h?ca=x", "for mqtts"),
        ("mqtts://h?ca=", "names no file"),
        ("mqtts://h?cert=x", "come together"),
        ("mqtts://h?cart=x", "there are ca, cert and key"),
        ("mqtt://h/topic", "path"),
        ("memory://", "no name"),
    ] {
        let error = url.parse::<Endpoint>().unwrap_err().to_string();
        assert!(error.starts_with(url) && error.contains(reason), "{error}");
    }
}
