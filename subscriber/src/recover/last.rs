//! [`Lasts`]: when everyone is asked for its last message: some times after a link came up, for publishers come back to a
//! broker later than we do.

use std::time::Duration;

use lastbeat_watchdog::LinkNumber;
use lastbeat_wire::Monotonic;

/// How long after the link came up.
const AFTER: [Duration; 4] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];

/// What of it is to come, by link.
#[derive(Debug, Default)]
pub(super) struct Lasts(Vec<(Monotonic, LinkNumber)>);

impl Lasts {
    /// A link came up.
    pub fn begin(&mut self, now: Monotonic, link: LinkNumber) {
        self.end(link);
        self.0.extend(AFTER.map(|after| (now.plus(after), link)));
    }

    /// It is down.
    pub fn end(&mut self, link: LinkNumber) {
        self.0.retain(|(_, other)| *other != link);
    }

    pub fn next(&self) -> Option<Monotonic> {
        self.0.iter().map(|(due, _)| *due).min()
    }

    /// The links on which to ask now, each once.
    pub fn due(&mut self, now: Monotonic) -> impl Iterator<Item = LinkNumber> {
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0).into_iter().partition(|(at, _)| *at <= now);
        self.0 = later;
        let mut links: Vec<_> = due.into_iter().map(|(_, link)| link).collect();
        links.sort_unstable();
        links.dedup();
        links.into_iter()
    }
}
