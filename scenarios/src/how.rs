//! [`How`]: the ways for a publisher to be down, and what is to be said of each.

use clap::ValueEnum;
use lastbeat_watchdog::{Cause, Fact, Source, State};

use crate::hub::Transport;

/// A way to be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// SIGKILL: dead at once, known by pidfd
    Kill,
    /// SIGSTOP: suspended once its threshold is reached; then SIGCONT, and alive again
    Stop,
    /// SIGTERM: finished, for it says goodbye
    Term,
    /// Its network link is cut: silent once its threshold is reached; then mended, and alive again. Needs root
    Net,
}

impl How {
    /// The state that a publisher must then be in, and the cause.
    pub fn verdict(self) -> (State, Cause) {
        match self {
            Self::Kill => (State::Dead, Cause::ProcessGone),
            Self::Stop => (State::Suspended, Cause::ProcessStopped),
            Self::Term => (State::Finished, Cause::Goodbye),
            Self::Net => (State::Silent, Cause::ProcessRuns),
        }
    }

    /// By what means that must have been found out: by one of these.
    ///
    /// Over MQTT the will of a killed publisher has its process looked up, which may come before the kernel's word.
    pub fn sources(self, transport: Transport) -> &'static [Source] {
        match (self, transport) {
            (Self::Kill, Transport::Zmq) => &[Source::Pidfd],
            (Self::Kill, Transport::Mqtt) => &[Source::Pidfd, Source::ProcessTable],
            (Self::Stop | Self::Net, _) => &[Source::ProcessTable],
            (Self::Term, _) => &[Source::Message],
        }
    }

    /// Whether a fact is the evidence for it.
    pub fn is_shown_by(self, fact: &Fact) -> bool {
        match self {
            Self::Kill => matches!(fact, Fact::Gone | Fact::Zombie),
            Self::Stop => *fact == Fact::Stopped,
            Self::Term => *fact == Fact::Goodbye,
            Self::Net => matches!(fact, Fact::Runs { .. }),
        }
    }

    /// Whether only silence tells: the verdict then falls when the threshold is reached, not before.
    pub fn shows_by_silence(self) -> bool {
        matches!(self, Self::Stop | Self::Net)
    }

    /// Whether it is undone, so that the publisher comes back.
    pub fn heals(self) -> bool {
        self.shows_by_silence()
    }

    /// What is done to the publisher.
    pub fn deed(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
            Self::Term => "SIGTERM",
            Self::Net => "its link is cut",
        }
    }

    /// What undoes it.
    pub fn undoing(self) -> &'static str {
        match self {
            Self::Net => "its link is mended",
            Self::Kill | Self::Stop | Self::Term => "SIGCONT",
        }
    }
}
