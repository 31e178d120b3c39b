//! [`Recoverer`]: asks for what was lost on links that lose: in order, again when nothing comes, and not for ever.
//!
//! Pure: `now` goes in, requests come out. What is missing is known to the watchdog alone; here stands whose turn it is.

mod last;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lastbeat_watchdog::{LinkNumber, Missing, Watchdog};
use lastbeat_wire::{Monotonic, ProcessIdentity, PublisherId, ResendGone, Wanted};

use last::Lasts;

/// Processes that are asked at once. Each request goes to every publisher on a link.
const AT_ONCE: usize = 64;
/// Processes that wait for their turn; of more, the watchdog is asked when all of these had theirs.
const MOST_WAITING: usize = 10_000;
/// Most messages in one request: some milliseconds of answers, that live messages may have to wait for.
const MOST_MESSAGES: u64 = 500;
/// How long an answer is waited for at first, and since the last one came …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … and at most; it doubles with each try.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Requests for a range of which nothing comes, before it is given up: about two minutes.
const TRIES: u32 = 8;

/// What was asked for and what became of it, since the start; and what is still wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Requests that were sent.
    pub requests: u64,
    /// Messages that were sent again and taken in.
    pub recovered: u64,
    /// Messages that nobody sent again: gone, or asked for in vain. They still count as missed.
    pub given_up: u64,
    /// Messages that are missing and still asked for.
    pub wanted: u64,
}

/// A request, and the link it goes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which link.
    pub link: LinkNumber,
    /// What to ask for.
    pub wanted: Wanted,
}

/// What is missing; the watchdog knows.
pub trait Gaps {
    /// The first range of a process that is missing at `from` or after it, its end exclusive.
    fn first(&self, publisher: &PublisherId, process: ProcessIdentity, from: u64) -> Option<(u64, u64)>;
    /// The first range of every process.
    fn all(&self) -> impl Iterator<Item = Missing>;
}

impl Gaps for Watchdog {
    fn first(&self, publisher: &PublisherId, process: ProcessIdentity, from: u64) -> Option<(u64, u64)> {
        self.missing_from(publisher.as_str(), process, from)
    }

    fn all(&self) -> impl Iterator<Item = Missing> {
        self.missing()
    }
}

/// Whose messages: a publisher, and which process of it.
type Whose = (PublisherId, ProcessIdentity);

/// Asks for what was lost.
#[derive(Debug)]
pub struct Recoverer {
    /// Whether a link can be asked, and is up; by its number.
    links: Vec<Option<bool>>,
    asking: BTreeMap<Whose, Asking>,
    /// By the link on which they are to be asked.
    waiting: BTreeMap<LinkNumber, VecDeque<Whose>>,
    /// Where those that wait begin, and how much is known to be missing.
    places: BTreeMap<Whose, Place>,
    /// Whether some had no room to wait.
    overflowed: bool,
    lasts: Lasts,
    counted: Recovery,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    from: u64,
    wanted: u64,
}

/// One process whose turn it is.
#[derive(Debug)]
struct Asking {
    link: LinkNumber,
    /// What is missing before this is given up.
    from: u64,
    /// What was asked for last.
    asked: Option<(u64, u64)>,
    /// How often in vain.
    tries: u32,
    due: Monotonic,
    wanted: u64,
}

impl Recoverer {
    /// Nothing is missing yet, and all links are down; `askable` tells for each whether it can be asked.
    pub fn new(askable: impl IntoIterator<Item = bool>) -> Self {
        Self {
            links: askable.into_iter().map(|askable| askable.then_some(false)).collect(),
            asking: BTreeMap::new(),
            waiting: BTreeMap::new(),
            places: BTreeMap::new(),
            overflowed: false,
            lasts: Lasts::default(),
            counted: Recovery::default(),
        }
    }

    /// Takes note of messages that are missing. What has no room is found again later.
    pub fn missing(&mut self, missing: &Missing) {
        let whose = (missing.publisher.clone(), missing.process);
        if self.state(missing.link).is_none() || self.asking.contains_key(&whose) {
            return;
        }
        if let Some(place) = self.places.get_mut(&whose) {
            place.from = place.from.min(missing.from);
            place.wanted = place.wanted.saturating_add(missing.to - missing.from);
        } else if self.places.len() < MOST_WAITING {
            let place = Place { from: missing.from, wanted: missing.to - missing.from };
            self.places.insert(whose.clone(), place);
            self.waiting.entry(missing.link).or_default().push_back(whose);
        } else {
            self.overflowed = true;
        }
    }

    /// A link works: what is missing on it can be asked for, and everyone's last message shows what else is.
    pub fn link_up(&mut self, now: Monotonic, link: LinkNumber) {
        let Some(state @ Some(_)) = self.links.get_mut(usize::from(link.0)) else { return };
        *state = Some(true);
        self.lasts.begin(now, link);
        for asking in self.asking.values_mut().filter(|asking| asking.link == link) {
            (asking.due, asking.tries, asking.asked) = (now, 0, None);
        }
    }

    /// A link is lost: nobody is asked on it.
    pub fn link_down(&mut self, link: LinkNumber) {
        if let Some(Some(up)) = self.links.get_mut(usize::from(link.0)) {
            *up = false;
        }
        self.lasts.end(link);
    }

    /// A message that was sent again was taken in.
    pub fn came(&mut self, now: Monotonic, publisher: &str, process: ProcessIdentity, gaps: &impl Gaps) {
        self.counted.recovered += 1;
        let Some(whose) = whose(publisher, process) else { return };
        let Some(asking) = self.asking.get_mut(&whose) else { return };
        let Some((_, to)) = asking.asked else { return };
        let complete = gaps.first(&whose.0, process, asking.from).is_none_or(|(from, _)| from >= to);
        asking.tries = 0;
        asking.due = if complete { now } else { now.plus(FIRST_WAIT) };
    }

