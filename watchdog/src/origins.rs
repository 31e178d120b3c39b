//! [`Origins`]: where publishers run, and what their hosts are called. Those of one host share it.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use lastbeat_wire::{BootId, HostId, ProcessIdentity};

/// Where the PIDs of processes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Space {
    pub host: HostId,
    pub boot: BootId,
    pub pid_namespace: u64,
}

impl From<ProcessIdentity> for Space {
    fn from(process: ProcessIdentity) -> Self {
        Self { host: process.host, boot: process.boot, pid_namespace: process.pid_namespace }
    }
}

/// Each origin once, by a number, and as long as a publisher has it. Number 0 is the one of which nothing is known.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    each: Vec<Origin>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Of its own, so that nobody outside can make names that collide.
    keys: RandomState,
}

#[derive(Debug, Clone, Default)]
struct Origin {
    space: Option<Space>,
    host: Option<Box<str>>,
    publishers: u32,
}

impl Default for Origins {
    fn default() -> Self {
        let (index, keys) = (HashTable::new(), RandomState::new());
        Self { each: vec![Origin::default()], free: Vec::new(), index, keys }
    }
}

impl Origins {
    /// The process space of an origin, where it is known.
    pub fn space(&self, origin: u32) -> Option<Space> {
        self.each[origin as usize].space
    }

    /// The name of its host, where it is known.
    pub fn host(&self, origin: u32) -> Option<&str> {
        self.each[origin as usize].host.as_deref()
    }

    /// The origin with another process space, in place of this one.
    pub fn with_space(&mut self, origin: u32, space: Option<Space>) -> u32 {
        let host = self.each[origin as usize].host.clone();
        self.exchange(origin, space, host.as_deref())
    }

    /// The origin with another name of its host, in place of this one.
    pub fn with_host(&mut self, origin: u32, host: Option<&str>) -> u32 {
        self.exchange(origin, self.each[origin as usize].space, host)
    }

    fn exchange(&mut self, old: u32, space: Option<Space>, host: Option<&str>) -> u32 {
        let new = self.find_or_add(space, host);
        self.each[new as usize].publishers += 1;
        self.release(old);
        new
    }

    fn find_or_add(&mut self, space: Option<Space>, host: Option<&str>) -> u32 {
        if space.is_none() && host.is_none() {
            return 0;
        }
        let hash = self.keys.hash_one((space, host));
        let is = |origin: &Origin| origin.space == space && origin.host.as_deref() == host;
        if let Some(known) = self.index.find(hash, |number| is(&self.each[*number as usize])) {
            return *known;
        }
        let origin = Origin { space, host: host.map(Into::into), publishers: 0 };
        let number = if let Some(number) = self.free.pop() {
            self.each[number as usize] = origin;
            number
        } else {
            self.each.push(origin);
            u32::try_from(self.each.len() - 1).expect("invariant: there are no more than publishers, and one")
        };
        let (each, keys) = (&self.each, &self.keys);
        self.index.insert_unique(hash, number, |number| each[*number as usize].hash(keys));
        number
    }

    fn release(&mut self, number: u32) {
        let origin = &mut self.each[number as usize];
        // Nobody took number 0 when it began with it.
        origin.publishers = origin.publishers.saturating_sub(1);
        if number == 0 || origin.publishers > 0 {
            return;
        }
        if let Ok(entry) = self.index.find_entry(origin.hash(&self.keys), |known| *known == number) {
            entry.remove();
        }
        *origin = Origin::default();
        self.free.push(number);
    }
}

impl Origin {
    fn hash(&self, keys: &RandomState) -> u64 {
        keys.hash_one((self.space, self.host.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_once_and_only_while_somebody_has_it() {
        let mut origins = Origins::default();
        let space = Some(Space { host: HostId(1), boot: BootId(2), pid_namespace: 3 });
        let mut own = [0; 3];
        for origin in &mut own {
            *origin = origins.with_space(*origin, space);
            *origin = origins.with_host(*origin, Some("web-1"));
        }
        assert!(own.iter().all(|origin| *origin == own[0]));
        assert_eq!((origins.space(own[0]), origins.host(own[0])), (space, Some("web-1")));
        assert_eq!(origins.index.len(), 1);
        for origin in own {
            let nameless = origins.with_host(origin, None);
            assert_eq!(origins.with_space(nameless, None), 0);
        }
        assert_eq!(origins.index.len(), 0);
    }

    #[test]
    fn new_names_without_end_take_no_more_place() {
        let mut origins = Origins::default();
        let mut origin = 0;
        for number in 0..10_000 {
            origin = origins.with_host(origin, Some(&format!("host-{number}")));
        }
        assert_eq!(origins.host(origin), Some("host-9999"));
        assert!(origins.each.len() <= 3, "{}", origins.each.len());
    }
}
