//! [`Desk`]: the watchdog's place in the world. It hears what happens, keeps the log, and is restarted.
//!
//! It stands for the subscriber's loop: one event, then `due`, then the outputs; each is checked by the [`Ledger`].

use std::collections::{BTreeMap, HashMap};

use lastbeat_simulation::{Broken, Ledger, Processes};
use lastbeat_watchdog::{
    BootClock, Bounds, Evidence, Fact, Flip, Heard, HostView, LinkNumber, Notice, Output, PublisherRules, Question,
    Reception, Snapshot, Source, Stamp, Status, Timing, WatchRules, Watchdog,
};
use lastbeat_wire::{Header, Monotonic, Now, ProcessIdentity, UtcNanos};

use super::script::{Rules, Traits, Within};
use super::story::tell;
use super::taken::Taken;
use super::world::{BEGINNING, Delivery};

/// The watchdog and all that is around it in one program.
#[derive(Clone)]
pub struct Desk {
    rules: WatchRules,
    watchdog: Option<Watchdog>,
    /// Since when it does not run although it should, and what has come meanwhile.
    stalled: Option<UtcNanos>,
    waiting: Vec<News>,
    snapshot: Option<Snapshot>,
    log: Vec<Logged>,
    attended: Vec<ProcessIdentity>,
    requests: Vec<Output>,
    pub booted_at: UtcNanos,
    pub ledger: Ledger,
    taken: Taken,
    pub story: Vec<String>,
}

/// Something to be told to the watchdog.
#[derive(Debug, Clone)]
pub enum News {
    /// Time has passed.
    Nothing,
    Message(Delivery),
    LinkUp(usize),
    LinkDown(usize),
    Answer(Question, Evidence),
    Exit(String, ProcessIdentity),
    Pause(String, Option<i64>),
    Resume(String),
    /// The snapshot is due.
    Save,
}

#[derive(Debug, Clone)]
enum Logged {
    Message(Stamp, Delivery),
    Flip(Flip),
    Notice(Notice),
}

impl Desk {
    pub fn new(rules: &Rules, publishers: &BTreeMap<String, Traits>) -> Self {
        let own = |traits: &Traits| PublisherRules {
            threshold: traits.threshold.map(super::script::Span::duration),
            adaptive: traits.adaptive.map(bounds),
            expected: traits.expected,
        };
        let id = |name: &String| name.parse().expect("a publisher's name in a scenario is a publisher id");
        let rules = WatchRules {
            own_link: None,
            threshold: rules.threshold.duration(),
            adaptive: rules.adaptive.map(bounds),
            links: rules.links.clone(),
            host: None,
            probe_limit: rules.probe_limit.duration(),
            settle: rules.settle.duration(),
            max_publishers: rules.max_publishers,
            publishers: publishers.iter().map(|(name, traits)| (id(name), own(traits))).collect::<HashMap<_, _>>(),
        };
        Self {
            ledger: Ledger::new(&rules, std::time::Duration::ZERO),
            taken: Taken::default(),
            rules,
            watchdog: None,
            stalled: None,
            waiting: Vec::new(),
            snapshot: None,
            log: Vec::new(),
            attended: Vec::new(),
            requests: Vec::new(),
            booted_at: BEGINNING.minus(std::time::Duration::from_secs(100_000)),
            story: Vec::new(),
        }
    }

    pub fn is_running(&self) -> bool {
        self.watchdog.is_some()
    }

