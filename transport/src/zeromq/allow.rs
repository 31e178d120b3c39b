//! [`AllowList`]: which public key may come in, speak for which publishers, and listen. Pure: no sockets, no files.

use std::collections::{HashMap, HashSet};

use lastbeat_wire::{PublisherId, Resent, Topic};
use serde::Deserialize;

use super::PublicKey;

/// Most bytes of an entry's name; it travels with each message.
const MOST_NAME_BYTES: usize = 255;

/// What whoever knocks wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To send messages.
    Publish,
    /// To ask for messages.
    Subscribe,
}

/// Who may do what, by name.
#[derive(Debug, Clone, Default)]
pub struct AllowList {
    names: HashMap<PublicKey, String>,
    rights: HashMap<String, Rights>,
}

/// What one key may do.
#[derive(Debug, Clone, Default)]
struct Rights {
    all: bool,
    ids: HashSet<PublisherId>,
    /// `site-a` for `site-a/*`.
    below: HashSet<PublisherId>,
    subscribe: bool,
}

/// One entry of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: String,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: bool,
}

impl AllowList {
    /// Reads TOML: a table for each key, called by the key's name, with `key`, `publish` (ids, `site-a/*` for all below
    /// `site-a`, `*` for all there are) and `subscribe`.
    ///
    /// # Errors
    /// What is wrong, with the entry's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries: std::collections::BTreeMap<String, Entry> =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let mut list = Self::default();
        for (name, entry) in entries {
            list.add(&name, &entry).map_err(|reason| format!("[{name:?}]: {reason}"))?;
        }
        Ok(list)
    }

    fn add(&mut self, name: &str, entry: &Entry) -> Result<(), String> {
        if name.is_empty() || name.len() > MOST_NAME_BYTES || name.chars().any(char::is_control) {
            return Err("a name has 1 to 255 bytes and no control characters".to_owned());
        }
        let key: PublicKey = entry.key.parse().map_err(|error| format!("key {:?} {error}", entry.key))?;
        if let Some(other) = self.names.insert(key, name.to_owned()) {
            return Err(format!("has the key of [{other:?}]"));
        }
        let mut rights = Rights { subscribe: entry.subscribe, ..Rights::default() };
        for pattern in &entry.publish {
            rights.add(pattern)?;
        }
        if !rights.speaks() && !rights.subscribe {
            return Err("may neither publish nor subscribe".to_owned());
        }
        self.rights.insert(name.to_owned(), rights);
        Ok(())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nobody may come in.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a key, if it may come in for this.
    pub fn admit(&self, key: &PublicKey, purpose: Purpose) -> Result<&str, Refusal<'_>> {
        let name = self.names.get(key).ok_or(Refusal::Unknown)?;
        let rights = &self.rights[name];
        let may = match purpose {
            Purpose::Publish => rights.speaks(),
            Purpose::Subscribe => rights.subscribe,
        };
        if may { Ok(name) } else { Err(Refusal::MayNot { name, purpose }) }
    }

    /// Whether who is called `name` may send a message on this topic.
    pub fn may_send(&self, name: &str, topic: &[u8]) -> bool {
        self.rights
            .get(name)
            .is_some_and(|rights| rights.all || speaker(topic).is_some_and(|id| rights.may_speak_for(id)))
    }
}

/// Why a key may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal<'a> {
    /// It is not on the list.
    #[error("is not on the list")]
    Unknown,
    /// It is, and for something else.
    #[error("is {name:?}, who may not {}", match purpose { Purpose::Publish => "publish", Purpose::Subscribe => "subscribe" })]
    MayNot {
        /// Its name.
        name: &'a str,
        /// What it came for.
        purpose: Purpose,
    },
}

impl Rights {
    fn add(&mut self, pattern: &str) -> Result<(), String> {
        if pattern == "*" {
            self.all = true;
            return Ok(());
        }
        let (set, id) = match pattern.strip_suffix("/*") {
            Some(above) => (&mut self.below, above),
            None => (&mut self.ids, pattern),
        };
        if id.contains('*') {
            return Err(format!("publish {pattern:?}: a * stands at the end only, as in site-a/*"));
        }
        set.insert(id.parse().map_err(|error| format!("publish {pattern:?}: {error}"))?);
        Ok(())
    }

    fn speaks(&self) -> bool {
        self.all || !self.ids.is_empty() || !self.below.is_empty()
    }

