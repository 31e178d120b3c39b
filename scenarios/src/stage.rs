//! [`Stage`]: the processes of a scenario, and all waiting for them. What it starts it stops, however the scenario ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use lastbeat_host::Clock;
use lastbeat_watchdog::State;
use lastbeat_wire::{Monotonic, UtcNanos};
use rustix::process::Signal;

use crate::events::{Event, Events, Interrupted, Sighting};
use crate::folder::Folder;
use crate::how::How;
use crate::hub::{Hub, Transport};
use crate::influx::Influx;
use crate::network::{self, Network, near_address};
use crate::page::fetch_metrics;
use crate::player::{Part, Player};
use crate::process::{Process, Program, Reads};
use crate::programs;
use crate::sample;
use crate::stored::Stored;
use crate::timeline::{Latency, Telling, Timeline, say};

/// The ids of the two publishers.
pub const PLAYERS: [&str; 2] = ["light-1", "light-2"];
/// How long processes may take to start on a busy machine, and verdicts to be told, on top of what they wait for.
pub const GRACE: Duration = Duration::from_secs(10);
/// How often the store is looked into for what has no event.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the subscriber may take to store what it holds; it gives itself 5 s for that.
const LAST_ACT: Duration = Duration::from_secs(15);
/// How much of each log is shown when something failed.
const TAIL_LINES: usize = 12;

/// What a scenario is to be played with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The silence that is allowed.
    pub threshold: Duration,
    /// How messages travel.
    pub transport: Transport,
    /// Where to ship, too.
    pub influx: Option<Influx>,
    /// How publishers go down, if they do.
    pub how: Option<How>,
    /// The folder to be left behind.
    pub keep: Option<PathBuf>,
    /// Who is there from the beginning.
    pub cast: Cast,
    /// Where the subscriber serves its page and its metrics; nowhere if there is none.
    pub page: Option<SocketAddr>,
}

/// Who is there from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// The two publishers, and every step is told.
    Two,
    /// Nobody: publishers enter as they are needed, many of them, and only the outcome is told.
    Nobody,
}

/// The processes. Fields are dropped in this order: first nobody listens, then all processes end, then the folder goes.
pub struct Stage {
    /// What happens.
    events: Events,
    /// The publishers.
    pub players: Vec<Player>,
    subscriber: Process,
    /// The broker.
    pub hub: Hub,
    /// What it was set up with.
    pub setting: Setting,
    /// Where everything is printed.
    pub timeline: Timeline,
    /// Every flip so far.
    pub flips: Vec<Sighting>,
    /// Processes that may end: something was done to them.
    doomed: Vec<String>,
    /// When it was set up.
    pub began: UtcNanos,
    /// Store, exports and logs.
    pub folder: Folder,
}

impl Stage {
    /// Starts all processes.
    pub fn set_up(setting: Setting, heading: &str) -> anyhow::Result<Self> {
        let events = Events::listen()?;
        let folder = Folder::make(setting.keep.as_deref())?;
        let (ids, telling): (&[&str], _) = match setting.cast {
            Cast::Two => (&PLAYERS, Telling::Everything),
            Cast::Nobody => (&[], Telling::Nothing),
        };
        let timeline = Timeline::begin(heading, telling);
        let began = Clock.now().utc;
        let mut networks = Vec::new();
        let mut publishers_come_by = Ipv4Addr::LOCALHOST;
        if setting.how == Some(How::Net) {
            network::check()?;
            publishers_come_by = near_address();
            for number in (1..).take(ids.len()) {
                networks.push(Some(Network::lay(number, publishers_come_by)?));
            }
        }
        networks.resize_with(ids.len(), || None);

        let hub = Hub::start(setting.transport, publishers_come_by, folder.path(), events.feed())?;
        let place = format!("from {} to {}", hub.publishers, hub.subscribers);
        timeline.done(hub.process.name(), &format!("PID {}, {place}", hub.process.pid()));
        let subscriber = subscriber(&setting, &hub, &folder, &events)?;
        timeline.done("subscriber", &format!("PID {}", subscriber.pid()));
        let mut stage = Self {
            events,
            players: Vec::new(),
            subscriber,
            hub,
            setting,
            timeline,
            flips: Vec::new(),
            doomed: Vec::new(),
            began,
            folder,
        };
        for (id, network) in ids.iter().zip(networks) {
            stage.enter(id, network)?;
        }
        Ok(stage)
    }

