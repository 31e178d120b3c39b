//! [`Event`]: what can happen, and the sentences in which a scenario file says it. `scenarios/README.md` lists them.

use lastbeat_wire::Kind;

use super::span;

/// One thing that happens. Times are nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Something happens to a publisher or its process.
    Publisher(String, Deed),
    LinkUp(String),
    LinkDown(String),
    /// The broker behind a link keeps messages until it releases them.
    BrokerHolds(String),
    BrokerReleases(String),
    /// A publisher's host's wall clock is stepped; `None`: the watchdog's.
    ClockSteps(Option<String>, i64),
    /// The watchdog's memory is written down.
    Saves,
    /// The watchdog ends at once; what it had logged stays.
    Stops,
    Starts,
    Stalls(i64),
    /// The watchdog's host is started again: its processes are gone, its monotonic clock begins anew.
    Reboots,
    Pause(String, Option<i64>),
    Resume(String),
    ProbesTake(i64),
    ProbesFail,
    PidfdOn,
    PidfdOff,
}

/// What a publisher, or its process, does or suffers.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    Starts,
    Killed,
    Zombie,
    Stopped,
    Continued,
    Hangs,
    Recovers,
    /// Says goodbye and ends.
    Leaves,
    PidReused,
    /// It may not be looked at any more: EPERM.
    Hides,
    /// Its last message comes once more.
    Repeats,
    /// The next message is numbered, sent and lost.
    Loses,
    Sends(Parcel),
    /// What it has sent, lost or not, is sent again because it was asked for.
    Resends(Again),
}

/// Which messages are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    pub which: Which,
    /// Of which process, counted from 1 as they were started; `None`: the latest.
    pub process: Option<usize>,
}

/// Which messages of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    All,
    Last,
    Number(u64),
}

/// A message and how it travels.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    pub kind: Kind,
    pub retained: bool,
    pub garbled: bool,
    /// Which process of the publisher sends it, counted from 1 as they were started; `None`: the latest.
    pub process: Option<usize>,
    pub delayed: i64,
    pub via: Option<String>,
}

impl Event {
    /// Reads a sentence.
    pub fn parse(sentence: &str) -> Option<Self> {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let name = |name: &&str| (*name).to_owned();
        Some(match words.as_slice() {
            ["link", link, "up"] => Self::LinkUp(name(link)),
            ["link", link, "down"] => Self::LinkDown(name(link)),
            ["link", link, "holds"] => Self::BrokerHolds(name(link)),
            ["link", link, "releases"] => Self::BrokerReleases(name(link)),
            ["clock", "of", "watchdog", "steps", by] => Self::ClockSteps(None, span::parse(by)?),
            ["clock", "of", publisher, "steps", by] => Self::ClockSteps(Some(name(publisher)), span::parse(by)?),
            ["watchdog", "saves"] => Self::Saves,
            ["watchdog", "stops"] => Self::Stops,
            ["watchdog", "starts"] => Self::Starts,
            ["watchdog", "stalls", span] => Self::Stalls(span::parse(span)?),
            ["host", "reboots"] => Self::Reboots,
            ["pause", publisher] => Self::Pause(name(publisher), None),
            ["pause", publisher, "for", span] => Self::Pause(name(publisher), Some(span::parse(span)?)),
            ["resume", publisher] => Self::Resume(name(publisher)),
            ["probes", "take", span] => Self::ProbesTake(span::parse(span)?),
            ["probes", "fail"] => Self::ProbesFail,
            ["pidfd", "on"] => Self::PidfdOn,
            ["pidfd", "off"] => Self::PidfdOff,
            [publisher, deed @ ..] => Self::Publisher(name(publisher), Deed::parse(deed)?),
            [] => return None,
        })
    }
}

impl Deed {
    fn parse(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["starts"] => Self::Starts,
            ["is", "killed"] => Self::Killed,
            ["becomes", "a", "zombie"] => Self::Zombie,
            ["is", "stopped"] => Self::Stopped,
            ["is", "continued"] => Self::Continued,
            ["hangs"] => Self::Hangs,
            ["recovers"] => Self::Recovers,
            ["leaves"] => Self::Leaves,
            ["loses", "its", "PID"] => Self::PidReused,
            ["hides"] => Self::Hides,
            ["repeats"] => Self::Repeats,
            ["loses", "a", "message"] => Self::Loses,
            ["resends", which] => Self::Resends(Again { which: Which::parse(which)?, process: None }),
            ["resends", which, "from", "process", number] => {
                Self::Resends(Again { which: Which::parse(which)?, process: Some(number.parse().ok()?) })
            }
            ["sends", kind, how @ ..] => Self::Sends(Parcel::parse(kind, how)?),
            _ => return None,
        })
    }
}

impl Which {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "last" => Some(Self::Last),
            number => number.parse().ok().map(Self::Number),
        }
    }
}

impl Parcel {
    /// A message that travels at once.
    pub fn of(kind: Kind) -> Self {
        Self { kind, retained: false, garbled: false, process: None, delayed: 0, via: None }
    }

    fn parse(kind: &str, mut how: &[&str]) -> Option<Self> {
        let mut parcel = Self::of(match kind {
            "reading" => Kind::Sensor,
            "beat" => Kind::Beat,
            "start" => Kind::Start,
            "fail" => Kind::Fail,
            "bye" => Kind::Bye,
            "rip" => Kind::Rip,
            _ => return None,
        });
        loop {
            how = match how {
                [] => return Some(parcel),
                ["retained", rest @ ..] => {
                    parcel.retained = true;
                    rest
                }
                ["garbled", rest @ ..] => {
                    parcel.garbled = true;
                    rest
                }
                ["from", "process", number, rest @ ..] => {
                    parcel.process = Some(number.parse().ok()?);
                    rest
                }
                ["delayed", span, rest @ ..] => {
                    parcel.delayed = span::parse(span)?;
                    rest
                }
                ["via", link, rest @ ..] => {
                    parcel.via = Some((*link).to_owned());
                    rest
                }
                _ => return None,
            };
        }
    }
}

#[test]
fn sentences_are_understood_and_nonsense_is_not() {
    assert_eq!(Event::parse("light is killed"), Some(Event::Publisher("light".into(), Deed::Killed)));
    assert_eq!(Event::parse("pause light for 10m"), Some(Event::Pause("light".into(), Some(600_000_000_000))));
    let parcel = Parcel { retained: true, process: Some(1), delayed: 5_000_000_000, ..Parcel::of(Kind::Beat) };
    let sentence = "light sends beat retained from process 1 delayed 5s";
    assert_eq!(Event::parse(sentence), Some(Event::Publisher("light".into(), Deed::Sends(parcel))));
    for nonsense in ["", "light", "light sends love", "light sends beat delayed soon", "watchdog sleeps"] {
        assert_eq!(Event::parse(nonsense), None, "{nonsense}");
    }
}
