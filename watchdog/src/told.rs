//! A flip told in full sentences, for somebody who was woken by it: what happened, how that is known, what to check.

use std::time::Duration;

use lastbeat_wire::UtcNanos;

use crate::evidence::{Fact, Source};
use crate::flip::Flip;
use crate::state::{Cause, State};

impl Cause {
    /// What to check or do about it, as `docs/OPERATING.md` says; `None` where nothing is to be done.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::Heard | Self::NotHeardYet | Self::Goodbye | Self::Maintenance => return None,
            Self::NeverHeard => "is it started? does it use this id?",
            Self::ProcessRuns => "is it hung? can it reach the broker?",
            Self::ProcessStopped => "let it go on with kill -CONT",
            Self::ProcessGone | Self::PidReused => "look at its own log, and at the kernel's for the OOM killer",
            Self::ProcessZombie => "look at the parent",
            Self::HostRebooted => "was it not started again after the reboot?",
            Self::Will => "look at its host, its network",
            Self::OtherHost | Self::OtherNamespace => "run a subscriber there, or look there",
            Self::NoIdentity => "its silence is all there is",
            Self::ProbeFailed => "is /proc there?",
            Self::Reported => "look at its report, at its own log",
            Self::LinkDown => "mend the broker, the network",
            Self::LinkBack | Self::WatchdogAway => "wait at most one threshold",
        })
    }
}

impl Flip {
    /// The flip in sentences: `light-1 is dead: its process (PID 4242 on web-1) ended at 03:12:05 UTC, 1.2 s after it was
    /// last heard. The kernel said so (pidfd). Look at its own log, and at the kernel's for the OOM killer.`
    ///
    /// Times of the day of [`at`](Self::at) are told without their date.
    pub fn told(&self) -> String {
        let mut text = format!("{} {}.", self.publisher, self.what());
        let late = self.noticed_at.since(self.at);
        if late >= Duration::from_secs(1) && !matches!(self.cause, Cause::Heard | Cause::WatchdogAway) {
            text.push_str(&format!(" The watchdog knew {} later.", span(late)));
        }
        match (self.cause, self.process) {
            (Cause::ProcessStopped, Some(process)) => {
                text.push_str(&format!(" Let it go on with kill -CONT {}.", process.pid));
            }
            _ => text.extend(self.cause.advice().map(|advice| format!(" {}", sentences(advice)))),
        }
        text
    }

    fn what(&self) -> String {
        let (at, process, silent) = (self.time(self.at), self.its_process(), self.silent());
        match self.cause {
            Cause::Heard => self.heard(&at),
            Cause::NotHeardYet => "is watched again; it has not been heard yet".to_owned(),
            Cause::NeverHeard => format!("is expected, and nothing came from it by {at}"),
            Cause::ProcessRuns => {
                let how = self.detail(|fact| match fact {
                    Fact::Runs { detail } => Some(format!(" ({detail})")),
                    Fact::NotPermitted => Some(" (it may not be looked at closer)".to_owned()),
                    _ => None,
                });
                format!("fell silent: {silent}; {process} still runs{how}")
            }
            Cause::ProcessStopped => {
                format!("is suspended: {silent}; {process} is stopped, by SIGSTOP, job control or a debugger")
            }
            Cause::ProcessGone => self.gone(&at),
            Cause::ProcessZombie => {
                format!("is dead: {process} has ended, its parent has not reaped it (a zombie); {silent}")
            }
            Cause::PidReused => {
                format!("is dead: {process} has ended, its PID belongs to another process now; {silent}")
            }
            Cause::HostRebooted => format!("is dead: its host{} was rebooted since; {silent}", self.named_host()),
            Cause::Will => format!("is taken for dead: a broker lost its connection and published its will; {silent}"),
            Cause::OtherHost => {
                let host = self.named_host();
                format!("went quiet: {silent}; it runs on another host{host}, where this watchdog can't look")
            }
            Cause::OtherNamespace => {
                format!("went quiet: {silent}; {process} is in another PID namespace, where this watchdog can't look")
            }
            Cause::NoIdentity => format!("went quiet: {silent}; it never told its process"),
            Cause::ProbeFailed => {
                let why = self.detail(|fact| match fact {
                    Fact::ProbeFailed { reason } => Some(format!(": {reason}")),
                    _ => None,
                });
                format!("went quiet: {silent}; looking at {process} failed{why}")
            }
            Cause::Goodbye => format!("finished: it said goodbye at {at}"),
            Cause::Reported => {
                let why = self.detail(|fact| match fact {
                    Fact::Failed { reason } if !reason.is_empty() => {
                        Some(format!(": {}", reason.trim_end_matches('.')))
                    }
                    _ => None,
                });
                // It may have said so before maintenance was over.
                let said_at = self.evidence.first().map_or(self.at, |evidence| evidence.at.min(self.at));
                format!("failed: it reported so at {}{why}", self.time(said_at))
            }
            Cause::Maintenance => {
                let until = self.detail(|fact| match fact {
                    Fact::Maintenance { until: Some(until) } => Some(format!(" until {}", self.time(*until))),
                    Fact::Maintenance { until: None } => Some(" until it is resumed".to_owned()),
                    _ => None,
                });
                format!("is paused for maintenance from {at}{until}: nobody judges it")
            }
            Cause::LinkDown => {
                let why = self.detail(|fact| match fact {
                    Fact::LinkDown { reason } => Some(format!(" ({reason})")),
                    _ => None,
                });
                format!("can't be heard since {at}: the watchdog's link is down{why}; nobody judges it")
            }
            Cause::LinkBack => {
                format!("is not judged yet: the watchdog's link was not up for as long as it may be silent; {silent}")
            }
            Cause::WatchdogAway => {
                let back = self.time(self.noticed_at);
                format!("was not watched from {at} to {back}: the watchdog was away; {silent}")
            }
        }
    }

