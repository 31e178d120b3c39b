//! [`Fault`]: what goes wrong, how often, and for how long.

#![allow(
    clippy::match_same_arms,
    clippy::unnested_or_patterns,
    reason = "kinds that belong together stand in one line"
)]

use clap::ValueEnum;

use super::chance::Spans;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process is killed, and started again after a while.
    Killed,
    /// It ends, and its parent does not reap it.
    Zombie,
    /// It ends, and its PID is given to another process.
    PidReused,
    /// It is stopped (SIGSTOP), and goes on later.
    Stopped,
    /// It hangs: it runs and says nothing.
    Hung,
    /// It lives, and is too busy to send for a while.
    Slow,
    /// It says goodbye and ends; another one comes.
    Goodbye,
    /// Its work fails; later it works again.
    Failure,
    /// The wall clock of a host is stepped; the watchdog's is among them.
    ClockStep,
    /// A host can't reach its brokers.
    Partition,
    /// A host is started again.
    Reboot,
    /// A broker ends at once and is started again.
    BrokerCrash,
    /// A broker hands nothing on for a while.
    BrokerHolds,
    /// The watchdog's connection breaks.
    LinkBreaks,
    /// The watchdog's connection carries nothing, and nobody is told.
    LinkSilent,
    /// The network drops messages, or delivers them twice.
    Loss,
    /// The network takes its time, and lets messages overtake each other.
    Delay,
    /// A broker delivers what it had kept: a retained message.
    Retained,
    /// What comes can't be read.
    Garbled,
    /// The watchdog is killed, and started again.
    WatchdogKilled,
    /// The watchdog's host loses its power.
    PowerLoss,
    /// The watchdog does not run for a while.
    Stall,
    /// The disk is slow.
    DiskSlow,
    /// The disk is full.
    DiskFull,
    /// Looking at processes fails.
    ProbesFail,
}

/// What a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A publisher.
    Publisher,
    /// A host, the watchdog's among them.
    Host,
    /// A link with its broker.
    Link,
    /// The watchdog.
    Watchdog,
}

/// How often things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Weather {
    /// Nothing does.
    Calm,
    /// As in a house with Wi-Fi and a server that is looked after.
    Usual,
    /// Everything, all the time: to find what breaks a promise.
    Storm,
}

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
/// In a storm each fault strikes a small world so often; publishers and hosts suffer more the more of them there are.
const STORM: u64 = 150 * SECOND;

const AWAY: Spans = Spans(&[(0.5, 15.0), (0.8, 90.0), (0.95, 400.0), (1.0, 1800.0)]);
const BRIEF: Spans = Spans(&[(0.5, 3.0), (0.8, 9.0), (0.95, 35.0), (0.99, 90.0), (1.0, 400.0)]);
const OUTAGE: Spans = Spans(&[(0.5, 6.0), (0.8, 25.0), (0.95, 100.0), (0.99, 400.0), (1.0, 1500.0)]);
const EPISODE: Spans = Spans(&[(0.5, 20.0), (0.9, 120.0), (1.0, 600.0)]);

impl Fault {
    /// Every fault there is.
    pub const ALL: [Self; 25] = [
        Self::Killed,
        Self::Zombie,
        Self::PidReused,
        Self::Stopped,
        Self::Hung,
        Self::Slow,
        Self::Goodbye,
        Self::Failure,
        Self::ClockStep,
        Self::Partition,
        Self::Reboot,
        Self::BrokerCrash,
        Self::BrokerHolds,
        Self::LinkBreaks,
        Self::LinkSilent,
        Self::Loss,
        Self::Delay,
        Self::Retained,
        Self::Garbled,
        Self::WatchdogKilled,
        Self::PowerLoss,
        Self::Stall,
        Self::DiskSlow,
        Self::DiskFull,
        Self::ProbesFail,
    ];

    /// The fault as one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Zombie => "zombie",
            Self::PidReused => "pid_reused",
            Self::Stopped => "stopped",
            Self::Hung => "hung",
            Self::Slow => "slow",
            Self::Goodbye => "goodbye",
            Self::Failure => "failure",
            Self::ClockStep => "clock_step",
            Self::Partition => "partition",
            Self::Reboot => "reboot",
            Self::BrokerCrash => "broker_crash",
            Self::BrokerHolds => "broker_holds",
            Self::LinkBreaks => "link_breaks",
            Self::LinkSilent => "link_silent",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Retained => "retained",
            Self::Garbled => "garbled",
            Self::WatchdogKilled => "watchdog_killed",
            Self::PowerLoss => "power_loss",
            Self::Stall => "stall",
            Self::DiskSlow => "disk_slow",
            Self::DiskFull => "disk_full",
            Self::ProbesFail => "probes_fail",
        }
    }

    /// What it strikes.
    pub fn target(self) -> Target {
        match self {
            Self::Killed | Self::Zombie | Self::PidReused | Self::Stopped | Self::Hung | Self::Slow => {
                Target::Publisher
            }
            Self::Goodbye | Self::Failure | Self::Retained | Self::Garbled => Target::Publisher,
            Self::ClockStep | Self::Partition | Self::Reboot => Target::Host,
            Self::BrokerCrash | Self::BrokerHolds | Self::LinkBreaks | Self::LinkSilent | Self::Loss | Self::Delay => {
                Target::Link
            }
            Self::WatchdogKilled
            | Self::PowerLoss
            | Self::Stall
            | Self::DiskSlow
            | Self::DiskFull
            | Self::ProbesFail => Target::Watchdog,
        }
    }

    /// Hours between two of them, for each target, in the usual weather.
    fn hours(self) -> u64 {
        match self {
            Self::Loss | Self::Delay | Self::DiskSlow | Self::Slow | Self::Partition => 24,
            Self::LinkBreaks | Self::Stall => 48,
            Self::BrokerHolds | Self::ClockStep | Self::Goodbye | Self::ProbesFail => 100,
            Self::Killed | Self::LinkSilent => 200,
            Self::Failure | Self::BrokerCrash | Self::WatchdogKilled | Self::DiskFull | Self::Retained => 300,
            Self::Stopped | Self::Hung | Self::Reboot | Self::PowerLoss | Self::Garbled => 700,
            Self::Zombie | Self::PidReused => 2000,
        }
    }

    /// The mean time between two of them with so many targets, in nanoseconds; `None`: it does not happen.
    pub fn mean(self, weather: Weather, targets: usize) -> Option<u64> {
        let targets = targets as u64;
        match (weather, self.target()) {
            (Weather::Calm, _) => None,
            _ if targets == 0 => None,
            (Weather::Usual, _) => Some(self.hours() * HOUR / targets),
            (_, Target::Publisher) => Some(STORM * 40 / targets.max(40)),
            (_, Target::Host) => Some(STORM * 6 / targets.max(6)),
            _ => Some(STORM),
        }
    }

    /// How long it lasts; of what ends a process: until the next one.
    pub fn spans(self) -> Spans {
        match self {
            Self::Killed | Self::Zombie | Self::PidReused | Self::Stopped | Self::Hung | Self::Goodbye => AWAY,
            Self::Slow | Self::Stall | Self::LinkBreaks | Self::LinkSilent => BRIEF,
            Self::Partition
            | Self::BrokerCrash
            | Self::BrokerHolds
            | Self::WatchdogKilled
            | Self::Reboot
            | Self::PowerLoss => OUTAGE,
            _ => EPISODE,
        }
    }
}
