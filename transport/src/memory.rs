//! Transport `memory://name`: hubs within this process, for tests. What is taken is delivered before the call returns.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lastbeat_host::Clock;
use tokio::sync::mpsc::{Sender, error::TrySendError};
use tokio_util::sync::CancellationToken;

use crate::{
    Arrival, Batch, Delivery, Handed, Incoming, LinkIndex, Outbound, SubscribeOptions, Subscription, TransportError,
    Unsent, filter::Filter, outbound::check_size, subscription::Inbox, waiting::wait_for,
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
}

#[derive(Debug)]
struct Subscriber {
    key: u64,
    filter: Filter,
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

    fn add(&self, filter: Filter, inbox: &Inbox) -> u64 {
        let mut state = self.lock();
        let key = state.next_key;
        state.next_key += 1;
        let cut = state.cut;
        state.subscribers.push(Subscriber { key, filter, inbox: inbox.clone() });
        drop(state);
        let _ =
            inbox.hand(if cut { Arrival::Down { reason: "the memory hub is cut".to_owned() } } else { Arrival::Up });
        self.0.changed.notify_all();
        key
    }

    fn remove(&self, key: u64) {
        self.lock().subscribers.retain(|subscriber| subscriber.key != key);
    }
}

impl State {
    /// The channels of those who want `topic` and still listen; none while the link is cut.
    fn listeners<'a>(&'a self, topic: &'a [u8]) -> impl Iterator<Item = (LinkIndex, &'a Sender<Incoming>)> {
        let there = if self.cut { &[][..] } else { &self.subscribers[..] };
        there
            .iter()
            .filter(move |subscriber| subscriber.filter.wants(topic) && !subscriber.inbox.incoming.is_closed())
            .map(|subscriber| (subscriber.inbox.link, &subscriber.inbox.incoming))
    }
}

/// Opens a subscriber's end.
pub(crate) fn subscribe(
    name: &str,
    options: &SubscribeOptions,
    link: LinkIndex,
    incoming: Sender<Incoming>,
) -> Subscription {
    let (hub, stop) = (Hub::named(name), CancellationToken::new());
    let key = hub.add(Filter::new(options.topics.clone()), &Inbox { link, incoming, stop: stop.clone() });
    Subscription::without_thread(stop, move || hub.remove(key))
}

/// Opens a publisher's end.
pub(crate) fn publish(name: &str) -> Box<dyn Outbound> {
    Box::new(MemoryOutbound { hub: Hub::named(name), taken: 0 })
}

#[derive(Debug)]
struct MemoryOutbound {
    hub: Hub,
    taken: u64,
}

impl Outbound for MemoryOutbound {
    fn try_send(&mut self, topic: &str, payload: &[u8]) -> Result<Handed, TransportError> {
        check_size(topic, payload)?;
        let state = self.hub.lock();
        let mut permits = Vec::new();
        for (link, sender) in state.listeners(topic.as_bytes()) {
            match sender.try_reserve() {
                Ok(permit) => permits.push((link, permit)),
                Err(TrySendError::Full(())) => return Ok(Handed::NotNow),
                Err(TrySendError::Closed(())) => {}
            }
        }
        let handed = if permits.is_empty() { Handed::NotNow } else { Handed::Taken };
        for (link, permit) in permits {
            let mut batch = Batch::default();
            batch.push(Delivery { topic: topic.as_bytes(), payload, retained: false });
            permit.send(Incoming { link, arrival: Arrival::Batch(batch) });
        }
        self.taken += u64::from(handed == Handed::Taken);
        Ok(handed)
    }

    fn settled(&mut self) -> u64 {
        self.taken
    }

    fn wait_ready(&mut self, topic: &str, limit: Duration) -> bool {
        let start = Clock.now().monotonic;
        let left = || limit.saturating_sub(Clock.now().monotonic.since(start));
        loop {
            let state = self.hub.lock();
            let senders: Vec<_> = state.listeners(topic.as_bytes()).map(|(_, sender)| sender.clone()).collect();
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
        let _subscription = subscribe("full", &SubscribeOptions::default(), LinkIndex(0), incoming);
        let mut outbound = publish("full");
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
        let _subscription = subscribe("cut", &SubscribeOptions::default(), LinkIndex(0), incoming);
        let mut outbound = publish("cut");
        Hub::named("cut").cut();
        assert_eq!(outbound.try_send("beat/1", b"").unwrap(), Handed::NotNow);
        let waiter = thread::spawn(move || outbound.wait_ready("beat/1", Duration::from_mins(1)));
        Hub::named("cut").restore();
        assert!(waiter.join().unwrap());
        let arrivals: Vec<_> = (0..3).map(|_| receiver.blocking_recv().unwrap().arrival).collect();
        assert!(matches!(arrivals[..], [Arrival::Up, Arrival::Down { .. }, Arrival::Up]));
    }
}