    fn heard(&self, at: &str) -> String {
        let after = self.silence.map(|silence| format!(", after {} of silence", span(silence))).unwrap_or_default();
        match self.from {
            State::Unseen => format!("is alive: first heard at {at}"),
            State::Paused => "is alive: maintenance is over, and it was heard within its threshold".to_owned(),
            State::Blind => format!("is alive: the watchdog hears it again since {at}{after}"),
            State::Failed => format!("works again after its failure: heard at {at}{after}"),
            from => format!("is alive again (it was {from}): heard at {at}{after}"),
        }
    }

    fn gone(&self, at: &str) -> String {
        let process = self.its_process();
        let Some(seen) = self.evidence.iter().find(|evidence| evidence.source == Source::Pidfd) else {
            return format!("is dead: {process} is gone, it is not in the process table any more; {}", self.silent());
        };
        // An end that was seen before: in maintenance, or while nobody could judge.
        if seen.at.plus(Duration::from_secs(1)) < self.at {
            let ended = self.time(seen.at);
            return format!(
                "is dead: {process} had ended by {ended}, as the kernel said (pidfd); it is judged since {at}"
            );
        }
        let after = self.silence.map(|silence| format!(", {} after it was last heard", span(silence)));
        let late = self.noticed_at.since(self.at);
        let late = if late.is_zero() { String::new() } else { format!(" {} later", span(late)) };
        format!("is dead: {process} ended at {at}{}. The kernel said so (pidfd){late}", after.unwrap_or_default())
    }

    /// What a fact of the evidence says more; nothing where none does.
    fn detail(&self, of: impl Fn(&Fact) -> Option<String>) -> String {
        self.evidence.iter().find_map(|evidence| of(&evidence.fact)).unwrap_or_default()
    }

    /// `its process (PID 4242 on web-1)`.
    fn its_process(&self) -> String {
        match (self.process, &self.host) {
            (Some(process), Some(host)) => format!("its process (PID {} on {host})", process.pid),
            (Some(process), None) => format!("its process (PID {})", process.pid),
            (None, _) => "its process".to_owned(),
        }
    }

    fn named_host(&self) -> String {
        self.host.as_ref().map(|host| format!(" ({host})")).unwrap_or_default()
    }

    /// `nothing heard for 50 s, since 03:11:15 UTC`.
    fn silent(&self) -> String {
        match (self.silence, self.last_heard) {
            (Some(silence), Some(heard)) => {
                let adaptive = self.detail(|fact| match fact {
                    Fact::Adaptive { .. } => Some(format!(" ({fact})")),
                    _ => None,
                });
                format!("nothing heard for {}, since {}{adaptive}", span(silence), self.time(heard))
            }
            _ => "it was never heard".to_owned(),
        }
    }

    /// `03:12:05 UTC`, with the date if it is another day than the flip's.
    fn time(&self, time: UtcNanos) -> String {
        const SECOND: i64 = 1_000_000_000;
        let split = |time: UtcNanos| {
            let text = UtcNanos(time.0.saturating_sub(time.0.rem_euclid(SECOND))).to_string();
            let (date, clock) = text.split_once('T').unwrap_or(("", &text));
            (date.to_owned(), clock.trim_end_matches('Z').to_owned())
        };
        let (date, clock) = split(time);
        if date == split(self.at).0 { format!("{clock} UTC") } else { format!("{date} {clock} UTC") }
    }
}

/// `is it hung? can it?` to `Is it hung? Can it?`
fn sentences(advice: &str) -> String {
    let mut text = String::with_capacity(advice.len() + 1);
    let mut first = true;
    for character in advice.chars() {
        if first && character.is_alphabetic() {
            text.extend(character.to_uppercase());
            first = false;
        } else {
            text.push(character);
            first |= character == '?';
        }
    }
    if !text.ends_with('?') {
        text.push('.');
    }
    text
}

/// A span as people say it: `2 ms`, `1.2 s`, `50 s`, `2 min 3 s`, `3 h 5 min`, `2 days 3 h`.
pub(crate) fn span(span: Duration) -> String {
    let with = |one: u64, unit: &str, other: u64, smaller: &str| match other {
        0 => format!("{one} {unit}"),
        other => format!("{one} {unit} {other} {smaller}"),
    };
    let (millis, seconds) = (span.as_millis(), span.as_secs());
    match seconds {
        0 => format!("{millis} ms"),
        1..10 if millis % 1000 >= 100 => format!("{seconds}.{} s", millis % 1000 / 100),
        1..60 => format!("{seconds} s"),
        60..3600 => with(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => with(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        86_400..172_800 => with(1, "day", seconds % 86_400 / 3600, "h"),
        _ => with(seconds / 86_400, "days", seconds % 86_400 / 3600, "h"),
    }
}
