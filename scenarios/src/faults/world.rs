//! [`World`]: the processes of one case while it is played: faults are done here and noted, and what is told is heard.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use lastbeat_host::Clock;
use lastbeat_watchdog::State;
use lastbeat_wire::Monotonic;
use rustix::process::Signal;

use crate::events::{Event, Events, Sighting};
use crate::faults::actor::Actor;
use crate::faults::cast::{Cast, LOADED, Pace};
use crate::faults::fault::{Fault, Who};
use crate::faults::judge::Judge;
use crate::faults::truth::{Deed, Truth};
use crate::stage::GRACE;

/// How often is looked for what has no event.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a process may take to end that was told to: it tries to get rid of what it holds.
const END_WITHIN: Duration = Duration::from_secs(20);

/// Everybody, running.
pub struct World<'a> {
    events: &'a Events,
    /// Loaded publishers first.
    pub publishers: Vec<Actor>,
    broker: Actor,
    subscriber: Actor,
    influx: Actor,
    /// Where `InfluxDB` answers.
    pub influx_at: SocketAddr,
    /// Where the subscriber answers, if it can be reached.
    pub page: Option<SocketAddr>,
    /// The subscriber's store.
    pub store: PathBuf,
    /// Their ids.
    pub ids: Vec<String>,
    /// The silence that is allowed.
    pub threshold: Duration,
    /// What was done.
    pub truth: Truth,
    /// What was told.
    pub told: Vec<Sighting>,
    /// What went wrong besides: a process that ended by itself, a line that can't be read.
    pub mishaps: Vec<String>,
    /// The logs of those who may end.
    doomed: Vec<String>,
}

impl<'a> World<'a> {
    /// Starts everybody, and waits until all are heard and the loaded ones are stored.
    pub fn begin(cast: Cast, pace: &Pace, events: &'a Events) -> anyhow::Result<Self> {
        let Cast { publishers, broker, subscriber, influx, influx_at, page, store } = cast;
        let ids = publishers.iter().map(|actor| actor.name.clone()).collect();
        let threshold = pace.threshold;
        let mut world = Self {
            events,
            publishers,
            broker,
            subscriber,
            influx,
            influx_at,
            page,
            store,
            ids,
            threshold,
            truth: Truth::default(),
            told: Vec::new(),
            mishaps: Vec::new(),
            doomed: Vec::new(),
        };
        world.influx.start()?;
        world.broker.start()?;
        world.subscriber.start()?;
        // What is published before anybody has subscribed is nobody's loss.
        if !world.wait(GRACE, |world| world.subscriber.has_said("link up"))? {
            bail!("the subscriber does not reach the broker");
        }
        for publisher in &mut world.publishers {
            publisher.start()?;
        }
        if !world.wait(world.threshold + GRACE, World::all_alive)? {
            bail!("not everybody is alive in the beginning: {}", world.states());
        }
        Ok(world)
    }

    /// One of them.
    pub fn actor(&mut self, who: Who) -> &mut Actor {
        match who {
            Who::Publisher(number) => &mut self.publishers[number],
            Who::Broker => &mut self.broker,
            Who::Subscriber => &mut self.subscriber,
            Who::Influx => &mut self.influx,
        }
    }

    /// Does it.
    pub fn begin_fault(&mut self, fault: Fault, who: Who) -> anyhow::Result<()> {
        let begun = Clock.now().utc;
        let actor = self.actor(who);
        let pid = actor.lives.last().with_context(|| format!("{who} was never started"))?.pid;
        let ends = matches!(fault, Fault::Kill | Fault::Term);
        if ends {
            let name = format!("{}.{}", actor.name, actor.lives.len() - 1);
            self.doomed.push(name);
        }
        self.actor(who).suffer(fault)?;
        self.truth.begins(Deed { fault, who, pid, begun, ended: None });
        if ends && !self.wait(END_WITHIN, |world| !world.runs(who))? {
            bail!("{who} has not ended within {}", humantime::format_duration(END_WITHIN));
        }
        Ok(())
    }

    /// Undoes it.
    pub fn end_fault(&mut self, fault: Fault, who: Who) -> anyhow::Result<()> {
        self.actor(who).recover(fault)?;
        self.truth.ends(fault, who, Clock.now().utc);
        Ok(())
    }

