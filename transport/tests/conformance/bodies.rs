//! What every transport must do, written once. Each test file says how its transport is set up, broken and mended.

use std::thread;

use lastbeat_transport::{Outbound, PublishOptions, TransportError, publish};

use crate::listener::{KEEPALIVE, Listener, PATIENCE, endpoint, send};

/// A transport that is set up for one test.
pub trait Setting {
    fn publisher_url(&self) -> String;
    fn subscriber_url(&self) -> String;
    /// Kills what is between the two ends, or the publisher's end where there is nothing.
    fn break_link(&mut self, publisher: &mut Option<Box<dyn Outbound>>);
    /// Starts it again.
    fn mend_link(&mut self, publisher: &mut Option<Box<dyn Outbound>>);

    fn publisher(&self, client: &str) -> Box<dyn Outbound> {
        let options = PublishOptions { client: client.to_owned(), keepalive: KEEPALIVE, ..PublishOptions::default() };
        publish(&endpoint(&self.publisher_url()), options).unwrap()
    }

    fn listener(&self, client: &str, topics: &[&str]) -> Listener {
        Listener::new(&self.subscriber_url(), client, topics)
    }
}

/// The publisher may not know yet of a listener that is there.
fn send_until_heard(publisher: &mut dyn Outbound, topic: &str, listener: &mut Listener) {
    loop {
        send(publisher, topic, b"are you there");
        if listener.message_now().is_some_and(|message| message.topic == topic) {
            return;
        }
    }
}

pub fn messages_come_complete_and_in_order(setting: &mut dyn Setting) {
    let mut publisher = setting.publisher("order");
    let mut listener = setting.listener("order", &[]);
    listener.wait_for_up();
    let sender = thread::spawn(move || {
        for number in 0..5_000 {
            send(&mut *publisher, "sensor/order", number.to_string().as_bytes());
        }
        publisher.close(PATIENCE)
    });
    for number in 0..5_000 {
        assert_eq!(listener.payload(), number.to_string());
    }
    assert_eq!(sender.join().unwrap().0, 0, "all of it had left");
}

pub fn several_publishers_and_subscribers_all_hear_all(setting: &mut dyn Setting) {
    let mut publisher = setting.publisher("several");
    let mut listeners = ["several-a", "several-b"].map(|client| setting.listener(client, &[]));
    listeners.iter_mut().for_each(Listener::wait_for_up);
    for listener in &mut listeners {
        send_until_heard(&mut *publisher, "beat/x", listener);
    }
    let topics = ["sensor/x", "beat/x", "start/x", "fail/x", "bye/x", "rip/x"];
    for topic in topics {
        send(&mut *publisher, topic, b"now");
    }
    for listener in &mut listeners {
        assert_eq!(listener.topics_now(topics.len()), topics);
    }
}

pub fn a_late_joiner_hears_what_is_sent_after_it_came(setting: &mut dyn Setting) {
    let mut publisher = setting.publisher("late");
    let mut first = setting.listener("late-1", &[]);
    first.wait_for_up();
    send(&mut *publisher, "sensor/late", b"before");
    assert_eq!(first.payload(), "before");
    let mut second = setting.listener("late-2", &[]);
    second.wait_for_up();
    let mut numbers = 0..;
    let heard = loop {
        let number = numbers.next().unwrap().to_string();
        send(&mut *publisher, "sensor/late", number.as_bytes());
        assert_eq!(first.payload(), number, "the first misses nothing while the second joins");
        if let Some(message) = second.message_now() {
            break String::from_utf8(message.payload).unwrap();
        }
    };
    assert_ne!(heard, "before");
    let heard: u32 = heard.parse().unwrap();
    let sent = numbers.next().unwrap();
    send(&mut *publisher, "sensor/late", sent.to_string().as_bytes());
    for number in heard + 1..=sent {
        assert_eq!(second.payload(), number.to_string(), "and the second nothing from then on");
    }
}

