//! [`Measuring`]: the thread that measures one target after the other, beside the one that publishes.
//!
//! ```text
//! PingSource ──targets (the latest list)──▶ thread "measuring" ──results (bounded)──▶ PingSource
//! ```

use std::thread::{self, JoinHandle};

use anyhow::Context;
use lastbeat_host::Clock;
use lastbeat_wire::{Monotonic, Target};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::outcome::{Measured, Outcome};
use super::plan::{Next, Plan};
use super::politeness::{Cap, Politeness};
use super::probe::{Prober, Trust};

/// Results that may wait to be fetched, which happens several times a second; while there are as many, nothing is measured.
const RESULTS: usize = 16;

/// The publisher's end of the thread. Dropping it ends the thread, which is not waited for: it holds nothing.
#[derive(Debug)]
pub struct Measuring {
    targets: watch::Sender<Vec<Target>>,
    results: mpsc::Receiver<Measured>,
    thread: Option<JoinHandle<()>>,
}

/// How to measure.
pub struct Method {
    /// How much may be asked.
    pub politeness: Politeness,
    /// Whose certificates count.
    pub trust: Trust,
}

impl Measuring {
    /// Begins.
    pub fn start(plan: Plan, method: Method) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("measuring")?;
        let (targets, lists) = watch::channel(Vec::new());
        let (sender, results) = mpsc::channel(RESULTS);
        let work = move || {
            runtime.block_on(run(plan, method, lists, sender));
            // A name that is still being resolved is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("measuring".to_owned()).spawn(work).context("thread for measuring")?;
        Ok(Self { targets, results, thread: Some(thread) })
    }

    /// These targets, from now on.
    pub fn replace(&self, targets: Vec<Target>) {
        self.targets.send_replace(targets);
    }

    /// The next result, if there is one.
    ///
    /// # Errors
    /// If the thread has crashed.
    pub fn next(&mut self) -> anyhow::Result<Fetched> {
        match self.results.try_recv() {
            Ok(measured) => Ok(Fetched::Result(measured)),
            Err(mpsc::error::TryRecvError::Empty) => Ok(Fetched::NotYet),
            Err(mpsc::error::TryRecvError::Disconnected) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(_)) => Err(anyhow::anyhow!("the thread that measures has crashed")),
                _ => Ok(Fetched::End),
            },
        }
    }
}

/// What there is.
#[derive(Debug)]
pub enum Fetched {
    /// A result.
    Result(Measured),
    /// Nothing now.
    NotYet,
    /// Nothing any more.
    End,
}

/// Measures until there is nothing left to, or nobody wants to know.
async fn run(mut plan: Plan, method: Method, mut lists: watch::Receiver<Vec<Target>>, results: mpsc::Sender<Measured>) {
    let mut cap = Cap::default();
    loop {
        let replaced = match plan.next(Clock.now().monotonic) {
            Next::Done => return,
            Next::NoTargets => lists.changed().await,
            Next::At(due) => tokio::select! {
                biased;
                replaced = lists.changed() => replaced,
                () = until(due) => continue,
            },
            Next::Measure(target) => {
                let every = plan.every();
                let outcome = attend(&target, &method, &mut cap, &mut plan, &mut lists).await;
                plan.finish(Clock.now().monotonic);
                if let Some(outcome) = outcome {
                    let measured = Measured { target, outcome, every };
                    if results.send(measured).await.is_err() {
                        return;
                    }
                }
                continue;
            }
        };
        if replaced.is_err() {
            return;
        }
        plan.replace(lists.borrow_and_update().clone());
    }
}

/// Measures a target for as long as it is one; what came of it.
async fn attend(
    target: &Target,
    method: &Method,
    cap: &mut Cap,
    plan: &mut Plan,
    lists: &mut watch::Receiver<Vec<Target>>,
) -> Option<Outcome> {
    let measuring = measure(target, method, cap);
    tokio::pin!(measuring);
    loop {
        tokio::select! {
            biased;
            replaced = lists.changed() => {
                replaced.ok()?;
                plan.replace(lists.borrow_and_update().clone());
                if !plan.is_wanted() {
                    return None;
                }
            }
            outcome = &mut measuring => return Some(outcome),
        }
    }
}

/// Sends a target its probes, each at its time though the one before it is not answered yet.
async fn measure(target: &Target, method: &Method, cap: &mut Cap) -> Outcome {
    let ready = match Prober::open(target, &method.trust).await {
        Ok(ready) => ready,
        Err(error) => return Outcome::Failed(error),
    };
    let mut under_way = JoinSet::new();
    let mut due = Clock.now().monotonic;
    for number in 0..method.politeness.probes {
        until(cap.earliest(due)).await;
        let now = Clock.now().monotonic;
        cap.note(now);
        due = now.plus(method.politeness.interval);
        let (prober, sequence) = (ready.clone(), u16::try_from(number).unwrap_or(u16::MAX));
        under_way.spawn(async move { (number, prober.probe(sequence).await) });
    }
    let mut probes = Vec::new();
    while let Some(probe) = under_way.join_next().await {
        match probe {
            Ok(probe) => probes.push(probe),
            Err(error) => return Outcome::Failed(format!("a probe has crashed: {error}")),
        }
    }
    probes.sort_by_key(|(number, _)| *number);
    Outcome::Probed(probes.into_iter().map(|(_, ended)| ended).collect())
}

async fn until(instant: Monotonic) {
    sleep_until(Clock.instant(instant).into()).await;
}