    /// Waits until something holds, at most so long; whether it does.
    ///
    /// # Errors
    /// On Ctrl-C.
    pub fn wait(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> anyhow::Result<bool> {
        let until = Clock.now().monotonic.plus(limit);
        loop {
            if done(self) {
                return Ok(true);
            }
            let now = Clock.now().monotonic;
            if now >= until {
                return Ok(false);
            }
            self.hear(now.plus(LOOK_EVERY).min(until))?;
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) -> anyhow::Result<()> {
        let until = Clock.now().monotonic.plus(span);
        while Clock.now().monotonic < until {
            self.hear(until)?;
        }
        Ok(())
    }

    /// Waits until everything that must be told by now has been told.
    pub fn wait_until_told(&mut self) -> anyhow::Result<bool> {
        self.wait(self.threshold + GRACE, |world| world.judge().untold(Clock.now().utc).is_empty())
    }

    /// Whether everybody's newest verdict is that it is alive.
    pub fn all_alive(&self) -> bool {
        self.ids.iter().all(|id| self.state(id) == Some(State::Alive))
    }

    /// Everybody's newest verdict, where it is not that it is alive.
    pub fn states(&self) -> String {
        let other = |id: &String| match self.state(id) {
            Some(State::Alive) => None,
            Some(state) => Some(format!("{id} is {state}")),
            None => Some(format!("{id} was never heard")),
        };
        self.ids.iter().filter_map(other).collect::<Vec<_>>().join(", ")
    }

    /// Compares what was told with what was done.
    pub fn judge(&self) -> Judge<'_> {
        Judge {
            truth: &self.truth,
            told: &self.told,
            publishers: &self.ids,
            threshold: self.threshold,
            acknowledged: self.broker.name == "mosquitto",
        }
    }

    /// Has all publishers say goodbye and end.
    pub fn dismiss_publishers(&mut self) -> anyhow::Result<()> {
        for number in 0..self.publishers.len() {
            let actor = &self.publishers[number];
            self.doomed.push(format!("{}.{}", actor.name, actor.lives.len() - 1));
            if actor.runs() {
                actor.signal(Signal::TERM)?;
            }
        }
        if !self.wait(END_WITHIN, |world| world.publishers.iter().all(|actor| !actor.runs()))? {
            self.mishaps.push("a publisher does not end".to_owned());
        }
        Ok(())
    }

    /// Has the subscriber end in order.
    pub fn dismiss_subscriber(&mut self) -> anyhow::Result<()> {
        self.begin_fault(Fault::Term, Who::Subscriber)?;
        if !self.subscriber.ended_well() {
            self.mishaps.push("the subscriber does not end well".to_owned());
        }
        Ok(())
    }

    /// The last lines of everybody's log.
    pub fn logs(&self, lines: usize) -> String {
        let others = [&self.broker, &self.subscriber, &self.influx];
        let all = others.into_iter().chain(self.publishers.iter().take(LOADED.len()));
        let text: Vec<_> = all.map(|actor| format!("── {}\n{}", actor.name, actor.log_tail(lines))).collect();
        text.join("\n")
    }

    fn state(&self, id: &str) -> Option<State> {
        let newest = self.told.iter().rfind(|sighting| sighting.flip.publisher.as_str() == id)?;
        Some(newest.flip.to)
    }

    fn runs(&self, who: Who) -> bool {
        match who {
            Who::Publisher(number) => self.publishers[number].runs(),
            Who::Broker => self.broker.runs(),
            Who::Subscriber => self.subscriber.runs(),
            Who::Influx => self.influx.runs(),
        }
    }

    fn hear(&mut self, until: Monotonic) -> anyhow::Result<()> {
        match self.events.next(until)? {
            None => {}
            Some(Event::Flip(sighting)) => self.told.push(sighting),
            Some(Event::Strange(line)) => self.mishaps.push(format!("the subscriber's stdout: {line}")),
            Some(Event::Ended { name, .. }) if self.doomed.contains(&name) => {}
            Some(Event::Ended { name, status }) => self.mishaps.push(format!("{name} ended by itself: {status}")),
            Some(Event::Interrupted) => unreachable!("invariant: an interruption is an error"),
        }
        Ok(())
    }
}
