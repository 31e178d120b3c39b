//! [`Fleet`]: who there is in a simulated world: hosts, publishers, brokers, and how the watchdog is told to watch.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lastbeat_watchdog::PublisherRules;
use lastbeat_wire::PublisherId;

use super::chance::{Chance, Stream};
use super::faults::Weather;

const SECOND: u64 = 1_000_000_000;

/// Everything that is fixed before the world begins.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Hosts; the first is the watchdog's own.
    pub hosts: usize,
    /// Who publishes.
    pub publishers: Vec<Member>,
    /// The watchdog's links.
    pub links: Vec<Link>,
    /// The silence that is allowed.
    pub threshold: Duration,
    /// Rules for single publishers.
    pub rules: HashMap<PublisherId, PublisherRules>,
    /// Whether the kernel tells of the end of a process at once.
    pub pidfd: bool,
    /// Whether the log is synced before a message is acknowledged.
    pub sync_always: bool,
    /// Most bytes that may wait for the disk.
    pub pending_bytes: u64,
}

/// One publisher.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub id: PublisherId,
    /// Where, as a place in the hosts.
    pub host: usize,
    /// Whether it runs in another PID namespace of that host.
    pub container: bool,
    /// The links that it publishes on.
    pub links: Vec<usize>,
    /// How often it sends.
    pub interval: u64,
    /// The times between two of its messages that were observed; they go before the interval.
    pub gaps: Vec<u64>,
    /// Whether its messages say which process sent them and when, and bear a number.
    pub envelope: bool,
}

/// One link of the watchdog's, with the broker behind it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Whether messages are acknowledged, and wills published: MQTT. Else ZeroMQ.
    pub mqtt: bool,
    /// Whether its broker still has after a crash what it kept.
    pub persistent: bool,
}

/// What the user wants to have in it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// So many generated publishers.
    pub generated: usize,
    /// The threshold, where it is told.
    pub threshold: Option<Duration>,
    /// Rules of a configuration file.
    pub rules: HashMap<PublisherId, PublisherRules>,
    /// The links of a configuration file, and whether each is MQTT.
    pub links: Vec<(String, bool)>,
    /// The times between the messages of publishers, as a capture has them.
    pub gaps: BTreeMap<PublisherId, Vec<u64>>,
}

impl Fleet {
    /// The fleet of a seed.
    pub fn of(seed: u64, weather: Weather, wanted: &Wanted) -> Self {
        let mut chance = Chance::new(seed, Stream::Fleet);
        let links = links(&mut chance, wanted, weather);
        let mut names: Vec<PublisherId> = wanted.rules.keys().cloned().collect();
        names.extend(wanted.gaps.keys().filter(|id| !wanted.rules.contains_key(*id)).cloned());
        names.sort();
        let generated = (1..=wanted.generated).map(|number| format!("simulated-{number}").parse());
        names.extend(generated.map(|id| id.expect("invariant: a valid publisher id")));
        // Some ten publishers share a host.
        let hosts = 2 + names.len() / 12;
        let mut rules = wanted.rules.clone();
        let mut publishers = Vec::with_capacity(names.len());
        for id in names {
            let member = member(&mut chance, id, hosts, links.len(), wanted);
            if weather == Weather::Storm && !rules.contains_key(&member.id) && chance.yes(0.15) {
                let threshold = Duration::from_nanos(member.interval * 3);
                let expected = chance.yes(0.5);
                rules
                    .insert(member.id.clone(), PublisherRules { threshold: Some(threshold), adaptive: None, expected });
            }
            publishers.push(member);
        }
        Self {
            hosts,
            publishers,
            links,
            threshold: wanted.threshold.unwrap_or(Duration::from_secs(50)),
            rules,
            pidfd: weather != Weather::Storm || chance.yes(0.7),
            sync_always: chance.yes(0.5),
            pending_bytes: if weather == Weather::Storm { chance.between(16 << 10, 256 << 10) } else { 8 << 20 },
        }
    }

    /// The threshold of a publisher, in nanoseconds.
    pub fn threshold_of(&self, member: &Member) -> u64 {
        let own = self.rules.get(&member.id).and_then(|rules| rules.threshold);
        u64::try_from(own.unwrap_or(self.threshold).as_nanos()).unwrap_or(u64::MAX)
    }
}

fn links(chance: &mut Chance, wanted: &Wanted, weather: Weather) -> Vec<Link> {
    let persistent = weather != Weather::Storm || chance.yes(0.5);
    let link = |(name, mqtt): &(String, bool)| Link { name: name.clone(), mqtt: *mqtt, persistent };
    if !wanted.links.is_empty() {
        return wanted.links.iter().map(link).collect();
    }
    let name = |name: &str, mqtt| (name.to_owned(), mqtt);
    let mut links = vec![name("mqtt://simulated", true), name("zmq+tcp://simulated", false)];
    if chance.yes(0.3) {
        links.push(name("mqtt://other", true));
    }
    links.iter().map(link).collect()
}

fn member(chance: &mut Chance, id: PublisherId, hosts: usize, links: usize, wanted: &Wanted) -> Member {
    let host = if chance.yes(0.4) { 0 } else { 1 + chance.place(hosts - 1) };
    let container = host == 0 && chance.yes(0.2);
    let first = chance.place(links);
    let mut on = vec![first];
    if links > 1 && chance.yes(0.1) {
        on.push((first + 1) % links);
    }
    let interval = [1, 2, 5, 10][chance.place(4)] * SECOND;
    let envelope = chance.yes(0.92);
    let gaps = wanted.gaps.get(&id).cloned().unwrap_or_default();
    Member { id, host, container, links: on, interval, gaps, envelope }
}
