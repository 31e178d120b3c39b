//! A publisher's end over MQTT: holds what the broker has not acknowledged, and sends it again on the next connection, whichever
//! of its brokers that is with.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake},
    thread::{self, JoinHandle},
    time::Duration,
};

use lastbeat_host::Clock;
use lastbeat_wire::Monotonic;
use paho_mqtt::{AsyncClient, DeliveryToken, Error, Message, QOS_1};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    LONGEST_KEEPALIVE, Wanted,
    broker::{ANSWER_LIMIT, Broker, Failure},
    connector::{Connector, Down, End},
    heard::Heard,
    relay::Recipient,
    rounds,
    subscriber::mqtt_filter,
};
use crate::{
    Handed, MqttEndpoint, Outbound, PublishOptions, Told, TransportError, Unsent, outbound::check_size,
    waiting::wait_for,
};

/// MQTT numbers what is under way with 16 bits.
const MOST_INFLIGHT: usize = 60_000;

/// Opens a publisher's end with one broker, or with one of several at a time.
pub(crate) fn publish(
    endpoints: &[MqttEndpoint],
    options: PublishOptions,
) -> Result<Box<dyn Outbound>, TransportError> {
    let inflight = options.high_water_mark.clamp(1, MOST_INFLIGHT);
    let retain = options.retain;
    let wanted = Wanted {
        client_id: format!("lastbeat-pub-{}", options.client),
        keepalive: options.keepalive.min(LONGEST_KEEPALIVE),
        inflight,
        // What was not acknowledged is sent again from here: a session at the broker would keep nothing more.
        keeps_session: false,
        will: options.will,
    };
    let stop = CancellationToken::new();
    let heard = Arc::new(Heard::default());
    let broker = |endpoint| Broker::new(endpoint, &wanted, Recipient::Publisher(Arc::clone(&heard)), stop.clone());
    let brokers: Vec<_> = endpoints.iter().enumerate().map(broker).collect::<Result<_, _>>()?;
    let ways: Vec<_> = brokers.iter().map(|broker| (Arc::clone(&broker.place), broker.client.clone())).collect();
    let place = ways.iter().map(|(place, _)| &**place).collect::<Vec<_>>().join(", ");
    let connector = Connector::new(brokers, stop.clone());
    let shared = Arc::new(Shared::default());
    let end = PublishingEnd {
        shared: Arc::clone(&shared),
        listen: options.listen.iter().map(|topic| mqtt_filter(topic)).collect(),
        longest_wait: longest_wait(wanted.keepalive),
        last: None,
        told: BTreeMap::new(),
        without_link_since: Clock.now().monotonic,
    };
    let thread = thread::Builder::new()
        .name("mqtt-publisher".to_owned())
        .spawn(move || connector.run(end))
        .map_err(|source| TransportError::Thread { place: place.clone(), source })?;
    Ok(Box::new(MqttOutbound { ways, shared, heard, inflight, retain, taken: 0, place, stop, thread: Some(thread) }))
}

/// What the caller's thread and the connector's thread share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when the link changes or a message is acknowledged. Only the caller waits for it.
    news: Notify,
}

#[derive(Default)]
struct State {
    link: Link,
    /// In the order they were taken.
    unacknowledged: VecDeque<Sent>,
}

#[derive(Default)]
enum Link {
    #[default]
    Down,
    /// With the broker of this number.
    Up(usize),
    /// No broker lets us in, nor did one before.
    Refused(String),
}

struct Sent {
    message: Message,
    /// `None` once it has failed: then the message waits for the next connection.
    token: Option<DeliveryToken>,
}

/// Being woken must take no lock of ours: the library calls it with its own lock held.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.news.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state without what has been acknowledged; `news` tells when the oldest of the rest is.
    fn settled(self: &Arc<Self>) -> MutexGuard<'_, State> {
        let waker = Arc::clone(self).into();
        let mut context = Context::from_waker(&waker);
        let mut state = self.lock();
        while let Some(sent) = state.unacknowledged.front_mut() {
            let Some(token) = &mut sent.token else { break };
            match Pin::new(token).poll(&mut context) {
                Poll::Ready(Ok(())) => drop(state.unacknowledged.pop_front()),
                Poll::Ready(Err(_)) => sent.token = None,
                Poll::Pending => break,
            }
        }
        state
    }
}

struct PublishingEnd {
    shared: Arc<Shared>,
    /// MQTT's filters.
    listen: Vec<String>,
    longest_wait: Duration,
    /// The broker that the last link was with.
    last: Option<Arc<str>>,
    /// Why each broker could not be had, as it was told since that link: they may be away for days.
    told: BTreeMap<String, Failure>,
    without_link_since: Monotonic,
}

/// Who is to be heard within a threshold is back within a fifth of it.
fn longest_wait(keepalive: Duration) -> Duration {
    keepalive.clamp(Duration::from_millis(500), rounds::LONGEST_WAIT)
}

