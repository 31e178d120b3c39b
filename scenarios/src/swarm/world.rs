//! [`World`]: the hosts, brokers, targets, agents and the subscriber.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lastbeat_host::Clock;
use lastbeat_watchdog::State;
use rustix::process::Signal;
use serde_json::Value;

use super::moves::Moves;
use crate::events::{Event, Events};
use crate::folder::Folder;
use crate::hub;
use crate::lan::{Hook, Lan, Node};
use crate::network::free_port;
use crate::process::{Process, Program, Reads};
use crate::timeline::Timeline;
use crate::{page, programs};

/// The silence that is allowed; a fifth of it is how often agents beat, and how soon a dead link is looked into.
pub const THRESHOLD: &str = "10s";
pub const NETWORKS: [&str; 4] = ["rome", "oslo", "lima", "kiev"];
pub const AGENTS_EACH: usize = 5;
pub const AGENTS: usize = NETWORKS.len() * AGENTS_EACH;
const BROKERS: [&str; 3] = ["one", "two", "three"];
/// Where the page that is measured is served.
const PAGE_PORT: u16 = 8000;
const MQTT_PORT: u16 = 1883;
/// How long what was asked for may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A broker on a host of its own.
pub struct Broker {
    pub name: &'static str,
    pub node: Node,
    pub url: String,
    pub process: Option<Process>,
}

pub struct World {
    pub timeline: Timeline,
    pub brokers: Vec<Broker>,
    /// The targets' hosts, by what is the matter with them.
    pub targets: BTreeMap<&'static str, Node>,
    pub moves: Moves,
    /// Verdicts on agents that no fault of a broker may bring about.
    pub false_verdicts: usize,
    /// How often an agent was blind: its broker was not to be heard by the watchdog itself.
    pub blind: usize,
    page: SocketAddr,
    events: Events,
    agents: Vec<Process>,
    subscriber: Process,
    _servers: Vec<Process>,
    homes: Vec<Node>,
    folder: Folder,
    _lan: Lan,
}

impl World {
    /// Builds and starts all of it; the agents are told what to measure by their brokers.
    pub fn set_up(folder: Folder, timeline: Timeline) -> anyhow::Result<Self> {
        let events = Events::listen()?;
        let mut lan = Lan::build()?;
        let mut brokers = Vec::new();
        for name in BROKERS {
            let node = lan.node()?;
            let url = format!("mqtt://{}:{MQTT_PORT}", node.address());
            let mut broker = Broker { name, node, url, process: None };
            broker.start(&folder, &events)?;
            brokers.push(broker);
        }
        let homes: Vec<Node> = NETWORKS.iter().map(|_| lan.node()).collect::<anyhow::Result<_>>()?;
        let mut targets = BTreeMap::new();
        for what in ["well", "lossy", "narrow", "hidden", "down", "fresh"] {
            targets.insert(what, lan.node()?);
        }
        targets["lossy"].drops(Hook::In, "icmp type echo-request numgen random mod 100 < 30")?;
        targets["narrow"].slow_down("2kbit")?;
        targets["hidden"].drops(Hook::In, &format!("ip saddr {}", homes[0].address()))?;
        targets["down"].cut()?;
        // Whoever is in kiev reaches the brokers and nothing else.
        for node in targets.values() {
            homes[3].drops(Hook::Out, &format!("ip daddr {}", node.address()))?;
        }
        let feed = events.feed();
        let mut serve = Command::new("python3");
        let files = folder.path().join("page");
        std::fs::create_dir_all(&files).with_context(|| files.display().to_string())?;
        serve.args(["-m", "http.server", &PAGE_PORT.to_string(), "--directory"]).arg(files);
        let command = targets["well"].within(&serve)?;
        let program = Program { name: "page".to_owned(), command, reads: Reads::Nothing };
        let servers = vec![Process::start(program, folder.path(), feed)?];

        let page = free_port(Ipv4Addr::LOCALHOST)?;
        let mut watch = programs::own("lastbeat-subscriber")?;
        watch.args(["--json", "--threshold", THRESHOLD, "--name", "watch", "--http", &page.to_string(), "--store"]);
        watch.arg(folder.store());
        for broker in &brokers {
            watch.args(["--from", &broker.url]);
        }
        let program = Program { name: "subscriber".to_owned(), command: watch, reads: Reads::Stdout(feed.flips()) };
        let subscriber = Process::start(program, folder.path(), feed)?;
        let mut world = Self {
            timeline,
            brokers,
            targets,
            moves: Moves::default(),
            false_verdicts: 0,
            blind: 0,
            page,
            events,
            agents: Vec::new(),
            subscriber,
            _servers: servers,
            homes,
            folder,
            _lan: lan,
        };
        for (network, home) in NETWORKS.iter().zip(&world.homes) {
            for number in 1..=AGENTS_EACH {
                let agent = world.agent(&format!("{network}-{number}"), network, home)?;
                world.agents.push(agent);
            }
        }
        Ok(world)
    }

    fn agent(&self, name: &str, network: &str, home: &Node) -> anyhow::Result<Process> {
        let mut command = programs::own("lastbeat-publisher")?;
        command.args(["ping", "--agent", name, "--network", network, "--threshold", THRESHOLD]);
        command.args(["--probes", "4", "--interval", "200ms", "--pause", "2s", "--spool"]);
        command.arg(self.folder.path().join("spool"));
        for broker in &self.brokers {
            command.args(["--to", &broker.url]);
        }
        let reads = Reads::Stderr(self.moves.lines(name));
        let program = Program { name: format!("agent-{name}"), command: home.within(&command)?, reads };
        Process::start(program, self.folder.path(), self.events.feed())
    }

