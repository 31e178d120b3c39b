//! [`Delivery`]: sends documents until the server has taken them, but for those that it refuses.

use std::sync::Arc;

use lastbeat_host::Clock;

use super::document::Document;
use super::server::{Answer, Outcome, Server};
use crate::follower::backoff::{Backoff, LAST_HOPELESS_RETRY, LAST_RETRY};
use crate::follower::refused::Refused;
use crate::follower::telling::Telling;

/// The way of documents to a server.
#[derive(Debug)]
pub struct Delivery {
    server: Server,
    telling: Arc<Telling>,
    refused: Refused,
    /// The index for which the template is known to be there.
    ready_for: Option<String>,
}

/// Which of a batch's documents are sent together, by their numbers.
type Group = Vec<usize>;

impl Delivery {
    /// Nothing is on its way yet.
    pub fn new(server: Server, telling: Arc<Telling>, refused: Refused) -> Self {
        Self { server, telling, refused, ready_for: None }
    }

    /// Returns when every document is written or set aside, however long that takes. May be dropped at any time: what was on
    /// its way is sent again by whoever comes next.
    pub async fn deliver(&mut self, batch: &[Document]) {
        let mut groups: Vec<Group> = vec![(0..batch.len()).collect()];
        let mut backoff = Backoff::default();
        while let Some(group) = groups.pop() {
            let Some(last) = group.last() else { continue };
            if !self.prepare(&batch[*last].index, &mut backoff).await {
                groups.push(group);
                continue;
            }
            let documents: Vec<&Document> = group.iter().map(|number| &batch[*number]).collect();
            match self.server.bulk(&documents).await {
                Answer::Taken(outcomes) => {
                    groups.push(self.taken(batch, &group, outcomes, &mut backoff).await);
                }
                Answer::TooLarge if group.len() == 1 => {
                    self.set_aside(batch, &[(group[0], "longer than the server takes".to_owned())]).await;
                }
                Answer::TooLarge => groups.extend(halves(&group)),
                Answer::Away(reason) => {
                    self.failed(Answer::<()>::Away(reason), &mut backoff).await;
                    // It may have been too much for the time there is, or for something on the way that only cuts.
                    groups.extend(halves(&group));
                }
                other => {
                    self.failed(other, &mut backoff).await;
                    groups.push(group);
                }
            }
        }
        self.telling.well();
    }

    /// Sees to it that the template is there: before the first document of an index, and after the server was away, for it may
    /// have come back empty. Whether it is.
    async fn prepare(&mut self, index: &str, backoff: &mut Backoff) -> bool {
        if self.ready_for.as_deref() == Some(index) {
            return true;
        }
        match self.server.put_template().await {
            Answer::Taken(()) => {
                self.ready_for = Some(index.to_owned());
                true
            }
            other => {
                self.failed(other, backoff).await;
                false
            }
        }
    }

    /// Waits as long as a failure asks for, and says why.
    async fn failed<T>(&mut self, answer: Answer<T>, backoff: &mut Backoff) {
        let (reason, at_most, after) = match answer {
            Answer::Taken(_) => return,
            Answer::Away(reason) => {
                self.ready_for = None;
                (reason, LAST_RETRY, None)
            }
            Answer::NobodyBehind { reason, after } => {
                self.ready_for = None;
                (reason, LAST_RETRY, after)
            }
            Answer::Later { reason, after } => (reason, LAST_RETRY, after),
            Answer::Never(reason) => (reason, LAST_HOPELESS_RETRY, None),
            Answer::TooLarge => {
                ("it does not take the index template: too large".to_owned(), LAST_HOPELESS_RETRY, None)
            }
        };
        self.telling.trouble(&reason);
        backoff.pause(at_most, after).await;
    }

    /// Sets aside what was refused, and waits if something is to be sent again. Gives that.
    async fn taken(
        &mut self,
        batch: &[Document],
        group: &[usize],
        outcomes: Vec<Outcome>,
        backoff: &mut Backoff,
    ) -> Group {
        let (mut left, mut refused) = (Group::new(), Vec::new());
        let (mut later, mut never) = (None, None);
        for (number, outcome) in group.iter().zip(outcomes) {
            match outcome {
                Outcome::Written => {}
                Outcome::Refused(reason) => refused.push((*number, reason)),
                Outcome::Later(reason) => {
                    left.push(*number);
                    later = Some(reason);
                }
                Outcome::Never(reason) => {
                    left.push(*number);
                    never = Some(reason);
                }
            }
        }
        if left.len() < group.len() {
            *backoff = Backoff::default();
        }
        self.set_aside(batch, &refused).await;
        match (never, later) {
            (Some(reason), _) => self.failed(Answer::<()>::Never(reason), backoff).await,
            (None, Some(reason)) => self.failed(Answer::<()>::Later { reason, after: None }, backoff).await,
            (None, None) => self.telling.well(),
        }
        left
    }

    async fn set_aside(&mut self, batch: &[Document], refused: &[(usize, String)]) {
        let mut backoff = Backoff::default();
        let mut left = refused;
        while let Some((_, reason)) = left.first() {
            // Those that stand in a row with one reason are one write.
            let count = left.iter().take_while(|(_, other)| other == reason).count();
            let lines = left[..count].iter().map(|(number, _)| &*batch[*number].lines);
            match self.refused.add(Clock.now().utc, &self.server.target(), reason, lines) {
                Ok(()) => {
                    let dropped = self.refused.dropped;
                    self.telling.tell(|lag| lag.dropped = dropped);
                    self.telling.set_aside(count as u64, reason);
                    left = &left[count..];
                }
                Err(error) => {
                    let shown = self.refused.path().display().to_string();
                    self.telling.trouble(&format!("cannot set refused documents aside in {shown}: {error}"));
                    backoff.pause(LAST_RETRY, None).await;
                }
            }
        }
    }
}

/// Two smaller groups, the one that is to be sent first last; of one document only that.
fn halves(group: &[usize]) -> impl Iterator<Item = Group> {
    let (first, second) = group.split_at(group.len().div_ceil(2));
    [second, first].into_iter().filter(|half| !half.is_empty()).map(<[usize]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_often_it_is_halved_one_document_stays_one_group() {
        let mut groups: Vec<Group> = vec![(0..5).collect()];
        for _ in 0..100 {
            let group = groups.pop().unwrap();
            groups.extend(halves(&group));
        }
        groups.reverse();
        assert_eq!(groups, [vec![0], vec![1], vec![2], vec![3, 4]]);
    }
}