    pub fn attends(&self, process: ProcessIdentity) -> bool {
        self.attended.contains(&process)
    }

    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.watchdog.as_ref().filter(|_| self.stalled.is_none())?.next_deadline()
    }

    pub fn status(&self, now: Now, publisher: &str) -> Option<Status> {
        self.watchdog.as_ref()?.status(now, publisher)
    }

    pub fn statuses(&self, now: Now) -> Vec<Status> {
        self.watchdog.iter().flat_map(|watchdog| watchdog.statuses(now).collect::<Vec<_>>()).collect()
    }

    /// What the watchdog asked for since the last call.
    pub fn requests(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.requests)
    }

    fn save(&mut self, now: Now) {
        if let Some(watchdog) = &self.watchdog {
            // As it comes back from a file.
            let written = serde_json::to_string(&watchdog.snapshot(now)).expect("a snapshot can be written");
            self.snapshot = serde_json::from_str(&written).expect("a snapshot can be read back");
            self.log.clear();
        }
    }

    pub fn stop(&mut self) {
        self.watchdog = None;
        self.stalled = None;
        self.waiting.clear();
        self.attended.clear();
    }

    pub fn start(&mut self, now: Now, processes: &Processes) {
        if self.watchdog.is_some() {
            return;
        }
        let host = HostView { process: processes.own(), booted_at: self.booted_at };
        self.rules.host = Some(host);
        let mut watchdog = Watchdog::new(self.rules.clone(), now);
        let mut away_since = self.snapshot.as_ref().map(|snapshot| snapshot.at);
        let timing = match self.snapshot.clone() {
            Some(snapshot) => watchdog.restore(now, snapshot),
            None => Timing::new(now, watchdog.boot()),
        };
        for logged in &self.log {
            let at = match logged {
                Logged::Message(stamp, delivery) => {
                    let (at, header) = timing.of(*stamp, &delivery.header);
                    heard(&mut watchdog, at, &Delivery { header, ..delivery.clone() }, None);
                    Some(stamp.utc)
                }
                Logged::Flip(flip) => {
                    watchdog.replay(now, flip);
                    Some(flip.noticed_at)
                }
                Logged::Notice(notice) => {
                    watchdog.replay_notice(notice);
                    None
                }
            };
            away_since = away_since.max(at);
        }
        watchdog.begin(now, away_since);
        self.ledger.restarted(now);
        self.watchdog = Some(watchdog);
        self.take(now, News::Nothing, processes);
    }

    pub fn stall(&mut self, now: Now) {
        if self.watchdog.is_some() {
            self.stalled.get_or_insert(now.utc);
        }
    }

    pub fn wake(&mut self, now: Now, processes: &Processes) {
        let (Some(from), Some(watchdog)) = (self.stalled.take(), &mut self.watchdog) else { return };
        watchdog.stalled(now, from, "the watchdog itself did not run");
        self.ledger.stalled(now);
        for news in std::mem::take(&mut self.waiting) {
            self.take(now, news, processes);
        }
        self.take(now, News::Nothing, processes);
    }

    /// Tells the watchdog, has it judge, and looks at what it says.
    pub fn take(&mut self, now: Now, news: News, processes: &Processes) {
        let Some(watchdog) = &mut self.watchdog else { return };
        if self.stalled.is_some() {
            if !matches!(news, News::Nothing) {
                self.waiting.push(news);
            }
            return;
        }
        match &news {
            News::Nothing | News::Save => {}
            News::Message(delivery) => {
                let id = delivery.publisher.parse().ok();
                let before = watchdog.status(now, &delivery.publisher);
                let numbered = delivery.header.process.zip(delivery.header.sequence);
                let missing = numbered.is_some_and(|(process, number)| {
                    let found = watchdog.missing_from(&delivery.publisher, process, number);
                    found.is_some_and(|(from, _)| from == number)
                });
                let reception = heard(watchdog, now, delivery, Some(delivery.link));
                let after = watchdog.status(now, &delivery.publisher);
                let (kind, link) = (delivery.kind, delivery.link);
                self.taken.booked(delivery, reception, missing, processes);
                if let Some(id) = &id {
                    let booked = if delivery.resent {
                        self.ledger.resent(id, kind, before.as_ref(), after.as_ref())
                    } else {
                        self.ledger.received(id, kind, link, before.as_ref(), after.as_ref())
                    };
                    assert_eq!(hold(booked) == Reception::Duplicate, reception == Reception::Duplicate);
                }
                if !matches!(reception, Reception::Duplicate) {
                    let clock = watchdog.boot().map(|boot| BootClock::of(boot, now.monotonic));
                    self.log.push(Logged::Message(Stamp { utc: now.utc, clock }, delivery.clone()));
                }
            }
            News::LinkUp(link) => {
                watchdog.link_up(now, number(*link));
                self.ledger.link_up(now, *link);
            }
            News::LinkDown(link) => {
                watchdog.link_down(now, number(*link), "connection lost");
                self.ledger.link_down(*link);
            }
            News::Answer(question, evidence) => watchdog.answer(now, question, evidence.clone()),
            News::Exit(publisher, process) => {
                let evidence = Evidence { at: now.utc, source: Source::Pidfd, fact: Fact::Gone };
                watchdog.exited(now, publisher, *process, evidence);
            }
            News::Pause(publisher, span) => {
                let span = span.map(|span| std::time::Duration::from_nanos(span.unsigned_abs()));
                watchdog.pause(now, publisher, span);
            }
            News::Resume(publisher) => {
                watchdog.resume_watching(now, publisher);
            }
        }
        watchdog.due(now);
        let outputs = watchdog.outputs();
        let flips: Vec<_> = outputs
            .iter()
            .filter_map(|output| if let Output::Flip(flip) = output { Some(flip) } else { None })
            .collect();
        hold(self.ledger.check(now, watchdog, &flips, watchdog.statuses(now), processes));
        hold(self.ledger.check_done(now, watchdog));
        for output in outputs {
            self.story.extend(tell(&output));
            match output {
                Output::Flip(flip) => self.log.push(Logged::Flip(flip)),
                Output::Attend(attend) => {
                    self.attended.push(attend.process);
                    self.requests.push(Output::Attend(attend));
                }
                Output::Ask(_) => self.requests.push(output),
                Output::Notice(notice) => self.log.push(Logged::Notice(notice)),
                Output::Unwatched(_) | Output::Missing(_) => {}
            }
        }
        if matches!(news, News::Save) {
            self.save(now);
        }
    }
}

fn bounds(within: Within) -> Bounds {
    Bounds { at_least: within.at_least.duration(), at_most: within.at_most.duration() }
}

fn number(link: usize) -> LinkNumber {
    LinkNumber(u16::try_from(link).expect("there are at most 64 links"))
}

fn heard(watchdog: &mut Watchdog, now: Now, delivery: &Delivery, link: Option<usize>) -> Reception {
    let nothing = Header::default();
    watchdog.heard(
        now,
        &Heard {
            publisher: &delivery.publisher,
            kind: delivery.kind,
            link: link.map(number),
            retained: delivery.retained,
            resent: delivery.resent,
            readable: !delivery.garbled,
            header: if delivery.garbled { &nothing } else { &delivery.header },
            log: None,
        },
    )
}

/// Ends the test where a promise is broken.
fn hold<T>(checked: Result<T, Broken>) -> T {
    checked.unwrap_or_else(|broken| panic!("{broken}"))
}