impl End for PublishingEnd {
    fn up(&mut self, broker: &Broker, _session_kept: bool) -> Result<(), Failure> {
        for sent in &mut self.shared.lock().unacknowledged {
            let again = broker.client.try_publish(sent.message.clone());
            sent.token = Some(again.map_err(|error| Failure::Broken(format!("can't send again: {error}")))?);
        }
        self.listen(broker)?;
        self.shared.lock().link = Link::Up(broker.number);
        self.shared.news.notify_one();
        self.tell_of_move(broker);
        Ok(())
    }

    fn down(&mut self, down: &Down<'_>) {
        let was_up = {
            // Who was let in before has the right password: what refuses it now may be put right.
            let refusal = down.refusal.clone().filter(|_| self.last.is_none());
            let link = refusal.map_or(Link::Down, Link::Refused);
            let before = std::mem::replace(&mut self.shared.lock().link, link);
            matches!(before, Link::Up(_))
        };
        self.shared.news.notify_one();
        if was_up {
            self.without_link_since = Clock.now().monotonic;
        }
        let told = self.told.insert(down.place.to_owned(), down.failure.clone());
        if told.as_ref() == Some(down.failure) {
            tracing::debug!("{down}");
        } else {
            tracing::warn!("{down}");
        }
    }

    fn longest_wait(&self) -> Duration {
        self.longest_wait
    }
}

impl PublishingEnd {
    /// A broker that does not let us listen is good enough to publish to.
    fn listen(&self, broker: &Broker) -> Result<(), Failure> {
        let asked: Vec<_> = self.listen.iter().map(|filter| (filter, broker.client.subscribe(filter, QOS_1))).collect();
        for (filter, token) in asked {
            if let Err(failure) = broker.answer(token, Some(ANSWER_LIMIT)) {
                if failure == Failure::Stopped || !broker.client.is_connected() {
                    return Err(failure);
                }
                tracing::warn!("{} does not let us listen to {filter}: {failure}", broker.place);
            }
        }
        Ok(())
    }

    fn tell_of_move(&mut self, broker: &Broker) {
        self.told.clear();
        let place = &broker.place;
        let without = Clock.now().monotonic.since(self.without_link_since).as_secs_f64();
        match self.last.replace(Arc::clone(place)) {
            Some(last) if last == *place => {
                tracing::info!("linked with {place} again, after {without:.1} s without a link");
            }
            Some(last) => tracing::info!("moved from {last} to {place}, after {without:.1} s without a link"),
            None => tracing::info!("linked with {place}"),
        }
    }
}

struct MqttOutbound {
    /// The brokers by number, each with its URL for people.
    ways: Vec<(Arc<str>, AsyncClient)>,
    shared: Arc<Shared>,
    heard: Arc<Heard>,
    inflight: usize,
    retain: bool,
    taken: u64,
    /// All of them, for people.
    place: String,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Outbound for MqttOutbound {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        check_size(topic, payload)?;
        let mut state = self.shared.settled();
        let (place, client) = match &state.link {
            Link::Up(number) if state.unacknowledged.len() < self.inflight => &self.ways[*number],
            Link::Up(_) | Link::Down => return Ok(Handed::NotNow),
            Link::Refused(reason) => {
                return Err(TransportError::Refused { place: self.place.clone(), reason: reason.clone() });
            }
        };
        let message = if self.retain { Message::new_retained } else { Message::new }(topic, payload, QOS_1);
        match client.try_publish(message.clone()) {
            Ok(token) => state.unacknowledged.push_back(Sent { message, token: Some(token) }),
            // The connector hears of it too, and connects again.
            Err(Error::Publish(..)) => return Ok(Handed::NotNow),
            Err(source) => {
                return Err(TransportError::Mqtt { place: place.to_string(), doing: "can't publish", source });
            }
        }
        drop(state);
        self.taken += 1;
        Ok(Handed::Taken)
    }

    fn wait_ready(&mut self, _topic: &str, limit: Duration) -> bool {
        let inflight = self.inflight;
        self.wait_until(limit, |state| match state.link {
            Link::Up(_) => state.unacknowledged.len() < inflight,
            // The next try says so.
            Link::Refused(_) => true,
            Link::Down => false,
        })
    }

    fn told(&mut self) -> Vec<Told> {
        self.heard.give()
    }

    fn peer(&self) -> Option<String> {
        match self.shared.lock().link {
            Link::Up(number) => Some(self.ways[number].0.to_string()),
            Link::Down | Link::Refused(_) => None,
        }
    }

    fn settled(&mut self) -> u64 {
        self.taken - self.shared.settled().unacknowledged.len() as u64
    }

    fn close(mut self: Box<Self>, limit: Duration) -> Unsent {
        self.wait_until(limit, |state| state.unacknowledged.is_empty());
        let unsent = self.shared.settled().unacknowledged.len() as u64;
        self.stop.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("{}: the link's thread had panicked", self.place);
        }
        Unsent(unsent)
    }
}

impl MqttOutbound {
    fn wait_until(&self, limit: Duration, done: impl Fn(&State) -> bool) -> bool {
        let start = Clock.now().monotonic;
        loop {
            if done(&self.shared.settled()) {
                return true;
            }
            let left = limit.saturating_sub(Clock.now().monotonic.since(start));
            if wait_for(self.shared.news.notified(), Some(left)).is_none() {
                return done(&self.shared.settled());
            }
        }
    }
}

impl Drop for MqttOutbound {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
