//! What every transport must do, written once. Each test file says how its transport is set up, broken and mended.

use std::{thread, time::Duration};

use lastbeat_host::Clock;
use lastbeat_transport::{Asker, Outbound, PublishOptions, TransportError, publish};
use lastbeat_wire::{BootId, HostId, ProcessIdentity, ResendRequest, Wanted};

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

/// Asks until the publisher hears it: a link's two directions need not come up at once.
fn asked_for(publisher: &mut dyn Outbound, asker: &Asker, wanted: &Wanted) -> ResendRequest {
    let round = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / round.as_millis() {
        asker.ask(wanted.clone());
        // Nobody listens there: it waits, and takes in meanwhile what comes up the link.
        publisher.wait_ready("nobody/listens", round);
        if let Some(request) = publisher.requests().into_iter().find(|request| request.wanted == *wanted) {
            return request;
        }
    }
    panic!("the request never came");
}

fn range(publisher: &str) -> Wanted {
    let process = ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid: 4, start: 5 };
    Wanted::Range { publisher: publisher.parse().unwrap(), process, from: 6, to: 9 }
}

pub fn what_was_lost_can_be_asked_for_or_nothing_is_lost(setting: &mut dyn Setting) {
    let mut publisher = Some(setting.publisher("asked"));
    let mut listeners = ["asked-a", "asked-b"].map(|client| setting.listener(client, &[]));
    listeners.iter_mut().for_each(Listener::wait_for_up);
    let [mut listener, mut other] = listeners;
    let Some(asker) = listener.asker() else {
        assert!(setting.subscriber_url().starts_with("mqtt"), "only a transport that acknowledges needs no asking");
        return;
    };
    for round in 0..2 {
        let outbound = &mut **publisher.as_mut().unwrap();
        send_until_heard(outbound, "beat/asked", &mut listener);
        send_until_heard(outbound, "beat/asked", &mut other);
        asker.ask(range("other"));
        let request = asked_for(outbound, &asker, &range("asked"));
        let last = asked_for(outbound, &asker, &Wanted::Last);
        assert_eq!(last.inbox, request.inbox, "a link keeps its inbox");
        assert!(!outbound.requests().iter().any(|request| request.wanted == range("other")), "not for this one");
        let mut topics = ["sensor/asked".to_owned(), "bye/asked".to_owned(), format!("gone/asked/{round}")];
        for topic in &topics {
            send(outbound, &request.inbox.topic(topic), b"now");
        }
        send(outbound, "beat/asked", b"now");
        let mut now = std::iter::repeat_with(|| listener.message()).filter(|message| message.payload == b"now");
        for topic in &mut topics {
            let message = now.next().unwrap();
            assert_eq!((message.topic, message.resent), (std::mem::take(topic), true));
        }
        assert_eq!(now.next().map(|message| (message.topic, message.resent)), Some(("beat/asked".to_owned(), false)));
        assert_eq!(other.topics_now(1), ["beat/asked"], "answers are for who asked");
        setting.break_link(&mut publisher);
        listener.wait_for_down();
        setting.mend_link(&mut publisher);
        listener.wait_for_up();
    }
}

pub fn what_need_not_be_kept_is_counted(setting: &mut dyn Setting) {
    let mut publisher = setting.publisher("settled");
    let mut listener = setting.listener("settled", &[]);
    listener.wait_for_up();
    assert_eq!(publisher.settled(), 0);
    for number in 1..=100 {
        send(&mut *publisher, "sensor/settled", b"");
        listener.message();
        assert!(publisher.settled() <= number);
    }
    let until = Clock.now().monotonic.plus(PATIENCE);
    while publisher.settled() < 100 {
        assert!(Clock.now().monotonic < until, "settled {} of 100", publisher.settled());
        publisher.wait_ready("nobody/listens", Duration::from_millis(20));
        std::thread::yield_now();
    }
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
                either_end_may_be_there_first,
                what_was_lost_can_be_asked_for_or_nothing_is_lost,
                what_need_not_be_kept_is_counted);
        }
    };
    (@each $setting:expr; $($body:ident),*) => {
        $(#[test]
        fn $body() {
            $crate::bodies::$body(&mut $setting);
        })*
    };
}
