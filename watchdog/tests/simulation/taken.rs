//! [`Taken`]: what was taken in, by process and number: what is sent again is taken once, and all that is known to be missing.

use std::collections::HashSet;

use lastbeat_simulation::Processes;
use lastbeat_watchdog::Reception;
use lastbeat_wire::ProcessIdentity;

use super::world::Delivery;

/// The numbers that were taken in, of all publishers.
#[derive(Debug, Clone, Default)]
pub struct Taken(HashSet<(String, ProcessIdentity, u64)>);

impl Taken {
    /// Books a message. `missing` is whether the watchdog knew that it had not come.
    pub fn booked(&mut self, delivery: &Delivery, reception: Reception, missing: bool, processes: &Processes) {
        let Some((process, number)) = delivery.header.process.zip(delivery.header.sequence) else {
            assert!(!delivery.resent || reception == Reception::Duplicate, "nobody can tell what it is: {delivery:?}");
            return;
        };
        let taken = reception == Reception::Live || reception == Reception::Late;
        if delivery.resent {
            assert!(taken || !missing, "it is missing, and was not taken: {delivery:?}");
            assert!(reception != Reception::Live, "sent again, and a sign of life: {delivery:?}");
        }
        let first = !taken || self.0.insert((delivery.publisher.clone(), process, number));
        // Of three processes at once one is forgotten, and with it what came of it.
        let remembered = processes.of(&delivery.publisher).count() <= 2;
        assert!(first || !delivery.resent || !remembered, "taken twice: {delivery:?}");
    }
}
