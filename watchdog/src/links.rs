//! [`Links`]: the subscriber's own connections, and the times in which one was down and nobody watched through it.

use std::time::Duration;

use lastbeat_wire::{Monotonic, Now, UtcNanos};
use serde::{Deserialize, Serialize};

use crate::publisher::Publisher;

/// So long after a link came up what it delivers may put off verdicts: a peer whose messages seem late for ever must not keep
/// the others from being judged.
pub const BEHIND_AT_MOST: Duration = Duration::from_mins(10);

/// Which of the subscriber's links: its place in [`WatchRules::links`](crate::WatchRules::links), below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkNumber(pub u16);

/// A time in which nobody watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatched {
    /// Through which link; `None`: through none, the watchdog itself was away.
    pub link: Option<String>,
    /// Since when.
    pub from: UtcNanos,
    /// Until when.
    pub to: UtcNanos,
    /// Why, for people.
    pub reason: String,
}

/// A set of links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LinkSet(u64);

impl LinkSet {
    pub fn insert(&mut self, link: LinkNumber) {
        self.0 |= 1 << link.0;
    }

    pub fn contains(self, link: LinkNumber) -> bool {
        self.0 & (1 << link.0) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The links on which one publisher is heard: those of the present window of time and of the one before. Who has moved
/// to another broker is not expected at the first one for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeardOn {
    present: LinkSet,
    before: LinkSet,
    began: Monotonic,
}

impl HeardOn {
    /// Takes note of a message. A link that is down does not leave the set for being quiet.
    pub fn insert(&mut self, now: Monotonic, link: LinkNumber, links: &Links, window: Duration) {
        if now.since(self.began) >= window {
            let before = LinkSet(self.present.0 | (self.before.0 & !links.up.0));
            *self = Self { present: LinkSet::default(), before, began: now };
        }
        self.present.insert(link);
    }

    /// Those of the present window and of the one before, and when the present one began.
    pub fn into_parts(self) -> ((LinkSet, LinkSet), Monotonic) {
        ((self.present, self.before), self.began)
    }

    /// The opposite of [`into_parts`](Self::into_parts).
    pub fn from_parts((present, before): (LinkSet, LinkSet), began: Monotonic) -> Self {
        Self { present, before, began }
    }

    /// All of them.
    pub fn all(self) -> LinkSet {
        LinkSet(self.present.0 | self.before.0)
    }
}

impl From<LinkSet> for HeardOn {
    fn from(present: LinkSet) -> Self {
        Self { present, ..Self::default() }
    }
}

/// Which links there are, and which of them are up.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    each: Vec<Link>,
    own: Option<LinkNumber>,
    up: LinkSet,
}

#[derive(Debug, Clone)]
struct Link {
    number: LinkNumber,
    name: String,
    /// Since when it is down, and why; `None` while it is up.
    down: Option<(UtcNanos, String)>,
    /// When it last came up.
    up_since: Monotonic,
    /// Whether a message came by it since that had not waited.
    delivered_live: bool,
    /// When it last delivered one that had waited, before any such: what its broker kept comes first, and what is sent now
    /// stands behind that.
    behind_at: Option<Monotonic>,
}

impl Links {
    /// Most links one watchdog can have.
    pub const MAX: usize = 64;

    /// All down at first, since the watchdog's start.
    ///
    /// # Panics
    /// With more than [`Self::MAX`] names.
    pub fn all_down(names: &[String], own: Option<LinkNumber>, since: UtcNanos) -> Self {
        assert!(names.len() <= Self::MAX, "invariant: at most 64 links, checked where they are configured");
        let link = |(number, name): (LinkNumber, &String)| Link {
            number,
            name: name.clone(),
            down: Some((since, "not connected yet".to_owned())),
            up_since: Monotonic(0),
            delivered_live: false,
            behind_at: None,
        };
        let each = (0..).map(LinkNumber).zip(names).map(link).collect();
        Self { each, own, up: LinkSet::default() }
    }

