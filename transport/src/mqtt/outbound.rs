//! A publisher's end over MQTT: holds what the broker has not acknowledged, and sends it again on the next connection.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake},
    thread::{self, JoinHandle},
    time::Duration,
};

use lastbeat_host::Clock;
use paho_mqtt::{AsyncClient, DeliveryToken, Error, Message, QOS_1};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Wanted, client, connect_options,
    connector::{self, Connector, End, Failure},
    relay::Relay,
};
use crate::{
    Handed, MqttEndpoint, Outbound, PublishOptions, TransportError, Unsent, outbound::check_size, waiting::wait_for,
};

/// MQTT numbers what is under way with 16 bits.
const MOST_INFLIGHT: usize = 60_000;

/// Opens a publisher's end.
pub(crate) fn publish(endpoint: &MqttEndpoint, options: PublishOptions) -> Result<Box<dyn Outbound>, TransportError> {
    let inflight = options.high_water_mark.clamp(1, MOST_INFLIGHT);
    let retain = options.retain;
    let wanted = Wanted {
        client_id: format!("lastbeat-pub-{}", options.client),
        keepalive: options.keepalive,
        inflight,
        // What was not acknowledged is sent again from here: a session at the broker would keep nothing more.
        keeps_session: false,
        will: options.will,
    };
    let relay = Relay::start(endpoint, wanted.keepalive, None)?;
    let client = client(endpoint, &wanted, &relay)?;
    let stop = CancellationToken::new();
    let connector = Connector::new(client.clone(), relay, connect_options(endpoint, &wanted), stop.clone());
    let shared = Arc::new(Shared::default());
    let end = PublishingEnd { shared: Arc::clone(&shared), longest_wait: longest_wait(wanted.keepalive) };
    let place = endpoint.to_string();
    let thread = thread::Builder::new()
        .name("mqtt-publisher".to_owned())
        .spawn(move || connector.run(end))
        .map_err(|source| TransportError::Thread { place: place.clone(), source })?;
    Ok(Box::new(MqttOutbound { client, shared, inflight, retain, taken: 0, place, stop, thread: Some(thread) }))
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
    Up,
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
    longest_wait: Duration,
}

/// Who is to be heard within a threshold is back within a fifth of it.
fn longest_wait(keepalive: Duration) -> Duration {
    keepalive.clamp(Duration::from_millis(500), connector::LONGEST_WAIT)
}

impl End for PublishingEnd {
    fn up(&mut self, connector: &Connector, _session_kept: bool) -> Result<(), Failure> {
        let mut state = self.shared.lock();
        for sent in &mut state.unacknowledged {
            let again = connector.client.try_publish(sent.message.clone());
            sent.token = Some(again.map_err(|error| Failure::Broken(format!("can't send again: {error}")))?);
        }
        state.link = Link::Up;
        drop(state);
        self.shared.news.notify_one();
        Ok(())
    }

    fn down(&mut self, failure: &Failure) {
        tracing::warn!("the link to the MQTT broker is down: {failure}");
        self.shared.lock().link = match failure {
            Failure::Refused(reason) => Link::Refused(reason.clone()),
            Failure::Stopped | Failure::Broken(_) => Link::Down,
        };
        self.shared.news.notify_one();
    }

    fn longest_wait(&self) -> Duration {
        self.longest_wait
    }
}

struct MqttOutbound {
    client: AsyncClient,
    shared: Arc<Shared>,
    inflight: usize,
    retain: bool,
    taken: u64,
    place: String,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Outbound for MqttOutbound {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        check_size(topic, payload)?;
        let mut state = self.shared.settled();
        match &state.link {
            Link::Up if state.unacknowledged.len() < self.inflight => {}
            Link::Up | Link::Down => return Ok(Handed::NotNow),
            Link::Refused(reason) => {
                return Err(TransportError::Refused { place: self.place.clone(), reason: reason.clone() });
            }
        }
        let message = if self.retain { Message::new_retained } else { Message::new }(topic, payload, QOS_1);
        match self.client.try_publish(message.clone()) {
            Ok(token) => state.unacknowledged.push_back(Sent { message, token: Some(token) }),
            // The connector hears of it too, and connects again.
            Err(Error::Publish(..)) => return Ok(Handed::NotNow),
            Err(source) => {
                return Err(TransportError::Mqtt { place: self.place.clone(), doing: "can't publish", source });
            }
        }
        drop(state);
        self.taken += 1;
        Ok(Handed::Taken)
    }

    fn wait_ready(&mut self, _topic: &str, limit: Duration) -> bool {
        let inflight = self.inflight;
        self.wait_until(limit, |state| match state.link {
            Link::Up => state.unacknowledged.len() < inflight,
            // The next try says so.
            Link::Refused(_) => true,
            Link::Down => false,
        })
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
