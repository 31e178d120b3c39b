//! [`World`]: simulated time, all that there is, and what is to come. Publishers are in `publishing.rs`, brokers and links in
//! `carrying.rs`, the watchdog in `watching.rs`, what goes wrong in `striking.rs`; `truth.rs` checks what is promised.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

use lastbeat_simulation::{Ledger, Processes};
use lastbeat_watchdog::Question;
use lastbeat_wire::{BootId, HostId, Kind, ProcessIdentity, PublisherId, UtcNanos};

use super::chance::{Chance, Stream};
use super::faults::{Fault, Weather};
use super::fleet::Fleet;
use super::outcome::Tally;
use super::truth::Truth;
use super::watching::Watch;

pub const SECOND: u64 = 1_000_000_000;
pub const MILLI: u64 = 1_000_000;
/// What every wall clock shows when a world begins.
pub const BEGINNING: UtcNanos = UtcNanos(1_767_225_600_000_000_000);

/// Everything there is. Times are nanoseconds since the world began.
pub struct World {
    pub fleet: Fleet,
    pub now: u64,
    pub publishers: Vec<Publisher>,
    pub hosts: Vec<Host>,
    pub links: Vec<Link>,
    pub processes: Processes,
    pub watch: Watch,
    pub ledger: Ledger,
    pub truth: Truth,
    pub tally: Tally,
    pub weather: Weather,
    /// What goes wrong is drawn from here.
    pub faults: Chance,
    /// How long the watchdog's side takes.
    pub side: Chance,
    to_come: BinaryHeap<Reverse<Coming>>,
    order: u64,
    /// From here on nothing goes wrong any more.
    pub calm_from: u64,
}

/// A publisher and what keeps it running.
#[derive(Debug)]
pub struct Publisher {
    /// Its latest process, as a place in the processes.
    pub process: Option<usize>,
    /// The one before that.
    pub previous: Option<usize>,
    pub sending: Chance,
    pub path: Chance,
    /// What can't be sent now, for each of its links.
    pub outbox: Vec<VecDeque<Rc<Packet>>>,
    /// Too busy to send until then.
    pub busy_until: u64,
    /// Its work fails until then.
    pub fails_until: u64,
    /// The start of each fault that is to end: only the latest one ends.
    pub struck: u64,
    pub retained: Option<Rc<Packet>>,
    pub garbles: bool,
}

/// A host.
#[derive(Debug)]
pub struct Host {
    /// Its boot and namespace.
    pub kernel: ProcessIdentity,
    pub boots: u128,
    pub down: bool,
    /// Can't reach the brokers, while more than 0 faults say so.
    pub cut: u32,
    /// By how much its wall clock is off.
    pub clock: i64,
    pub stepped_at: Option<u64>,
}

/// The watchdog's connection to a broker, and the broker.
#[derive(Debug, Default)]
pub struct Link {
    /// Counts connections: what belongs to an earlier one is void.
    pub connection: u64,
    pub connected: bool,
    /// Faults that keep the broker down, hold its messages back, or cut the wire.
    pub broken: u32,
    pub holding: u32,
    pub cut: u32,
    /// Faults that drop messages or delay them.
    pub lossy: u32,
    pub slow: u32,
    /// MQTT: what is not acknowledged; the first `sent` of them are under way or received.
    pub session: VecDeque<Rc<Packet>>,
    pub sent: usize,
    /// What the broker holds back, and what a silent wire has in its buffers.
    pub held: Vec<Rc<Packet>>,
    pub stuck: Vec<Rc<Packet>>,
    /// Acknowledgements that a silent wire has in its buffers.
    pub unheard: Vec<u64>,
    /// Messages don't overtake each other on one connection.
    pub arrives_last: u64,
}

/// A message.
#[derive(Debug)]
pub struct Packet {
    /// Counts all messages of the world.
    pub number: u64,
    pub publisher: usize,
    /// Its process, as a place in the processes.
    pub process: usize,
    pub kind: Kind,
    pub retained: bool,
    /// Whether it bears a process and a number, so that it is known when it comes again.
    pub numbered: bool,
    pub sent: u64,
    pub topic: Rc<str>,
    pub payload: Vec<u8>,
}

/// Something to come.
#[derive(Debug)]
pub enum Happening {
    /// A new process of a publisher is started.
    Starts(usize),
    /// A process sends.
    Sends { publisher: usize, process: usize },
    /// A message comes to a broker.
    AtBroker { link: usize, packet: Rc<Packet> },
    /// A message comes to the subscriber's end of a connection.
    Arrives { link: usize, connection: u64, packet: Rc<Packet> },
    /// The broker learns that a message is safe.
    Acknowledged { link: usize, connection: u64, number: u64 },
    /// A publisher can send again what it could not.
    Flushes(usize),
    /// A broker may miss a publisher.
    Misses { publisher: usize, process: usize, link: usize },
    /// The watchdog tries to connect.
    Connects { link: usize, life: u64 },
    /// Keepalives were not answered.
    Notices { link: usize, connection: u64 },
    /// The loop takes a turn.
    Turn { life: u64 },
    /// A probe answers.
    Answers { life: u64, question: Question },
    /// The kernel tells the end of a process.
    Exits { life: u64, publisher: PublisherId, process: ProcessIdentity },
    /// The disk has written so far.
    Written { life: u64, upto: u64 },
    /// The disk has synced so far.
    Synced { life: u64, upto: u64 },
    /// The snapshot is on the disk.
    Saved { life: u64 },
    /// The watchdog is started.
    WatchdogStarts,
    /// It runs again after a stall.
    Wakes { life: u64 },
    /// Something goes wrong.
    Strikes(Fault),
    /// It is over, for the target it struck.
    Over { fault: Fault, target: usize, struck: u64 },
    /// Everybody is looked at.
    Sweep,
}

