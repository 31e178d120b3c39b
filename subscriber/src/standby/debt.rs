//! [`Debt`]: until when a standby has taken it upon itself to ship, in a small file beside the log: a restart must not
//! leave that to a leader which never got it.

use std::io;
use std::path::PathBuf;

use lastbeat_wire::UtcNanos;
use serde::{Deserialize, Serialize};

use super::role::{Part, Stand};

/// The file.
#[derive(Debug)]
pub struct Debt(PathBuf);

#[derive(Serialize, Deserialize)]
struct Content {
    /// It stood in for the leader when this was written.
    standing_in: bool,
    ship_until: UtcNanos,
}

impl Debt {
    /// In this file.
    pub fn at(file: PathBuf) -> Self {
        Self(file)
    }

    /// Until when records are to be shipped, whatever the leader says. One that stood in to its end owes all until now.
    pub fn load(&self, now: UtcNanos) -> UtcNanos {
        let content = match std::fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice::<Content>(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return UtcNanos(i64::MIN),
            Err(error) => Err(error),
        };
        match content {
            Ok(content) if !content.standing_in => content.ship_until,
            Ok(_) => now,
            Err(error) => {
                tracing::warn!("{} can't be read ({error}): what is in the log is shipped", self.0.display());
                now
            }
        }
    }

    /// Returns when it is on the disk.
    pub fn save(&self, stand: &Stand) -> io::Result<()> {
        let standing_in = stand.part != Part::Holding;
        let content = Content { standing_in, ship_until: stand.permit.ship_until };
        lastbeat_log::write_whole(&self.0, &serde_json::to_vec(&content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standby::role::Permit;

    #[test]
    fn who_stood_in_to_the_end_owes_all_and_who_let_go_what_came_until_then() {
        let dir = tempfile::tempdir().unwrap();
        let debt = Debt::at(dir.path().join("standby.json"));
        assert_eq!(debt.load(UtcNanos(9)), UtcNanos(i64::MIN), "never stood in");
        let stand = |part, ship_until| {
            let permit = Permit { ship_until: UtcNanos(ship_until), skip_before: UtcNanos(0) };
            Stand { part, permit, why: "".into() }
        };
        debt.save(&stand(Part::StandingIn, i64::MAX)).unwrap();
        assert_eq!(debt.load(UtcNanos(9)), UtcNanos(9));
        debt.save(&stand(Part::Holding, 5)).unwrap();
        assert_eq!(debt.load(UtcNanos(9)), UtcNanos(5));
        std::fs::write(dir.path().join("standby.json"), "{").unwrap();
        assert_eq!(debt.load(UtcNanos(9)), UtcNanos(9));
    }
}
