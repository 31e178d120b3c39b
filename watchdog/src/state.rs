//! [`State`] and [`Cause`]: what is said of a publisher, and the reason in one phrase.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is known of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Expected, or known from a retained message only; never heard.
    Unseen,
    /// Heard within its threshold.
    Alive,
    /// Past its threshold, while its process still runs: hung, or cut off.
    Silent,
    /// Past its threshold; its process is stopped.
    Suspended,
    /// Its process is gone, a zombie, or its PID belongs to another; or a broker lost it and nobody heard it since.
    Dead,
    /// It said itself that its work failed.
    Failed,
    /// Past its threshold, and nothing here can tell more.
    Unknown,
    /// It said goodbye.
    Finished,
    /// Not watched on purpose.
    Paused,
    /// The watchdog itself could not hear it: nobody is judged.
    Blind,
}

impl State {
    /// Every state there is.
    pub const ALL: [Self; 10] = [
        Self::Unseen,
        Self::Alive,
        Self::Silent,
        Self::Suspended,
        Self::Dead,
        Self::Failed,
        Self::Unknown,
        Self::Finished,
        Self::Paused,
        Self::Blind,
    ];

    /// The yes-or-no answer, where there is one. Dead, suspended, failed and finished are not alive; of what is unseen,
    /// unknown, paused or blind nothing is claimed. A silent publisher's process runs.
    pub fn alive(self) -> Option<bool> {
        match self {
            Self::Alive | Self::Silent => Some(true),
            Self::Dead | Self::Suspended | Self::Failed | Self::Finished => Some(false),
            Self::Unseen | Self::Unknown | Self::Paused | Self::Blind => None,
        }
    }

    /// The state as one word, as it is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Alive => "alive",
            Self::Silent => "silent",
            Self::Suspended => "suspended",
            Self::Dead => "dead",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Finished => "finished",
            Self::Paused => "paused",
            Self::Blind => "blind",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why a publisher is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A live message came.
    Heard,
    /// It is expected and has not been heard yet.
    NotHeardYet,
    /// It was expected, and its threshold passed without a message.
    NeverHeard,
    /// Its process runs, and says nothing.
    ProcessRuns,
    /// Its process is stopped (state T).
    ProcessStopped,
    /// There is no process with its PID.
    ProcessGone,
    /// Its process has ended and waits to be reaped.
    ProcessZombie,
    /// Its PID belongs to a process that started at another time.
    PidReused,
    /// Its host was started again since.
    HostRebooted,
    /// A broker published its will, and it was not heard after that.
    Will,
    /// It runs on another host, where this watchdog can't look.
    OtherHost,
    /// It runs in another PID namespace (a container), where its PID says nothing.
    OtherNamespace,
    /// It never told its process.
    NoIdentity,
    /// Looking at its process failed or took too long.
    ProbeFailed,
    /// It said goodbye.
    Goodbye,
    /// It said that its work failed.
    Reported,
    /// Paused for maintenance.
    Maintenance,
    /// Every link it was heard on is down.
    LinkDown,
    /// The link is back, and it has not been heard on it yet.
    LinkBack,
    /// The watchdog was not running, and has not heard it since.
    WatchdogAway,
}

impl Cause {
    /// Every cause there is.
    pub const ALL: [Self; 20] = [
        Self::Heard,
        Self::NotHeardYet,
        Self::NeverHeard,
        Self::ProcessRuns,
        Self::ProcessStopped,
        Self::ProcessGone,
        Self::ProcessZombie,
        Self::PidReused,
        Self::HostRebooted,
        Self::Will,
        Self::OtherHost,
        Self::OtherNamespace,
        Self::NoIdentity,
        Self::ProbeFailed,
        Self::Goodbye,
        Self::Reported,
        Self::Maintenance,
        Self::LinkDown,
        Self::LinkBack,
        Self::WatchdogAway,
    ];

    /// The cause as one word, as it is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::NotHeardYet => "not_heard_yet",
            Self::NeverHeard => "never_heard",
            Self::ProcessRuns => "process_runs",
            Self::ProcessStopped => "process_stopped",
            Self::ProcessGone => "process_gone",
            Self::ProcessZombie => "process_zombie",
            Self::PidReused => "pid_reused",
            Self::HostRebooted => "host_rebooted",
            Self::Will => "will",
            Self::OtherHost => "other_host",
            Self::OtherNamespace => "other_namespace",
            Self::NoIdentity => "no_identity",
            Self::ProbeFailed => "probe_failed",
            Self::Goodbye => "goodbye",
            Self::Reported => "reported",
            Self::Maintenance => "maintenance",
            Self::LinkDown => "link_down",
            Self::LinkBack => "link_back",
            Self::WatchdogAway => "watchdog_away",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Heard => "heard",
            Self::NotHeardYet => "not heard yet",
            Self::NeverHeard => "expected, never heard",
            Self::ProcessRuns => "its process runs but says nothing",
            Self::ProcessStopped => "its process is stopped",
            Self::ProcessGone => "its process is gone",
            Self::ProcessZombie => "its process has ended, a zombie",
            Self::PidReused => "its PID now belongs to another process",
            Self::HostRebooted => "its host was rebooted since",
            Self::Will => "a broker lost its connection",
            Self::OtherHost => "on another host, which can't be looked at from here",
            Self::OtherNamespace => "in another PID namespace, which can't be looked at from here",
            Self::NoIdentity => "it never told its process",
            Self::ProbeFailed => "its process could not be looked at",
            Self::Goodbye => "it said goodbye",
            Self::Reported => "it reported a failure",
            Self::Maintenance => "maintenance",
            Self::LinkDown => "the watchdog's link is down",
            Self::LinkBack => "the watchdog's link is back, not heard since",
            Self::WatchdogAway => "the watchdog was away, not heard since",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_stored_words_are_those_of_serde() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.word());
        }
    }

    #[test]
    fn each_cause_is_told_in_its_own_phrase() {
        let phrases: BTreeSet<_> = Cause::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(phrases.len(), Cause::ALL.len());
        assert_eq!(format!("{:>5}|{:<6}|", Cause::Heard, State::Dead), "heard|dead  |");
    }

    #[test]
    fn alive_is_claimed_only_where_it_is_known() {
        let alive = |answer| State::ALL.into_iter().filter(|state| state.alive() == answer).collect::<Vec<_>>();
        assert_eq!(alive(Some(true)), [State::Alive, State::Silent]);
        assert_eq!(alive(Some(false)), [State::Suspended, State::Dead, State::Failed, State::Finished]);
        assert_eq!(alive(None), [State::Unseen, State::Unknown, State::Paused, State::Blind]);
    }
}
