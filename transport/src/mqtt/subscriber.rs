//! A subscriber's end over MQTT: a message is acknowledged to the broker once its receipt was given, not before.
//!
//! The library acknowledges a message when our callback returns, and takes up the next one only then. So the callback
//! waits for the receipt, and how fast receipts are given is how fast messages come.
//!
//! A receipt that will not be given must not end in an acknowledgement. The connection is then cut before the callback
//! returns, so that the broker does not get it and delivers again on the next connection.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use paho_mqtt::{Message, QOS_1};
use tokio::sync::{mpsc::Sender, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Wanted, client, connect_options,
    connector::{ANSWER_LIMIT, Connector, End, Failure},
    diagnosis, relay,
    relay::Relay,
};
use crate::{
    Arrival, Batch, Delivery, Incoming, LinkIndex, MqttEndpoint, Receipt, Session, SubscribeOptions, Subscription,
    TransportError,
    filter::Filter,
    subscription::{Inbox, Stopped},
    waiting::wait_for,
};

/// Opens a subscriber's end.
pub(crate) fn subscribe(
    endpoint: &MqttEndpoint,
    options: SubscribeOptions,
    link: LinkIndex,
    incoming: Sender<Incoming>,
) -> Result<Subscription, TransportError> {
    let wanted = Wanted {
        client_id: format!("lastbeat-sub-{}", options.client),
        keepalive: options.keepalive,
        inflight: 1,
        keeps_session: options.session == Session::Kept,
        will: None,
    };
    let relay = relay(endpoint, &wanted)?;
    let client = client(endpoint, &wanted, &relay)?;
    let stop = CancellationToken::new();
    let listener = Arc::new(Listener {
        inbox: Inbox { link, incoming, stop: stop.clone() },
        filter: Filter::new(options.topics),
        place: endpoint.to_string(),
        up: AtomicBool::new(false),
        said_down: AtomicBool::new(false),
        relay: Arc::clone(&relay),
    });
    let receiving = Arc::clone(&listener);
    // `None` comes with each loss of the connection, which the connector hears of by another way.
    client.set_message_callback(move |_, message| message.iter().for_each(|message| receiving.take(message)));
    let connector = Connector::new(
        client,
        Arc::clone(&relay),
        connect_options(endpoint, &wanted, &relay)?,
        diagnosis(endpoint, &wanted),
        stop.clone(),
    );
    let end = SubscribingEnd { listener, subscribed: false };
    let name = format!("mqtt-{}", link.0);
    Subscription::spawn(stop, name, move || connector.run(end), || {})
        .map_err(|source| TransportError::Thread { place: endpoint.to_string(), source })
}

/// What the library's thread and the connector's thread share.
struct Listener {
    inbox: Inbox,
    filter: Filter,
    place: String,
    up: AtomicBool,
    said_down: AtomicBool,
    relay: Arc<Relay>,
}

impl Listener {
    /// Hands a message over and waits for its receipt. Returning acknowledges it.
    fn take(&self, message: &Message) {
        // `sensor/#` also stands for `sensor`.
        if !self.filter.wants(message.topic().as_bytes()) {
            return;
        }
        let (receipt, given) = Receipt::new();
        let mut batch = Batch::default();
        let (topic, payload) = (message.topic().as_bytes(), message.payload());
        batch.push(Delivery { topic, payload, retained: message.retained(), resent: false });
        batch.receipt = Some(receipt);
        let handed = self.say_up().and_then(|()| self.inbox.hand(Arrival::Batch(batch)));
        if handed.is_ok() && self.wait_for_receipt(given) {
            return;
        }
        self.relay.cut();
        // Whoever stopped us no longer listens.
        let _ = self.say_down("a message could not be kept; the broker will deliver it again");
    }

    /// Whether it was given; not if it was dropped, or we are told to stop.
    fn wait_for_receipt(&self, given: oneshot::Receiver<()>) -> bool {
        let receipt = async {
            tokio::select! {
                biased;
                receipt = given => receipt.is_ok(),
                () = self.inbox.stop.cancelled() => false,
            }
        };
        wait_for(receipt, None).unwrap_or(false)
    }

    fn say_up(&self) -> Result<(), Stopped> {
        if self.up.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.said_down.store(false, Ordering::SeqCst);
        self.inbox.hand(Arrival::Up)
    }

    fn say_down(&self, reason: &str) -> Result<(), Stopped> {
        self.up.store(false, Ordering::SeqCst);
        if self.said_down.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.inbox.hand(Arrival::Down { reason: format!("{}: {reason}", self.place) })
    }
}

struct SubscribingEnd {
    listener: Arc<Listener>,
    /// Whether this process has told the broker what it wants; an earlier one may have wanted something else.
    subscribed: bool,
}

impl End for SubscribingEnd {
    fn up(&mut self, connector: &Connector, session_kept: bool) -> Result<(), Failure> {
        if !(self.subscribed && session_kept) {
            let filters: Vec<String> = self.listener.filter.iter().map(mqtt_filter).collect();
            let qos = vec![QOS_1; filters.len()];
            connector.answer(connector.client.subscribe_many(&filters, &qos), Some(ANSWER_LIMIT))?;
            self.subscribed = true;
        }
        self.listener.say_up().map_err(|Stopped| Failure::Stopped)
    }

    fn down(&mut self, failure: &Failure) {
        // Whoever stopped us no longer listens.
        let _ = self.listener.say_down(&failure.to_string());
    }
}

fn mqtt_filter(topic: &str) -> String {
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
