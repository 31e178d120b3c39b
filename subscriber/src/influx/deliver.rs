//! [`Delivery`]: sends shipments until the server has taken them, but for the points it refuses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lastbeat_host::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::conflict::Conflict;
use super::refused::RefusedPoints;
use super::server::{Answer, Server};
use super::shipment::Shipment;
use crate::follower::{Lag, Trouble};

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(15);
/// What only a person can mend is tried again more seldom.
const LAST_HOPELESS_RETRY: Duration = Duration::from_mins(1);

/// What all shipments on their way have in common.
#[derive(Debug)]
pub struct Delivery {
    server: Server,
    lag: watch::Sender<Lag>,
    /// Held while points are put aside; the two shipments on their way share one file.
    refused: Mutex<RefusedPoints>,
    /// Set when the database had to be created: whatever an earlier one held is gone.
    pub created: std::sync::atomic::AtomicBool,
}

/// What came of some lines.
enum Sent {
    Taken,
    Refused { reason: String, dropped: Option<usize> },
    TooLarge,
}

/// A pause that doubles up to its bound, with a third of jitter so that many don't come back at once.
#[derive(Debug)]
struct Backoff(Duration);

impl Backoff {
    async fn pause(&mut self, at_most: Duration, asked_for: Option<Duration>) {
        let jitter = self.0.mul_f64(rand::random::<f64>() / 3.0);
        let pause = asked_for.map_or(self.0 + jitter, |after| after.clamp(self.0, at_most));
        self.0 = (self.0 * 2).min(at_most);
        sleep_until(Instant::from_std(Clock.instant(Clock.now().monotonic.plus(pause)))).await;
    }
}

impl Delivery {
    /// Nothing is on its way yet.
    pub fn new(server: Server, lag: watch::Sender<Lag>, refused: RefusedPoints) -> Self {
        Self { server, lag, refused: Mutex::new(refused), created: false.into() }
    }

    /// Changes what is told of the follower.
    pub fn tell(&self, change: impl FnOnce(&mut Lag)) {
        self.lag.send_modify(change);
    }

