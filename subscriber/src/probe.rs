//! Evidence from this host: looking at a process, and waiting for its end. Runs beside the loop, answers by message.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use lastbeat_host::{Clock, IdentityError, Seen};
use lastbeat_watchdog::{Attend, Evidence, Fact, Question, Source};
use lastbeat_wire::ProcessIdentity;
use tokio::sync::mpsc;

use crate::intake::Finding;

/// Looks at processes and waits for their ends.
#[derive(Debug, Clone)]
pub struct Probe {
    findings: mpsc::Sender<Finding>,
    /// Processes whose end is waited for; one may publish under several ids.
    attended: Arc<Mutex<HashSet<Attend>>>,
}

impl Probe {
    /// Its findings go to `findings`, which the loop empties before anything else.
    pub fn new(findings: mpsc::Sender<Finding>) -> Self {
        Self { findings, attended: Arc::default() }
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

    /// Waits for the end of a process. Where the kernel can't tell, its silence will.
    pub fn attend(&self, attend: Attend) {
        if self.attended().insert(attend.clone()) {
            let probe = self.clone();
            tokio::spawn(async move {
                let process = attend.process;
                match ended(&process).await {
                    Ok(evidence) => {
                        let finding = Finding::Exited(attend.publisher.clone(), process, evidence);
                        let _ = probe.findings.send(finding).await;
                    }
                    Err(error) => {
                        let publisher = &attend.publisher;
                        tracing::warn!(%publisher, "its end will be known by its silence only: {error}");
                    }
                }
                probe.attended().remove(&attend);
            });
        }
    }

    fn attended(&self) -> std::sync::MutexGuard<'_, HashSet<Attend>> {
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
