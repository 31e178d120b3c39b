//! Transport `memory://name`: hubs within this process, for tests. What is taken is delivered before the call returns.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lastbeat_host::Clock;
use lastbeat_wire::ResendRequest;
use tokio::sync::mpsc::{Sender, error::TrySendError};
use tokio_util::sync::CancellationToken;

use crate::{
    Arrival, Asker, Batch, Delivery, Handed, Incoming, LinkIndex, Outbound, PublishOptions, SubscribeOptions,
    Subscription, TransportError, Unsent,
    asking::Requests,
    filter::{Admission, Filter},
    outbound::check_size,
    subscription::Inbox,
    waiting::wait_for,
};

static HUBS: LazyLock<Mutex<HashMap<String, Hub>>> = LazyLock::new(Mutex::default);

/// The hub behind `memory://name`. Lives as long as the process; give each test its own name.
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told whenever a subscriber comes or the link is restored.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    next_key: u64,
    subscribers: Vec<Subscriber>,
    /// What publishers were asked for, by their keys.
    publishers: HashMap<u64, Requests>,
}

#[derive(Debug)]
struct Subscriber {
    key: u64,
    admission: Admission,
    inbox: Inbox,
}

impl Hub {
    /// The hub of this name, made if there is none yet.
    pub fn named(name: &str) -> Self {
        HUBS.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }

    /// Cuts the link: publishers find nobody, subscribers are told that it is down.
    pub fn cut(&self) {
        self.set_cut(true, || Arrival::Down { reason: "the memory hub was cut".to_owned() });
    }

    /// Mends the link.
    pub fn restore(&self) {
        self.set_cut(false, || Arrival::Up);
    }

    fn set_cut(&self, cut: bool, arrival: impl Fn() -> Arrival) {
        let mut state = self.lock();
        if state.cut == cut {
            return;
        }
        state.cut = cut;
        // One that no longer listens is removed by its own `Subscription`.
        let inboxes: Vec<Inbox> = state.subscribers.iter().map(|subscriber| subscriber.inbox.clone()).collect();
        drop(state);
        for inbox in inboxes {
            let _ = inbox.hand(arrival());
        }
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, admission: Admission, inbox: &Inbox) -> u64 {
        let mut state = self.lock();
        let key = state.key();
        let cut = state.cut;
        state.subscribers.push(Subscriber { key, admission, inbox: inbox.clone() });
        drop(state);
        let _ =
            inbox.hand(if cut { Arrival::Down { reason: "the memory hub is cut".to_owned() } } else { Arrival::Up });
        self.0.changed.notify_all();
        key
    }

    /// Passes a request up to all publishers, as a broker does; whether there is anybody to hear it.
    fn ask(&self, request: &[u8]) -> bool {
        let mut state = self.lock();
        let heard = !state.cut && !state.publishers.is_empty();
        if heard {
            state.publishers.values_mut().for_each(|requests| {
                requests.take_in(request).expect("invariant: an asker's request can be read");
            });
        }
        heard
    }

    fn remove(&self, key: u64) {
        self.lock().subscribers.retain(|subscriber| subscriber.key != key);
    }
}

impl State {
    fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    /// Those who want `topic` and still listen, with the topic as they get it; none while the link is cut.
    fn listeners<'a>(&'a self, topic: &'a [u8]) -> impl Iterator<Item = Listener<'a>> {
        let there = if self.cut { &[][..] } else { &self.subscribers[..] };
        there.iter().filter(|subscriber| !subscriber.inbox.incoming.is_closed()).filter_map(
            move |Subscriber { admission, inbox, .. }| {
                let (topic, resent) = admission.admit(topic)?;
                Some(Listener { link: inbox.link, sender: &inbox.incoming, topic, resent })
            },
        )
    }
}

struct Listener<'a> {
    link: LinkIndex,
    sender: &'a Sender<Incoming>,
    topic: &'a [u8],
    resent: bool,
}

/// Opens a subscriber's end.
pub(crate) fn subscribe(
    name: &str,
    options: SubscribeOptions,
    link: LinkIndex,
    incoming: Sender<Incoming>,
) -> Subscription {
    let (hub, stop) = (Hub::named(name), CancellationToken::new());
    let admission = Admission::new(Filter::new(options.topics));
    let upstream = hub.clone();
    let asker = Asker::new(admission.inbox(), move |request| upstream.ask(request));
    let key = hub.add(admission, &Inbox { link, incoming, stop: stop.clone() });
    Subscription::without_thread(stop, move || hub.remove(key)).with_asker(asker)
}