    /// A publisher no longer has what was asked for: that much is given up.
    pub fn gone(&mut self, now: Monotonic, publisher: &str, gone: &ResendGone, gaps: &impl Gaps) {
        let Some(whose) = whose(publisher, gone.process) else { return };
        let Some(asking) = self.asking.get_mut(&whose) else { return };
        let Some((from, to)) = asking.asked else { return };
        let first = gaps.first(&whose.0, gone.process, asking.from);
        // Only what was asked for, and only from the first that is missing: what comes before it may be on its way.
        let Some((start, end)) = first.filter(|(start, _)| (gone.from..gone.to).contains(start) && *start >= from)
        else {
            return;
        };
        let end = end.min(gone.to).min(to);
        self.counted.given_up = self.counted.given_up.saturating_add(end.saturating_sub(start));
        (asking.from, asking.asked, asking.tries, asking.due) = (end.max(asking.from), None, 0, now);
    }

    /// When [`due`](Self::due) is to be called next.
    pub fn next(&self) -> Option<Monotonic> {
        let asking = self.asking.values().filter(|asking| self.is_up(asking.link)).map(|asking| asking.due);
        asking.chain(self.lasts.next()).min()
    }

    /// What is to be asked now.
    pub fn due(&mut self, now: Monotonic, gaps: &impl Gaps) -> Vec<Ask> {
        let has_room = self.asking.len() < AT_ONCE && (self.overflowed || !self.places.is_empty());
        if !has_room && self.next().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let mut asks: Vec<_> = self.lasts.due(now).map(|link| Ask { link, wanted: Wanted::Last }).collect();
        let ready = |(whose, asking): (&Whose, &Asking)| {
            (asking.due <= now && self.links[usize::from(asking.link.0)] == Some(true)).then(|| whose.clone())
        };
        let ready: Vec<_> = self.asking.iter().filter_map(ready).collect();
        asks.extend(ready.iter().filter_map(|whose| self.ask(now, whose, gaps)));
        if self.overflowed && self.places.is_empty() && self.asking.len() < AT_ONCE {
            self.overflowed = false;
            gaps.all().for_each(|missing| self.missing(&missing));
        }
        asks.extend(self.let_in(now, gaps));
        self.counted.requests += asks.len() as u64;
        asks
    }

    /// What was counted.
    pub fn counted(&self) -> Recovery {
        let places = self.places.values().map(|place| place.wanted);
        let asking = self.asking.values().map(|asking| asking.wanted);
        Recovery { wanted: places.chain(asking).fold(0, u64::saturating_add), ..self.counted }
    }

    /// Those that have waited longest get their turn, if their link is up.
    fn let_in(&mut self, now: Monotonic, gaps: &impl Gaps) -> Vec<Ask> {
        let mut asks = Vec::new();
        while self.asking.len() < AT_ONCE {
            let up = |link: &LinkNumber| self.links[usize::from(link.0)] == Some(true);
            let waiting = self.waiting.iter_mut().find(|(link, waiting)| up(link) && !waiting.is_empty());
            let Some((link, whose)) = waiting.and_then(|(link, waiting)| Some((*link, waiting.pop_front()?))) else {
                break;
            };
            let Some(Place { from, wanted }) = self.places.remove(&whose) else { continue };
            self.asking.insert(whose.clone(), Asking { link, from, asked: None, tries: 0, due: now, wanted });
            asks.extend(self.ask(now, &whose, gaps));
        }
        asks
    }

    /// The next request for one process; none is needed once nothing is missing.
    fn ask(&mut self, now: Monotonic, whose: &Whose, gaps: &impl Gaps) -> Option<Ask> {
        let asking = self.asking.get_mut(whose)?;
        let (publisher, process) = whose.clone();
        let first = |from| gaps.first(&publisher, process, from);
        if let (Some((_, to)), Some((start, end))) = (asking.asked, first(asking.from))
            && start < to
            && asking.tries >= TRIES
        {
            let end = end.min(to);
            self.counted.given_up = self.counted.given_up.saturating_add(end - start);
            (asking.from, asking.tries) = (end, 0);
            tracing::debug!(%publisher, "messages {start} to {end} were asked for {TRIES} times in vain");
        }
        let Some((from, end)) = first(asking.from) else {
            self.asking.remove(whose);
            return None;
        };
        let to = end.min(from.saturating_add(MOST_MESSAGES));
        asking.tries = if asking.asked.is_some_and(|(_, asked)| from < asked) { asking.tries } else { 0 };
        asking.due = now.plus((FIRST_WAIT * (1 << asking.tries.min(10))).min(LONGEST_WAIT));
        asking.tries += 1;
        asking.asked = Some((from, to));
        asking.wanted = count(first, from);
        Some(Ask { link: asking.link, wanted: Wanted::Range { publisher, process, from, to } })
    }

    fn is_up(&self, link: LinkNumber) -> bool {
        self.state(link) == Some(true)
    }

    fn state(&self, link: LinkNumber) -> Option<bool> {
        self.links.get(usize::from(link.0)).copied().flatten()
    }
}

/// The key of a process; an id that is none was refused before it came here.
fn whose(publisher: &str, process: ProcessIdentity) -> Option<Whose> {
    Some((publisher.try_into().ok()?, process))
}

/// How many are missing from a number on.
fn count(first: impl Fn(u64) -> Option<(u64, u64)>, from: u64) -> u64 {
    std::iter::successors(first(from), |&(_, end)| first(end))
        .fold(0, |sum: u64, (start, end)| sum.saturating_add(end - start))
}