pub fn one_is_not_ten(setting: &mut dyn Setting) {
    let mut publisher = setting.publisher("prefix");
    let mut exact = setting.listener("prefix-exact", &["sensor/1"]);
    let mut below = setting.listener("prefix-below", &["sensor/1/", "beat/"]);
    let mut all = setting.listener("prefix-all", &[]);
    for listener in [&mut exact, &mut below, &mut all] {
        listener.wait_for_up();
    }
    let topics = ["sensor/10", "sensor/1/a", "beat/1", "sensor/1"];
    for (listener, topic) in [(&mut exact, "sensor/1"), (&mut below, "beat/0"), (&mut all, "bye/0")] {
        send_until_heard(&mut *publisher, topic, listener);
    }
    for topic in topics {
        send(&mut *publisher, topic, b"now");
    }
    assert_eq!(all.topics_now(4), topics);
    assert_eq!(exact.topics_now(1), ["sensor/1"]);
    assert_eq!(below.topics_now(2), ["sensor/1/a", "beat/1"]);
}

pub fn payloads_may_be_empty_and_a_mebibyte_large_but_not_larger(setting: &mut dyn Setting) {
    let mut publisher = setting.publisher("size");
    let mut listener = setting.listener("size", &[]);
    listener.wait_for_up();
    let large: Vec<u8> = (0..1_u32 << 20).map(|byte| byte.to_le_bytes()[0]).collect();
    send(&mut *publisher, "sensor/size", b"");
    send(&mut *publisher, "sensor/size", &large);
    send(&mut *publisher, "sensor/size", b"");
    assert_eq!(listener.message().payload, b"");
    assert!(listener.message().payload == large, "a large payload comes as it was");
    assert_eq!(listener.message().payload, b"");
    let error = publisher.try_send("sensor/size", &vec![0; large.len() + 1]).unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { bytes: 1_048_577, limit: 1_048_576, .. }), "{error}");
}

pub fn a_broken_link_is_told_of_and_comes_back(setting: &mut dyn Setting) {
    let mut listener = setting.listener("broken", &[]);
    let mut publisher = Some(setting.publisher("broken"));
    listener.wait_for_up();
    send(&mut **publisher.as_mut().unwrap(), "sensor/broken", b"before");
    assert_eq!(listener.payload(), "before");
    for round in 0..2 {
        setting.break_link(&mut publisher);
        assert!(!listener.wait_for_down().is_empty());
        setting.mend_link(&mut publisher);
        listener.wait_for_up();
        // What a publisher hands over before it has noticed the break itself may be lost, or come twice.
        send_until_heard(&mut **publisher.as_mut().unwrap(), &format!("sensor/broken/{round}"), &mut listener);
    }
}

pub fn either_end_may_be_there_first(setting: &mut dyn Setting) {
    let mut publisher = Some(setting.publisher("first"));
    setting.break_link(&mut publisher);
    let mut listener = setting.listener("first", &[]);
    assert!(!listener.wait_for_down().is_empty());
    setting.mend_link(&mut publisher);
    listener.wait_for_up();
    send(&mut **publisher.as_mut().unwrap(), "beat/first", b"here");
    assert_eq!(listener.payload(), "here");
}

/// Makes a test of each body for one setting.
#[macro_export]
macro_rules! conforms {
    ($module:ident, $setting:expr) => {
        mod $module {
            use super::*;
            $crate::conforms!(@each $setting;
                messages_come_complete_and_in_order,
                several_publishers_and_subscribers_all_hear_all,
                a_late_joiner_hears_what_is_sent_after_it_came,
                one_is_not_ten,
                payloads_may_be_empty_and_a_mebibyte_large_but_not_larger,
                a_broken_link_is_told_of_and_comes_back,
                either_end_may_be_there_first);
        }
    };
    (@each $setting:expr; $($body:ident),*) => {
        $(#[test]
        fn $body() {
            $crate::bodies::$body(&mut $setting);
        })*
    };
}
