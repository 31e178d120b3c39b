//! What every transport must do, written once. Each test file says how its transport is set up, broken and mended.

use lastbeat_transport::{
    Arrival, Endpoint, Handed, Incoming, LinkIndex, Outbound, PublishOptions, SubscribeOptions, Subscription,
    TransportError, publish, subscribe,
};
use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SendError, Sender},
    thread,
    time::Duration,
};
use tokio::sync::mpsc;

/// Long enough for a machine that is busy with something else; nothing waits so long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How soon a dead link is to be noticed.
pub const KEEPALIVE: Duration = Duration::from_secs(3);

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

pub fn endpoint(url: &str) -> Endpoint {
    url.parse().unwrap()
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

/// What a listener hears.
enum Heard {
    Up,
    Down(String),
    Message(Message),
}

/// A subscriber that gives every receipt at once, whatever its test waits for: MQTT's library stands still meanwhile.
pub struct Listener {
    heard: Receiver<Heard>,
    messages: VecDeque<Message>,
    _subscription: Subscription,
}

impl Listener {
    pub fn new(url: &str, client: &str, topics: &[&str]) -> Self {
        let mut options =
            SubscribeOptions { client: client.to_owned(), keepalive: KEEPALIVE, ..SubscribeOptions::default() };
        if !topics.is_empty() {
            options.topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        }
        let (incoming, mut receiver) = mpsc::channel::<Incoming>(64);
        let (sender, heard) = std::sync::mpsc::channel();
        thread::spawn(move || {
            while let Some(incoming) = receiver.blocking_recv() {
                assert_eq!(incoming.link, LinkIndex(7));
                // A test that has ended no longer listens.
                let _ = tell(incoming.arrival, &sender);
            }
        });
        let subscription = subscribe(&endpoint(url), options, LinkIndex(7), incoming).unwrap();
        Self { heard, messages: VecDeque::new(), _subscription: subscription }
    }

    fn next(&mut self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("nothing was heard in time")
    }

    pub fn wait_for_up(&mut self) {
        loop {
            match self.next() {
                Heard::Up => return,
                Heard::Message(message) => self.messages.push_back(message),
                Heard::Down(_) => {}
            }
        }
    }

    pub fn wait_for_down(&mut self) -> String {
        loop {
            match self.next() {
                Heard::Down(reason) => return reason,
                Heard::Message(message) => self.messages.push_back(message),
                Heard::Up => {}
            }
        }
    }

    pub fn message(&mut self) -> Message {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message;
            }
            if let Heard::Message(message) = self.next() {
                return message;
            }
        }
    }

    /// A message if one is here already.
    fn message_now(&mut self) -> Option<Message> {
        self.messages.extend(self.heard.try_iter().filter_map(|heard| match heard {
            Heard::Message(message) => Some(message),
            Heard::Up | Heard::Down(_) => None,
        }));
        self.messages.pop_front()
    }

    pub fn payload(&mut self) -> String {
        String::from_utf8(self.message().payload).unwrap()
    }
}

fn tell(arrival: Arrival, listener: &Sender<Heard>) -> Result<(), SendError<Heard>> {
    match arrival {
        Arrival::Up => listener.send(Heard::Up),
        Arrival::Down { reason } => listener.send(Heard::Down(reason)),
        Arrival::Batch(mut batch) => {
            assert!(!batch.is_empty(), "an empty batch");
            if let Some(receipt) = batch.receipt.take() {
                receipt.give();
            }
            batch.iter().try_for_each(|delivery| {
                listener.send(Heard::Message(Message {
                    topic: String::from_utf8(delivery.topic.to_vec()).unwrap(),
                    payload: delivery.payload.to_vec(),
                    retained: delivery.retained,
                }))
            })
        }
    }
}

/// Sends, waiting until it is taken.
pub fn send(publisher: &mut dyn Outbound, topic: &str, payload: &[u8]) {
    while publisher.try_send(topic, payload).unwrap() == Handed::NotNow {
        assert!(publisher.wait_ready(topic, PATIENCE), "{topic}: nobody to give it to");
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
    for kind in ["sensor/x", "beat/x", "bye/x", "rip/x"] {
        send(&mut *publisher, kind, b"first");
    }
    for listener in &mut listeners {
        // One may have come later than the other to a publisher that already found the first.
        while listener.message().topic != "rip/x" {
            send(&mut *publisher, "rip/x", b"again");
        }
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
    // The last to come to the publisher must be there before it counts.
    for (listener, topic) in [(&mut exact, "sensor/1"), (&mut below, "beat/0"), (&mut all, "bye/0")] {
        loop {
            send(&mut *publisher, topic, b"are you there");
            if listener.message_now().is_some_and(|message| message.topic == topic) {
                break;
            }
        }
    }
    for topic in topics {
        send(&mut *publisher, topic, b"now");
    }
    let heard = |listener: &mut Listener, count: usize| -> Vec<String> {
        let mut now = std::iter::repeat_with(|| listener.message()).filter(|message| message.payload == b"now");
        (0..count).map(|_| now.next().unwrap().topic).collect()
    };
    assert_eq!(heard(&mut all, 4), topics);
    assert_eq!(heard(&mut exact, 1), ["sensor/1"]);
    assert_eq!(heard(&mut below, 2), ["sensor/1/a", "beat/1"]);
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
        let payload = format!("after {round}");
        let publisher = publisher.as_mut().unwrap();
        send(&mut **publisher, "sensor/broken", payload.as_bytes());
        assert_eq!(listener.payload(), payload);
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
