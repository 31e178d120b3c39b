//! [`Listener`]: a subscriber as a test wants it; and the sending that goes with it.
#![allow(dead_code, reason = "not each test file that uses this one needs all of it")]

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SendError, Sender},
    thread,
    time::Duration,
};

use lastbeat_transport::{
    Arrival, Asker, Endpoint, Handed, Incoming, LinkIndex, Outbound, SubscribeOptions, Subscription, subscribe,
};
use tokio::sync::mpsc;

/// Long enough for a machine that is busy with something else; nothing waits so long when all is well.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// How soon a dead link is to be noticed.
pub const KEEPALIVE: Duration = Duration::from_secs(3);

pub fn endpoint(url: &str) -> Endpoint {
    url.parse().unwrap()
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub resent: bool,
}

/// What a listener hears.
enum Heard {
    Up,
    Down(String),
    RoundTrip(Duration),
    Message(Message),
}

/// A subscriber that gives every receipt at once, whatever its test waits for.
pub struct Listener {
    heard: Receiver<Heard>,
    messages: VecDeque<Message>,
    downs: usize,
    subscription: Subscription,
}

impl Listener {
    pub fn new(url: &str, client: &str, topics: &[&str]) -> Self {
        let mut options =
            SubscribeOptions { client: client.to_owned(), keepalive: KEEPALIVE, ..SubscribeOptions::default() };
        if !topics.is_empty() {
            options.topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        }
        Self::with(url, options)
    }

    pub fn with(url: &str, options: SubscribeOptions) -> Self {
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
        Self { heard, messages: VecDeque::new(), downs: 0, subscription }
    }

    /// A way to ask for what was lost, where the transport has one.
    pub fn asker(&self) -> Option<Asker> {
        self.subscription.asker()
    }

    fn next(&mut self) -> Heard {
        let heard = self.heard.recv_timeout(PATIENCE).expect("nothing was heard in time");
        self.downs += usize::from(matches!(heard, Heard::Down(_)));
        heard
    }

    /// How often the link was told to be down, as far as was waited for.
    pub fn downs(&self) -> usize {
        self.downs
    }

    pub fn wait_for_up(&mut self) {
        loop {
            match self.next() {
                Heard::Up => return,
                Heard::Message(message) => self.messages.push_back(message),
                Heard::Down(_) | Heard::RoundTrip(_) => {}
            }
        }
    }

    pub fn wait_for_down(&mut self) -> String {
        loop {
            match self.next() {
                Heard::Down(reason) => return reason,
                Heard::Message(message) => self.messages.push_back(message),
                Heard::Up | Heard::RoundTrip(_) => {}
            }
        }
    }

    /// How long a message of its own took, the next one.
    pub fn round_trip(&mut self) -> Duration {
        loop {
            match self.next() {
                Heard::RoundTrip(span) => return span,
                Heard::Message(message) => self.messages.push_back(message),
                Heard::Down(reason) => panic!("the link is down: {reason}"),
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
    pub fn message_now(&mut self) -> Option<Message> {
        self.messages.extend(self.heard.try_iter().filter_map(|heard| match heard {
            Heard::Message(message) => Some(message),
            Heard::Up | Heard::Down(_) | Heard::RoundTrip(_) => None,
        }));
        self.messages.pop_front()
    }

    /// The topics of the next messages that say "now".
    pub fn topics_now(&mut self, count: usize) -> Vec<String> {
        let mut now = std::iter::repeat_with(|| self.message()).filter(|message| message.payload == b"now");
        (0..count).map(|_| now.next().unwrap().topic).collect()
    }

    pub fn payload(&mut self) -> String {
        String::from_utf8(self.message().payload).unwrap()
    }
}

fn tell(arrival: Arrival, listener: &Sender<Heard>) -> Result<(), SendError<Heard>> {
    match arrival {
        Arrival::Up => listener.send(Heard::Up),
        Arrival::Down { reason } => listener.send(Heard::Down(reason)),
        Arrival::RoundTrip(span) => listener.send(Heard::RoundTrip(span)),
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
                    resent: delivery.resent,
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