    /// Tells all brokers what is to be measured: these hosts' addresses, and the page.
    pub fn tell(&self, whats: &[&str]) -> anyhow::Result<()> {
        let mut command = programs::own("lastbeat-subscriber")?;
        command.arg("targets").args(whats.iter().map(|what| self.target(what)));
        for broker in &self.brokers {
            command.args(["--from", &broker.url]);
        }
        let output = command.output().context("lastbeat-subscriber targets")?;
        ensure!(output.status.success(), "targets: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// A target as the agents are told it.
    pub fn target(&self, what: &str) -> String {
        match what {
            "page" => format!("http://{}:{PAGE_PORT}/", self.targets["well"].address()),
            other => self.targets[other].address().to_string(),
        }
    }

    /// What the subscriber answers at a path of its API.
    pub fn api(&self, path: &str) -> anyhow::Result<Value> {
        let text = page::get(self.page, &format!("/api/v1/{path}"))?;
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }

    /// The agents as publishers.
    pub fn publishers(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.api("publishers?search=agent/")?["publishers"].as_array().cloned().unwrap_or_default())
    }

    /// How many agents are in a state.
    pub fn are(&self, state: State) -> anyhow::Result<usize> {
        Ok(self.publishers()?.iter().filter(|row| row["state"] == state.word()).count())
    }

    /// Hears what happens, for so long at most, until it is so; looked at every half second.
    ///
    /// # Errors
    /// When a process ends by itself that should not, and on Ctrl-C.
    pub fn wait(&mut self, span: Duration, mut so: impl FnMut(&Self) -> anyhow::Result<bool>) -> anyhow::Result<bool> {
        let until = Clock.now().monotonic.plus(span);
        loop {
            let now = Clock.now().monotonic;
            let look = now.plus(Duration::from_millis(500)).min(until);
            while let Some(event) = self.events.next(look)? {
                self.heard(event)?;
            }
            if so(self)? {
                return Ok(true);
            }
            if Clock.now().monotonic >= until {
                return Ok(false);
            }
        }
    }

    fn heard(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Flip(sighting) => match sighting.flip.to {
                State::Alive | State::Finished => {}
                State::Blind => self.blind += 1,
                _ => {
                    self.false_verdicts += 1;
                    self.timeline.seen(&sighting, None);
                }
            },
            // Judgements stand among the flips.
            Event::Strange(line) => {
                let json = line.find('{').and_then(|at| serde_json::from_str::<Value>(&line[at..]).ok());
                ensure!(json.is_some_and(|json| json["target"].is_object() || json["agent"].is_object()), "{line}");
            }
            Event::Ended { name, status } => {
                let is_broker = BROKERS.iter().any(|broker| name == format!("broker-{broker}"));
                let is_agent = name.starts_with("agent-") && status.success();
                ensure!(is_broker || is_agent, "{name} has ended: {status}");
            }
            Event::Interrupted => {}
        }
        Ok(())
    }

    /// Ends a broker and waits for it; or starts it.
    pub fn stop(&mut self, broker: usize) -> anyhow::Result<()> {
        if let Some(process) = &self.brokers[broker].process {
            process.signal(Signal::TERM)?;
        }
        self.wait(PATIENCE, |world| {
            Ok(world.brokers[broker].process.as_ref().is_none_or(|one| one.ended().is_some()))
        })?;
        self.brokers[broker].process = None;
        Ok(())
    }

    pub fn start(&mut self, broker: usize) -> anyhow::Result<()> {
        let Self { brokers, folder, events, .. } = self;
        brokers[broker].start(folder, events)
    }

    /// Has the agents say goodbye; whether all did, nothing of theirs is missing and nobody was judged falsely.
    pub fn end(&mut self) -> anyhow::Result<bool> {
        for agent in &self.agents {
            agent.signal(Signal::TERM)?;
        }
        let all = self.wait(PATIENCE, |world| Ok(world.are(State::Finished)? == AGENTS))?;
        let rows = self.publishers()?;
        let sum = |key: &str| rows.iter().filter_map(|row| row[key].as_u64()).sum::<u64>();
        let (missed, duplicates, readings) = (sum("missed"), sum("duplicates"), sum("readings"));
        self.timeline.done(
            "agents",
            &format!(
                "{} of {AGENTS} said goodbye; {readings} results taken in, {missed} missing, {duplicates} came twice and count once; \
                 {} false verdicts, {} × blind",
                rows.iter().filter(|row| row["state"] == "finished").count(),
                self.false_verdicts,
                self.blind
            ),
        );
        self.subscriber.signal(Signal::TERM)?;
        Ok(all && missed == 0 && self.false_verdicts == 0)
    }
}

impl Broker {
    fn start(&mut self, folder: &Folder, events: &Events) -> anyhow::Result<()> {
        let place = folder.path().join(self.name);
        std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        let listener = (self.node.address(), MQTT_PORT).into();
        // By itself it drops what it holds beyond 1,000 messages.
        let command = hub::mosquitto(&place, &[listener], "max_queued_messages 0\n")?;
        let program = Program {
            name: format!("broker-{}", self.name),
            command: self.node.within(&command)?,
            reads: Reads::Nothing,
        };
        self.process = Some(Process::start(program, folder.path(), events.feed())?);
        Ok(())
    }
}