#[derive(Debug)]
struct Coming {
    at: u64,
    order: u64,
    what: Happening,
}

impl Ord for Coming {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Coming {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Coming {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Coming {}

impl World {
    /// The world of a seed, in which things go wrong until `calm_from`.
    pub fn new(seed: u64, weather: Weather, fleet: Fleet, calm_from: u64) -> Self {
        let watch = Watch::new(&fleet);
        let publisher = |(place, member): (usize, &super::fleet::Member)| Publisher {
            process: None,
            previous: None,
            sending: Chance::new(seed, Stream::Sending(place)),
            path: Chance::new(seed, Stream::Path(place)),
            outbox: member.links.iter().map(|_| VecDeque::new()).collect(),
            busy_until: 0,
            fails_until: 0,
            struck: 0,
            retained: None,
            garbles: false,
        };
        let processes = Processes::default();
        let own = processes.own();
        let host = |place: usize| {
            let number = 1000 + place as u64;
            let kernel = ProcessIdentity { host: HostId(number), boot: boot(place, 1), pid_namespace: 1, ..own };
            Host {
                kernel: if place == 0 { own } else { kernel },
                boots: 1,
                down: false,
                cut: 0,
                clock: 0,
                stepped_at: None,
            }
        };
        let mut world = Self {
            now: 0,
            publishers: fleet.publishers.iter().enumerate().map(publisher).collect(),
            hosts: (0..fleet.hosts).map(host).collect(),
            links: fleet.links.iter().map(|_| Link::default()).collect(),
            processes,
            ledger: Ledger::new(watch.rules(), super::watching::LATE),
            truth: Truth::new(&fleet),
            tally: Tally::new(&fleet),
            watch,
            weather,
            faults: Chance::new(seed, Stream::Faults),
            side: Chance::new(seed, Stream::Watchdog),
            to_come: BinaryHeap::new(),
            order: 0,
            calm_from,
            fleet,
        };
        for publisher in 0..world.publishers.len() {
            // Some come later than the watchdog.
            let within = if world.faults.yes(0.1) { 300 * SECOND } else { 10 * SECOND };
            let at = world.faults.below(within);
            world.at(at, Happening::Starts(publisher));
        }
        for fault in Fault::ALL {
            world.plan(fault);
        }
        world.at(0, Happening::WatchdogStarts);
        world.at(SECOND, Happening::Sweep);
        world
    }

    /// Has something happen at a time.
    pub fn at(&mut self, at: u64, what: Happening) {
        self.order += 1;
        self.to_come.push(Reverse(Coming { at: at.max(self.now), order: self.order, what }));
    }

    /// Has something happen after a while.
    pub fn later(&mut self, after: u64, what: Happening) {
        self.at(self.now.saturating_add(after), what);
    }

    /// Lets time pass until `until`, or a promise is broken.
    pub fn run(&mut self, until: u64) -> Result<(), lastbeat_simulation::Broken> {
        while let Some(Reverse(coming)) = self.to_come.pop() {
            if coming.at > until {
                self.to_come.push(Reverse(coming));
                break;
            }
            self.now = coming.at;
            self.tally.events += 1;
            self.happen(coming.what)?;
        }
        self.now = until;
        Ok(())
    }

    fn happen(&mut self, what: Happening) -> Result<(), lastbeat_simulation::Broken> {
        match what {
            Happening::Starts(publisher) => self.starts(publisher),
            Happening::Sends { publisher, process } => self.sends(publisher, process),
            Happening::Flushes(host) => self.flush(host),
            Happening::AtBroker { link, packet } => self.at_broker(link, packet),
            Happening::Arrives { link, connection, packet } => self.arrives(link, connection, packet),
            Happening::Acknowledged { link, connection, number } => self.acknowledged(link, connection, number),
            Happening::Misses { publisher, process, link } => self.misses(publisher, process, link),
            Happening::Connects { link, life } => self.connects(link, life),
            Happening::Notices { link, connection } => self.notices(link, connection),
            Happening::Strikes(fault) => return self.strikes(fault),
            Happening::Over { fault, target, struck } => self.over(fault, target, struck),
            Happening::Turn { life } => return self.turn(life),
            Happening::Answers { life, question } => self.answers(life, question),
            Happening::Exits { life, publisher, process } => self.exits(life, publisher, process),
            Happening::Written { life, upto } => return self.written(life, upto),
            Happening::Synced { life, upto } => return self.synced(life, upto),
            Happening::Saved { life } => self.saved(life),
            Happening::WatchdogStarts => return self.start_watchdog(),
            Happening::Wakes { life } => self.wakes(life),
            Happening::Sweep => {
                self.later(SECOND, Happening::Sweep);
                return self.sweep();
            }
        }
        Ok(())
    }

    /// What the wall clock of a host shows.
    pub fn wall_clock(&self, host: usize) -> UtcNanos {
        UtcNanos(BEGINNING.0 + signed(self.now) + self.hosts[host].clock)
    }
}

/// The boot of a host.
pub fn boot(host: usize, boots: u128) -> BootId {
    BootId(((host as u128) << 64) + (boots << 32))
}

/// Nanoseconds, of which a world has less than 200 years.
pub fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).expect("invariant: a world lasts less than 200 years")
}