    /// As long as the id has levels, however many patterns there are.
    fn may_speak_for(&self, id: &str) -> bool {
        self.ids.contains(id)
            || !self.below.is_empty() && id.match_indices('/').any(|(at, _)| self.below.contains(&id[..at]))
    }
}

/// Who a message is from: the id in its topic, also of one that is sent again, on `resend/INBOX/KIND/ID`.
pub fn speaker(topic: &[u8]) -> Option<&str> {
    let Some(resent) = topic.strip_prefix(b"resend/") else {
        return Topic::parse(topic).ok().map(|topic| topic.publisher);
    };
    let slash = resent.iter().position(|&byte| byte == b'/')?;
    match Resent::parse(&resent[slash + 1..]).ok()? {
        Resent::Message(topic) => Some(topic.publisher),
        Resent::Gone(publisher) => Some(publisher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zeromq::KeyPair;

    fn key() -> PublicKey {
        KeyPair::generate().unwrap().public()
    }

    fn list(key: &PublicKey, rights: &str) -> AllowList {
        AllowList::parse(&format!("[kim]\nkey = \"{key}\"\n{rights}")).unwrap()
    }

    #[test]
    fn a_key_comes_in_for_what_it_may_do() {
        let (known, stranger) = (key(), key());
        let publishes = list(&known, "publish = ['a']");
        assert_eq!(publishes.admit(&known, Purpose::Publish), Ok("kim"));
        let refusal = publishes.admit(&known, Purpose::Subscribe).unwrap_err();
        assert_eq!(refusal.to_string(), "is \"kim\", who may not subscribe");
        assert_eq!(publishes.admit(&stranger, Purpose::Publish), Err(Refusal::Unknown));
        let listens = list(&known, "subscribe = true");
        assert_eq!(listens.admit(&known, Purpose::Subscribe), Ok("kim"));
        assert!(listens.admit(&known, Purpose::Publish).is_err());
    }

    #[test]
    fn a_name_speaks_for_its_ids_and_for_nobody_else() {
        let list = list(&key(), "publish = ['a', 'site-a/*']");
        for (topic, may) in [
            ("sensor/a", true),
            ("beat/a", true),
            ("rip/a", true),
            ("sensor/ab", false),
            ("sensor/a/b", false),
            ("sensor/b", false),
            ("sensor/site-a/x", true),
            ("sensor/site-a/x/y", true),
            ("sensor/site-a", false),
            ("sensor/site-ab/x", false),
            ("sensor/x/site-a/y", false),
            ("sensor/", false),
            ("sensor", false),
            ("", false),
            ("other/a", false),
            ("resend/9f86d081884c7d65/sensor/a", true),
            ("resend/9f86d081884c7d65/sensor/b", false),
            ("resend/9f86d081884c7d65/gone/a", true),
            ("resend/9f86d081884c7d65/gone/b", false),
            ("resend/a/b", false),
            ("resend/sensor/a", false),
        ] {
            assert_eq!(list.may_send("kim", topic.as_bytes()), may, "{topic}");
        }
        assert!(!list.may_send("somebody", b"sensor/a") && !list.may_send("kim", b"sensor/\xff"));
    }

    #[test]
    fn a_star_alone_speaks_for_all() {
        let list = list(&key(), "publish = ['*']");
        assert!(list.may_send("kim", b"sensor/anything/at/all") && list.may_send("kim", b"other"));
    }

    #[test]
    fn errors_name_the_entry_and_the_value() {
        let key = key();
        for (text, said) in [
            ("[kim]\nkey = 'x'\nsubscribe = true".to_owned(), "[\"kim\"]: key \"x\" is no CURVE key"),
            (format!("[kim]\nkey = '{key}'"), "[\"kim\"]: may neither"),
            (format!("[kim]\nkey = '{key}'\npublish = ['a+b']"), "publish \"a+b\": publisher id"),
            (format!("[kim]\nkey = '{key}'\npublish = ['a*']"), "publish \"a*\": a * stands at the end"),
            (format!("[kim]\nkey = '{key}'\npublish = ['*/a']"), "publish \"*/a\": a * stands at the end"),
            (format!("[kim]\nkey = '{key}'\nsubscibe = true"), "subscibe"),
            (
                format!("[kim]\nkey = '{key}'\nsubscribe = true\n[pat]\nkey = '{key}'\nsubscribe = true"),
                "[\"pat\"]: has the key of [\"kim\"]",
            ),
            (format!("[\"\"]\nkey = '{key}'\nsubscribe = true"), "a name has"),
            ("kim = 3".to_owned(), "kim"),
        ] {
            let error = AllowList::parse(&text).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
