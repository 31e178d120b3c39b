//! [`Crowd`]: one thread that speaks for thousands of publishers, each at its own interval, some of them as processes of
//! another host. A part of them can be hushed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use lastbeat_host::{Clock, Own};
use lastbeat_transport::{Endpoint, Handed, Outbound, PublishOptions};
use lastbeat_wire::{Body, BootId, Encoding, Header, HostId, Kind, Message, ProcessIdentity, PublisherId, encode};

/// Of so many one is of this host: each takes a file descriptor of the subscriber's.
const HERE_OF: u32 = 25;
/// Of so many one can be hushed.
const HUSHED_OF: u32 = 10;
/// In so many portions the beats of an interval are sent.
const PORTIONS: u32 = 50;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Those of this host who fall silent.
    HushedHere,
    /// Those of another host who fall silent.
    HushedElsewhere,
    /// The others.
    Others,
}

/// Speaks until it is dropped.
pub struct Crowd {
    number: u32,
    hush: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    slowest_ns: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread has.
struct Speaker {
    outbound: Box<dyn Outbound>,
    topics: Vec<String>,
    here: ProcessIdentity,
    hush: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    slowest_ns: Arc<AtomicU64>,
}

impl Crowd {
    /// `number` publishers begin to beat, five times a threshold each.
    pub fn speak(number: u32, to: &str, threshold: Duration) -> anyhow::Result<Self> {
        let endpoint: Endpoint = to.parse()?;
        let options = PublishOptions { client: "crowd".to_owned(), keepalive: threshold / 5, ..Default::default() };
        let topics = (0..number).map(|n| Ok(Kind::Beat.topic(&id(n).parse::<PublisherId>()?)));
        let [hush, stop] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let slowest_ns = Arc::new(AtomicU64::new(0));
        let speaker = Speaker {
            outbound: lastbeat_transport::publish(&endpoint, options)?,
            topics: topics.collect::<anyhow::Result<_>>()?,
            here: Own::read()?.process,
            hush: hush.clone(),
            stop: stop.clone(),
            slowest_ns: slowest_ns.clone(),
        };
        let run = move || speaker.run(threshold / 5);
        let thread = std::thread::Builder::new().name("crowd".to_owned()).spawn(run).context("start a thread")?;
        Ok(Self { number, hush, stop, slowest_ns, thread: Some(thread) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.number as usize
    }

    /// Some fall silent.
    pub fn hush(&self) {
        self.hush.store(true, Ordering::Relaxed);
    }

    /// The ids of a part of them.
    pub fn ids(&self, part: Part) -> impl Iterator<Item = String> {
        (0..self.number).filter(move |n| self::part(*n) == part).map(id)
    }

    /// The ids of all who fall silent.
    pub fn hushed(&self) -> impl Iterator<Item = String> {
        self.ids(Part::HushedHere).chain(self.ids(Part::HushedElsewhere))
    }

    /// The longest time between two beats of one so far: the thread may have been kept waiting, too.
    pub fn slowest_round(&self) -> Duration {
        Duration::from_nanos(self.slowest_ns.load(Ordering::Relaxed))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Speaker {
    fn run(mut self, interval: Duration) {
        let mut last = vec![None; PORTIONS as usize];
        for sequence in 0_u64.. {
            for portion in 0..PORTIONS {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let began = Clock.now().monotonic;
                if let Some(before) = last[portion as usize].replace(began) {
                    let span = u64::try_from(began.since(before).as_nanos()).unwrap_or(u64::MAX);
                    self.slowest_ns.fetch_max(span, Ordering::Relaxed);
                }
                for n in (portion..u32::try_from(self.topics.len()).unwrap_or(u32::MAX)).step_by(PORTIONS as usize) {
                    self.beat(n, sequence);
                }
                let spent = Clock.now().monotonic.since(began);
                std::thread::park_timeout((interval / PORTIONS).saturating_sub(spent));
            }
        }
    }

    fn beat(&mut self, n: u32, sequence: u64) {
        if self.hush.load(Ordering::Relaxed) && part(n) != Part::Others {
            return;
        }
        let now = Clock.now();
        let process = if n.is_multiple_of(HERE_OF) { self.here } else { elsewhere(n) };
        let header = Header {
            process: Some(process),
            sequence: Some(sequence),
            sent_at: Some(now.utc),
            uptime: Some(now.monotonic.0),
            host: None,
        };
        let payload = encode(&Message { header, body: Body::Beat, log: None }, Encoding::Json);
        let topic = &self.topics[n as usize];
        while !self.stop.load(Ordering::Relaxed) {
            match self.outbound.try_send(topic, &payload) {
                Ok(Handed::Taken) | Err(_) => return,
                Ok(Handed::NotNow) => drop(self.outbound.wait_ready(topic, Duration::from_millis(100))),
            }
        }
    }
}

fn id(n: u32) -> String {
    format!("crowd-{n}")
}

fn part(n: u32) -> Part {
    match (n / HERE_OF % HUSHED_OF, n % HERE_OF) {
        (0, 0) => Part::HushedHere,
        (0, _) => Part::HushedElsewhere,
        _ => Part::Others,
    }
}

/// A process of a host that there is not.
fn elsewhere(n: u32) -> ProcessIdentity {
    ProcessIdentity { host: HostId(u64::from(n) + 1), boot: BootId(1), pid_namespace: 1, pid: n + 1, start: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_falls_silent_and_some_of_those_are_of_this_host() {
        let count = |wanted| (0..10_000).filter(|n| part(*n) == wanted).count();
        assert_eq!((count(Part::HushedHere), count(Part::HushedElsewhere)), (40, 960));
        assert_eq!(count(Part::Others), 9_000);
    }
}