/// Opens a publisher's end.
pub(crate) fn publish(name: &str, options: &PublishOptions) -> Box<dyn Outbound> {
    let hub = Hub::named(name);
    let mut state = hub.lock();
    let key = state.key();
    state.publishers.insert(key, Requests::of(&options.client));
    drop(state);
    Box::new(MemoryOutbound { hub, key, taken: 0 })
}

#[derive(Debug)]
struct MemoryOutbound {
    hub: Hub,
    key: u64,
    taken: u64,
}

impl Drop for MemoryOutbound {
    fn drop(&mut self) {
        self.hub.lock().publishers.remove(&self.key);
    }
}

impl Outbound for MemoryOutbound {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        check_size(topic, payload)?;
        let state = self.hub.lock();
        let mut permits = Vec::new();
        for listener in state.listeners(topic.as_bytes()) {
            match listener.sender.try_reserve() {
                Ok(permit) => permits.push((listener, permit)),
                Err(TrySendError::Full(())) => return Ok(Handed::NotNow),
                Err(TrySendError::Closed(())) => {}
            }
        }
        let handed = if permits.is_empty() { Handed::NotNow } else { Handed::Taken };
        for (Listener { link, topic, resent, .. }, permit) in permits {
            let mut batch = Batch::default();
            batch.push(Delivery { topic, payload, retained: false, resent });
            permit.send(Incoming { link, arrival: Arrival::Batch(batch) });
        }
        drop(state);
        self.taken += u64::from(handed == Handed::Taken);
        Ok(handed)
    }

    fn wait_ready(&mut self, topic: &str, limit: Duration) -> bool {
        let start = Clock.now().monotonic;
        let left = || limit.saturating_sub(Clock.now().monotonic.since(start));
        loop {
            let state = self.hub.lock();
            let senders: Vec<_> = state.listeners(topic.as_bytes()).map(|listener| listener.sender.clone()).collect();
            if senders.is_empty() {
                let left = left();
                if left.is_zero() {
                    return false;
                }
                drop(self.hub.0.changed.wait_timeout(state, left));
                continue;
            }
            drop(state);
            let Some(full) = senders.iter().find(|sender| sender.capacity() == 0) else { return true };
            if wait_for(full.reserve(), Some(left())).is_none() {
                return false;
            }
        }
    }

    fn requests(&mut self) -> Vec<ResendRequest> {
        self.hub.lock().publishers.get_mut(&self.key).map(Requests::drain).unwrap_or_default()
    }

    fn settled(&mut self) -> u64 {
        self.taken
    }

    fn close(self: Box<Self>, _limit: Duration) -> Unsent {
        Unsent(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use tokio::sync::mpsc;

    #[test]
    fn a_full_channel_is_not_now_and_ready_once_there_is_room() {
        let (incoming, mut receiver) = mpsc::channel(2);
        let _subscription = subscribe("full", SubscribeOptions::default(), LinkIndex(0), incoming);
        let mut outbound = publish("full", &PublishOptions::default());
        assert_eq!(outbound.try_send("sensor/1", b"a").unwrap(), Handed::Taken);
        assert_eq!(outbound.try_send("sensor/1", b"b").unwrap(), Handed::NotNow);
        assert!(!outbound.wait_ready("sensor/1", Duration::from_millis(1)));
        let reader = thread::spawn(move || (receiver.blocking_recv(), receiver));
        assert!(outbound.wait_ready("sensor/1", Duration::from_mins(1)));
        assert_eq!(outbound.try_send("sensor/1", b"b").unwrap(), Handed::Taken);
        reader.join().unwrap();
    }

    #[test]
    fn a_cut_hub_takes_nothing_until_it_is_restored() {
        let (incoming, mut receiver) = mpsc::channel(8);
        let _subscription = subscribe("cut", SubscribeOptions::default(), LinkIndex(0), incoming);
        let mut outbound = publish("cut", &PublishOptions::default());
        Hub::named("cut").cut();
        assert_eq!(outbound.try_send("beat/1", b"").unwrap(), Handed::NotNow);
        let waiter = thread::spawn(move || outbound.wait_ready("beat/1", Duration::from_mins(1)));
        Hub::named("cut").restore();
        assert!(waiter.join().unwrap());
        let arrivals: Vec<_> = (0..3).map(|_| receiver.blocking_recv().unwrap().arrival).collect();
        assert!(matches!(arrivals[..], [Arrival::Up, Arrival::Down { .. }, Arrival::Up]));
    }
}
