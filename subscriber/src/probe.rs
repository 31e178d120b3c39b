//! Evidence from this host: looking at a process, and waiting for its end. Runs beside the loop, answers by message.

use std::sync::{Arc, Mutex, PoisonError};

use lastbeat_host::{Clock, IdentityError, Seen};
use lastbeat_watchdog::{Attend, Evidence, Fact, Question, Source};
use lastbeat_wire::ProcessIdentity;
use tokio::sync::mpsc;

use crate::attended::{Attended, Begun};
use crate::intake::Finding;

/// Most ends of processes that are waited for at once: each costs a file descriptor, and no more than a quarter of those
/// that there may be is spent on them.
const MOST_ENDS: u64 = 16_384;

/// Looks at processes and waits for their ends.
#[derive(Debug, Clone)]
pub struct Probe {
    findings: mpsc::Sender<Finding>,
    /// Processes whose end is waited for, each once; one may publish under several ids.
    attended: Arc<Mutex<Attended>>,
}

impl Probe {
    /// Its findings go to `findings`, which the loop empties before anything else.
    pub fn new(findings: mpsc::Sender<Finding>) -> Self {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = usize::try_from(MOST_ENDS.min(files / 4)).unwrap_or(usize::MAX);
        Self { findings, attended: Arc::new(Mutex::new(Attended::new(most))) }
    }

    /// Looks at a process, off the loop.
    pub fn ask(&self, question: Question) {
        let findings = self.findings.clone();
        tokio::task::spawn_blocking(move || {
            let evidence = evidence(lastbeat_host::look(&question.process));
            // The loop is gone: nobody wants to know any more.
            let _ = findings.blocking_send(Finding::Answer(question, evidence));
        });
    }

    /// Waits for the end of a process. Where the kernel can't tell, or too many are waited for, its silence will.
    pub fn attend(&self, attend: Attend) {
        let (publisher, process) = (attend.publisher.clone(), attend.process);
        match self.attended().begin(attend) {
            Begun::Waits => {}
            Begun::TooMany { most, times } => {
                if times.is_power_of_two() {
                    tracing::warn!(%publisher, times, "its end will be known by its silence only: {most} are waited for");
                }
            }
            Begun::New(nobody_left) => {
                let probe = self.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        biased;
                        () = nobody_left.cancelled() => {}
                        ended = ended(&process) => probe.ended(process, ended).await,
                    }
                });
            }
        }
    }

    async fn ended(&self, process: ProcessIdentity, ended: Result<Evidence, IdentityError>) {
        let publishers = self.attended().end(&process);
        match ended {
            Ok(evidence) => {
                for publisher in publishers {
                    let _ = self.findings.send(Finding::Exited(publisher, process, evidence.clone())).await;
                }
            }
            Err(error) => {
                if let Some(publisher) = publishers.first() {
                    tracing::warn!(%publisher, "its end will be known by its silence only: {error}");
                }
            }
        }
    }

    fn attended(&self) -> std::sync::MutexGuard<'_, Attended> {
        self.attended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until a process ends. May be dropped at any time.
#[cfg(target_os = "linux")]
async fn ended(process: &ProcessIdentity) -> Result<Evidence, IdentityError> {
    let Some(ending) = lastbeat_host::Ending::of(process)? else {
        // It ended before it could be waited for: the process table tells how.
        return Ok(evidence(lastbeat_host::look(process)));
    };
    let failed = |source| IdentityError::Read { path: format!("pidfd of {}", process.pid), source };
    #[expect(deprecated, reason = "its replacement is unsafe; an Ending owns its descriptor and never changes it")]
    let ending = tokio::io::unix::AsyncFd::with_interest(ending, tokio::io::Interest::READABLE).map_err(failed)?;
    let _ready = ending.readable().await.map_err(failed)?;
    Ok(Evidence { at: Clock.now().utc, source: Source::Pidfd, fact: Fact::Gone })
}

/// There is no such thing as a pidfd here.
#[cfg(not(target_os = "linux"))]
async fn ended(_: &ProcessIdentity) -> Result<Evidence, IdentityError> {
    std::future::pending().await
}

fn evidence(seen: Result<Seen, IdentityError>) -> Evidence {
    let fact = match seen {
        Ok(Seen::Runs { detail }) => Fact::Runs { detail },
        Ok(Seen::NotPermitted) => Fact::NotPermitted,
        Ok(Seen::Stopped) => Fact::Stopped,
        Ok(Seen::Gone) => Fact::Gone,
        Ok(Seen::Zombie) => Fact::Zombie,
        Ok(Seen::Reused { start }) => Fact::Reused { start },
        Err(error) => Fact::ProbeFailed { reason: error.to_string() },
    };
    Evidence { at: Clock.now().utc, source: Source::ProcessTable, fact }
}