    /// Starts one more publisher.
    pub fn enter(&mut self, id: &str, network: Option<Network>) -> anyhow::Result<&mut Player> {
        let file = sample::recording(self.players.len())?;
        let replays = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = Part { id, file, to: &self.hub.publishers, threshold: self.setting.threshold };
        let player = Player::start(&part, network, self.folder.path(), self.events.feed())?;
        self.timeline.done(id, &format!("PID {}, replays {replays}", player.process.pid()));
        self.players.push(player);
        Ok(self.players.last_mut().expect("invariant: one was just pushed"))
    }

    /// Puts a publisher down.
    pub fn put_down(&mut self, id: &str, how: How) -> anyhow::Result<()> {
        self.doomed.push(id.to_owned());
        let player = self.player(id)?;
        player.put_down(how)?;
        let pid = player.process.pid();
        self.timeline.done(id, &format!("{}, PID {pid}", how.deed()));
        Ok(())
    }

    /// Undoes that.
    pub fn heal(&mut self, id: &str, how: How) -> anyhow::Result<()> {
        self.player(id)?.heal(how)?;
        self.timeline.done(id, how.undoing());
        Ok(())
    }

    /// When something was last done to a publisher.
    pub fn touched(&self, id: &str) -> Option<UtcNanos> {
        self.players.iter().rfind(|player| player.id == id)?.touched
    }

    fn player(&mut self, id: &str) -> anyhow::Result<&mut Player> {
        self.players.iter_mut().rfind(|player| player.id == id).with_context(|| format!("there is no {id}"))
    }

    /// The newest flip of a publisher.
    pub fn newest_flip(&self, id: &str) -> Option<&Sighting> {
        self.flips.iter().rfind(|sighting| sighting.flip.publisher.as_str() == id)
    }

    /// Whether the newest flip of each of these publishers is into a state.
    pub fn all_are(&self, ids: &[impl AsRef<str>], state: State) -> bool {
        ids.iter().all(|id| self.newest_flip(id.as_ref()).is_some_and(|sighting| sighting.flip.to == state))
    }

    /// Waits until something holds of the stage, at most until an instant; whether it does.
    ///
    /// # Errors
    /// When a process ends that should not.
    pub fn wait(&mut self, until: Monotonic, done: impl Fn(&Self) -> bool) -> anyhow::Result<bool> {
        while !done(self) {
            let Some(event) = self.events.next(until)? else { return Ok(false) };
            self.take(event)?;
        }
        Ok(true)
    }

    /// Waits until each of these publishers has readings in the store, at most until an instant; whether it has.
    pub fn wait_for_readings(&mut self, ids: &[impl AsRef<str>], count: u64, until: Monotonic) -> anyhow::Result<bool> {
        loop {
            let now = Clock.now().monotonic;
            // While the subscriber makes the store it can't be read.
            let store = Stored::open(&self.folder.store());
            let has = |id: &str| store.as_ref().is_ok_and(|store| store.readings(id).is_ok_and(|some| some >= count));
            if ids.iter().all(|id| has(id.as_ref())) {
                return Ok(true);
            }
            if now >= until {
                return Ok(false);
            }
            self.wait(now.plus(LOOK_EVERY).min(until), |_| false)?;
        }
    }

    /// How many publishers were heard.
    pub fn heard(&self) -> usize {
        let first = |sighting: &&Sighting| sighting.flip.from == State::Unseen && sighting.flip.to == State::Alive;
        self.flips.iter().filter(first).count()
    }

    /// What the subscriber counts and measures, as text for Prometheus.
    pub fn metrics(&self) -> anyhow::Result<String> {
        fetch_metrics(self.setting.page.context("the subscriber serves no page")?)
    }

