//! [`Attended`]: whose end is waited for, and for whom. A process is waited for once, however many ids it publishes under; a
//! publisher is told of the end of the last two processes that it named. So neither many ids nor many names for one id cost
//! more than there are processes.

use std::collections::HashMap;

use lastbeat_watchdog::Attend;
use lastbeat_wire::{ProcessIdentity, PublisherId};
use tokio_util::sync::CancellationToken;

/// The processes of a publisher that are waited for: the one it has, and the one before.
const OF_ONE: usize = 2;

/// Whose end is waited for.
#[derive(Debug)]
pub struct Attended {
    most: usize,
    processes: HashMap<ProcessIdentity, Waiting>,
    publishers: HashMap<PublisherId, Vec<ProcessIdentity>>,
    refused: u64,
}

/// One process.
#[derive(Debug, Default)]
struct Waiting {
    publishers: Vec<PublisherId>,
    nobody_left: CancellationToken,
}

/// What is to be done.
#[derive(Debug)]
pub enum Begun {
    /// Wait for the end of this process, until nobody wants to know of it any more.
    New(CancellationToken),
    /// It is waited for already.
    Waits,
    /// Nothing: as many are waited for as may be.
    TooMany {
        /// How many.
        most: usize,
        /// How often this was so.
        times: u64,
    },
}

impl Attended {
    /// At most so many processes.
    pub fn new(most: usize) -> Self {
        Self { most, processes: HashMap::new(), publishers: HashMap::new(), refused: 0 }
    }

    /// A publisher wants to be told of a process.
    pub fn begin(&mut self, attend: Attend) -> Begun {
        let Attend { publisher, process } = attend;
        let known = self.publishers.get(&publisher).map_or(&[][..], Vec::as_slice);
        if known.contains(&process) {
            return Begun::Waits;
        }
        if known.len() == OF_ONE {
            self.leave(&publisher);
        }
        let is_new = !self.processes.contains_key(&process);
        if is_new && self.processes.len() >= self.most {
            self.refused += 1;
            return Begun::TooMany { most: self.most, times: self.refused };
        }
        self.publishers.entry(publisher.clone()).or_default().push(process);
        let waiting = self.processes.entry(process).or_default();
        waiting.publishers.push(publisher);
        if is_new { Begun::New(waiting.nobody_left.clone()) } else { Begun::Waits }
    }

    /// A process has ended: whom to tell.
    pub fn end(&mut self, process: &ProcessIdentity) -> Vec<PublisherId> {
        let told = self.processes.remove(process).map(|waiting| waiting.publishers).unwrap_or_default();
        for publisher in &told {
            if let Some(known) = self.publishers.get_mut(publisher) {
                known.retain(|other| other != process);
                if known.is_empty() {
                    self.publishers.remove(publisher);
                }
            }
        }
        told
    }

    /// A publisher does not want to be told of the older one of its processes any more.
    fn leave(&mut self, publisher: &PublisherId) {
        let Some(known) = self.publishers.get_mut(publisher).filter(|known| !known.is_empty()) else { return };
        let process = known.remove(0);
        if let Some(waiting) = self.processes.get_mut(&process) {
            waiting.publishers.retain(|other| other != publisher);
            if waiting.publishers.is_empty() {
                waiting.nobody_left.cancel();
                self.processes.remove(&process);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastbeat_wire::{BootId, HostId};

    fn attend(publisher: &str, pid: u32) -> Attend {
        let process = ProcessIdentity { host: HostId(1), boot: BootId(2), pid_namespace: 3, pid, start: 4 };
        Attend { publisher: publisher.parse().unwrap(), process }
    }

    #[test]
    fn many_ids_of_one_process_wait_once_and_all_are_told() {
        let mut all = Attended::new(10);
        assert!(matches!(all.begin(attend("1", 7)), Begun::New(_)));
        for id in 2..1_000 {
            assert!(matches!(all.begin(attend(&id.to_string(), 7)), Begun::Waits));
        }
        assert_eq!(all.end(&attend("1", 7).process).len(), 999);
        assert!(all.processes.is_empty() && all.publishers.is_empty());
    }

    #[test]
    fn one_id_that_names_ever_new_processes_holds_two() {
        let mut all = Attended::new(10);
        let begun: Vec<_> = (0..1_000)
            .map(|pid| match all.begin(attend("one", pid)) {
                Begun::New(nobody_left) => nobody_left,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(all.processes.len(), 2);
        assert_eq!(begun.iter().filter(|nobody_left| !nobody_left.is_cancelled()).count(), 2);
        assert!(matches!(all.begin(attend("one", 999)), Begun::Waits), "the last one is still waited for");
    }

    #[test]
    fn there_are_no_more_than_may_be() {
        let mut all = Attended::new(3);
        for pid in 0..3 {
            assert!(matches!(all.begin(attend(&pid.to_string(), pid)), Begun::New(_)));
        }
        assert!(matches!(all.begin(attend("3", 3)), Begun::TooMany { most: 3, times: 1 }));
        assert!(matches!(all.begin(attend("3", 2)), Begun::Waits), "one that is waited for costs nothing");
        all.end(&attend("0", 0).process);
        assert!(matches!(all.begin(attend("3", 3)), Begun::New(_)));
    }
}
