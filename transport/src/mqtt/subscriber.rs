//! A subscriber's end over MQTT: a message is acknowledged to the broker once its receipt was given, not before. How fast
//! receipts are given is how fast messages come.

use std::{sync::Arc, time::Duration};

use paho_mqtt::QOS_1;
use tokio::sync::{Mutex, mpsc::Sender};
use tokio_util::sync::CancellationToken;

use super::{
    LONGEST_KEEPALIVE, Wanted,
    broker::{ANSWER_LIMIT, Broker, Failure},
    canary::Canary,
    connector::{Connector, Down, End},
    relay::Recipient,
};
use crate::{
    Arrival, Batch, Incoming, LinkIndex, MqttEndpoint, Session, SubscribeOptions, Subscription, TransportError,
    filter::Filter,
    subscription::{Inbox, Stopped},
    waiting::wait_for,
};

/// The longest wait between two tries to reach a broker that does not answer.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Opens a subscriber's end.
pub(crate) fn subscribe(
    endpoint: &MqttEndpoint,
    options: SubscribeOptions,
    link: LinkIndex,
    incoming: Sender<Incoming>,
) -> Result<Subscription, TransportError> {
    let wanted = Wanted {
        client_id: format!("lastbeat-sub-{}", options.client),
        keepalive: options.keepalive.min(LONGEST_KEEPALIVE),
        inflight: 1,
        keeps_session: options.session == Session::Kept,
        will: None,
    };
    let stop = CancellationToken::new();
    let inbox = Inbox { link, incoming, stop: stop.clone() };
    let canary = options.canary.then(|| Canary::new(&wanted.client_id));
    let listener = Listener::new(inbox, Filter::new(options.topics), endpoint.to_string());
    let listener = Arc::new(Listener { canary, ..listener });
    let broker = Broker::new((0, endpoint), &wanted, Recipient::Subscriber(Arc::clone(&listener)), stop.clone())?;
    let connector = Connector::new(vec![broker], stop.clone());
    let end = SubscribingEnd { listener, subscribed: false };
    let name = format!("mqtt-{}", link.0);
    Subscription::spawn(stop, name, move || connector.run(end), || {})
        .map_err(|source| TransportError::Thread { place: endpoint.to_string(), source })
}

/// What the relay's thread and the connector's thread share.
pub(super) struct Listener {
    inbox: Inbox,
    filter: Filter,
    place: String,
    pub(super) canary: Option<Canary>,
    said: Mutex<Said>,
}

/// What was said last of the link.
#[derive(Default, PartialEq, Eq)]
enum Said {
    #[default]
    Nothing,
    Up,
    /// Down, though the connection stands.
    Deaf(Deaf),
    Down,
}

/// Why nobody is heard on a connection that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deaf {
    /// What came can't be acknowledged for long.
    Stuck,
    /// Nothing is passed on, not even our own message.
    Mute,
}

impl Deaf {
    fn words(self) -> &'static str {
        match self {
            Self::Stuck => {
                "what came is not in the log yet and can't be acknowledged; the broker sends no more until then"
            }
            Self::Mute => "the broker takes connections and passes nothing on, not even our own message",
        }
    }
}

impl Listener {
    /// `place` is the broker, for people.
    pub(super) fn new(inbox: Inbox, filter: Filter, place: String) -> Self {
        Self { inbox, filter, place, canary: None, said: Mutex::default() }
    }

    pub(super) fn wants(&self, topic: &[u8]) -> bool {
        self.filter.wants(topic)
    }

    /// Hands messages over, and waits while there is no room: that is the backpressure.
    pub(super) async fn hand(&self, batch: Batch) -> Result<(), Stopped> {
        if !matches!(*self.said.lock().await, Said::Deaf(_)) {
            self.say_up().await?;
        }
        self.inbox.give(Arrival::Batch(batch)).await
    }

    /// Nobody is heard though the connection stands, or somebody is again.
    pub(super) async fn say_deaf(&self, deaf: Deaf, is_so: bool) {
        let mut said = self.said.lock().await;
        let (new, arrival) = match *said {
            Said::Up if is_so => {
                (Said::Deaf(deaf), Arrival::Down { reason: format!("{}: {}", self.place, deaf.words()) })
            }
            Said::Deaf(why) if why == deaf && !is_so => (Said::Up, Arrival::Up),
            _ => return,
        };
        // Whoever stopped us no longer listens.
        if self.inbox.give(arrival).await.is_ok() {
            *said = new;
        }
    }

    /// How long our own message took.
    pub(super) async fn say_round_trip(&self, span: Duration) {
        // Whoever stopped us no longer listens.
        let _ = self.inbox.give(Arrival::RoundTrip(span)).await;
    }

    async fn say_up(&self) -> Result<(), Stopped> {
        self.say(Said::Up, || Arrival::Up).await
    }

    pub(super) async fn say_down(&self, reason: &str) {
        // Whoever stopped us no longer listens.
        let _ = self.say(Said::Down, || Arrival::Down { reason: format!("{}: {reason}", self.place) }).await;
    }

    /// Nothing is said twice, nor overtaken by a message that comes because of it.
    async fn say(&self, new: Said, arrival: impl FnOnce() -> Arrival) -> Result<(), Stopped> {
        let mut said = self.said.lock().await;
        if *said != new {
            self.inbox.give(arrival()).await?;
            *said = new;
        }
        Ok(())
    }
}

struct SubscribingEnd {
    listener: Arc<Listener>,
    /// Whether this process has told the broker what it wants; an earlier one may have wanted something else.
    subscribed: bool,
}

impl End for SubscribingEnd {
    /// Not long: a broker that was killed has forgotten its session, and what publishers, back before it, then send is
    /// acknowledged and given to nobody.
    fn longest_wait(&self) -> Duration {
        LONGEST_WAIT
    }

    fn up(&mut self, broker: &Broker, session_kept: bool) -> Result<(), Failure> {
        if !(self.subscribed && session_kept) {
            let own = self.listener.canary.iter().map(|canary| canary.topic().to_owned());
            let filters: Vec<String> = self.listener.filter.iter().map(mqtt_filter).chain(own).collect();
            let qos = vec![QOS_1; filters.len()];
            broker.answer(broker.client.subscribe_many(&filters, &qos), Some(ANSWER_LIMIT))?;
            self.subscribed = true;
        }
        wait_for(self.listener.say_up(), None).unwrap_or(Err(Stopped)).map_err(|Stopped| Failure::Stopped)
    }

    fn down(&mut self, down: &Down<'_>) {
        wait_for(self.listener.say_down(&down.failure.to_string()), None);
    }
}

/// As MQTT writes it.
pub(super) fn mqtt_filter(topic: &str) -> String {
    if topic.ends_with('/') { format!("{topic}#") } else { topic.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_becomes_a_wildcard_and_a_topic_stays() {
        assert_eq!(mqtt_filter("sensor/"), "sensor/#");
        assert_eq!(mqtt_filter("sensor/1"), "sensor/1");
    }
}