    /// Starts a process beside the others, with its log beside theirs.
    pub fn beside(&self, program: Program) -> anyhow::Result<Process> {
        Process::start(program, self.folder.path(), self.events.feed())
    }

    /// Lets a process end that was started beside the others; how it did.
    pub fn run(&mut self, program: Program, limit: Duration) -> anyhow::Result<Process> {
        self.doomed.push(program.name.clone());
        let process = Process::start(program, self.folder.path(), self.events.feed())?;
        let until = Clock.now().monotonic.plus(limit);
        if !self.wait(until, |_| process.ended().is_some())? {
            bail!("{} did not end within {}", process.name(), humantime::format_duration(limit));
        }
        Ok(process)
    }

    /// Ends the subscriber in order, so that everything it took in is stored; then the others. Whether it ended well.
    pub fn strike(&mut self) -> anyhow::Result<bool> {
        self.doomed.push(self.subscriber.name().to_owned());
        self.subscriber.signal(Signal::TERM)?;
        let until = Clock.now().monotonic.plus(LAST_ACT);
        let ended = self.wait(until, |stage| stage.subscriber.ended().is_some())?;
        for player in &self.players {
            self.doomed.push(player.id.clone());
            if player.process.ended().is_none() {
                player.process.signal(Signal::KILL)?;
            }
        }
        Ok(ended && self.subscriber.ended().is_some_and(|status| status.success()))
    }

    /// Prints the last lines of all logs, if something is wrong.
    pub fn explain(&self, outcome: &anyhow::Result<bool>) {
        let wrong = match outcome {
            Ok(right) => !right,
            Err(error) => !error.is::<Interrupted>(),
        };
        if wrong {
            let players = self.players.iter().map(|player| &player.process);
            for process in [&self.hub.process, &self.subscriber].into_iter().chain(players) {
                say(&format!("\n── {}.log\n{}", process.name(), process.log_tail(TAIL_LINES)));
            }
        }
    }

    fn take(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Flip(sighting) => {
                self.timeline.seen(&sighting, self.latency(&sighting));
                self.flips.push(sighting);
                Ok(())
            }
            Event::Strange(line) => Err(anyhow!("the subscriber's stdout: {line}")),
            Event::Ended { name, .. } if self.doomed.contains(&name) => Ok(()),
            Event::Ended { name, status } => Err(anyhow!("{name} ended by itself: {status}")),
            Event::Interrupted => unreachable!("invariant: an interruption is an error"),
        }
    }

    /// How long after it could first be known a flip was known, and since when it could.
    fn latency(&self, sighting: &Sighting) -> Option<(Latency, &'static str)> {
        let flip = &sighting.flip;
        let by_silence = matches!(flip.to, State::Silent | State::Suspended | State::Unknown);
        if by_silence {
            return Some((Latency::of(sighting, flip.at), "its threshold"));
        }
        let how = self.setting.how?;
        let touched = self.touched(flip.publisher.as_str())?;
        let by = if flip.to == State::Alive { how.undoing() } else { how.deed() };
        Some((Latency::of(sighting, touched), by))
    }
}

fn subscriber(setting: &Setting, hub: &Hub, folder: &Folder, events: &Events) -> anyhow::Result<Process> {
    let mut command = programs::own("lastbeat-subscriber")?;
    let threshold = humantime::format_duration(setting.threshold).to_string();
    let page = setting.page.map_or_else(|| "off".to_owned(), |page| page.to_string());
    command.args(["--json", "--http", &page, "--from", &hub.subscribers]);
    command.args(["--threshold", &threshold, "--name", "scenario"]);
    command.arg("--store").arg(folder.store());
    if let Some(influx) = &setting.influx {
        command.args(["--influx", influx.url()]);
    }
    let reads = Reads::Stdout(events.feed().flips());
    Process::start(Program { name: "subscriber".to_owned(), command, reads }, folder.path(), events.feed())
}