    /// Since when a publisher would be heard; `None` if it would not be now.
    ///
    /// One never heard may come by any link but the watchdog's own. Of one that was heard before a restart the links may be forgotten: then it
    /// would be heard for sure only if all are up.
    pub fn sees(&self, publisher: &Publisher) -> Option<Monotonic> {
        let heard_on = publisher.links.all();
        let up = self.each.iter().filter(|link| link.down.is_none());
        if heard_on.is_empty() && publisher.last_heard.is_some() {
            let all_up = up.clone().count() == self.each.len();
            return up.map(|link| link.up_since).max().filter(|_| all_up);
        }
        let own = self.own.filter(|_| self.each.len() > 1);
        let seen = |link: &&Link| {
            if heard_on.is_empty() { own != Some(link.number) } else { heard_on.contains(link.number) }
        };
        up.filter(seen).map(|link| link.up_since).min()
    }

    /// Notes a message that came by a link: whether it had waited.
    pub fn delivered(&mut self, now: Monotonic, number: LinkNumber, had_waited: bool) {
        let link = &mut self.each[usize::from(number.0)];
        link.delivered_live |= !had_waited;
        let may_be_behind = !link.delivered_live && now < link.up_since.plus(BEHIND_AT_MOST);
        link.behind_at = Some(now).filter(|_| may_be_behind);
    }

    /// When a link on which a publisher is heard last delivered what had waited, if nothing else has come by it since it
    /// came up; until it has caught up nobody is known to be silent on it.
    pub fn behind_at(&self, publisher: &Publisher) -> Option<Monotonic> {
        let heard_on = publisher.links.all();
        let behind = self.each.iter().filter(|link| heard_on.is_empty() || heard_on.contains(link.number));
        behind.filter(|link| link.down.is_none()).filter_map(|link| link.behind_at).max()
    }

    /// When one link last delivered what had waited, on the same conditions.
    pub fn link_behind_at(&self, number: LinkNumber) -> Option<Monotonic> {
        let link = &self.each[usize::from(number.0)];
        link.behind_at.filter(|_| link.down.is_none())
    }

    pub fn name(&self, link: LinkNumber) -> &str {
        &self.each[usize::from(link.0)].name
    }

    pub fn number(&self, name: &str) -> Option<LinkNumber> {
        self.each.iter().find(|link| link.name == name).map(|link| link.number)
    }

    /// The links of a set; all but the watchdog's own if it is empty, for then nobody knows.
    pub fn where_heard(&self, set: LinkSet) -> impl Iterator<Item = LinkNumber> {
        let links = self.each.iter().map(|link| link.number);
        links.filter(move |link| if set.is_empty() { self.own != Some(*link) } else { set.contains(*link) })
    }

    /// The names of the links in a set.
    pub fn names(&self, set: LinkSet) -> Vec<String> {
        self.each.iter().filter(|link| set.contains(link.number)).map(|link| link.name.clone()).collect()
    }

    /// Notes that a link is up; the time it was down, if it was.
    pub fn set_up(&mut self, now: Now, number: LinkNumber) -> Option<Unwatched> {
        let link = &mut self.each[usize::from(number.0)];
        let (from, reason) = link.down.take()?;
        link.up_since = now.monotonic;
        (link.delivered_live, link.behind_at) = (false, None);
        self.up.insert(number);
        Some(Unwatched { link: Some(link.name.clone()), from, to: now.utc.max(from), reason })
    }

    /// Notes that a link is down; whether it was up.
    pub fn set_down(&mut self, now: Now, number: LinkNumber, reason: &str) -> bool {
        let link = &mut self.each[usize::from(number.0)];
        let was_up = link.down.is_none();
        match &mut link.down {
            Some((_, known)) => reason.clone_into(known),
            down @ None => *down = Some((now.utc, reason.to_owned())),
        }
        self.up.0 &= !(1 << number.0);
        was_up
    }
}
