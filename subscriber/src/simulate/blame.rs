//! [`Blame`]: what a false alarm is due to.

/// What a false alarm is blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// It had been in trouble until just before.
    JustOver,
    /// It was busy.
    Slow,
    /// Its host could not reach the broker.
    Partition,
    /// The broker was down, or held messages back.
    Broker,
    /// The watchdog's link was cut, and that was not known.
    Link,
    /// The network lost or delayed messages.
    Network,
    /// The watchdog was away or did not run.
    Watchdog,
    /// It sends more rarely than its threshold wants.
    Interval,
    /// None of these: single messages were lost.
    Loss,
}

impl Blame {
    /// The blame in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::JustOver => "its trouble was just over",
            Self::Slow => "it was too busy to send",
            Self::Partition => "its host could not reach the broker",
            Self::Broker => "the broker was down or held messages back",
            Self::Link => "the watchdog's link carried nothing",
            Self::Network => "the network lost or delayed messages",
            Self::Watchdog => "the watchdog did not run",
            Self::Interval => "it sends too rarely for its threshold",
            Self::Loss => "single messages were lost",
        }
    }
}
