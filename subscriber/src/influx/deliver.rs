//! [`Delivery`]: sends shipments until the server has taken them, but for the points it refuses.

use std::sync::{Arc, Mutex, PoisonError};

use lastbeat_host::Clock;

use super::conflict::Conflict;
use super::server::{Answer, Server};
use super::shipment::Shipment;
use crate::follower::backoff::{Backoff, LAST_HOPELESS_RETRY, LAST_RETRY};
use crate::follower::refused::Refused;
use crate::follower::telling::Telling;

/// What all shipments on their way have in common.
#[derive(Debug)]
pub struct Delivery {
    server: Server,
    telling: Arc<Telling>,
    /// Held while points are put aside; the two shipments on their way share one file.
    refused: Mutex<Refused>,
    /// Set when the database had to be created: whatever an earlier one held is gone.
    pub created: std::sync::atomic::AtomicBool,
}

/// What came of some lines.
enum Sent {
    Taken,
    Refused { reason: String, dropped: Option<usize> },
    TooLarge,
}

impl Delivery {
    /// Nothing is on its way yet.
    pub fn new(server: Server, telling: Arc<Telling>, refused: Refused) -> Self {
        Self { server, telling, refused: Mutex::new(refused), created: false.into() }
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
        let mut backoff = Backoff::default();
        loop {
            match self.server.write(body.clone()).await {
                Answer::Taken => {
                    self.telling.well();
                    return Sent::Taken;
                }
                Answer::Refused { reason, dropped } => {
                    self.telling.well();
                    return Sent::Refused { reason, dropped };
                }
                Answer::TooLarge => {
                    self.telling.well();
                    return Sent::TooLarge;
                }
                Answer::NoDatabase(reason) => match self.server.create_database().await {
                    Ok(()) => {
                        tracing::info!(target = %self.server.target(), "influxdb: created the database");
                        self.created.store(true, std::sync::atomic::Ordering::Release);
                    }
                    Err(error) => {
                        self.telling.trouble(&format!("{reason}, and it can't be created: {error}"));
                        backoff.pause(LAST_HOPELESS_RETRY, None).await;
                    }
                },
                Answer::Later { reason, after } => {
                    self.telling.trouble(&reason);
                    backoff.pause(LAST_RETRY, after).await;
                }
                Answer::Never(reason) => {
                    self.telling.trouble(&reason);
                    backoff.pause(LAST_HOPELESS_RETRY, None).await;
                }
            }
        }
    }

    async fn set_aside(&self, shipment: &Shipment, group: &[usize], reason: &str) {
        let mut backoff = Backoff::default();
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
                    self.telling.tell(|lag| lag.dropped = dropped);
                    break;
                }
                Err(failed) => failed,
            };
            self.telling.trouble(&format!("cannot set refused points aside in {}: {error}", path.display()));
            backoff.pause(LAST_RETRY, None).await;
        }
        self.telling.well();
        self.telling.set_aside(group.len() as u64, reason);
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