    /// Returns when every line is taken or set aside, however long that takes. May be dropped at any time: what was on
    /// its way is sent again by whoever comes next.
    pub async fn deliver(&self, shipment: &Shipment) {
        let mut groups = vec![(0..shipment.len()).collect::<Vec<_>>()];
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            match self.send(shipment, &group).await {
                Sent::Taken => {}
                Sent::TooLarge if group.len() == 1 => {
                    self.set_aside(shipment, &group, "longer than the server takes").await;
                }
                Sent::TooLarge => groups.extend(halves(&group)),
                // Sent once more these would be refused once more.
                Sent::Refused { reason, dropped } if group.len() == 1 || dropped == Some(group.len()) => {
                    let conflict = Conflict::named_in(&reason);
                    let fitted = |number: &usize| conflict.as_ref()?.fitted(shipment.line(*number));
                    let (fit, unfit): (Vec<usize>, Vec<usize>) =
                        group.iter().partition(|number| fitted(number).is_some());
                    self.set_aside(shipment, &unfit, &reason).await;
                    if !fit.is_empty() {
                        // Each line has one float less than before, so this comes to an end.
                        let lines: Vec<_> = fit.iter().filter_map(fitted).collect();
                        let fitted = Shipment::from_lines(lines.iter().map(Vec::as_slice));
                        Box::pin(self.deliver(&fitted)).await;
                    }
                }
                Sent::Refused { reason, .. } => groups.extend(split(shipment, &group, &reason)),
            }
        }
    }

    async fn send(&self, shipment: &Shipment, group: &[usize]) -> Sent {
        let body = shipment.body(group, self.server.packing);
        let mut backoff = Backoff(FIRST_RETRY);
        loop {
            match self.server.write(body.clone()).await {
                Answer::Taken => {
                    self.well();
                    return Sent::Taken;
                }
                Answer::Refused { reason, dropped } => {
                    self.well();
                    return Sent::Refused { reason, dropped };
                }
                Answer::TooLarge => {
                    self.well();
                    return Sent::TooLarge;
                }
                Answer::NoDatabase(reason) => match self.server.create_database().await {
                    Ok(()) => {
                        tracing::info!(target = %self.server.target(), "influxdb: created the database");
                        self.created.store(true, std::sync::atomic::Ordering::Release);
                    }
                    Err(error) => {
                        self.trouble(&format!("{reason}, and it can't be created: {error}"));
                        backoff.pause(LAST_HOPELESS_RETRY, None).await;
                    }
                },
                Answer::Later { reason, after } => {
                    self.trouble(&reason);
                    backoff.pause(LAST_RETRY, after).await;
                }
                Answer::Never(reason) => {
                    self.trouble(&reason);
                    backoff.pause(LAST_HOPELESS_RETRY, None).await;
                }
            }
        }
    }

    async fn set_aside(&self, shipment: &Shipment, group: &[usize], reason: &str) {
        let mut backoff = Backoff(FIRST_RETRY);
        loop {
            let result = {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                let lines = group.iter().map(|number| shipment.line(*number));
                let path = refused.path().to_owned();
                let added = refused.add(Clock.now().utc, &self.server.target(), reason, lines);
                added.map(|()| refused.dropped).map_err(|error| (path, error))
            };
            let (path, error) = match result {
                Ok(dropped) => {
                    self.tell(|lag| lag.dropped = dropped);
                    break;
                }
                Err(failed) => failed,
            };
            self.trouble(&format!("cannot set refused points aside in {}: {error}", path.display()));
            backoff.pause(LAST_RETRY, None).await;
        }
        self.well();
        let before = self.lag.borrow().set_aside;
        self.tell(|lag| lag.set_aside += group.len() as u64);
        // The first, and then at each tenfold: a publisher whose every point is refused fills the file, not the log.
        if (before + group.len() as u64).checked_ilog10() != before.checked_ilog10() {
            let count = before + group.len() as u64;
            tracing::warn!(count, reason, "influxdb: the server refused points, they are set aside");
        }
    }

    /// Tells that nothing is taken, and why.
    pub fn trouble(&self, reason: &str) {
        let error: Arc<str> = format!("InfluxDB {}: {reason}", self.server.target()).into();
        self.lag.send_if_modified(|lag| {
            let is_news = lag.trouble.as_ref().is_none_or(|trouble| trouble.error != error);
            if is_news {
                tracing::warn!(%error, "influxdb: takes nothing, its records wait in the log");
                let since = lag.trouble.as_ref().map_or_else(|| Clock.now().utc, |trouble| trouble.since);
                lag.trouble = Some(Trouble { since, error });
            }
            is_news
        });
    }

    fn well(&self) {
        self.lag.send_if_modified(|lag| {
            let was_in_trouble = lag.trouble.take().is_some();
            if was_in_trouble {
                tracing::info!(target = %self.server.target(), behind_bytes = lag.behind_bytes, "influxdb: takes points again");
            }
            was_in_trouble
        });
    }
}

/// Two smaller groups, the one with the suspects first, so that it is sent after the others: where a reason names a field
/// and its type, the lines that have it; else simply halves.
fn split(shipment: &Shipment, group: &[usize], reason: &str) -> [Vec<usize>; 2] {
    if let Some(conflict) = Conflict::named_in(reason) {
        let (suspects, others): (Vec<_>, Vec<_>) =
            group.iter().partition(|number| conflict.is_in(shipment.line(**number)));
        if !suspects.is_empty() && !others.is_empty() {
            return [suspects, others];
        }
    }
    halves(group)
}

fn halves(group: &[usize]) -> [Vec<usize>; 2] {
    let (first, second) = group.split_at(group.len() / 2);
    [second.to_vec(), first.to_vec()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_parts_the_lines_that_have_it_from_the_others() {
        let reason = "partial write: field type conflict: input field \"lux\" on measurement \"sensor\" is type float, \
                      already exists as type integer dropped=2";
        let shipment = Shipment::from_lines(
            ["sensor,publisher=a lux=1i 1", "sensor,publisher=a lux=1.5 2", "sensor,publisher=a on=true,lux=2 3"]
                .into_iter()
                .map(str::as_bytes),
        );
        assert_eq!(split(&shipment, &[0, 1, 2], reason), [vec![1, 2], vec![0]]);
        assert_eq!(split(&shipment, &[1, 2], reason), [vec![2], vec![1]], "all are suspects: halves");
        assert_eq!(split(&shipment, &[0, 1, 2], "anything"), [vec![1, 2], vec![0]]);
    }
}
